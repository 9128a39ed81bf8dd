"""Follows a project by the server's event stream, which tells it from any of its events on.

That is how a project of another app is watched, and how what was missed of one's own is told. What
the stream tells is turned into the frames that the socket would have brought, so that there is
one way to fold them.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec

from dreamgrid.client.history import History
from dreamgrid.client.http import Http
from dreamgrid.errors import ProtocolError
from dreamgrid.protocol import failures, heard, socket
from dreamgrid.protocol.project_events import ProgressEvent, ProjectEvent

_PROGRESS = b"progress"


async def follow(
    http: Http, history: History, *, after: int, to_the_end: bool = True
) -> AsyncGenerator[tuple[int, bool], None]:
    """Folds what the stream tells, until it ends.

    Args:
        http: Asks.
        history: Takes it in.
        after: Number of the last event that was told before, 0 for none.
        to_the_end: Up to the project's end. False: up to what has happened so far.

    Yields:
        The number of the event that was just taken in, and whether a preview can be fetched.

    Raises:
        NotFound: The server has no such stream, or no such project.
        ConnectionFailed: It broke off.
        ProtocolError: It is no stream of events.
    """
    path = f"/v1/projects/{history.id}/events"
    name, data = b"", b""
    query = {"after": str(after)} | ({} if to_the_end else {"follow": "false"})
    async with aclosing(http.lines(path, query)) as lines:
        async for line in lines:
            field, _, value = line.rstrip(b"\r\n").partition(b":")
            match field:
                case b"event":
                    name = value.strip()
                case b"data":
                    data = value.strip()
                case b"" if not value and data:  # a blank line: the event is complete
                    after, preview = _fold(history, name, data, after)
                    yield after, preview
                    name, data = b"", b""
                case _:
                    pass


def _fold(history: History, name: bytes, data: bytes, number: int) -> tuple[int, bool]:
    try:
        if name == _PROGRESS:
            progress = msgspec.json.decode(data, type=ProgressEvent)
            _fold_progress(history, progress)
            return number, progress.has_preview
        event = msgspec.json.decode(data, type=ProjectEvent)
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"the event stream said something odd: {error}") from None
    _fold_event(history, event)
    return event.number, False


def _fold_progress(history: History, event: ProgressEvent) -> None:
    history.on_progress(
        heard.Progress(
            project_id=event.project_id,
            job_id=event.job_id,
            step=event.step,
            step_count=event.step_count,
            eta_s=event.eta_s,
        )
    )


def _fold_event(history: History, event: ProjectEvent) -> None:
    match event.type:
        case "queued":
            if not history.heard:  # else it is known, and perhaps it waits no more
                history.on_state(socket.JobState(type=socket.QUEUED, project_id=event.project_id))
        case "assigned" | "started":
            kind = socket.INITIATING if event.type == "assigned" else socket.STARTED
            history.on_state(
                socket.JobState(
                    type=kind,
                    project_id=event.project_id,
                    job_id=event.job_id,
                    worker_name=event.worker,
                    job_index=event.index,
                    assignment=event.attempt,
                )
            )
        case "completed":
            history.on_state(
                socket.JobState(type=socket.PROJECT_COMPLETED, project_id=event.project_id)
            )
        case "failed" | "canceled":
            reason = failures.ARTIST_CANCELED if event.type == "canceled" else event.reason
            history.on_error(_error(event, reason))
        case _:
            _fold_job(history, event)


def _fold_job(history: History, event: ProjectEvent) -> None:
    """The events that end an attempt at one job."""
    if event.job_id is None:
        return
    match event.type:
        case "retried":
            history.on_retry(
                socket.JobRetry(
                    project_id=event.project_id,
                    job_id=event.job_id,
                    job_index=event.index or 0,
                    attempt=event.attempt or 1,
                    assignment=event.attempt,
                    max_attempts=0,
                    is_from_worker=True,
                    error=event.reason or "",
                    error_message=event.reason or "",
                )
            )
        case "job_failed":
            history.on_error(_error(event, event.reason))
        case "job_completed":
            history.on_result(
                socket.JobResult(
                    project_id=event.project_id,
                    job_id=event.job_id,
                    performed_step_count=event.steps or 0,
                    last_seed="" if event.seed is None else str(event.seed),
                    triggered_nsfw_filter=event.withheld,
                    nsfw_sources=event.sensitive,
                    result_url=event.result_url,
                    sha256=event.sha256,
                )
            )
        case _:
            pass


def _error(event: ProjectEvent, reason: str | None) -> socket.JobError:
    words = reason or "the server does not say why"
    return socket.JobError(
        project_id=event.project_id,
        job_id=event.job_id,
        is_from_worker=False,
        error=words,
        error_message=words,
    )
