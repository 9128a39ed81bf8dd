"""Why jobs of a project wait, in words for its user. Pure."""

from dreamgrid.protocol import socket
from dreamgrid.protocol.socket import JobWaitingReason, WaitingReason
from dreamgrid.server.live import LiveProject
from dreamgrid.states import JobState

HELD_ACCOUNT = (
    "an administrator of this grid lets your account wait; it starts when they let it run again"
)


def reason_of(
    project: LiveProject,
    *,
    served: bool,
    pausing: bool = False,
    held_back: bool = False,
    max_running: int,
) -> WaitingReason | None:
    """Why its waiting jobs wait; None when none of them does.

    Args:
        project: The project.
        served: Whether a worker that may take its jobs is connected.
        pausing: Whether a worker that serves its model is paused because it failed too often.
        held_back: Whether an administrator paused one that serves its model.
        max_running: How many jobs of one account workers may hold at once.
    """
    if not any(job.state is JobState.QUEUED for job in project.jobs):
        return None
    if not served:
        return WaitingReason(
            reason=socket.WAITS_NO_WORKERS, message=_nobody(project, pausing, held_back)
        )
    if max_running == 0:
        return WaitingReason(reason=socket.WAITS_CONCURRENCY_LIMIT, message=HELD_ACCOUNT)
    if project.load.running >= max_running:
        return WaitingReason(
            reason=socket.WAITS_CONCURRENCY_LIMIT,
            message="workers hold as many renders of your account as one account may have here "
            f"({project.load.running}); the next one starts when one of them ends",
        )
    return WaitingReason(
        reason=socket.WAITS_QUEUED,
        message=f"waiting for its turn on a worker that serves {project.model}",
    )


def _nobody(project: LiveProject, pausing: bool, held_back: bool) -> str:
    if held_back:
        return (
            f"an administrator has paused the workers that serve {project.model}; it starts when "
            "one is resumed, or another one comes"
        )
    if pausing:
        return (
            f"the workers that serve {project.model} failed at many renders in a row and have to "
            "pause; it starts when one tries again, or another one comes"
        )
    if project.targeting.required:
        named = ", ".join(sorted(project.targeting.required))[:200]
        return f"none of the workers that may render it is connected: {named}"
    if project.targeting.skipped:
        return f"no worker that serves {project.model} is connected, but for those to be skipped"
    return f"no worker that serves {project.model} is connected; it starts when one comes"


def of_jobs(project: LiveProject, reason: WaitingReason | None) -> tuple[JobWaitingReason, ...]:
    """The same for each job that waits: all of a project wait for the same thing."""
    if reason is None:
        return ()
    return tuple(
        JobWaitingReason(job_index=job.index, job_id=job.id, waiting_reason=reason)
        for job in project.jobs
        if job.state is JobState.QUEUED
    )
