"""Webhooks in SQL. What is to be delivered is added by a trigger of the table of events."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from dreamgrid.server.store.base import EventKind, EventRow
from dreamgrid.server.store.connection import Connection, Read, Write
from dreamgrid.server.store.webhooks import DeliveryRow, Due, Tried, WebhookRow

_WEBHOOK = WebhookRow.__struct_fields__
_DELIVERY = DeliveryRow.__struct_fields__
_COLUMNS = ", ".join(_WEBHOOK)
_DELIVERY_COLUMNS = ", ".join(f"delivery.{name}" for name in _DELIVERY)
# Later events of a project wait for its earlier ones.
_DUE = f"""
    SELECT {_DELIVERY_COLUMNS}, event.at_ms, event.job_id, event.details
      FROM delivery JOIN project ON project.id = project_id
      JOIN event ON project = project.number AND event.number = delivery.number
     WHERE webhook_id = ?1 AND delivery.state = 'pending' AND next_ms <= ?2
       AND NOT EXISTS (SELECT 1 FROM delivery AS earlier
                        WHERE earlier.project_id = delivery.project_id
                          AND earlier.webhook_id = ?1 AND earlier.number < delivery.number
                          AND earlier.state = 'pending')
     ORDER BY delivery.next_ms, delivery.number LIMIT ?3
"""


def forget(connection: Connection, project_ids: Iterable[tuple[str]]) -> None:
    """Removes what was, or was to be, delivered of projects."""
    connection.executemany("DELETE FROM delivery WHERE project_id = ?", project_ids)


class SqlWebhooks:
    """A `WebhookStore`; it writes and reads through the store that it belongs to."""

    def __init__(self, write: Write, read: Read) -> None:
        self._write = write
        self._read = read

    def add(self, webhook: WebhookRow, *, most: int) -> asyncio.Future[bool]:
        def operation(connection: Connection) -> bool:
            ((count,),) = connection.execute(
                "SELECT count(*) FROM webhook WHERE account_id = ?", (webhook.account_id,)
            )
            if count >= most:
                return False
            row = msgspec.structs.asdict(webhook) | {"events": " ".join(webhook.events)}
            connection.execute(
                f"INSERT INTO webhook ({_COLUMNS}) VALUES ({', '.join('?' * len(_WEBHOOK))})",
                [row[name] for name in _WEBHOOK],
            )
            return True

        return self._write(operation)

    async def of_account(self, account_id: str) -> list[WebhookRow]:
        return await self._webhooks("account_id = ? ORDER BY created_ms, id", account_id)

    async def find(self, account_id: str, webhook_id: str) -> WebhookRow | None:
        found = await self._webhooks("account_id = ? AND id = ?", account_id, webhook_id)
        return found[0] if found else None

    async def due(self, at_ms: int) -> list[WebhookRow]:
        return await self._webhooks(
            "disabled_ms IS NULL AND EXISTS (SELECT 1 FROM delivery"
            " WHERE webhook_id = webhook.id AND state = 'pending' AND next_ms <= ?)",
            at_ms,
        )

    async def _webhooks(self, condition: str, *values: Any) -> list[WebhookRow]:
        sql = f"SELECT {_COLUMNS} FROM webhook WHERE {condition}"
        rows = await self._read(lambda connection: connection.execute(sql, values).fetchall())
        found = [dict(zip(_WEBHOOK, row, strict=True)) for row in rows]
        return [WebhookRow(**row | {"events": tuple(row["events"].split())}) for row in found]

    def remove(self, account_id: str, webhook_id: str) -> asyncio.Future[bool]:
        def operation(connection: Connection) -> bool:
            removed = connection.execute(
                "DELETE FROM webhook WHERE account_id = ? AND id = ?", (account_id, webhook_id)
            )
            if removed.rowcount:
                connection.execute("DELETE FROM delivery WHERE webhook_id = ?", (webhook_id,))
            return removed.rowcount > 0

        return self._write(operation)

    def enable(self, account_id: str, webhook_id: str, at_ms: int) -> asyncio.Future[bool]:
        def operation(connection: Connection) -> bool:
            enabled = connection.execute(
                "UPDATE webhook SET disabled_ms = NULL, disabled_reason = NULL"
                " WHERE account_id = ? AND id = ?",
                (account_id, webhook_id),
            )
            if enabled.rowcount:
                connection.execute(
                    "UPDATE delivery SET since_ms = ?1, next_ms = ?1, attempts = 0"
                    " WHERE webhook_id = ?2 AND state = 'pending'",
                    (at_ms, webhook_id),
                )
            return enabled.rowcount > 0

        return self._write(operation)

    async def deliveries(self, webhook_id: str, limit: int, offset: int) -> list[DeliveryRow]:
        sql = (
            f"SELECT {_DELIVERY_COLUMNS} FROM delivery WHERE webhook_id = ?"
            " ORDER BY created_ms DESC, project_id, number DESC LIMIT ? OFFSET ?"
        )
        rows = await self._read(
            lambda connection: connection.execute(sql, (webhook_id, limit, offset)).fetchall()
        )
        return [_delivery(row) for row in rows]

    def redeliver(
        self, webhook_id: str, project_id: str, number: int, at_ms: int
    ) -> asyncio.Future[bool]:
        def operation(connection: Connection) -> bool:
            changed = connection.execute(
                "UPDATE delivery SET state = 'pending', attempts = 0, since_ms = ?1, next_ms = ?1"
                " WHERE project_id = ?2 AND webhook_id = ?3 AND number = ?4",
                (at_ms, project_id, webhook_id, number),
            )
            # Whatever else of the project is not delivered waits for its turn, and for no time.
            connection.execute(
                "UPDATE delivery SET next_ms = ?1 WHERE project_id = ?2 AND webhook_id = ?3"
                " AND state = 'pending' AND next_ms > ?1",
                (at_ms, project_id, webhook_id),
            )
            return changed.rowcount > 0

        return self._write(operation)

    async def due_deliveries(self, webhook_id: str, at_ms: int, most: int) -> list[Due]:
        rows = await self._read(
            lambda connection: connection.execute(_DUE, (webhook_id, at_ms, most)).fetchall()
        )
        found = []
        for *row, at, job_id, details in rows:
            delivery = _delivery(row)
            event = EventRow(
                project_id=delivery.project_id,
                number=delivery.number,
                at_ms=at,
                kind=EventKind(delivery.kind),
                job_id=job_id,
                details=msgspec.json.decode(details),
            )
            found.append(Due(delivery=delivery, event=event))
        return found

    def note(self, tried: Sequence[Tried]) -> asyncio.Future[None]:
        def operation(connection: Connection) -> None:
            for one in tried:
                _note(connection, one)

        return self._write(operation)


def _note(connection: Connection, tried: Tried) -> None:
    delivery = tried.delivery
    row = (delivery.project_id, delivery.webhook_id, delivery.number)
    connection.execute(
        "UPDATE delivery SET state = ?, attempts = attempts + 1, tried_ms = ?, next_ms = ?,"
        " status = ?, error = ? WHERE project_id = ? AND webhook_id = ? AND number = ?",
        (tried.state, tried.at_ms, tried.next_ms, tried.status, tried.error, *row),
    )
    match tried.state:
        case "delivered":
            connection.execute(
                "UPDATE webhook SET succeeded_ms = ?1 WHERE id = ?2 AND succeeded_ms < ?1",
                (tried.at_ms, delivery.webhook_id),
            )
        case "pending":  # those behind it wait as long, and need not be looked at before
            connection.execute(
                "UPDATE delivery SET next_ms = ?1 WHERE project_id = ?2 AND webhook_id = ?3"
                " AND number > ?4 AND state = 'pending' AND next_ms < ?1",
                (tried.next_ms, *row),
            )
        case "failed":
            connection.execute(
                "UPDATE webhook SET disabled_ms = ?, disabled_reason = ?"
                " WHERE id = ? AND disabled_ms IS NULL AND succeeded_ms < ?",
                (
                    tried.at_ms,
                    f"nothing was accepted through {delivery.attempts + 1} attempts at one event; "
                    f"the last one: {tried.error}",
                    delivery.webhook_id,
                    delivery.since_ms,
                ),
            )


def _delivery(row: Sequence[Any]) -> DeliveryRow:
    return DeliveryRow(**dict(zip(_DELIVERY, row, strict=True)))
