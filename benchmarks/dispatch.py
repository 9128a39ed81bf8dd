"""What it costs to give a job to a worker, by the number of jobs that wait.

The real `WaitingJobs` and `choose`, in this process: a worker becomes free, gets the job whose turn
it is, and a new job joins the end of a line, so that the queue keeps its length. The sizes take
turns, and all have the same
accounts and models; what counts is the CPU for one job with the longest queue over that with the
shortest one.
"""

import gc
import random
import statistics
import time
from collections.abc import Callable

import msgspec

from benchmarks.jobs import Loads, new_project, new_worker
from dreamgrid.server.scheduler import Match, choose
from dreamgrid.server.waiting import WaitingJobs
from dreamgrid.states import JobEvent

SIZES = (1_000, 100_000, 1_000_000)
ACCOUNTS = 25
MODELS = 5
WORKERS = 100
JOBS_A_PROJECT = 4
BATCH = 500
BATCHES = 5
LIMIT = 1.5
"""The longest queue may cost this much more than the shortest one."""


class Dispatch(msgspec.Struct, frozen=True, kw_only=True):
    """What the benchmark found.

    Attributes:
        us_per_job: By jobs that wait: CPU to give one away and take one in; the median batch.
        ratio: The longest queue over the shortest one: median of the ratios of neighbours.
        limit: What the ratio should not exceed.
    """

    us_per_job: dict[int, float]
    ratio: float
    limit: float = LIMIT


class _Queue:
    """A queue that keeps its length, and busy workers that become free one after the other."""

    def __init__(self, size: int) -> None:
        chance = random.Random(size)
        self._accounts = [f"account-{number}" for number in range(ACCOUNTS)]
        self._models = [f"model-{number}" for number in range(MODELS)]
        self._loads = Loads()
        self._chance = chance
        self._now_ms = 1_000_000
        self._workers = [new_worker(*chance.sample(self._models, 3)) for _ in range(WORKERS)]
        self._waiting = WaitingJobs()
        self._running: list[Match] = []
        for _ in range(size // JOBS_A_PROJECT):
            self._join()
        self._fill()

    def _join(self) -> None:
        self._now_ms += 1
        project = new_project(
            self._chance.choice(self._accounts),
            self._chance.choice(self._models),
            jobs=JOBS_A_PROJECT,
            created_ms=self._now_ms,
            loads=self._loads,
        )
        for job in project.jobs:
            self._waiting.add(job)

    def _fill(self) -> None:
        """Gives free workers their jobs, as `Scheduler` does."""
        matches = choose(self._waiting, self._workers, now_ms=self._now_ms, max_running=10_000)
        for job, worker in matches:
            job.move(JobEvent.ASSIGN)
            worker.jobs[job.id] = job
            worker.loaded_model = job.render.model
        self._running += matches

    def batch_us(self) -> float:
        """CPU microseconds for one job that leaves the queue and one that joins it."""
        began = time.process_time()
        for number in range(BATCH):
            done = self._running.pop(self._chance.randrange(len(self._running)))
            done.job.move(JobEvent.COMPLETE)
            del done.worker.jobs[done.job.id]
            if number % JOBS_A_PROJECT == 0:
                self._join()
            self._fill()
        return (time.process_time() - began) / BATCH * 1e6


def run(rounds: int, say: Callable[[str], None]) -> Dispatch:
    """Measures every size `rounds` times `BATCHES` times, in turns."""
    queues = {}
    for size in SIZES:
        queues[size] = _Queue(size)
        say(f"{size:9,} jobs wait")
    gc.collect()
    gc.freeze()  # else full collections, which walk over all three queues, hit whom they hit
    taken: dict[int, list[float]] = {size: [] for size in SIZES}
    for _ in range(rounds * BATCHES):
        for size, queue in queues.items():
            taken[size].append(queue.batch_us())
    gc.unfreeze()
    pairs = zip(taken[SIZES[-1]], taken[SIZES[0]], strict=True)
    return Dispatch(
        us_per_job={size: round(statistics.median(found), 1) for size, found in taken.items()},
        ratio=round(statistics.median(longest / shortest for longest, shortest in pairs), 2),
    )


def tell(found: Dispatch, say: Callable[[str], None]) -> None:
    """Prints the result for people."""
    for size, us in found.us_per_job.items():
        say(f"  {size:9,} jobs wait: {us:6.1f} us for one that leaves and one that comes")
    say(f"  longest over shortest queue: {found.ratio:.2f} (aim: at most {found.limit})")
