"""The workers' side of projects: assignments out, reports in, leases, and how a job ends.

Every change goes the same way: look at the state table, write it (one transaction), and only when
it is stored change the memory and tell apps and workers. While the write is under way the job is
`settling` and nothing else may happen to it. What takes a job from its worker is in `outcomes`.
"""

import asyncio
import logging
from collections.abc import Iterable

from dreamgrid.errors import ServerUnavailable
from dreamgrid.protocol import failures
from dreamgrid.protocol.statuses import JOB_DELIVERED
from dreamgrid.protocol.worker import (
    Cancel,
    Failed,
    Finished,
    Progress,
    Released,
    RunningJob,
    Settled,
    Started,
)
from dreamgrid.server import frames, interruptions
from dreamgrid.server.accounts import Accounts
from dreamgrid.server.assignments import assignment
from dreamgrid.server.blobs.base import Blobs
from dreamgrid.server.catalog import Catalog
from dreamgrid.server.clock import Clock, milliseconds
from dreamgrid.server.config import ServerConfig
from dreamgrid.server.delivered_files import DeliveredFiles
from dreamgrid.server.etas import Etas
from dreamgrid.server.forecasts import Forecasts
from dreamgrid.server.live import LiveJob, LiveProject, ids_of
from dreamgrid.server.measures import Measures
from dreamgrid.server.open_projects import OpenProjects
from dreamgrid.server.outcomes import Outcomes
from dreamgrid.server.reliability import Reliability
from dreamgrid.server.run_limits import RunLimits, out_of_time
from dreamgrid.server.scheduler import Match, Scheduler
from dreamgrid.server.speeds import Speeds
from dreamgrid.server.standings import word_of
from dreamgrid.server.store.base import Store
from dreamgrid.server.workers import Workers, WorkerSession
from dreamgrid.states import (
    JobEvent,
    JobState,
    may,
)

MAX_ERROR_CHARS = 64
MAX_MESSAGE_CHARS = 500
"""How much apps are told of what a worker says about a failure."""

LOOKS_FOR = 0.5
"""What part of a lease looking at a result may take; its worker is not listened to meanwhile."""

_log = logging.getLogger("dreamgrid.rendering")


class Rendering:
    """Hands jobs to workers and applies what they report."""

    def __init__(
        self,
        *,
        config: ServerConfig,
        catalog: Catalog,
        store: Store,
        blobs: Blobs,
        delivered: DeliveredFiles,
        accounts: Accounts,
        workers: Workers,
        open_projects: OpenProjects,
        clock: Clock,
    ) -> None:
        self._config = config
        self._catalog = catalog
        self._store = store
        self._blobs = blobs
        self._delivered = delivered
        self._workers = workers
        self._open = open_projects
        self.speeds = Speeds(catalog.network_permille)
        self.forecasts = Forecasts()
        self.reliability = Reliability()
        self.measures = Measures()
        self._run_limits = RunLimits(config, catalog, self.speeds)
        self._clock = clock
        self.etas = Etas(open_projects, clock)
        self.scheduler = Scheduler(
            workers, store, clock, config.max_running_jobs, self._assigned, self._not_assigned
        )
        self._outcomes = Outcomes(
            config=config,
            store=store,
            accounts=accounts,
            workers=workers,
            open_projects=open_projects,
            reliability=self.reliability,
            measures=self.measures,
            scheduler=self.scheduler,
            clock=clock,
        )

    def take_up(self, project: LiveProject) -> None:
        """Takes up a project that the last run of the server left open.

        A job that was on a worker gets a fresh lease: its worker may well be alive and come back
        with the result.
        """
        for job in project.jobs:
            if job.on_worker:
                now_s = self._clock()
                job.lease_until_s = now_s + self._config.lease_s
                began_s = now_s if job.started_ms is None else job.started_ms / 1000
                job.run_until_s = began_s + self._run_limits.longest_s(job)
        waiting = [job for job in project.jobs if job.state is JobState.QUEUED]
        self.scheduler.waiting.add_all(waiting)

    def stop_on_worker(self, job: LiveJob) -> None:
        """Tells the worker that holds a canceled job to stop, unless it does not know of it yet."""
        worker = self._workers.get(job.worker_id)
        held = worker is not None and worker.jobs.pop(job.id, None) is not None
        if worker is not None and held and not job.assigning:
            worker.send(Cancel(job_id=job.id, attempt=job.attempt))

    # ── assignment ───────────────────────────────────────────────────────────────────────────────

    def _assigned(self, match: Match) -> None:
        job, worker = match
        project = job.project
        if project.canceling:
            worker.jobs.pop(job.id, None)
            self.scheduler.hint()
            return
        if self._workers.get(worker.id) is not worker:
            self._outcomes.lose(job, "the worker went away before it got this render", counts=False)
            return
        now_s = self._clock()
        job.lease_until_s = now_s + self._config.lease_s
        job.run_until_s = now_s + self._run_limits.longest_s(job)
        job.handed_out_s = now_s
        _log.info(
            "job %s of project %s goes to %s", job.id, project.id, worker.name, extra=ids_of(job)
        )
        self.measures.took("wait", now_s - job.waits_since_ms / 1000)
        if job.choice is not None and not job.choice.loaded:
            self.measures.model_loads[job.render.model] += 1
        if project.forecast is not None:
            self.forecasts.came_out(project.forecast, now_s)
            project.forecast = None
        worker.send(assignment(job, worker.origin, self._blobs, self._config, self._catalog))
        self._open.tell(project, frames.initiating(job))
        if project.noticed_reason:
            reason = self._open.reason(project, project.told_position)
            self._open.tell_reason(project, word_of(reason))

    def _not_assigned(self, job: LiveJob) -> None:
        if job.ended:  # canceled while the assignment was on its way
            return
        job.move(JobEvent.LOSE)
        job.attempt -= 1
        if self._open.job(job.id) is job:
            self.scheduler.waiting.add(job, first=True)
        else:  # its project was refused
            self.scheduler.hint()  # its worker is free for another one

    # ── what workers report ──────────────────────────────────────────────────────────────────────

    def worker_joined(self, worker: WorkerSession, running: Iterable[RunningJob]) -> None:
        """Gives a worker that came back the jobs that it still holds, and takes back the others."""
        worker.delivery_rate = self.reliability.rate(worker.id)
        kept = set()
        for held in running:
            job = self._open.job(held.job_id)
            if job is not None and interruptions.came_back(job, worker, held.attempt):
                self.reliability.came_back(worker.id)
            if (
                job is not None
                and job.on_worker
                and job.worker_id == worker.id
                and job.attempt == held.attempt
                and not job.settling  # its end, or its loss, is being stored
                and not job.project.canceling
            ):
                job.suspect = False
                worker.jobs[job.id] = job
                kept.add(job.id)
            else:
                worker.send(Cancel(job_id=held.job_id, attempt=held.attempt))
        lost = [
            job
            for job in self._open.jobs_on_workers()
            if job.worker_id == worker.id and job.id not in kept and not job.settling
        ]
        if lost:  # one breakdown, whatever it took along
            self._outcomes.note_failure(worker.id, lost[0].id, "a restart")
        for job in lost:
            message = "the worker restarted in the middle of this render"
            self._outcomes.lose(job, message, counts=interruptions.blamed(job))
        if self.reliability.paused(worker.id, self._clock()):
            self._workers.pause(worker, paused=True)
        self.scheduler.hint()

    def worker_left(self, worker: WorkerSession, *, abruptly: bool) -> None:
        """Keeps a lost worker's jobs for the rest of their lease: it may come back.

        Args:
            worker: Its connection has ended.
            abruptly: Without a word from either side.
        """
        interruptions.worker_left(worker, abruptly=abruptly)
        until_s = worker.seen_at_s + self._config.lease_s
        for job in worker.jobs.values():
            job.lease_until_s = until_s
        worker.jobs.clear()

    def started(self, worker: WorkerSession, message: Started) -> None:
        """Inference began."""
        job = self._held_by(worker, message.job_id, message.attempt)
        if job is None:
            return
        job.shares = message.together > 1
        if not may(job.state, JobEvent.START):
            return
        job.move(JobEvent.START)
        now_s = self._clock()
        job.started_ms = milliseconds(self._clock)
        job.run_until_s = now_s + self._run_limits.run_s(job)
        if job.handed_out_s:  # by this server, not by the one before a restart
            self.measures.took("assign", now_s - job.handed_out_s)
        # Told before it is stored: losing this one to a crash leaves the job assigned, and the
        # rescue of an assigned job and of a running one is the same.
        at_ms, attempt = job.started_ms, job.attempt
        self._open.persist(
            lambda: self._store.start(job.id, attempt, at_ms),
            lambda _: self._open.changed(job.project),
        )
        self._open.tell(job.project, frames.started(job))

    def progressed(self, worker: WorkerSession, message: Progress) -> None:
        """Steps were done. Never stored; the newest wins."""
        job = worker.jobs.get(message.job_id)
        if job is None or job.attempt != message.attempt or job.settling or job.project.canceling:
            return
        job.step = min(message.step, message.step_count)
        job.step_count = message.step_count
        job.previewed = job.previewed or message.preview_ready
        eta_s = message.eta_s
        if eta_s is not None:  # its worker loses it then, whatever it says
            eta_s = max(0.0, min(eta_s, job.run_until_s - self._clock()))
        self._open.tell(
            job.project,
            frames.progress(job, preview=message.preview_ready, eta_s=eta_s),
            # A preview notice is an event of its own and must not be superseded.
            key=None if message.preview_ready else job.id,
        )
        if eta_s is not None:
            self.etas.note(job, eta_s)

    def is_delivered(self, worker: WorkerSession, message: Finished) -> bool:
        """Whether `delivered` may deal with a result: it is known at once that all is well."""
        job = self._held_by(worker, message.job_id, message.attempt)
        if job is None or message.sensitive:
            return False
        return self._delivered.look_at_once(job, message.size_bytes)

    def delivered(self, worker: WorkerSession, message: Finished) -> None:
        """The same as `finished` without waiting; call it right after `is_delivered` said yes."""
        job = worker.jobs[message.job_id]
        job.reported_s = self._clock()
        job.sensitive, job.withheld = (), False
        self._completed(worker, job, message)

    async def finished(self, worker: WorkerSession, message: Finished) -> None:
        """A result was uploaded: charges for it and tells the app where it is.

        What the content filter objects to is withheld unless the app wants it: the files are
        removed, and the app is told so. It costs nothing, unless `charge_withheld` says otherwise.
        Files that are not what was agreed are removed as well.

        Raises:
            ServerUnavailable: Nobody knows whether the result is there: the media store is away.
                Nothing was done; it may be told again.
        """
        job = self._held_by(worker, message.job_id, message.attempt)
        if job is None:
            worker.send(Settled(job_id=message.job_id, attempt=message.attempt, accepted=False))
            return
        job.reported_s = self._clock()
        try:
            async with asyncio.timeout(self._config.lease_s * LOOKS_FOR):
                fault = await self._delivered.look(job, message.size_bytes)
                if self._held_by(worker, message.job_id, message.attempt) is None:
                    return  # canceled or taken away while the file was looked at
                job.sensitive = message.sensitive
                job.withheld = bool(message.sensitive) and not job.project.disable_safety
                if job.withheld or fault is not None:
                    await self._delivered.remove(job)
                    if self._held_by(worker, message.job_id, message.attempt) is None:
                        return
        except TimeoutError:
            raise ServerUnavailable(
                "the media store takes too long; try again in a moment"
            ) from None
        if fault is not None and not job.withheld:
            self._outcomes.attempt_failed(worker, job, "upload_failed", fault)
            return
        self._completed(worker, job, message)

    def _completed(self, worker: WorkerSession, job: LiveJob, message: Finished) -> None:
        """A worker has delivered what was agreed: learns from it, and ends the job."""
        worker.delivered += 1
        worker.rendered.add(job.render.model)
        turns = max(1, worker.delivered - job.delivered_before)  # it may have come back since
        worker.paces[job.render.model] = self.speeds.learn(
            job, message.render_s, milliseconds(self._clock), turns=turns
        )
        self.reliability.delivered(worker.id)
        worker.delivery_rate = self.reliability.rate(worker.id)
        job.seed = message.seed
        job.steps = message.steps
        job.sha256 = message.sha256
        self._measure(job, message)
        self._outcomes.end(worker, job, JobState.COMPLETED, JOB_DELIVERED)

    def _measure(self, job: LiveJob, message: Finished) -> None:
        """Counts how long a result took; what was not rendering since it began was its upload."""
        self.measures.took("render", message.render_s)
        if job.started_ms is not None:
            since_s = job.reported_s - job.started_ms / 1000
            self.measures.took("upload", since_s - message.render_s)
        self.measures.delivered(
            job.project.network, job.render.model, message.render_s, message.size_bytes
        )

    def failed(self, worker: WorkerSession, message: Failed) -> None:
        """An attempt failed: another one follows, or the job fails."""
        job = self._held_by(worker, message.job_id, message.attempt)
        if job is None:
            worker.send(Settled(job_id=message.job_id, attempt=message.attempt, accepted=False))
            return
        self._outcomes.attempt_failed(
            worker,
            job,
            message.error[:MAX_ERROR_CHARS],
            message.message[:MAX_MESSAGE_CHARS],
            retryable=message.retryable,
        )

    def released(self, worker: WorkerSession, message: Released) -> None:
        """A worker handed a job back; that costs the job no attempt."""
        job = self._held_by(worker, message.job_id, message.attempt)
        if job is not None:
            if not worker.draining:
                job.failed_on |= {worker.id}
                interruptions.handed_back(job, worker, milliseconds(self._clock))
            self._outcomes.lose(job, "the worker handed it back", counts=False)

    def take_back(self, job: LiveJob, why: str, *, elsewhere: bool = False) -> None:
        """Takes a job from the worker that holds it, if any does; that costs no attempt.

        Args:
            job: The job.
            why: For people.
            elsewhere: Other workers are asked before the one that had it.
        """
        if job.on_worker and not job.settling and not job.project.canceling:
            self.stop_on_worker(job)
            if elsewhere:
                job.failed_on |= {job.worker_id}
            self._outcomes.lose(job, why, counts=False)

    def _held_by(self, worker: WorkerSession, job_id: str, attempt: int) -> LiveJob | None:
        """The job, if this worker holds it with this attempt and nothing is under way with it."""
        job = worker.jobs.get(job_id)
        if job is None or job.attempt != attempt or job.settling or job.project.canceling:
            return None
        return job

    def end_pauses(self) -> None:
        """Lets workers try again whose pause is over; called by upkeep."""
        for worker in self._workers.all():
            if worker.paused and not self.reliability.paused(worker.id, self._clock()):
                self._workers.pause(worker, paused=False)

    # ── time ─────────────────────────────────────────────────────────────────────────────────────

    def expire_leases(self) -> None:
        """Takes jobs from workers that were silent, or rendered, for too long; called by upkeep."""
        now_s = self._clock()
        for job in self._open.jobs_on_workers():
            if job.settling or job.project.canceling:
                continue
            if now_s >= job.run_until_s:
                self._out_of_time(job)
            elif now_s >= job.lease_until_s:
                worker = self._workers.get(job.worker_id)
                if worker is None or job.id not in worker.jobs:
                    incident = f"lost at {job.lease_until_s}"  # the same for all that it held
                    self._outcomes.note_failure(
                        job.worker_id, incident, failures.WORKER_DISCONNECTED
                    )
                    blamed = interruptions.blamed(job)
                    self._outcomes.lose(job, "the worker went away", counts=blamed)

    def _out_of_time(self, job: LiveJob) -> None:
        self._outcomes.note_failure(job.worker_id, job.id, failures.JOB_TIMED_OUT)
        self.stop_on_worker(job)
        self._outcomes.lose(job, out_of_time(job), counts=True, error=failures.JOB_TIMED_OUT)

    def end_long_waits(self) -> None:
        """Fails jobs that waited for longer than they may, if there is such a limit.

        Called by upkeep. What was delivered of their projects stays delivered.
        """
        limit_s = self._config.max_queue_s
        if not limit_s:
            return
        before_ms = milliseconds(self._clock) - int(limit_s * 1000)
        reason = failures.QUEUE_TIMED_OUT
        message = f"no worker took it within {limit_s:.0f} s, the longest that anything waits here"
        for project in self._open.all():
            if project.created_ms > before_ms:
                return  # those after it are younger
            if project.canceling or not project.stored:
                continue
            for job in project.jobs:
                waits = job.state is JobState.QUEUED and not job.settling
                if waits and job.waits_since_ms <= before_ms:
                    job.reason = reason
                    self._outcomes.end(None, job, JobState.FAILED, reason, message=message)
