"""What is answered to who asks why a project stands where it stands. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from dreamgrid.protocol.failures import in_words
from dreamgrid.protocol.rest_explain import (
    Calibration,
    ExplainedJob,
    Explanation,
    Missing,
    Standing,
    Start,
    WhyThere,
)
from dreamgrid.server.live import LiveJob, LiveProject
from dreamgrid.server.standings import Seen, standing_of
from dreamgrid.server.store.base import Choice, EventKind, EventRow


@dataclass(frozen=True, kw_only=True)
class Grid:
    """What the grid looks like to one project.

    Attributes:
        seen: Who there is for it, and its place in line.
        start: When it should start. None: nobody can tell.
        calibration: How such forecasts came out.
    """

    seen: Seen
    start: Start | None
    calibration: Calibration


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
        message=_end_of(project) if over else furthest.message,
        reason=furthest.reason,
        missing=_missing(project) if lacking else None,
        queue_position=grid.seen.position,
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
    standing = standing_of(job, grid.seen)
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
        reason=standing.waits_for,
        message=standing.message,
        attempt=job.attempt,
        failures=job.failures,
        worker=job.worker_name,
        why_there=why,
    )


def _end_of(project: LiveProject) -> str:
    return f"it ended: {project.cancel_message or in_words(project.reason or project.state)}"


def _missing(project: LiveProject) -> Missing:
    return Missing(
        model=project.model,
        network=project.network,
        workers=tuple(sorted(project.targeting.required)),
        skipped=tuple(sorted(project.targeting.skipped)),
    )
