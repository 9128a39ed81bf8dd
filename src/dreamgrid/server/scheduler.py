"""Which waiting job goes to which free slot.

`choose` is pure: it decides, with no I/O and no clock. `Scheduler` runs it when hinted, stores each
decision (fenced by attempt number) and only then tells anybody.
"""

import asyncio
import heapq
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from dreamgrid.server.clock import Clock, milliseconds
from dreamgrid.server.live import LiveJob
from dreamgrid.server.store.base import Acquisition, Store
from dreamgrid.server.waiting import WaitingJobs
from dreamgrid.server.workers import Workers, WorkerSession
from dreamgrid.states import JobEvent

LOADED_AHEAD_MS = 30_000
"""Head start of jobs for the model that a worker has loaded."""

PREFERRED_AHEAD_MS = 15_000
"""How long a job waits for a worker that its project prefers before it takes any other."""

_log = logging.getLogger("dreamgrid.scheduler")


class Match(NamedTuple):
    """A decision: this job goes to this worker."""

    job: LiveJob
    worker: WorkerSession


def choose(
    waiting: WaitingJobs,
    workers: Sequence[WorkerSession],
    *,
    now_ms: int,
    max_running: int,
) -> list[Match]:
    """Fills free slots, taking the chosen jobs out of `waiting`.

    The worker that is least busy for its size takes the next job, a faster one before a slower
    one. Of the jobs that it may take it gets one of the account that was served longest ago
    (`waiting` has the details); for the model that it has loaded, served `LOADED_AHEAD_MS` longer
    ago, which saves changes of model and starves nobody. A job that it has failed at is left to
    another worker that serves it, if there is one.

    Args:
        waiting: The jobs that wait.
        workers: All connected workers.
        now_ms: The time.
        max_running: How many jobs of one account workers may hold at once.
    """
    if not waiting:
        return []
    return _Choice(waiting, workers, now_ms, max_running).matches()


class _Choice:
    """One run of `choose`."""

    def __init__(
        self,
        waiting: WaitingJobs,
        workers: Sequence[WorkerSession],
        now_ms: int,
        max_running: int,
    ) -> None:
        self._waiting = waiting
        self._workers = workers
        self._now_ms = now_ms
        self._max_running = max_running
        self._given: Counter[str] = Counter()  # account id to jobs in this run

    def matches(self) -> list[Match]:
        matches: list[Match] = []
        free = [
            (len(worker.jobs) / worker.slots, worker.pace, n, worker)
            for n, worker in enumerate(self._workers)
            if worker.free_slots > 0
        ]
        left = {worker.id: worker.free_slots for _, _, _, worker in free}
        heapq.heapify(free)
        while free and self._waiting:
            busy, pace, n, worker = free[0]
            job = self._best(worker)
            if job is None:
                heapq.heappop(free)
                continue
            self._waiting.take(job, self._now_ms)
            self._given[job.project.account_id] += 1
            matches.append(Match(job, worker))
            left[worker.id] -= 1
            if left[worker.id]:
                heapq.heapreplace(free, (busy + 1 / worker.slots, pace, n, worker))
            else:
                heapq.heappop(free)
        return matches

    def _best(self, worker: WorkerSession) -> LiveJob | None:
        best: tuple[tuple[int | str, ...], LiveJob] | None = None
        may_take = partial(self._may_take, worker)
        for model in worker.models:
            if not self._waiting.waits_for(worker.network, model):
                continue
            ahead_ms = LOADED_AHEAD_MS if model == worker.loaded_model else 0
            for since_ms, turn, job in self._waiting.turns(
                worker.network, model, worker.known_as, may_take
            ):
                order = (since_ms - ahead_ms, turn, job.created_ms, job.project.id, job.index)
                if best is None or order < best[0]:
                    best = (order, job)
        return best[1] if best is not None else None

    def _may_take(self, worker: WorkerSession, job: LiveJob) -> bool:
        """Whether a job may run now, on this worker rather than on another one."""
        project = job.project
        most = project.load.most(self._max_running)
        if project.load.running + self._given[project.account_id] >= most:
            return False
        if worker.id in job.failed_on and self._others(
            job, lambda one: one.id not in job.failed_on
        ):
            return False
        prefers = project.targeting.prefers
        if not project.targeting.preferred or prefers(worker.known_as):
            return True
        waited_ms = self._now_ms - job.created_ms
        return waited_ms >= PREFERRED_AHEAD_MS or not self._others(
            job, lambda one: prefers(one.known_as)
        )

    def _others(self, job: LiveJob, better: Callable[[WorkerSession], bool]) -> bool:
        """Whether a better worker is there for a job, be it busy."""
        project = job.project
        return any(
            better(one) and one.can_take(project.network, job.render.model, project.targeting)
            for one in self._workers
        )


class Scheduler:
    """Runs `choose` whenever something changed; a lost hint costs one tick of upkeep.

    Args:
        max_running: How many jobs of one account workers may hold at once.
        assigned: Called for every match once it is stored.
        refused: Called for every job whose assignment could not be stored.
    """

    def __init__(
        self,
        workers: Workers,
        store: Store,
        clock: Clock,
        max_running: int,
        assigned: Callable[[Match], None],
        refused: Callable[[LiveJob], None],
    ) -> None:
        self.waiting = WaitingJobs()
        self._workers = workers
        self._store = store
        self._clock = clock
        self._max_running = max_running
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
        matches = choose(
            self.waiting,
            self._workers.all(),
            now_ms=milliseconds(self._clock),
            max_running=self._max_running,
        )
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
        stored = self._store.acquire(acquisitions, milliseconds(self._clock))
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
