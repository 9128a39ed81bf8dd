"""Workers that a server remembers from before it was started."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from dreamgrid.protocol.params import NETWORKS
from dreamgrid.server.store.base import WorkerRow
from dreamgrid.server.store.sqlite import SqliteStore


async def remember_workers(
    data_dir: Path, models: Sequence[str], *, seen_s: float, name: str = "away"
) -> None:
    """Lets the next server over this folder know a worker of each network that offered models.

    Projects for these models then wait for a worker instead of being refused.
    """
    await asyncio.to_thread(data_dir.mkdir, parents=True, exist_ok=True)
    store = SqliteStore(data_dir / "dreamgrid.sqlite")
    await store.open()
    await store.note_workers(
        [
            WorkerRow(
                id=f"NOBODY/{name}-{network}",
                account_id="NOBODY",
                owner="nobody",
                name=name,
                network=network,
                models=tuple(models),
                seen_ms=int(seen_s * 1000),
            )
            for network in NETWORKS
        ]
    )
    await store.close()
