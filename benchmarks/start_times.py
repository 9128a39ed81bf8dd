"""How true the times are that waiting projects are told: when they will start.

The real queue, choice, measured speeds and forecast on a clock of their own. Workers differ in
speed, renders of one kind in length, and projects come at random, so that the queue is sometimes
empty and sometimes long. What each project that has to wait is told when it comes is held against
what happened: the interval, which should hold eight of ten starts (`Forecasts`), and the time that
is shown, which counts as kept within `TOLERANCE` of it, or within the `START_MOVED_S` below which
the server tells no correction. The peer is what can be said without measured speeds: the jobs
ahead, by the lengths in the catalogue, over all workers.
"""

import random
import statistics
from collections.abc import Callable

import msgspec

from benchmarks.jobs import Loads, new_project, new_worker
from benchmarks.simulated import SimulatedGrid
from dreamgrid.server.forecasts import Forecast, Forecasts
from dreamgrid.server.live import LiveJob, LiveProject
from dreamgrid.server.pricing import render_s
from dreamgrid.server.queue_notices import START_MOVED_S
from dreamgrid.server.speeds import Speeds
from dreamgrid.server.start_times import foretell
from dreamgrid.server.workers import WorkerSession
from dreamgrid.states import JobState

WORK_S = {"picture": 8.0, "large picture": 30.0}
"""Models, and the seconds that the catalogue names for a job."""

PACES = (0.5, 0.5, 1.0, 1.0, 1.0, 2.0)
"""Seconds of each worker over those that the catalogue names."""

SPREAD = 0.2
ACCOUNTS = 30
PROJECTS = 3_000
WARM_UP = 300
BUSY = 0.95
"""Share of the workers' time that the projects need."""

TOLERANCE = 0.25


class StartTimes(msgspec.Struct, frozen=True, kw_only=True):
    """What the benchmark found.

    Attributes:
        told: Projects that had to wait and were told when they would start.
        untold: Projects that had to wait and were told nothing.
        within: Share of the told that started within their interval.
        width: Median of the interval's length over the time that was shown.
        kept: Share of the told that started when they were told.
        kept_by_peer: The same for the peer's times.
        later: Median of the real wait over the told one; above 1 the server promises too much.
    """

    told: int
    untold: int
    within: float
    width: float
    kept: float
    kept_by_peer: float
    later: float


class _Told(msgspec.Struct, kw_only=True):
    project: LiveProject
    waits: bool = True
    forecast: Forecast | None
    peer_s: float


def run(rounds: int, say: Callable[[str], None]) -> StartTimes:
    """Lets `rounds` histories happen."""
    told = []
    for seed in range(rounds):
        told += _history(random.Random(seed))
        say(f"{seed + 1}/{rounds} {len(told)} projects had to wait")
    waits = [(one, _waited_s(one.project)) for one in told]
    known = [(one.forecast, waited_s) for one, waited_s in waits if one.forecast is not None]
    shown = [(forecast.wait_s, waited_s) for forecast, waited_s in known]
    return StartTimes(
        told=len(known),
        untold=len(told) - len(known),
        within=round(
            statistics.mean(one.earliest_s <= waited_s <= one.latest_s for one, waited_s in known),
            3,
        ),
        width=round(
            statistics.median(
                (one.latest_s - one.earliest_s) / one.wait_s for one, _ in known if one.wait_s
            ),
            2,
        ),
        kept=_share_kept(shown),
        kept_by_peer=_share_kept([(one.peer_s, waited_s) for one, waited_s in waits]),
        later=round(statistics.median(real_s / told_s for told_s, real_s in shown if told_s), 2),
    )


def _history(chance: random.Random) -> list[_Told]:
    speeds, loads, forecasts = Speeds(), Loads(), Forecasts()
    told: dict[str, _Told] = {}
    workers = [new_worker(*WORK_S) for _ in PACES]
    paces = {worker.id: pace for worker, pace in zip(workers, PACES, strict=True)}

    def length_s(job: LiveJob, worker: WorkerSession) -> float:
        return WORK_S[job.render.model] * paces[worker.id] * chance.lognormvariate(0, SPREAD)

    def ended(job: LiveJob, worker: WorkerSession) -> None:
        assert job.started_ms is not None
        assert job.ended_ms is not None
        work_s = render_s(job.price_micros, "spark", 1_000)
        took_s = (job.ended_ms - job.started_ms) / 1000
        speeds.observe(worker.id, job.render.model, work_s=work_s, took_s=took_s)
        worker.paces[job.render.model] = speeds.pace(worker.id, job.render.model)

    def started(job: LiveJob) -> None:
        one = told.get(job.project.id)
        if one is not None and one.forecast is not None and one.waits:
            one.waits = False
            forecasts.came_out(one.forecast, grid.now_ms / 1000)

    grid = SimulatedGrid(workers, length_s, started=started, ended=ended)
    for number in range(PROJECTS):
        grid.advance(chance.expovariate(1 / _between_s()))
        model, jobs = chance.choice(list(WORK_S)), chance.randint(1, 4)
        account = f"account-{chance.randrange(ACCOUNTS)}"
        price_micros = _price_micros(WORK_S[model])
        project = new_project(
            account,
            model,
            jobs=jobs,
            created_ms=grid.now_ms,
            loads=loads,
            price_micros=price_micros,
        )
        grid.submit(project)
        if project.waiting and number >= WARM_UP:
            rooms = [list(room) for room in grid.waiting.rooms()]
            starts_s = dict(filter(None, foretell(rooms, workers, speeds, grid.now_ms)))
            ahead = [job for room in rooms for job in room if job.project is not project]
            peer_s = sum(WORK_S[job.render.model] for job in ahead) / len(workers)
            wait_s = starts_s.get(project.id)
            told[project.id] = _Told(
                project=project,
                forecast=None if wait_s is None else forecasts.forecast(wait_s, grid.now_ms / 1000),
                peer_s=peer_s,
            )
    grid.advance(24 * 3600)
    return list(told.values())


def _between_s() -> float:
    """Seconds between two projects, so that they keep the workers busy for the wanted share."""
    jobs_a_project = 2.5
    work_s = jobs_a_project * sum(WORK_S.values()) / len(WORK_S)
    return work_s / sum(1 / pace for pace in PACES) / BUSY


def _price_micros(work_s: float) -> int:
    return round(work_s / render_s(1_000_000, "spark", 1_000) * 1_000_000)


def _waited_s(project: LiveProject) -> float:
    assert all(job.state is JobState.COMPLETED for job in project.jobs), "a project never ended"
    started = [job.started_ms for job in project.jobs if job.started_ms is not None]
    return (min(started) - project.created_ms) / 1000


def _share_kept(pairs: list[tuple[float, float]]) -> float:
    kept = [
        abs(waited_s - told_s) <= max(START_MOVED_S, TOLERANCE * told_s)
        for told_s, waited_s in pairs
    ]
    return round(statistics.mean(kept), 3)


def tell(found: StartTimes, say: Callable[[str], None]) -> None:
    """Prints the result for people."""
    say(
        f"  {found.told} waiting projects were told when they start, {found.untold} were not; "
        f"{found.within:.0%} started within the interval (aim: 80%), whose length is "
        f"{found.width:.1f} times the wait"
    )
    say(
        f"  {found.kept:.0%} started at the time that is shown (within {TOLERANCE:.0%} or "
        f"{START_MOVED_S:.0f} s), {found.kept_by_peer:.0%} when the length of the queue alone says"
    )
    say(f"  median of the real wait over the told one: {found.later:.2f}")
