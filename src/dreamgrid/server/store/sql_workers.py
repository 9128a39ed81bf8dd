"""What the store does with the workers that it remembers."""

from collections.abc import Sequence

import msgspec

from dreamgrid.server.store.base import WorkerRow
from dreamgrid.server.store.connection import Connection

_COLUMNS = "id, account_id, owner, name, network, models, seen_ms"
_models = msgspec.json.Decoder(tuple[str, ...])


def note(connection: Connection, workers: Sequence[WorkerRow]) -> None:
    """Remembers workers, each as it was last seen."""
    connection.executemany(
        f"INSERT INTO worker ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, name = excluded.name,"
        " network = excluded.network, models = excluded.models, seen_ms = excluded.seen_ms"
        " WHERE excluded.seen_ms >= worker.seen_ms",
        [
            (
                worker.id,
                worker.account_id,
                worker.owner,
                worker.name,
                worker.network,
                msgspec.json.encode(worker.models).decode(),
                worker.seen_ms,
            )
            for worker in workers
        ],
    )


def forget(connection: Connection, before_ms: int) -> None:
    """Forgets workers that were not seen since a time."""
    connection.execute("DELETE FROM worker WHERE seen_ms < ?", (before_ms,))


def seen_since(connection: Connection, since_ms: int) -> list[WorkerRow]:
    """The workers that were seen since a time, the one seen last at the end."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM worker WHERE seen_ms >= ? ORDER BY seen_ms, id", (since_ms,)
    )
    return [
        WorkerRow(
            id=row[0],
            account_id=row[1],
            owner=row[2],
            name=row[3],
            network=row[4],
            models=_models.decode(row[5]),
            seen_ms=row[6],
        )
        for row in rows
    ]
