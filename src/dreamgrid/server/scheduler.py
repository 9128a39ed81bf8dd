"""Which waiting job goes to which free slot.

`WaitingJobs` and `choose` are pure: they hold and decide, with no I/O and no clock. `Scheduler`
runs them when hinted, stores each decision (fenced by attempt number) and only then tells anybody.
"""

import asyncio
import heapq
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import NamedTuple

from dreamgrid.protocol.params import Network
from dreamgrid.server.live import LiveJob
from dreamgrid.server.store.base import Acquisition, Store
from dreamgrid.server.workers import Workers, WorkerSession
from dreamgrid.states import JobEvent, JobState

LOADED_AHEAD_MS = 30_000
"""Head start of jobs for the model that a worker has loaded."""

_log = logging.getLogger("dreamgrid.scheduler")


class Match(NamedTuple):
    """A decision: this job goes to this worker."""

    job: LiveJob
    worker: WorkerSession


class _Room:
    """The jobs that wait for one model on one network: a line per account, served in turns."""

    def __init__(self) -> None:
        self.lines: OrderedDict[str, deque[LiveJob]] = OrderedDict()
        self.projects: dict[str, int] = {}  # id to how many of its jobs are in the lines

    def add(self, job: LiveJob, *, first: bool) -> None:
        self.projects[job.project.id] = self.projects.get(job.project.id, 0) + 1
        line = self.lines.setdefault(job.project.account_id, deque())
        if first:
            line.appendleft(job)
        else:
            line.append(job)

    def _skip_gone(self) -> None:
        """Drops what no longer waits at the head of the line whose turn it is.

        Canceled jobs stay in their line until they come up: removing one from the middle would
        cost time in proportion to the length of the line.
        """
        while self.lines:
            account_id, line = next(iter(self.lines.items()))
            while line and not _waits(line[0]):
                self._pop(line)
            if line:
                return
            del self.lines[account_id]

    def head(self) -> LiveJob | None:
        self._skip_gone()
        return next(iter(self.lines.values()))[0] if self.lines else None

    def take(self) -> LiveJob:
        self._skip_gone()
        account_id, line = self.lines.popitem(last=False)
        job = self._pop(line)
        if line:
            self.lines[account_id] = line  # at the end: the other accounts come first
        return job

    def _pop(self, line: deque[LiveJob]) -> LiveJob:
        job = line.popleft()
        left = self.projects.pop(job.project.id) - 1
        if left:
            self.projects[job.project.id] = left
        return job

    def in_order(self) -> Iterator[LiveJob]:
        """The jobs in the order in which `take` would give them, as things stand."""
        lines = [[job for job in line if _waits(job)] for line in self.lines.values()]
        longest = max(map(len, lines), default=0)
        rounds = ((line[turn] for line in lines if turn < len(line)) for turn in range(longest))
        return chain.from_iterable(rounds)


def _waits(job: LiveJob) -> bool:
    return job.state is JobState.QUEUED and not job.settling and not job.project.canceling


class WaitingJobs:
    """All queued jobs. Within a model, accounts take turns; within an account, first come first."""

    def __init__(self) -> None:
        self._rooms: dict[tuple[Network, str], _Room] = {}

    def add(self, job: LiveJob, *, first: bool = False) -> None:
        """Adds a queued job; `first`: ahead of its account's others (it was interrupted)."""
        self._rooms.setdefault(_room_of(job), _Room()).add(job, first=first)

    def head(self, network: Network, model: str) -> LiveJob | None:
        """The job whose turn it is for a model."""
        key = (network, model)
        room = self._rooms.get(key)
        if room is None:
            return None
        job = room.head()
        if job is None:
            del self._rooms[key]
        return job

    def take(self, job: LiveJob) -> None:
        """Removes a job that `head` gave."""
        taken = self._rooms[_room_of(job)].take()
        assert taken is job, "only the head of a line may be taken"

    def __bool__(self) -> bool:
        return bool(self._rooms)

    def length(self, network: Network, model: str) -> int:
        """How many projects wait for a model; canceled ones may still be counted for a while."""
        room = self._rooms.get((network, model))
        return len(room.projects) if room is not None else 0

    def positions(self) -> dict[str, int]:
        """Project id to queue position: 1 for the project whose job comes next for its model."""
        positions: dict[str, int] = {}
        for room in self._rooms.values():
            ahead = 0
            for job in room.in_order():
                if job.project.id not in positions:
                    ahead += 1
                    positions[job.project.id] = ahead
        return positions


def _room_of(job: LiveJob) -> tuple[Network, str]:
    return job.project.network, job.render.model


def choose(waiting: WaitingJobs, workers: Iterable[WorkerSession]) -> list[Match]:
    """Fills free slots, taking the chosen jobs out of `waiting`.

    A worker takes the job that has waited longest, but jobs for the model that it has loaded count
    as having waited `LOADED_AHEAD_MS` longer: that saves changes of model and starves nobody.
    Whoever has the most room left takes the next job, so that jobs spread.
    """
    matches: list[Match] = []
    if not waiting:
        return matches
    free = [(-worker.free_slots, n, worker) for n, worker in enumerate(workers)]
    free = [entry for entry in free if entry[0] < 0]
    heapq.heapify(free)
    while free and waiting:
        room, n, worker = free[0]
        job = _best(waiting, worker)
        if job is None:
            heapq.heappop(free)
            continue
        waiting.take(job)
        matches.append(Match(job, worker))
        if room == -1:
            heapq.heappop(free)
        else:
            heapq.heapreplace(free, (room + 1, n, worker))
    return matches


def _best(waiting: WaitingJobs, worker: WorkerSession) -> LiveJob | None:
    heads = (waiting.head(worker.network, model) for model in worker.models)
    return min(
        (job for job in heads if job is not None),
        key=lambda job: (_since_ms(job, worker), job.project.id, job.index),
        default=None,
    )


def _since_ms(job: LiveJob, worker: WorkerSession) -> int:
    """Since when a job counts as waiting in the eyes of a worker."""
    return job.created_ms - (LOADED_AHEAD_MS if job.render.model == worker.loaded_model else 0)


class Scheduler:
    """Runs `choose` whenever something changed; a lost hint costs one tick of upkeep.

    Args:
        assigned: Called for every match once it is stored.
        refused: Called for every job whose assignment could not be stored.
    """

    def __init__(
        self,
        workers: Workers,
        store: Store,
        assigned: Callable[[Match], None],
        refused: Callable[[LiveJob], None],
    ) -> None:
        self.waiting = WaitingJobs()
        self._workers = workers
        self._store = store
        self._assigned = assigned
        self._refused = refused
        self._loop = asyncio.get_running_loop()
        self._hinted = False

    def hint(self) -> None:
        """Something changed: look again, once for all hints of this turn of the event loop."""
        if not self._hinted:
            self._hinted = True
            self._loop.call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._hinted = False
        matches = choose(self.waiting, self._workers.all())
        if not matches:
            return
        acquisitions = []
        for job, worker in matches:
            job.move(JobEvent.ASSIGN)
            job.attempt += 1
            job.worker_id = worker.id
            job.worker_name = worker.name
            job.settling = True
            worker.jobs[job.id] = job
            worker.loaded_model = job.render.model
            acquisitions.append(
                Acquisition(
                    job_id=job.id,
                    attempt=job.attempt,
                    worker_id=worker.id,
                    worker_name=worker.name,
                )
            )
        stored = self._store.acquire(acquisitions)
        stored.add_done_callback(lambda future: self._acquired(matches, future))

    def _acquired(self, matches: list[Match], future: asyncio.Future[list[bool]]) -> None:
        error = future.exception()
        if error is not None:
            _log.error("assignments could not be stored, trying again: %s", error)
        accepted = [False] * len(matches) if error is not None else future.result()
        for match, stored in zip(matches, accepted, strict=True):
            match.job.settling = False
            if stored:
                self._assigned(match)
            else:
                match.worker.jobs.pop(match.job.id, None)
                self._refused(match.job)
