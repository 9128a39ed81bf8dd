"""Which waiting job goes to which free slot.

`choose` is pure: it decides, with no I/O and no clock. `Scheduler` runs it when hinted, stores each
decision (fenced by attempt number) and only then tells anybody.
"""

import asyncio
import heapq
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain, islice
from typing import NamedTuple

from dreamgrid.protocol.params import Network
from dreamgrid.server.clock import Clock, milliseconds
from dreamgrid.server.live import LiveJob
from dreamgrid.server.store.base import Acquisition, Choice, Store
from dreamgrid.server.waiting import WaitingJobs
from dreamgrid.server.workers import Workers, WorkerSession
from dreamgrid.states import JobEvent

LOADED_AHEAD_MS = 30_000
"""Head start of jobs for the model that a worker has loaded."""

KEPT_AHEAD_MS = 10_000
"""Head start of jobs for the other models that a worker has in memory."""

PREFERRED_AHEAD_MS = 15_000
"""How long a job waits for a worker that its project prefers before it takes any other."""

SPARED_MS = 5 * 60 * 1000
"""How long a job waits for a worker that has not failed at it before one that has may try again."""

MAX_COMPARED = 32
"""Most idle workers with a model loaded, and of all others, among which one is chosen for a job."""

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

    The worker that is least busy for its size has the next turn. Of the jobs that it may take one
    of the account is chosen that was served longest ago (`waiting` has the details); one for the
    model that it has loaded, if the account was served at most `LOADED_AHEAD_MS` later, which saves
    changes of model and starves nobody (`KEPT_AHEAD_MS` for one that it keeps in memory beside). Of
    all workers that are as idle the job then goes to one that has its model loaded, else to one
    that keeps it, and of these to the one that should deliver it first: by its measured
    pace and by how often it delivers. So a project's jobs spread over idle workers before any
    worker holds two of them. A job that a worker has failed at is left to another that serves it
    for `SPARED_MS`, if there is one.

    Notes on each chosen job why it went where it went.

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
    """One run of `choose`. Workers with room are known by their number in it."""

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
        self._most: dict[int, int] = {}  # as they would hold with what they were given
        self._room: dict[int, int] = {}
        self._busy: dict[int, float] = {}
        # What was pushed before a worker was given something else is passed over later.
        self._free: list[tuple[float, float, int]] = []
        self._loaded: defaultdict[str | None, list[int]] = defaultdict(list)
        self._kept: defaultdict[str, list[int]] = defaultdict(list)
        for n, worker in enumerate(workers):
            held, most = len(worker.jobs), worker.most
            if held < most and worker.takes_jobs:  # most are busy: quicker first
                self._most[n] = most
                self._room[n] = most - held
                self._busy[n] = busy = held / most
                self._free.append((busy, worker.cost(), n))
                self._loaded[worker.loaded_model].append(n)
                for model in worker.kept:
                    if model != worker.loaded_model:
                        self._kept[model].append(n)
        heapq.heapify(self._free)

    def _share(self, number: int) -> float:
        """How much of a worker is taken. Made anew each time: workers with the same share tie."""
        slots = self._most[number]
        return (slots - self._room[number]) / slots

    def _take_room(self, number: int, model: str) -> None:
        """A job of a model takes room, and perhaps more than its own: others wait behind it."""
        fewer = self._most[number] - self._workers[number].slots_for(model)
        if fewer > 0:
            self._most[number] -= fewer
            self._room[number] -= fewer
        self._room[number] -= 1

    def matches(self) -> list[Match]:
        matches: list[Match] = []
        while self._free and self._waiting:
            busy, _, number = self._free[0]
            if self._busy.get(number) != busy:
                heapq.heappop(self._free)
                continue
            job = self._best(self._workers[number])
            if job is None:
                heapq.heappop(self._free)
                del self._busy[number]
                continue
            taker = self._taker(number, busy, job)
            matches.append(Match(job, self._workers[taker]))
            self._give(job, taker)
        return matches

    def _taker(self, number: int, busy: float, job: LiveJob) -> int:
        """The worker for a job: of those that are as idle as the one whose turn it is."""
        best = number
        best_rank = self._rank(number, job)
        # `_free` has the quickest first, so none beats one that has the model loaded.
        if self._workers[number].loaded_model != job.render.model:
            as_loaded = islice(self._loaded.get(job.render.model, ()), MAX_COMPARED)
            as_kept = islice(self._kept.get(job.render.model, ()), MAX_COMPARED)
            in_turn = (n for _, _, n in islice(self._free, MAX_COMPARED))
            for n in chain(as_loaded, as_kept, in_turn):
                if (
                    self._busy.get(n) == busy
                    and self._rank(n, job) < best_rank
                    and self._fits(n, job)
                ):
                    best, best_rank = n, self._rank(n, job)
        return best

    def _rank(self, number: int, job: LiveJob) -> tuple[bool, bool, float]:
        worker, model = self._workers[number], job.render.model
        cold = worker.loaded_model != model
        return cold, cold and model not in worker.kept, worker.cost(model)

    def _fits(self, number: int, job: LiveJob) -> bool:
        worker, project = self._workers[number], job.project
        can = worker.can_take(project.network, job.render.model, project.targeting)
        return can and self._may_take(worker, job)

    def _give(self, job: LiveJob, number: int) -> None:
        worker, model = self._workers[number], job.render.model
        served_ms = self._waiting.take(job, self._now_ms)
        self._given[job.project.account_id] += 1
        job.choice = Choice(
            waited_ms=self._now_ms - job.waits_since_ms,
            turn_ms=None if served_ms is None else self._now_ms - served_ms,
            loaded=worker.loaded_model == model,
            pace=worker.paces.get(model),
            delivery_rate=worker.delivery_rate,
            idle=len(self._room),
        )
        self._take_room(number, model)
        if self._room[number] > 0:
            self._busy[number] = busy = self._share(number)
            heapq.heappush(self._free, (busy, worker.cost(), number))
        else:
            del self._room[number], self._busy[number]

    def _best(self, worker: WorkerSession) -> LiveJob | None:
        best: tuple[tuple[int | str, ...], LiveJob] | None = None
        may_take = partial(self._may_take, worker)
        for model in worker.models:
            if not self._waiting.waits_for(worker.network, model):
                continue
            ahead_ms = KEPT_AHEAD_MS if model in worker.kept else 0
            if model == worker.loaded_model:
                ahead_ms = LOADED_AHEAD_MS
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
        if job.back_at_ms and self._now_ms < job.back_at_ms.get(worker.id, 0):
            return False
        spared = self._now_ms - job.waits_since_ms < SPARED_MS and worker.id in job.failed_on
        if spared and self._others(job, lambda one: one.id not in job.failed_on):
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
        self._new: list[LiveJob] = []  # in line, and not yet stored
        self._new_kinds: set[tuple[Network, str]] = set()  # network and model of these

    def hint(self) -> None:
        """Something changed: look again, once for all hints of this turn of the event loop."""
        if not self._hinted:
            self._hinted = True
            self._loop.call_soon(self._dispatch_hinted)

    def at_once(self, jobs: Sequence[LiveJob]) -> None:
        """Gives jobs of a project that is about to be stored to idle workers.

        Nothing happens where others wait for the same model: then no worker is idle, or there is a
        reason why they wait.

        Call this before they are given to the store, in the same turn of the event loop: then the
        assignment follows them there and shares their commit. Where the store refuses the jobs it
        refuses to assign them. Only what is stored stays in line: what no worker took is out of it
        again after this turn, and is put there later by whoever called this.
        """
        kind = (jobs[0].project.network, jobs[0].render.model)
        if self.waiting.waits_for(*kind) and kind not in self._new_kinds:
            return
        if not self._new:
            self._loop.call_soon(self._dispatch_new)
        self._new += jobs
        self._new_kinds.add(kind)
        self.waiting.add_all(jobs)

    def _dispatch_new(self) -> None:
        new, self._new = self._new, []
        self._new_kinds.clear()
        self._dispatch()
        for job in new:
            self.waiting.withdraw(job)

    def _dispatch_hinted(self) -> None:
        self._hinted = False
        self._dispatch()

    def _dispatch(self) -> None:
        if not self.waiting:
            return
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
            job.delivered_before = worker.delivered
            job.settling = job.assigning = True
            worker.jobs[job.id] = job
            worker.loaded_model = job.render.model
            acquisitions.append(
                Acquisition(
                    job_id=job.id,
                    attempt=job.attempt,
                    worker_id=worker.id,
                    worker_name=worker.name,
                    why=job.choice,
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
            match.job.settling = match.job.assigning = False
            if stored:
                self._assigned(match)
            else:
                match.worker.jobs.pop(match.job.id, None)
                self._refused(match.job)
