"""What apps are told about a project, made from its live state. Pure."""

from collections.abc import Callable, Iterator

import msgspec

from dreamgrid.errors import DreamgridError, InvalidRequest
from dreamgrid.protocol import failures, socket
from dreamgrid.protocol.codec import encode
from dreamgrid.protocol.rest_explain import Start
from dreamgrid.server.live import LiveJob, LiveProject
from dreamgrid.server.standings import of_jobs
from dreamgrid.states import JobState, ProjectState


class ResultUrls(msgspec.Struct, frozen=True, kw_only=True):
    """Where a completed job can be fetched.

    Attributes:
        result: Its file. None: it is withheld.
        last_frame: The last frame of its video. None: there is none.
    """

    result: str | None = None
    last_frame: str | None = None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where a waiting project stands.

    Attributes:
        position: Its place in line; 1 is next, 0 is nowhere.
        served: Whether a worker that may take its jobs is connected.
        start: When its first job should start. None: nobody can tell.
        reason: Why it waits. None: it does not.
    """

    position: int
    served: bool
    start: Start | None = None
    reason: socket.WaitingReason | None = None


def queued(project: LiveProject, standing: Standing) -> bytes:
    """The project waits, and no job of it is on a worker."""
    start = standing.start
    return encode(
        socket.JobState(
            type=socket.QUEUED,
            project_id=project.id,
            queue_position=standing.position,
            estimated_start_s=None if start is None else start.seconds,
            earliest_start_s=None if start is None else start.earliest_seconds,
            latest_start_s=None if start is None else start.latest_seconds,
            queue_status=socket.WAITING if standing.served else socket.NO_WORKERS,
            waiting_reason=standing.reason,
            job_waiting_reasons=of_jobs(project, standing.reason),
        )
    )


def project_queue(project: LiveProject, reason: socket.WaitingReason | None) -> bytes:
    """Why jobs of the project wait, or that none does any more."""
    return encode(
        socket.ProjectQueue(
            project_id=project.id,
            waiting_reason=reason,
            job_waiting_reasons=of_jobs(project, reason),
        )
    )


def initiating(job: LiveJob) -> bytes:
    """A worker took the job."""
    return _job_state(socket.INITIATING, job)


def started(job: LiveJob) -> bytes:
    """Inference began."""
    return _job_state(socket.STARTED, job)


def _job_state(kind: str, job: LiveJob) -> bytes:
    dynamic = job.project.dynamic
    return encode(
        socket.JobState(
            type=kind,
            project_id=job.project.id,
            job_id=job.id,
            worker_name=job.worker_name,
            job_index=job.index,
            assignment=job.attempt,
            positive_prompt=job.render.prompt if dynamic else None,
            negative_prompt=job.render.negative_prompt if dynamic else None,
        )
    )


def progress(job: LiveJob, *, preview: bool, eta_s: float | None = None) -> bytes:
    """Steps were done; `preview`: a new preview can be fetched."""
    return encode(
        socket.JobProgress(
            project_id=job.project.id,
            job_id=job.id,
            step=job.step,
            step_count=job.step_count,
            has_image=preview,
            eta_s=eta_s,
            assignment=job.attempt,
        )
    )


def eta(job: LiveJob, eta_s: float) -> bytes:
    """The job will still take so many seconds."""
    return encode(socket.JobEta(project_id=job.project.id, job_id=job.id, eta_s=round(eta_s, 3)))


def result(job: LiveJob, urls: ResultUrls) -> bytes:
    """The job is completed; its file can be fetched unless it is withheld."""
    return encode(
        socket.JobResult(
            project_id=job.project.id,
            job_id=job.id,
            performed_step_count=job.steps,
            last_seed=str(job.seed if job.seed is not None else job.render.seed),
            triggered_nsfw_filter=job.withheld,
            nsfw_detected=bool(job.sensitive) and not job.withheld,
            nsfw_sources=job.sensitive,
            result_url=urls.result,
            last_frame_url=urls.last_frame,
            output_format=job.project.output_format,
            sha256=job.sha256,
        )
    )


def failed(job: LiveJob, message: str) -> bytes:
    """The job failed for good."""
    return encode(
        socket.JobError(
            project_id=job.project.id,
            job_id=job.id,
            is_from_worker=job.reason not in failures.NOT_FROM_WORKERS,
            error=job.reason or failures.GENERATION_FAILURE,
            error_message=message,
        )
    )


def retried(job: LiveJob, error: str, message: str, max_attempts: int) -> bytes:
    """An attempt was lost; the job is queued again."""
    return encode(
        socket.JobRetry(
            project_id=job.project.id,
            job_id=job.id,
            job_index=job.index,
            attempt=max(1, job.failures),
            max_attempts=max_attempts,
            is_from_worker=error not in failures.NOT_FROM_WORKERS,
            error=error,
            error_message=message,
            assignment=job.attempt,
        )
    )


def refused(project_id: str, error: DreamgridError) -> bytes:
    """The project was not accepted; nothing was charged."""
    return encode(
        socket.JobError(
            project_id=project_id,
            is_from_worker=False,
            error=failures.code_of(error),
            error_message=str(error),
            retry_after=error.retry_after_s,
        )
    )


def no_chat(chat_id: str) -> bytes:
    """Answer to a chat: there is none here."""
    error = InvalidRequest("this grid makes images, video and audio; it has no chat")
    return encode(
        socket.ChatError(
            chat_id=chat_id, error_code=str(failures.code_of(error)), error_message=str(error)
        )
    )


def ended(project: LiveProject) -> bytes:
    """The last frame about a project."""
    state = project.state
    if state is ProjectState.COMPLETED:
        return encode(socket.JobState(type=socket.PROJECT_COMPLETED, project_id=project.id))
    if state is ProjectState.CANCELED:
        return encode(
            socket.JobError(
                project_id=project.id,
                is_from_worker=False,
                error=failures.ARTIST_CANCELED,
                error_message=project.cancel_message or "the project was canceled",
            )
        )
    return encode(
        socket.JobError(
            project_id=project.id,
            is_from_worker=project.reason not in failures.NOT_FROM_WORKERS,
            error=project.reason or failures.GENERATION_FAILURE,
            error_message=_why_failed(project),
        )
    )


def _why_failed(project: LiveProject) -> str:
    told = next((job.message for job in project.jobs if job.message), "")
    return f"nothing could be made, and nothing was charged{': ' if told else ''}{told}"


def cancel_answer(project_id: str, problem: str | None) -> bytes:
    """Answer to a cancel: nothing of the project runs any more, or why it still does."""
    return encode(
        socket.CancelConfirmation(
            project_id=project_id, did_cancel=problem is None, error_message=problem
        )
    )


def replay(
    project: LiveProject, standing: Standing, *, urls: Callable[[LiveJob], ResultUrls]
) -> Iterator[bytes]:
    """Everything that an app must know of a project when it comes back.

    Repeats are harmless to all clients; what would un-finish a job or project is never sent
    (`socket.md` 5 of the wire contract).
    """
    if project.waiting and standing.position:
        yield queued(project, standing)
    for job in project.jobs:
        match job.state:
            case JobState.ASSIGNED if not job.assigning:
                yield initiating(job)
            case JobState.RUNNING:
                yield started(job)
                if job.step:
                    yield progress(job, preview=False)
            case JobState.COMPLETED:
                yield result(job, urls(job))
            case JobState.FAILED:
                yield failed(job, "this render failed")
    if project.ended_ms is not None:
        yield ended(project)
