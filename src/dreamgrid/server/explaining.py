"""Why a project stands where it stands, in words and for programs. Pure.

Nothing waits for money here: what a balance or a cap does not cover is refused when it is sent.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from dreamgrid.protocol.rest_explain import (
    Calibration,
    ExplainedJob,
    Explanation,
    Missing,
    Standing,
    Start,
    WaitsFor,
    WhyThere,
)
from dreamgrid.server.live import LiveJob, LiveProject
from dreamgrid.server.scheduler import PREFERRED_AHEAD_MS, SPARED_MS
from dreamgrid.server.store.base import Choice, EventKind, EventRow, WorkerRow
from dreamgrid.server.waiting_reasons import HELD_ACCOUNT
from dreamgrid.server.workers import WorkerSession
from dreamgrid.states import JobState

MAX_NAMED = 5
"""Most workers that a sentence names."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """What the grid looks like to one project.

    Attributes:
        workers: All connected workers.
        away: Workers that are not connected, but would serve it and were here not long ago.
        max_running: How many jobs of its account workers may hold at once.
        position: Its place in line. 0: it does not wait.
        start: When it should start. None: nobody can tell.
        calibration: How such forecasts came out.
        now_ms: The time.
    """

    workers: Sequence[WorkerSession]
    away: Sequence[WorkerRow]
    max_running: int
    position: int
    start: Start | None
    calibration: Calibration
    now_ms: int


@dataclass(frozen=True)
class _Standing:
    state: Standing
    message: str
    reason: WaitsFor | None = None


_FURTHEST: tuple[Standing, ...] = ("rendering", "runnable", "waiting", "impossible", "ended")


def explain(
    project: LiveProject, grid: Grid, log: Sequence[EventRow], job_id: str | None = None
) -> Explanation:
    """Where a project stands and why.

    Args:
        project: Open or ended.
        grid: What there is for it.
        log: Its events; they tell why its jobs went where they went.
        job_id: Explain this job alone. None: all of them.
    """
    choices = _choices(log)
    jobs = [job for job in project.jobs if job_id in (None, job.id)]
    explained = tuple(_job(job, grid, choices.get(job.id)) for job in jobs)
    furthest = min(explained, key=lambda job: _FURTHEST.index(job.state))
    lacking = furthest.state == "impossible" or furthest.reason in ("worker_away", "workers_paused")
    over = project.ended_ms is not None and job_id is None
    return Explanation(
        project_id=project.id,
        model=project.model,
        network=project.network,
        state=furthest.state,
        message=f"it ended: {project.reason or project.state}" if over else furthest.message,
        reason=furthest.reason,
        missing=_missing(project) if lacking else None,
        queue_position=grid.position,
        start=grid.start,
        calibration=grid.calibration,
        jobs=explained,
    )


def _choices(log: Sequence[EventRow]) -> dict[str, Choice]:
    """Job id to why it went where it went last."""
    return {
        row.job_id: msgspec.convert(row.details["why"], Choice)
        for row in log
        if row.kind is EventKind.ASSIGNED and row.job_id is not None and "why" in row.details
    }


def _job(job: LiveJob, grid: Grid, choice: Choice | None) -> ExplainedJob:
    standing = _standing(job, grid)
    why = None
    if choice is not None:
        why = WhyThere(
            waited_seconds=choice.waited_ms / 1000,
            model_loaded=choice.loaded,
            idle_workers=choice.idle,
            delivery_rate=round(choice.delivery_rate, 3),
            pace=None if choice.pace is None else round(choice.pace, 3),
        )
    return ExplainedJob(
        job_id=job.id,
        index=job.index,
        state=standing.state,
        reason=standing.reason,
        message=standing.message,
        attempt=job.attempt,
        failures=job.failures,
        worker=job.worker_name,
        why_there=why,
    )


def _standing(job: LiveJob, grid: Grid) -> _Standing:
    match job.state:
        case JobState.QUEUED if job.settling or not job.project.stored:
            return _Standing("waiting", "what became of it is being stored", "being_stored")
        case JobState.QUEUED:
            return _in_line(job, grid)
        case JobState.ASSIGNED:
            return _handed_out(job, grid)
        case JobState.RUNNING:
            steps = f", step {job.step} of {job.step_count}" if job.step else ""
            return _Standing("rendering", f"{job.worker_name} renders it{steps}")
        case _:
            return _Standing("ended", f"it ended: {job.reason or job.state}")


def _handed_out(job: LiveJob, grid: Grid) -> _Standing:
    """A worker has it, and has not begun."""
    holder = next((one for one in grid.workers if one.id == job.worker_id), None)
    renders = holder is not None and any(
        other is not job and other.state is JobState.RUNNING for other in holder.jobs.values()
    )
    if renders:
        message = f"{job.worker_name} has it, and renders another job before it"
        return _Standing("waiting", message, "no_free_slot")
    message = f"{job.worker_name} has it, and gets {job.render.model} ready"
    return _Standing("waiting", message, "model_loading")


def _in_line(job: LiveJob, grid: Grid) -> _Standing:
    project, model = job.project, job.render.model
    able = [one for one in grid.workers if one.can_take(project.network, model, project.targeting)]
    if not able:
        return _nobody(project, grid)
    if grid.max_running == 0:
        return _Standing("waiting", HELD_ACCOUNT, "account_limit")
    if project.load.running >= grid.max_running:
        return _Standing(
            "waiting",
            f"workers hold {project.load.running} jobs of your account, as many as one account "
            "may have here; it starts when one of them ends",
            "account_limit",
        )
    free = [one for one in able if one.free_slots > 0]
    if not free:
        place = f"; it is number {grid.position} in line" if grid.position else ""
        verb = "is" if len(able) == 1 else "are"
        return _Standing("waiting", f"{_named(able)} {verb} busy{place}", "no_free_slot")
    return _with_room(job, able, free, grid.now_ms)


def _with_room(
    job: LiveJob, able: list[WorkerSession], free: list[WorkerSession], now_ms: int
) -> _Standing:
    """Somebody has room: whether the job goes there."""
    fresh = [one for one in able if one.id not in job.failed_on]
    spared = now_ms - job.waits_since_ms < SPARED_MS
    if fresh and spared and all(one.id in job.failed_on for one in free):
        message = f"{_named(free)} failed at it; it waits a while for {_named(fresh)}"
        return _Standing("waiting", message, "another_worker")
    prefers = job.project.targeting.prefers
    preferred = [one for one in able if prefers(one.known_as)]
    young = now_ms - job.created_ms < PREFERRED_AHEAD_MS
    if preferred and young and not any(prefers(one.known_as) for one in free):
        message = f"it waits a little for {_named(preferred)}, which it prefers"
        return _Standing("waiting", message, "preferred_worker")
    return _Standing("runnable", f"there is room at {_named(free)}: it starts in a moment")


def _nobody(project: LiveProject, grid: Grid) -> _Standing:
    """Why nobody who is connected takes it."""
    resting = [
        one
        for one in grid.workers
        if project.model in one.models
        and one.network == project.network
        and project.targeting.allows(one.known_as)
    ]
    if resting:
        message = f"{_named(resting)} could, but {_why_not(resting)}"
        return _Standing("waiting", message, "workers_paused")
    if grid.away:
        names = _listed([row.name for row in grid.away])
        message = f"no worker for it is connected; it starts when {names} comes back"
        return _Standing("waiting", message, "worker_away")
    required = sorted(project.targeting.required)[:MAX_NAMED]
    named = f", called {' or '.join(required)}" if required else ""
    return _Standing(
        "impossible",
        f"no worker that this grid knows can run it: it needs one for {project.model} on the "
        f"network {project.network}{named}; start one with: dreamgrid work --model "
        f"{project.model}",
    )


def _why_not(resting: Sequence[WorkerSession]) -> str:
    if len(resting) == 1:
        return f"gets no jobs now: {_state(resting[0])}"
    states = "; ".join(f"{one.name}: {_state(one)}" for one in resting[:MAX_NAMED])
    return f"get no jobs now ({states})"


def _state(worker: WorkerSession) -> str:
    if worker.held_back:
        return "an administrator paused it"
    return "it is shutting down" if worker.draining else "it failed at job after job, and rests"


def _missing(project: LiveProject) -> Missing:
    return Missing(
        model=project.model,
        network=project.network,
        workers=tuple(sorted(project.targeting.required)),
        skipped=tuple(sorted(project.targeting.skipped)),
    )


def _named(workers: Sequence[WorkerSession]) -> str:
    return _listed([worker.name for worker in workers])


def _listed(names: Sequence[str]) -> str:
    more = len(names) - MAX_NAMED
    return ", ".join(names[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
