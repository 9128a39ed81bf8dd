"""Which workers this grid knows: those that are here, and those that were here not long ago.

A project for a model that no known worker offers would wait for ever, so it is refused at once. One
that a known worker offers may wait: that worker restarts, sleeps at night, or its network is down.
What is known is kept in the store, so that a restart of the server refuses nothing.
"""

from collections.abc import Iterable

from dreamgrid.errors import InvalidRequest, ModelNotServed
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
        self._resting: dict[str, str] = {}  # worker id to what it said when it left

    async def load(self) -> None:
        """Recalls the workers that the last run of the server knew."""
        self._rows = {row.id: row for row in await self._store.workers(self._since_ms())}

    async def keep(self) -> None:
        """Notes that connected workers are still here and forgets old ones; a turn of upkeep."""
        self.note(self._workers.all())
        oldest_ms = self._since_ms()
        self._rows = {row.id: row for row in self._rows.values() if row.seen_ms >= oldest_ms}
        self._resting = {one: said for one, said in self._resting.items() if one in self._rows}
        await self._store.forget_workers(oldest_ms)

    async def names(self, session: WorkerSession) -> frozenset[str]:
        """The names by which apps can mean a worker that has just come.

        Workers choose their names and ids themselves. One that calls itself after another account,
        or has the id of somebody else's worker, would get what others send to those: such a name
        is shown, but nobody means this worker by it.
        """
        names = set(session.known_as)
        namesake = await self._store.account_by_username(session.name)
        if namesake is not None and namesake.id != session.account_id:
            names.discard(session.name.casefold())
        own_id = session.id.partition("/")[2].casefold()
        for row in self._recent():
            same_id = row.id.partition("/")[2].casefold() == own_id
            if same_id and row.account_id != session.account_id:
                names.discard(own_id)
        return frozenset(names)

    def note(self, sessions: Iterable[WorkerSession]) -> None:
        """These workers are here now, or were until now.

        A write that fails is not tried again: the worker's next sign of life brings another.
        """
        rows = [self._row(session) for session in sessions]
        if rows:
            self._rows |= {row.id: row for row in rows}
            self._store.note_workers(rows).add_done_callback(lambda future: future.exception())

    def joined(self, session: WorkerSession) -> None:
        """A worker is here; what it said when it left the last time is over."""
        self.note([session])
        self._resting.pop(session.id, None)

    def left(self, session: WorkerSession) -> None:
        """A worker has left; it may have said that it rests."""
        self.note([session])
        if session.rests_because:
            self._resting[session.id] = session.rests_because

    def resting(self) -> list[tuple[WorkerRow, str]]:
        """Workers that are not here because they rest, and why."""
        return [
            (self._rows[one], said)
            for one, said in self._resting.items()
            if one in self._rows and self._workers.get(one) is None
        ]

    def check(self, network: Network, model: str, targeting: Targeting) -> None:
        """A project for this model can be rendered here, now or when a worker comes back.

        Raises:
            ModelNotServed: No known worker offers the model.
            InvalidRequest: The project requires workers of which none is known to offer it.
        """
        if self._workers.serves(network, model, targeting):
            return
        able = self._able(network, model)
        if not able and not self._workers.serves(network, model):
            raise ModelNotServed(self._nobody(network, model))
        if targeting.required and not any(
            targeting.allows(names_of(row.id, row.name, row.owner)) for row in able
        ):
            named = ", ".join(sorted(targeting.required))
            raise InvalidRequest(
                f"only {named[:200]} may render it, but no worker of that name, owner or id offers "
                f"{model} here; check the spelling, or leave 'workers' out"
            )

    def away(self, network: Network, model: str, targeting: Targeting) -> list[WorkerRow]:
        """Workers that would serve a project, were here not long ago, and are not now."""
        return [
            row
            for row in self._able(network, model)
            if self._workers.get(row.id) is None
            and targeting.allows(names_of(row.id, row.name, row.owner))
        ]

    def _able(self, network: Network, model: str) -> list[WorkerRow]:
        return [row for row in self._recent() if row.network == network and model in row.models]

    def _nobody(self, network: Network, model: str) -> str:
        offered = list(self._workers.counts(network))
        instead = f", or use one that has a worker now: {', '.join(offered)}" if offered else ""
        return (
            f"no worker has offered {model} on the network {network} lately; start one that does "
            f"with: dreamgrid work --model {model}{instead}"
        )

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
