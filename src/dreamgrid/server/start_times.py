"""When waiting projects will start, as far as measured speeds can tell. Pure.

The estimate for a project is when the first worker that may take its job becomes free, and after
that the work that is ahead of it, shared by all workers that may take it: the jobs ahead in its own
room, and of every other room that these workers serve as much as fair turns give it meanwhile.
There is no answer where a speed was never measured, nor for projects that no worker serves.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

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
    """One room: its jobs in order, the seconds of each and all, and the ids of those who serve it.

    None: of it, or of one of them, nobody knows how long it takes.
    """

    jobs: list[LiveJob]
    takes_s: list[float | None]
    total_s: float | None
    workers: frozenset[str]


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
        able = _able(jobs[0], workers)
        if not able:
            continue
        total_s: float | None = 0.0
        taken, taken_s = [], []
        for number, job in enumerate(jobs):
            if job.project.load.max_running != 0:  # else an administrator lets it wait
                taken.append(job)
                takes_s = takes.of(job)
                taken_s.append(takes_s)
                total_s = None if total_s is None or takes_s is None else total_s + takes_s
            if number % SLICE == 0:
                yield None
        known.append(_Room(taken, taken_s, total_s, able))
    free_s = {worker.id: _free_in_s(worker, takes, now_ms) for worker in workers}
    for room in known:
        yield None
        yield from _of_room(room, known, free_s)


def _of_room(
    room: _Room, known: Sequence[_Room], free_s: Mapping[str, float | None]
) -> Iterator[tuple[str, float] | None]:
    rivals = [
        other for other in known if other is not room and not room.workers.isdisjoint(other.workers)
    ]
    times = [time for worker_id in room.workers if (time := free_s[worker_id]) is not None]
    rival_totals_s = [total_s for other in rivals if (total_s := other.total_s) is not None]
    sure = room.total_s is not None and len(rival_totals_s) == len(rivals)
    if not times or len(times) < len(room.workers) or not sure:
        return
    first_free_s = min(times)
    told: set[str] = set()
    ahead_s = 0.0
    for number, (job, known_s) in enumerate(zip(room.jobs, room.takes_s, strict=True), start=1):
        takes_s = known_s or 0.0
        if job.project.id not in told:
            told.add(job.project.id)
            work_s = ahead_s
            for total_s in rival_totals_s:
                work_s += min(total_s, ahead_s + takes_s)
            yield job.project.id, first_free_s + work_s / len(times)
        ahead_s += takes_s
        if number % SLICE == 0:
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
