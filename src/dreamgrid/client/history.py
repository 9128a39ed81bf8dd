"""What this client knows about one project: frames of the socket, folded. No I/O.

Frames can come twice (the server repeats the current ones after a reconnect) and can be missed
(while the socket was away). So every fold is idempotent and a final state is never left; when the
frames show a gap, `needs_check` asks for the server's record, which is folded in the same way.
"""

import time
from collections.abc import Callable, Hashable
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

from dreamgrid import errors
from dreamgrid.client import events
from dreamgrid.client.event_log import EventLog
from dreamgrid.client.job import Job
from dreamgrid.client.results import Result
from dreamgrid.protocol import failures, heard, socket
from dreamgrid.protocol.params import AnyParams
from dreamgrid.protocol.rest import JobRecord, ProjectRecord
from dreamgrid.protocol.statuses import JOB_STATE, PROJECT_STATE
from dreamgrid.states import FINAL_PROJECT_STATES, JobState, ProjectState

PROJECT_LOST = "projectLost"

_MAX_SEED_DIGITS = 20
"""More than any seed has; Python would refuse to read thousands of them."""


class Found(NamedTuple):
    """What the server said about a result: any of it may be missing."""

    url: str | None
    sha256: str | None
    output_format: str | None


class History:
    """The folded state of one project.

    Args:
        project_id: Upper-case UUID.
        params: What was asked for.
        make_result: Builds the result object of a finished job.
        tell: Called with every event, right after it was logged. Must not block.

    Attributes:
        refusal: Why the server did not take the request. None: it did, or has not answered yet.
    """

    def __init__(
        self,
        project_id: str,
        params: AnyParams,
        make_result: Callable[[Job[Result], Found], Result],
        tell: Callable[[events.Event], None] = lambda _: None,
    ) -> None:
        self.id = project_id
        self.params = params
        self.log = EventLog()
        self.state = ProjectState.QUEUED
        self.jobs: dict[str, Job[Result]] = {}
        self.queued: events.Queued | None = None
        self.error: errors.DreamgridError | None = None
        self.refusal: errors.DreamgridError | None = None
        self.acknowledged = False
        self.heard = False
        self.needs_check = False
        self.cancel_refused: str | None = None
        self.heard_at = time.monotonic()
        self.created_at = datetime.now(UTC)
        self._make_result = make_result
        self._tell = tell
        self._catching_up: set[str] = set()
        self._told_completed = False

    @property
    def finished(self) -> bool:
        """Whether nothing can happen to it any more."""
        return self.state in FINAL_PROJECT_STATES

    @property
    def settled(self) -> bool:
        """Whether nothing more will be told of it here."""
        return self.finished or self.error is not None

    @property
    def results(self) -> tuple[Result, ...]:
        """What was delivered so far, in order."""
        jobs = sorted(self.jobs.values(), key=lambda job: job.index)
        return tuple(job.result for job in jobs if job.result is not None)

    # ── frames ───────────────────────────────────────────────────────────────────────────────────

    def on_state(self, frame: socket.JobState) -> None:
        """The project waits, one of its jobs has a worker, or all of it is done."""
        if not self._hear():
            return
        if frame.type == socket.QUEUED:
            self._on_queued(frame)
        elif frame.type == socket.PROJECT_COMPLETED:
            self._on_completed()
        elif frame.job_id and frame.type in {socket.INITIATING, socket.STARTED}:
            job = self._job(frame.job_id, frame.job_index)
            if job is not None and _is_news(job, frame.assignment):
                state = JobState(JOB_STATE[frame.type])
                job.prompt = frame.positive_prompt or job.prompt
                job.negative_prompt = frame.negative_prompt or job.negative_prompt
                self._on_worker(job, state, frame.worker_name or job.worker)

    def on_progress(self, frame: heard.Progress) -> None:
        """One job is a step further."""
        job = self._job(frame.job_id, None) if self._hear() else None
        if job is None or job.finished or not _is_news(job, frame.assignment):
            return
        self._on_worker(job, JobState.RUNNING, job.worker)
        step, step_count = _steps(frame)
        # Steps only grow, except in the first frame after a gap: the job may have begun anew.
        if step <= job.step and job.id not in self._catching_up:
            return
        self._catching_up.discard(job.id)
        if (step, step_count) == (job.step, job.step_count):
            return
        # 0 stands for "no estimate" on the wire.
        job.step, job.step_count, job.eta_s = step, step_count, frame.eta_s or None
        self._progressed(job)

    def on_eta(self, frame: socket.JobEta) -> None:
        """A job knows how long it will still take."""
        job = self.jobs.get(frame.job_id.upper()) if self._hear() else None
        if job is not None and not job.finished and frame.eta_s > 0:
            job.eta_s = frame.eta_s
            if job.step_count:
                self._progressed(job)

    def on_waiting(self, frame: socket.ProjectQueue) -> None:
        """The server says why the project waits."""
        if self._hear() and self.queued is not None and frame.waiting_reason is not None:
            said = frame.waiting_reason
            queued = replace(
                self.queued, reason=said.message, state=said.state, waits_for=said.waits_for
            )
            self._wait_for(queued)

    def on_preview(self, job_id: str, data: bytes, url: str) -> None:
        """A preview was fetched. One that comes after the result is old news."""
        job = self.jobs.get(job_id)
        if job is not None and not job.finished and not self.finished:
            previewed = events.Previewed(
                project_id=self.id, job_id=job_id, job_index=job.index, data=data, url=url
            )
            job.preview_url = url
            self._renew(("preview", job_id), previewed)

    def on_result(self, frame: socket.JobResult) -> None:
        """One job is done."""
        job = self._job(frame.job_id, None) if self._hear() else None
        if job is None:
            return
        if frame.user_canceled:
            job.move(JobState.CANCELED)
            return
        plausible = frame.last_seed.isdecimal() and len(frame.last_seed) <= _MAX_SEED_DIGITS
        seed = int(frame.last_seed) if plausible else None
        job.sensitive = frame.nsfw_sources
        withheld = frame.triggered_nsfw_filter and not frame.nsfw_detected
        found = Found(frame.result_url, frame.sha256, frame.output_format)
        self._on_delivered(job, seed, found, withheld=withheld)

    def on_retry(self, frame: socket.JobRetry) -> None:
        """An attempt was lost; the job is queued again."""
        job = self._job(frame.job_id, frame.job_index) if self._hear() else None
        if job is None or job.finished:
            return
        attempt = frame.assignment or frame.attempt
        if attempt < job.attempt or attempt <= job.attempts_lost:
            return
        job.lose()
        job.attempts_lost = attempt
        self._keep(
            events.JobRetried(
                project_id=self.id,
                job_id=job.id,
                job_index=job.index,
                attempt=attempt,
                max_attempts=frame.max_attempts,
                message=frame.error_message or frame.error,
            )
        )

    def on_error(self, frame: socket.JobError) -> None:
        """One job failed, or all of the project did."""
        if self.finished:
            return
        code = _code(frame.error)
        if frame.job_id is not None:
            self._hear()
            job = self._job(frame.job_id, None)
            if job is not None:
                self._on_job_failed(job, frame.error_message)
        elif code == failures.SERVER_RESTARTING:
            # Not let in; the same request is welcome after the restart. Any other code is final.
            self.acknowledged = False
        elif frame.error == failures.ARTIST_CANCELED:
            self._hear()
            self._end_canceled(frame.error_message)
        else:
            if not self.acknowledged and code is not None:
                self.refusal = failures.error_from_code(
                    code, frame.error_message, frame.retry_after
                )
                self.refusal = self.refusal or errors.ProjectFailed(
                    frame.error_message, project_id=self.id, code=code
                )
            self._hear()
            self._end_failed(frame.error_message, code)

    def on_cancel_answer(self, frame: socket.CancelConfirmation) -> None:
        """The server's answer to a cancel."""
        if self.finished:
            return
        if frame.did_cancel:
            self._end_canceled()
        else:
            self.cancel_refused = frame.error_message or "the server did not cancel it"
            self.log.changed.fire()

    # ── the server's record ──────────────────────────────────────────────────────────────────────

    def on_record(self, record: ProjectRecord) -> None:
        """Takes from the record what the frames did not say."""
        if not self._hear():
            return
        for entry in (*record.worker_jobs, *record.completed_jobs):
            job = self._job(entry.job_id.upper(), entry.job_index)
            if job is not None:
                self._on_job_record(job, entry, record.step_count)
        if record.status == "completed":
            self._end_completed()
        elif PROJECT_STATE.get(record.status) == ProjectState.CANCELED:
            self._end_canceled()
        elif PROJECT_STATE.get(record.status) == ProjectState.FAILED:
            reason = record.reason or "the server does not say why"
            self._end_failed(f"the project failed: {reason}", _code(reason))
        elif self._told_completed:
            self.needs_check = True  # the record is a moment behind

    def on_missing(self) -> None:
        """The server had it and does not know it any more."""
        if not self.finished:
            self._end_failed(
                f"the server lost this project ({PROJECT_LOST}): create it again", None
            )

    def on_reconnect(self) -> None:
        """Frames may have been missed."""
        self.needs_check = True
        self._catching_up = {job.id for job in self.jobs.values() if not job.finished}

    def abandon(self, error: errors.DreamgridError) -> None:
        """This client will hear no more of it. At the server it goes on."""
        if not self.finished:
            self.error = error
            self.log.end(error)

    # ── folds ────────────────────────────────────────────────────────────────────────────────────

    def _hear(self) -> bool:
        """Notes a sign of life. False: the project is over, and what comes now is an echo."""
        self.acknowledged = self.heard = True
        self.heard_at = time.monotonic()
        return not self.finished

    def _job(self, job_id: str, index: int | None) -> Job[Result] | None:
        """The job of that id, made on first sight. None: the project has no room for it."""
        job_id = job_id.upper()
        job = self.jobs.get(job_id)
        if job is None:
            if len(self.jobs) >= self.params.count:
                return None
            taken = {other.index for other in self.jobs.values()}
            free = next(place for place in range(len(taken) + 1) if place not in taken)
            job = self.jobs[job_id] = Job(id=job_id, index=free if index is None else index)
        elif index is not None:
            job.index = index
        return job

    def _on_queued(self, frame: socket.JobState) -> None:
        if any(job.attempt and job.on_worker for job in self.jobs.values()):
            return  # a server that numbers attempts would have told of their loss: old news
        queued = events.Queued(
            project_id=self.id,
            position=frame.queue_position,
            estimated_start_s=frame.estimated_start_s,
            no_workers=frame.queue_status == socket.NO_WORKERS,
            reason=frame.waiting_reason.message if frame.waiting_reason else "",
            state=frame.waiting_reason.state if frame.waiting_reason else None,
            waits_for=frame.waiting_reason.waits_for if frame.waiting_reason else None,
            earliest_start_s=frame.earliest_start_s,
            latest_start_s=frame.latest_start_s,
        )
        self.state = ProjectState.QUEUED
        self._wait_for(queued)

    def _wait_for(self, queued: events.Queued) -> None:
        if queued != self.queued:
            self.queued = queued
            self._renew("queued", queued)

    def _progressed(self, job: Job[Result]) -> None:
        progressed = events.Progressed(
            project_id=self.id,
            job_id=job.id,
            job_index=job.index,
            step=job.step,
            step_count=job.step_count,
            fraction=job.fraction,
            eta_s=job.eta_s,
        )
        self._renew(("progress", job.id), progressed)

    def _on_worker(self, job: Job[Result], state: JobState, worker: str) -> None:
        """A worker has the job. Never leads back: a frame about assigning may come late."""
        if job.finished or (job.state is JobState.RUNNING and state is JobState.ASSIGNED):
            return
        job.worker = worker
        self.state = ProjectState.PROCESSING
        self.queued = None
        if job.move(state):
            kind = events.Started if state is JobState.RUNNING else events.Assigned
            self._keep(kind(project_id=self.id, job_id=job.id, job_index=job.index, worker=worker))

    def _on_delivered(
        self, job: Job[Result], seed: int | None, found: Found, *, withheld: bool
    ) -> None:
        if not job.move(JobState.COMPLETED):
            return
        self.state = ProjectState.PROCESSING
        job.seed, job.withheld, job.eta_s = seed, withheld, None
        about = {"project_id": self.id, "job_id": job.id}
        if withheld:
            self._keep(events.JobWithheld(**about, job_index=job.index))
        else:
            job.result = self._make_result(job, found)
            self._keep(events.JobCompleted(**about, job_index=job.index, result=job.result))

    def _on_job_failed(self, job: Job[Result], message: str) -> None:
        if job.move(JobState.FAILED):
            job.error, job.eta_s = message, None
            self._keep(
                events.JobFailed(
                    project_id=self.id, job_id=job.id, job_index=job.index, message=message
                )
            )

    def _on_job_record(self, job: Job[Result], entry: JobRecord, step_count: int) -> None:
        state = JOB_STATE.get(entry.status)
        if state == JobState.COMPLETED:
            seed = entry.seed_used if entry.seed_used >= 0 else None
            job.sensitive = entry.nsfw_sources
            found = Found(entry.result_url, entry.sha256, entry.output_format)
            withheld = entry.triggered_nsfw_filter and not entry.nsfw_detected
            self._on_delivered(job, seed, found, withheld=withheld)
        elif state == JobState.FAILED and entry.reason == failures.ARTIST_CANCELED:
            job.move(JobState.CANCELED)
        elif state == JobState.FAILED:
            self._on_job_failed(job, entry.reason or "the render failed")
        elif state in (JobState.ASSIGNED, JobState.RUNNING):
            if not job.attempt:  # else frames and log tell it, in order
                self._on_worker(job, JobState(state), entry.worker.name or job.worker)
            if entry.performed_steps > job.step and job.state is JobState.RUNNING:
                job.step, job.step_count = entry.performed_steps, max(step_count, job.step_count)
                self._progressed(job)

    def _on_completed(self) -> None:
        """All is done, says the server; if we miss a result, its record has it."""
        known = len(self.jobs) >= self.params.count
        if known and all(job.finished for job in self.jobs.values()):
            self._end_completed()
        else:
            self._told_completed = self.needs_check = True

    def _end_completed(self) -> None:
        self._end(ProjectState.COMPLETED)
        self._keep(events.Completed(project_id=self.id, results=self.results))
        self.log.end()

    def _end_canceled(self, message: str = "") -> None:
        told = message if " " in message else "the project was canceled"  # else it is a word
        self.error = errors.ProjectCanceled(told, project_id=self.id)
        for job in self.jobs.values():
            job.move(JobState.CANCELED)
        self._end(ProjectState.CANCELED)
        self._keep(events.Canceled(project_id=self.id))
        self.log.end()

    def _end_failed(self, message: str, code: int | None) -> None:
        self.error = errors.ProjectFailed(message, project_id=self.id, code=code)
        if code is not None:
            self.error.__cause__ = failures.error_from_code(code, message)
        for job in self.jobs.values():
            if job.move(JobState.FAILED):
                job.error = message
        self._end(ProjectState.FAILED)
        self._keep(events.Failed(project_id=self.id, message=message, code=code))
        self.log.end()

    def _end(self, state: ProjectState) -> None:
        self.state = state
        self.queued = None
        self.needs_check = False

    def _keep(self, event: events.Event) -> None:
        if not self.log.is_full:
            self.log.append(event)
            self._tell(event)
        else:
            self.abandon(
                errors.ProtocolError("the server sent more events than a project can have")
            )

    def _renew(self, key: Hashable, event: events.Event) -> None:
        self.log.replace(key, event)
        self._tell(event)


def _is_news(job: Job[Result], attempt: int | None) -> bool:
    """Whether something is about the newest attempt at a job, which may be a new one.

    A server that does not number them is believed.
    """
    if attempt is None or job.finished:
        return True
    if attempt < job.attempt or attempt <= job.attempts_lost:
        return False
    if attempt > job.attempt > job.attempts_lost:
        job.lose()  # the attempt before was lost, and nobody could say so
    job.attempt = attempt
    return True


def _steps(frame: heard.Progress) -> tuple[int, int]:
    """Steps done and in all; of a render that cannot count them, percent done and 100."""
    if frame.step_count > 0 or frame.progress is None:
        return frame.step, frame.step_count
    percent = frame.progress * (100 if frame.progress <= 1 else 1)
    return round(min(max(percent, 0), 100)), 100


def _code(error: int | str) -> int | None:
    """The number of an error; the wire writes it as a number, as digits, or not at all."""
    if isinstance(error, int):
        return error
    return int(error) if error.isdecimal() and len(error) < 10 else None
