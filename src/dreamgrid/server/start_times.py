"""When waiting projects will start, as far as measured speeds can tell. Pure.

What is to come is played through: the jobs of all rooms take their turns, each gets the worker that
is free first of those that may take it, and that one is free again when the job should be done.
Between rooms accounts take turns too, so a room with three times as many accounts has three times
as many. What will still come in the meantime nobody knows. There is no answer where a speed was
never measured, nor for projects that no worker serves.
"""

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from dreamgrid.server.live import LiveJob
from dreamgrid.server.speeds import Speeds
from dreamgrid.server.workers import WorkerSession

MAX_ROOMS = 100
MAX_COMPARISONS = 20_000
"""With more rooms, or rooms times workers, than this nothing is foretold: each room is compared
with every other room and every worker."""


SLICE = 1_000
"""How many jobs are looked at before whoever listens may do something else; half a millisecond."""


@dataclass(slots=True)
class _Room:
    """One room.

    Attributes:
        workers: The ids of those who serve it.
        jobs: Its jobs, in the order of their turns.
        sizes: How many jobs each round has, in which every account comes once.
        known: Of each job somebody knows how long it takes.
    """

    workers: frozenset[str]
    jobs: list[LiveJob] = field(default_factory=list)
    sizes: Counter[int] = field(default_factory=Counter)
    known: bool = True

    def fill(self, jobs: list[LiveJob], takes: "_Durations") -> Iterator[None]:
        """Takes all of its jobs in, but those that an administrator lets wait."""
        rounds: Counter[str] = Counter()
        for number, job in enumerate(jobs):
            if job.project.load.max_running != 0:
                self.jobs.append(job)
                self.sizes[rounds[job.project.account_id]] += 1
                rounds[job.project.account_id] += 1
                self.known = self.known and takes.of(job) is not None
            if number % SLICE == 0:
                yield None

    def turns(self, number: int) -> Iterator[tuple[float, int, int, LiveJob]]:
        """The jobs with their turn, which can be compared with those of other rooms."""
        rounds: Counter[str] = Counter()
        places: Counter[int] = Counter()
        for job in self.jobs:
            account_id = job.project.account_id
            round_number = rounds[account_id]
            turn = round_number + (places[round_number] + 0.5) / self.sizes[round_number]
            yield turn, job.project.created_ms, number, job
            rounds[account_id] += 1
            places[round_number] += 1


def foretell(
    rooms: Sequence[list[LiveJob]], workers: Sequence[WorkerSession], speeds: Speeds, now_ms: int
) -> Iterator[tuple[str, float] | None]:
    """Project ids and seconds until their first job starts; those of which nothing is known lack.

    They come one by one, and a None after every `SLICE` jobs or room that were looked at, so that
    whoever has a long queue can do something else in between.

    Args:
        rooms: The waiting jobs of each room in the order of their turns.
        workers: All connected workers.
        speeds: What was measured.
        now_ms: The time.
    """
    if len(rooms) > MAX_ROOMS or len(rooms) * len(workers) > MAX_COMPARISONS:
        return
    takes = _Durations(speeds)
    known = []
    for jobs in rooms:
        room = _Room(_able(jobs[0], workers))
        if room.workers:
            yield from room.fill(jobs, takes)
            known.append(room)
    free_s: dict[str, float] = {}
    for worker in workers:
        left_s = _free_in_s(worker, takes, now_ms)
        if left_s is not None:
            free_s[worker.id] = left_s
    sure = set()
    for number, room in enumerate(known):
        yield None
        if free_s.keys() >= room.workers and all(
            other.known or room.workers.isdisjoint(other.workers) for other in known
        ):
            sure.add(number)
    yield from _played(known, sure, free_s, takes)


def _played(
    rooms: Sequence[_Room], sure: set[int], free_s: dict[str, float], takes: "_Durations"
) -> Iterator[tuple[str, float] | None]:
    """Lets everything happen that waits; tells of the rooms of which enough is known."""
    # When each worker is free, as was true when it was put here: it is later by now, or as early.
    free = [[(free_s[one], one) for one in room.workers if one in free_s] for room in rooms]
    for one in free:
        heapq.heapify(one)
    told: set[str] = set()
    turns = heapq.merge(
        *(room.turns(number) for number, room in enumerate(rooms) if room.known and free[number])
    )
    for played, (_, _, number, job) in enumerate(turns):
        able = free[number]
        while able[0][0] != free_s[able[0][1]]:
            heapq.heapreplace(able, (free_s[able[0][1]], able[0][1]))
        starts_s, worker_id = able[0]
        if number in sure and job.project.id not in told:
            told.add(job.project.id)
            yield job.project.id, starts_s
        free_s[worker_id] = starts_s + (takes.of(job, worker_id) or 0.0)
        if played % SLICE == 0:
            yield None
    yield None


class _Durations:
    """How long jobs take. Most jobs of a queue are of a few kinds, each of which is asked once."""

    def __init__(self, speeds: Speeds) -> None:
        self._speeds = speeds
        self._known: dict[tuple[object, ...], float | None] = {}

    def of(self, job: LiveJob, worker_id: str = "") -> float | None:
        """Seconds; None: nobody knows."""
        project, model, price = job.project, job.render.model, job.price_micros
        kind = (model, price, project.token_type, project.network, worker_id)
        if kind not in self._known:
            work_s = self._speeds.work_s(job)
            self._known[kind] = self._speeds.seconds(model, work_s, worker_id)
        return self._known[kind]


def _able(job: LiveJob, workers: Sequence[WorkerSession]) -> frozenset[str]:
    """The ids of the workers that may take a job."""
    project = job.project
    return frozenset(
        worker.id
        for worker in workers
        if worker.can_take(project.network, job.render.model, project.targeting)
    )


def _free_in_s(worker: WorkerSession, takes: _Durations, now_ms: int) -> float | None:
    """When a worker has finished what it holds; None: nobody knows."""
    left_s = 0.0
    for job in worker.jobs.values():
        takes_s = takes.of(job, worker.id)
        if takes_s is None:
            return None
        done_s = (now_ms - job.started_ms) / 1000 if job.started_ms is not None else 0.0
        left_s += max(0.0, takes_s - done_s)
    return left_s
