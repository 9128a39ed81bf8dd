"""The workers that are connected now, and which models they bring."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from dreamgrid.protocol.job_request import looks_like_id
from dreamgrid.protocol.params import Network
from dreamgrid.protocol.worker import ServerMessage
from dreamgrid.server.live import LiveJob
from dreamgrid.server.worker_flags import ANYBODY, Targeting

QUICKEST = 0.25
"""No worker counts as quicker than this share of what is usual, whatever was measured of it."""

MAX_REMEMBERED = 1_000
"""Most kinds of jobs of which it is remembered who takes them."""


def names_of(worker_id: str, name: str, owner: str) -> frozenset[str]:
    """All names by which an app can mean a worker, case-folded.

    The part of its id before the slash is the account of its owner: nobody else's business. Workers
    choose their ids and names, so an id must look like one and a name must not.
    """
    own_id = worker_id.partition("/")[2]
    words = {owner.casefold()}
    if looks_like_id(own_id):
        words.add(own_id.casefold())
    if name and not looks_like_id(name):
        words.add(name.casefold())
    return frozenset(words)


def owner_of(worker_id: str) -> str:
    """Id of the account that a worker belongs to; empty where there is no worker."""
    return worker_id.rpartition("/")[0]


@dataclass(slots=True, eq=False)
class WorkerSession:
    """One connected worker.

    Attributes:
        id: The worker's own stable id.
        owner: Name of the account that it belongs to.
        models: Catalogue ids that it serves and this grid knows.
        slots: How many jobs it holds at a time, whatever they are.
        slots_of: Model id to how many, where these are more.
        origin: Begins the URLs that it receives: how it reached the server.
        send: Queues a message for it.
        close: Ends its connection with a code and a reason.
        jobs: What it holds, by job id.
        loaded_model: The model of its last job.
        rendered: Models of which it delivered jobs on this connection.
        kept: Those of them that it says it has in memory.
        seen_at_s: Clock time of its last message.
        draining: It takes no new jobs, as it says itself.
        rests_because: Why it does so, if it means to come back; in its own words.
        drained: It gets no new jobs, as an administrator says, until this connection ends.
        held_back: An administrator lets it have no jobs.
        paused: It failed at many jobs in a row and gets none for a while.
        paces: Model id to its seconds for a job over what is usual; above 1 is slower. Models of
            which nothing is known, neither from jobs nor from its hello, are not in it.
        delivery_rate: The share of its last jobs that it delivered.
        delivered: How many jobs it delivered on this connection.
        known_as: The names by which apps can mean it.
    """

    id: str
    name: str
    account_id: str
    owner: str
    models: frozenset[str]
    slots: int
    network: Network
    origin: str
    send: Callable[[ServerMessage], None]
    close: Callable[[int, str], None]
    seen_at_s: float
    slots_of: dict[str, int] = field(default_factory=dict)
    jobs: dict[str, LiveJob] = field(default_factory=dict)
    loaded_model: str | None = None
    rendered: set[str] = field(default_factory=set)
    kept: frozenset[str] = frozenset()
    draining: bool = False
    rests_because: str = ""
    drained: bool = False
    paused: bool = False
    held_back: bool = False
    paces: dict[str, float] = field(default_factory=dict)
    delivery_rate: float = 1.0
    delivered: int = 0
    known_as: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.known_as = names_of(self.id, self.name, self.owner)

    def can_take(self, network: Network, model: str, targeting: Targeting = ANYBODY) -> bool:
        """Whether it takes jobs of this kind at all, now or when it has room."""
        return (
            model in self.models
            and self.network == network
            and self.takes_jobs
            and targeting.allows(self.known_as)
        )

    def cost(self, model: str | None = None) -> float:
        """Its pace for what it delivers: an attempt that fails takes time as well.

        Args:
            model: For jobs of this model. None: the one that it has loaded.
        """
        pace = self.paces.get(model or self.loaded_model or "", 1.0)
        return max(pace, QUICKEST) / self.delivery_rate

    @property
    def takes_jobs(self) -> bool:
        """Whether it gets jobs at all now."""
        return not (self.draining or self.drained or self.paused or self.held_back)

    def slots_for(self, model: str) -> int:
        """How many jobs it holds at a time, with one of this model among them."""
        return self.slots_of.get(model, self.slots)

    @property
    def most(self) -> int:
        """How many jobs it holds at a time, as long as it gets none of a model with fewer."""
        if not self.slots_of:
            return self.slots
        held = (self.slots_for(job.render.model) for job in self.jobs.values())
        return min(held, default=max(self.slots_of.values()))

    @property
    def free_slots(self) -> int:
        """How many more jobs it can take now."""
        return max(0, self.most - len(self.jobs)) if self.takes_jobs else 0


class Workers:
    """All connected workers of this server.

    Attributes:
        changed: Called when the models that workers offer may have changed.
    """

    def __init__(self) -> None:
        self._sessions: dict[str, WorkerSession] = {}
        self._able: dict[tuple[Network, str, Targeting], tuple[WorkerSession, ...]] = {}
        self.changed: Callable[[], None] = lambda: None

    def add(self, session: WorkerSession) -> WorkerSession | None:
        """Adds a worker; returns the older connection of the same worker that it replaces."""
        replaced = self._sessions.get(session.id)
        self._sessions[session.id] = session
        self._note_change()
        return replaced

    def remove(self, session: WorkerSession) -> None:
        """Forgets a connection that has closed; a newer one of the same worker stays."""
        if self._sessions.get(session.id) is session:
            del self._sessions[session.id]
            self._note_change()

    def note_draining(self, session: WorkerSession, because: str = "") -> None:
        """A worker says that it takes no more jobs."""
        session.draining = True
        session.rests_because = because
        self._note_change()

    def drain(self, session: WorkerSession, *, drained: bool) -> None:
        """Gives no more jobs to a worker for as long as it is connected, or again."""
        session.drained = drained
        self._note_change()

    def pause(self, session: WorkerSession, *, paused: bool) -> None:
        """Gives no jobs to a worker for a while, or again."""
        session.paused = paused
        self._note_change()

    def hold_back(self, session: WorkerSession, *, held_back: bool) -> None:
        """Gives no jobs to a worker until an administrator says otherwise, or again."""
        session.held_back = held_back
        self._note_change()

    def get(self, worker_id: str) -> WorkerSession | None:
        """The connection of a worker."""
        return self._sessions.get(worker_id)

    def all(self) -> tuple[WorkerSession, ...]:
        """Every connected worker."""
        return tuple(self._sessions.values())

    def counts(self, network: Network) -> dict[str, int]:
        """Model id to number of workers that take jobs for it, on one network."""
        counts: Counter[str] = Counter()
        for session in self._sessions.values():
            if session.network == network and session.takes_jobs:
                counts.update(session.models)
        return dict(sorted(counts.items()))

    def serves(self, network: Network, model: str, targeting: Targeting = ANYBODY) -> bool:
        """Whether any worker takes jobs for a model, and for a project that wants these workers."""
        return bool(self.able(network, model, targeting))

    def able(
        self, network: Network, model: str, targeting: Targeting = ANYBODY
    ) -> tuple[WorkerSession, ...]:
        """The workers that take such jobs, now or when they have room."""
        kind = (network, model, targeting)
        able = self._able.get(kind)  # asked for every waiting project, and rarely different
        if able is None:
            if len(self._able) >= MAX_REMEMBERED:
                self._able.clear()
            able = tuple(one for one in self._sessions.values() if one.can_take(*kind))
            self._able[kind] = able
        return able

    def resting(
        self, network: Network, model: str, targeting: Targeting
    ) -> tuple[WorkerSession, ...]:
        """The workers that would take such jobs, but take none at all now."""
        return tuple(
            one
            for one in self._sessions.values()
            if not one.takes_jobs
            and model in one.models
            and one.network == network
            and targeting.allows(one.known_as)
        )

    def _note_change(self) -> None:
        self._able.clear()
        self.changed()
