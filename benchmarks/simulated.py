"""A grid on a clock of its own: the real queue and choice, and workers that only take time."""

import heapq
from collections.abc import Callable, Sequence
from itertools import count

from dreamgrid.server.live import LiveJob, LiveProject
from dreamgrid.server.scheduler import choose
from dreamgrid.server.waiting import WaitingJobs
from dreamgrid.server.workers import WorkerSession
from dreamgrid.states import JobEvent

MAX_RUNNING = 10_000


class SimulatedGrid:
    """Time passes only in `advance`.

    Args:
        workers: Connected from the beginning.
        length_s: How long a worker takes for a job.
        started: Called when a job starts; it starts as soon as it is given to a worker.
        ended: Called when it has ended.
    """

    def __init__(
        self,
        workers: Sequence[WorkerSession],
        length_s: Callable[[LiveJob, WorkerSession], float],
        *,
        started: Callable[[LiveJob], None] = lambda job: None,
        ended: Callable[[LiveJob, WorkerSession], None] = lambda job, worker: None,
    ) -> None:
        self.now_ms = 1_000_000
        self.waiting = WaitingJobs()
        self.workers = workers
        self._length_s = length_s
        self._started = started
        self._ended = ended
        self._ends: list[tuple[int, int, LiveJob, WorkerSession]] = []
        self._numbers = count()

    def submit(self, *projects: LiveProject) -> None:
        """Projects join the queue; whoever is free takes one."""
        for project in projects:
            for job in project.jobs:
                self.waiting.add(job)
        self._fill()

    def advance(self, seconds: float) -> None:
        """Lets time pass."""
        until_ms = self.now_ms + int(seconds * 1000)
        while self._ends and self._ends[0][0] <= until_ms:
            self.now_ms, _, job, worker = heapq.heappop(self._ends)
            job.move(JobEvent.COMPLETE)
            job.ended_ms = self.now_ms
            del worker.jobs[job.id]
            self._ended(job, worker)
            self._fill()
        self.now_ms = until_ms

    def _fill(self) -> None:
        for job, worker in choose(
            self.waiting, self.workers, now_ms=self.now_ms, max_running=MAX_RUNNING
        ):
            job.move(JobEvent.ASSIGN)
            job.move(JobEvent.START)
            job.started_ms = self.now_ms
            job.worker_id = worker.id
            worker.jobs[job.id] = job
            worker.loaded_model = job.render.model
            end_ms = self.now_ms + int(self._length_s(job, worker) * 1000)
            heapq.heappush(self._ends, (end_ms, next(self._numbers), job, worker))
            self._started(job)
