"""What becomes of a job: back in line, delivered, or failed.

It is stored first; then the memory changes, and the worker and the app are told.
"""

import logging
from functools import partial

from dreamgrid.protocol import failures
from dreamgrid.protocol.job_request import traceparent_of
from dreamgrid.protocol.worker import Settled
from dreamgrid.server import frames, interruptions, ledger
from dreamgrid.server.accounts import Accounts
from dreamgrid.server.clock import Clock, milliseconds
from dreamgrid.server.config import ServerConfig
from dreamgrid.server.live import LiveJob, LiveProject, end_reason, ids_of
from dreamgrid.server.measures import Measures
from dreamgrid.server.open_projects import SERVICE, OpenProjects
from dreamgrid.server.reliability import Reliability
from dreamgrid.server.scheduler import Scheduler
from dreamgrid.server.store.base import Ended, JobEnd, Store
from dreamgrid.server.workers import Workers, WorkerSession, owner_of
from dreamgrid.states import FINAL_PROJECT_STATES, JobEvent, JobState, project_state
from dreamgrid.tracing import Tracer, of_job, of_project, tracer

_log = logging.getLogger("dreamgrid.rendering")


class Outcomes:
    """Stores what became of a job and of the attempt at it, then tells its worker and its app."""

    def __init__(
        self,
        *,
        config: ServerConfig,
        store: Store,
        accounts: Accounts,
        workers: Workers,
        open_projects: OpenProjects,
        reliability: Reliability,
        measures: Measures,
        scheduler: Scheduler,
        clock: Clock,
    ) -> None:
        self._config = config
        self._store = store
        self._accounts = accounts
        self._workers = workers
        self._open = open_projects
        self._reliability = reliability
        self._measures = measures
        self._tracer = tracer(SERVICE)
        self._scheduler = scheduler
        self._clock = clock

    def note_failure(self, worker_id: str, incident: str, error: str) -> None:
        """Remembers that a worker did not deliver; `incident`: a job, or a breakdown with many."""
        pause_s = self._reliability.failed(worker_id, incident, self._clock(), error)
        worker = self._workers.get(worker_id)
        if worker is not None:
            worker.delivery_rate = self._reliability.rate(worker_id)
        if pause_s:
            if worker is not None:
                self._workers.pause(worker, paused=True)
            name = worker.name if worker is not None else worker_id
            _log.warning("worker %s: %s", name, self._reliability.reason(worker_id))

    def attempt_failed(
        self,
        worker: WorkerSession,
        job: LiveJob,
        error: str,
        message: str,
        *,
        retryable: bool = True,
    ) -> None:
        """A worker said why it has no result: another attempt follows, or the job fails."""
        job.failures += 1
        self._measures.attempt_failed(error)
        job.failed_on |= {worker.id}
        if retryable and error != failures.OUT_OF_MEMORY:  # else it is not the worker's fault
            self.note_failure(worker.id, job.id, error)
        if retryable and job.failures < self._config.max_attempts:
            self._requeue(job, error, message, reporter=worker)
            return
        job.reason = failures.GENERATION_FAILURE
        self.end(worker, job, JobState.FAILED, failures.GENERATION_FAILURE, message=message)

    def lose(
        self, job: LiveJob, message: str, *, counts: bool, error: str = failures.WORKER_DISCONNECTED
    ) -> None:
        """A worker has a job no longer: another one gets it, unless too many attempts failed.

        Args:
            job: The job.
            message: What happened, for people.
            counts: Whether that is a failure; else it was only interrupted.
            error: What happened, as a word for programs.
        """
        told = ""
        if counts:
            job.failures += 1
            self._measures.attempt_failed(error)
            job.failed_on |= {job.worker_id}
        if job.failures >= self._config.max_attempts:
            told = f"{job.failures} attempts at it ended like this or failed"
        elif interruptions.too_many(job):
            told = f"it was interrupted {job.attempt - job.failures} times"
        if told:
            job.reason = error
            told = f"{message}; {told}, so no other worker gets it"
            self.end(self._workers.get(job.worker_id), job, JobState.FAILED, error, message=told)
            return
        self._requeue(job, error, message)

    def _requeue(
        self, job: LiveJob, error: str, message: str, *, reporter: WorkerSession | None = None
    ) -> None:
        """Puts a job back in line; whoever reported that it failed hears that this is stored."""
        worker = self._workers.get(job.worker_id)
        if worker is not None:
            worker.jobs.pop(job.id, None)
        job.settling = True
        at_ms, attempt = milliseconds(self._clock), job.attempt

        def requeued(accepted: bool) -> None:
            job.settling = False
            if reporter is not None:
                reporter.send(Settled(job_id=job.id, attempt=attempt, accepted=accepted))
            if not accepted:
                return
            job.move(JobEvent.LOSE)
            job.step, job.previewed, job.started_ms, job.ends_at_s = 0, False, None, None
            job.waits_since_ms = at_ms
            job.sensitive, job.withheld, job.suspect, job.shares = (), False, False, False
            _log.info(
                "job %s of project %s waits again: %s",
                job.id,
                job.project.id,
                message,
                extra=ids_of(job) | {"error": error},
            )
            self._open.tell(  # also under a cancel: that may fail, and the job wait in line again
                job.project, frames.retried(job, error, message, self._config.max_attempts)
            )
            if job.project.canceling:
                return  # the cancel moves it on, or puts it back in line
            self._scheduler.waiting.add(job, first=True)
            if job.project.waiting:
                place = self._scheduler.waiting.place(job.project)
                self._open.tell_queued(job.project, place)
            self._scheduler.hint()

        self._open.persist(
            lambda: self._store.requeue(job.id, attempt, job.failures, error, at_ms), requeued
        )

    # ── ends ─────────────────────────────────────────────────────────────────────────────────────

    def end(
        self,
        worker: WorkerSession | None,
        job: LiveJob,
        state: JobState,
        reason: str,
        *,
        message: str = "",
    ) -> None:
        """Ends a job for good, and its project with the last of them.

        Args:
            worker: Who reported it; None: nobody did.
            job: The job.
            state: How it ends.
            reason: Why, as a word for programs.
            message: Why, for people.
        """
        project = job.project
        job.settling = True
        if worker is not None:
            worker.jobs.pop(job.id, None)
            self._scheduler.hint()  # the slot is free; the commit need not be waited for
        else:
            self._scheduler.waiting.note(job)
        # Other jobs of the project may be settling too: their ends are stored before this one.
        after = project_state(
            [state if other is job else other.ending or other.state for other in project.jobs]
        )
        job.ending = state
        completed = state is JobState.COMPLETED
        charge = completed and (not job.withheld or self._config.charge_withheld)
        end = JobEnd(
            project_id=project.id,
            job_id=job.id,
            attempt=job.attempt,
            state=state,
            reason=reason,
            charge=charge,
            failures=job.failures,
            seed=job.seed,
            steps=job.steps,
            sha256=job.sha256,
            sensitive=" ".join(job.sensitive),
            withheld=job.withheld,
            earner=owner_of(job.worker_id),
            earned_micros=ledger.share(job.price_micros, self._config.worker_share_permille),
            at_ms=milliseconds(self._clock),
            project_state=after,
            project_reason=end_reason(after, reason),
        )
        self._open.persist(
            lambda: self._store.end_job(end),
            lambda ended: self._job_ended(worker, job, end, message, ended),
        )

    def _job_ended(
        self,
        worker: WorkerSession | None,
        job: LiveJob,
        end: JobEnd,
        message: str,
        ended: Ended,
    ) -> None:
        project = job.project
        job.settling = False
        if worker is not None:
            worker.send(Settled(job_id=job.id, attempt=job.attempt, accepted=ended.accepted))
        if not ended.accepted:
            return
        completed = end.state is JobState.COMPLETED
        job.move(JobEvent.COMPLETE if completed else JobEvent.FAIL)
        if project.load.running == project.load.most(self._config.max_running_jobs) - 1:
            self._scheduler.hint()  # its account had as many as it may: one more can start now
        job.ended_ms = end.at_ms
        job.reason = end.reason
        self._measures.jobs[job.render.model, end.state] += 1
        _log.info(
            "job %s of project %s: %s after attempt %d on %s",
            job.id,
            project.id,
            end.state,
            job.attempt,
            job.worker_name or "no worker",
            extra=ids_of(job) | {"state": str(end.state), "reason": end.reason},
        )
        if completed:
            self._measures.took("settle", self._clock() - job.reported_s)
        if self._tracer is not None:
            self._trace(self._tracer, job)
        if completed:
            job.charged_micros = job.price_micros if end.charge else 0
            project.charged_micros += job.charged_micros
            self._open.tell(project, frames.result(job, self._open.result_urls(job)))
        else:
            job.message = message
            self._open.tell(project, frames.failed(job, message))
        if end.project_state in FINAL_PROJECT_STATES:
            self._project_ended(project, end)
        if end.charge and end.earner and end.earned_micros:
            self._accounts.note_balance(end.earner, project.token_type, ended.earner_balance)
        self._accounts.note_balance(project.account_id, project.token_type, ended.balance)

    def _project_ended(self, project: LiveProject, end: JobEnd) -> None:
        if project.canceling:  # an app that came back since then was not told of the project
            for frame in self._open.replay(project, 0):
                self._open.tell(project, frame)
        project.ended_ms = end.at_ms
        project.reason = end.project_reason
        self._open.tell_end(project)
        self._open.remove(project)

    def _trace(self, tracer: Tracer, job: LiveJob) -> None:
        """Tells of a job that has ended: its wait, the way to its worker, and how it was settled.

        What its worker did is told by the worker. Of several attempts this is the last.
        """
        about, now_s = of_job(job.id), self._clock()
        span = partial(tracer.span, traceparent=traceparent_of(job.project.request))
        span(
            f"job {job.index + 1}",
            job.project.id,
            job.created_ms / 1000,
            now_s,
            about=about,
            within=of_project(job.project.id),
            attributes={
                "dreamgrid.job_id": job.id,
                "dreamgrid.state": str(job.state),
                "dreamgrid.attempts": job.attempt,
                "dreamgrid.worker": job.worker_name,
            },
        )
        if not job.handed_out_s:
            return
        parts = [("wait", job.waits_since_ms / 1000, job.handed_out_s)]
        if job.started_ms is not None:
            parts.append(("assign", job.handed_out_s, job.started_ms / 1000))
        if job.reported_s:
            parts.append(("settle", job.reported_s, now_s))
        for name, began_s, ended_s in parts:
            whole = f"{about} {name}"
            span(name, job.project.id, began_s, ended_s, about=whole, within=about)
