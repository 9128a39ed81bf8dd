"""Which workers this grid knows: those that are here, and those that were here not long ago.

A project for a model that no known worker offers would wait for ever, so it is refused at once. One
that a known worker offers may wait: that worker restarts, sleeps at night, or its network is down.
What is known is kept in the store, so that a restart of the server refuses nothing.
"""

from collections.abc import Iterable

from dreamgrid.protocol.params import Network
from dreamgrid.server.clock import Clock, milliseconds
from dreamgrid.server.store.base import Store, WorkerRow
from dreamgrid.server.worker_flags import Targeting
from dreamgrid.server.workers import Workers, WorkerSession, names_of


class KnownWorkers:
    """Remembers workers for a while after they have left.

    Args:
        kept_s: How long.
        workers: Those that are connected.
    """

    def __init__(self, kept_s: float, store: Store, workers: Workers, clock: Clock) -> None:
        self._kept_ms = int(kept_s * 1000)
        self._store = store
        self._workers = workers
        self._clock = clock
        self._rows: dict[str, WorkerRow] = {}

    async def load(self) -> None:
        """Recalls the workers that the last run of the server knew."""
        self._rows = {row.id: row for row in await self._store.workers(self._since_ms())}

    async def keep(self) -> None:
        """Notes that connected workers are still here and forgets old ones; a turn of upkeep."""
        self.note(self._workers.all())
        oldest_ms = self._since_ms()
        self._rows = {row.id: row for row in self._rows.values() if row.seen_ms >= oldest_ms}
        await self._store.forget_workers(oldest_ms)

    def note(self, sessions: Iterable[WorkerSession]) -> None:
        """These workers are here now, or were until now.

        A write that fails is not tried again: the worker's next sign of life brings another.
        """
        rows = [self._row(session) for session in sessions]
        if rows:
            self._rows |= {row.id: row for row in rows}
            self._store.note_workers(rows).add_done_callback(lambda future: future.exception())

    def offer(self, network: Network, model: str) -> bool:
        """Whether any known worker takes, or took, jobs for a model."""
        return self._workers.serves(network, model) or any(
            row.network == network and model in row.models for row in self._recent()
        )

    def models(self, network: Network) -> list[str]:
        """Models that connected workers take jobs for now."""
        return [model for model, count in self._workers.counts(network).items() if count]

    def strangers(self, network: Network, model: str, targeting: Targeting) -> list[str]:
        """Workers that a project requires and that never offered its model here; sorted.

        Empty also when it requires none.
        """
        if not targeting.required:
            return []
        known: set[str] = set()
        for row in self._recent():
            if row.network == network and model in row.models:
                known |= names_of(row.id, row.name, row.owner)
        return sorted(targeting.required - known)

    def _recent(self) -> Iterable[WorkerRow]:
        oldest_ms = self._since_ms()
        return (row for row in self._rows.values() if row.seen_ms >= oldest_ms)

    def _since_ms(self) -> int:
        return milliseconds(self._clock) - self._kept_ms

    def _row(self, session: WorkerSession) -> WorkerRow:
        return WorkerRow(
            id=session.id,
            account_id=session.account_id,
            owner=session.owner,
            name=session.name,
            network=session.network,
            models=tuple(sorted(session.models)),
            seen_ms=milliseconds(self._clock),
        )
