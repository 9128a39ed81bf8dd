"""The projects that have not ended, and what every part that changes them shares."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from dreamgrid.errors import NotAllowed, ServerUnavailable, TooManyRequests
from dreamgrid.protocol.job_request import traceparent_of
from dreamgrid.protocol.params import CONTENT_TYPES
from dreamgrid.protocol.renders import VideoRender
from dreamgrid.protocol.rest_explain import Start
from dreamgrid.protocol.socket import WAITS_NO_WORKERS, WaitingReason
from dreamgrid.server import frames
from dreamgrid.server.blobs.base import Blobs
from dreamgrid.server.blobs.keys import last_frame_key, preview_key, result_key
from dreamgrid.server.bus.base import Bus, queue_subject
from dreamgrid.server.clock import Clock, milliseconds
from dreamgrid.server.config import ServerConfig
from dreamgrid.server.known_workers import KnownWorkers
from dreamgrid.server.live import AccountLoad, LiveJob, LiveProject, from_row
from dreamgrid.server.rules import Rules
from dreamgrid.server.standings import Offer, Seen, reason_of, word_of
from dreamgrid.server.store.base import ProjectRow
from dreamgrid.server.workers import Workers
from dreamgrid.states import JobState
from dreamgrid.tracing import of_project, tracer

T = TypeVar("T")

HEARD_AFTER_S = 60.0
"""An app that is still connected this long after a project's end has certainly heard of it.

A dead connection is found within one ping and its timeout, which is well below.
"""

MOST_ALSO_TOLD = 20
"""Apps beside its own that a project is told to: the newest that sent the same request."""

SERVICE = "dreamgrid-server"
"""Whose the spans of a trace are."""

_WRITE_AGAIN_S = 1.0
LAST_FRAME_WITHIN_S = 2.0
_MEDIA_SLOW_S = 30.0
"""For how long nobody asks again what only the media store knows, once it took too long."""

_log = logging.getLogger("dreamgrid.projects")


class OpenProjects:
    """Looks open projects and jobs up by id, and speaks to their apps.

    Attributes:
        removed: Called with each project that has ended, or was refused.
        inputs_leaving: Projects whose unused inputs are being removed in this moment.
        ended: How many were removed since the server began.
        unstored: How much of what happened is on its way into the store.
    """

    def __init__(
        self,
        config: ServerConfig,
        blobs: Blobs,
        bus: Bus,
        workers: Workers,
        clock: Clock,
        rules: Rules,
        known_workers: KnownWorkers,
    ) -> None:
        self._known_workers = known_workers
        self._config = config
        self._blobs = blobs
        self._bus = bus
        self._workers = workers
        self._clock = clock
        self._rules = rules
        self._loop = asyncio.get_running_loop()
        self._projects: dict[str, LiveProject] = {}
        self._jobs: dict[str, LiveJob] = {}
        self._of_account: dict[str, dict[str, LiveProject]] = {}
        self._beginning: Counter[str] = Counter()
        self.inputs_leaving: set[str] = set()
        self._loads: dict[str, AccountLoad] = {}
        self._told_ends: dict[str, dict[str, float]] = {}  # subject, project id: clock time
        self._tracer = tracer(SERVICE)
        self._stopped = False
        self.ended = 0
        self.unstored = 0
        self._media_slow_until_s = 0.0
        self.removed: Callable[[LiveProject], None] = lambda project: None

    def add(self, project: LiveProject) -> None:
        """Takes a project up."""
        self._projects[project.id] = project
        self._of_account.setdefault(project.account_id, {})[project.id] = project
        load = self._loads.get(project.account_id)
        if load is None:
            load = self._loads[project.account_id] = AccountLoad()
            self.limits_changed(project.account_id)
        project.load = load
        for job in project.jobs:
            self._jobs[job.id] = job
            if job.on_worker:
                load.note(job)

    def limits_changed(self, account_id: str) -> None:
        """Takes over the limits that an account has now."""
        load, limits = self._loads.get(account_id), self._rules.limits(account_id)
        if load is not None:
            load.max_running = limits.max_running_jobs
            load.ahead_ms = limits.priority * 60_000

    def max_projects(self, account_id: str) -> int:
        """Most unfinished projects of an account."""
        own = self._rules.limits(account_id).max_queued_projects
        return self._config.max_queued_projects if own is None else own

    def check_room(self, account_id: str) -> None:
        """Refuses another project of an account that has as many as it may.

        Raises:
            TooManyRequests: It may send this again when some of them have ended.
            NotAllowed: An administrator lets it submit none at all.
        """
        most = self.max_projects(account_id)
        if most == 0:
            raise NotAllowed(
                "an administrator of this grid lets your account submit no projects for now; ask "
                "whoever runs it"
            )
        if self.count(account_id) >= most:
            raise TooManyRequests(
                f"you have {most} unfinished projects, the most that "
                "this server queues for one account; wait for some of them to end",
                retry_after_s=5.0,
            )

    def remove(self, project: LiveProject) -> None:
        """Forgets a project that has ended, or was refused."""
        del self._projects[project.id]
        of_account = self._of_account[project.account_id]
        del of_account[project.id]
        if not of_account:
            del self._of_account[project.account_id]
            del self._loads[project.account_id]
        for job in project.jobs:
            del self._jobs[job.id]
        self.ended += 1
        self.removed(project)

    def project(self, project_id: str) -> LiveProject | None:
        """An open project."""
        return self._projects.get(project_id)

    @contextmanager
    def beginning(self, project_id: str) -> Iterator[None]:
        """Somebody looks whether a project can begin: meanwhile nobody takes its inputs away."""
        self._beginning[project_id] += 1
        try:
            yield
        finally:
            self._beginning[project_id] -= 1
            if not self._beginning[project_id]:
                del self._beginning[project_id]

    def uses_inputs(self, project_id: str) -> bool:
        """Whether the inputs of a project must stay: it is open, or about to begin."""
        return project_id in self._projects or project_id in self._beginning

    def job(self, job_id: str) -> LiveJob | None:
        """A job of an open project."""
        return self._jobs.get(job_id)

    def __len__(self) -> int:
        return len(self._projects)

    def all(self) -> list[LiveProject]:
        """Every open project, oldest first."""
        return list(self._projects.values())

    def jobs_on_workers(self) -> list[LiveJob]:
        """Every job that a worker holds or held last."""
        return [job for load in self._loads.values() for job in load.on_workers.values()]

    def of_account(self, account_id: str) -> list[LiveProject]:
        """An account's open projects, oldest first."""
        return list(self._of_account.get(account_id, {}).values())

    def active(self, account_id: str, app_id: str | None = None) -> list[LiveProject]:
        """Those of an account, or of one of its apps, that it may be told of; oldest first."""
        return [
            project
            for project in self.of_account(account_id)
            if project.stored
            and not project.canceling
            and (app_id is None or project.app_id == app_id)
        ]

    def count(self, account_id: str) -> int:
        """How many open projects an account has."""
        return len(self._of_account.get(account_id, {}))

    # ── telling apps ─────────────────────────────────────────────────────────────────────────────

    def tell(self, project: LiveProject, frame: bytes, key: str | None = None) -> None:
        """Sends a frame to the project's apps, and to those who watch the project alone."""
        self._bus.publish(project.subject, frame, key)
        self._bus.publish(project.watch_subject, frame, key)
        if project.also_told:
            self.tell_others(project, frame, key)

    def tell_others(self, project: LiveProject, frame: bytes, key: str | None = None) -> None:
        """Sends a frame to the apps that sent the same request as the project's own."""
        for subject in project.also_told:
            self._bus.publish(subject, frame, key)

    def tell_again(self, project: LiveProject, subject: str, position: int) -> None:
        """Sends an app of the account where the project stands, and all that follows."""
        if subject != project.subject and subject not in project.also_told:
            project.also_told = (*project.also_told, subject)[-MOST_ALSO_TOLD:]
        if project.stored and not project.canceling:  # else what follows tells it soon
            for frame in self.replay(project, position):
                self._bus.publish(subject, frame)

    def changed(self, project: LiveProject) -> None:
        """Tells those who watch the project that its log has grown, where no frame says so."""
        self._bus.publish(project.watch_subject, b"")

    def tell_end(self, project: LiveProject) -> None:
        """Sends the last frame about a project.

        That it was sent does not mean that it was heard: the app's network may be gone without
        anybody knowing yet. So the end stays unclaimed until `heard` or `app_left` says otherwise.
        """
        if self._bus.listening(project.subject):
            self.note_told(project.subject, [project.id])
        self.tell(project, frames.ended(project))
        if self._tracer is not None:
            self._tracer.span(
                f"project {project.model}",
                project.id,
                project.created_ms / 1000,
                self._clock(),
                about=of_project(project.id),
                within=None,
                traceparent=traceparent_of(project.request),
                attributes={
                    "dreamgrid.state": str(project.state),
                    "dreamgrid.model": project.model,
                },
            )

    def note_told(self, subject: str, project_ids: Iterable[str]) -> None:
        """Remembers that the ends of these projects are on their way to their app."""
        self._told_ends.setdefault(subject, {}).update(dict.fromkeys(project_ids, self._clock()))

    def heard(self) -> list[str]:
        """Projects whose ends have certainly been heard by now; each is named once."""
        found = []
        for subject, told in list(self._told_ends.items()):
            old = [one for one, at_s in told.items() if self._clock() - at_s >= HEARD_AFTER_S]
            found += old
            for project_id in old:
                del told[project_id]
            if not told:
                del self._told_ends[subject]
        return found

    def app_left(self, subject: str, *, orderly: bool) -> list[str]:
        """Projects whose ends an app has heard of, now that it has closed its connection.

        Args:
            subject: The app.
            orderly: It said goodbye; whatever was sent before has arrived.
        """
        told = self._told_ends.pop(subject, {})
        return list(told) if orderly else []

    def tell_queued(self, project: LiveProject, position: int) -> None:
        """Tells the project's app where it waits, at this place in line.

        None of its jobs is on a worker.
        """
        reason = self.reason(project, position)
        self._note_told(project, position, word_of(reason))
        self.tell(project, frames.queued(project, self._standing(project, position, reason)))

    def tell_place(self, project: LiveProject, position: int, word: str, offer: Offer) -> None:
        """The same by who looks at many; nothing is worked out that nobody hears.

        Args:
            project: It waits, and none of its jobs is on a worker.
            position: Its place in line.
            word: The `word_of` why it waits.
            offer: Who there is for it.
        """
        self._note_told(project, position, word)
        subjects = (project.subject, project.watch_subject, *project.also_told)
        if any(map(self._bus.listening, subjects)):
            reason = self.reason(project, position, offer)
            self.tell(project, frames.queued(project, self._standing(project, position, reason)))

    def _note_told(self, project: LiveProject, position: int, word: str) -> None:
        project.told_position = position
        project.told_at_s = self._clock()
        project.told_starts_at_s = project.starts_at_s
        project.told_reason = word

    def tell_reason(self, project: LiveProject, word: str, offer: Offer | None = None) -> None:
        """Tells why jobs of the project wait, or that none does, to those who follow that.

        Args:
            project: It is open.
            word: The `word_of` that.
            offer: Who there is for it. None: that is looked up.
        """
        project.noticed_reason = word
        subject = queue_subject(project.account_id, project.app_id)
        if self._bus.listening(subject):
            reason = self.reason(project, project.told_position, offer)
            self._bus.publish(subject, frames.project_queue(project, reason))

    def offer(self, project: LiveProject) -> Offer:
        """Who there is for jobs of a project."""
        kind = (project.network, project.model, project.targeting)
        able = self._workers.able(*kind)
        resting = () if able else self._workers.resting(*kind)
        away = () if able or resting else self._known_workers.away(*kind)
        return Offer(able=able, resting=resting, away=away)

    def seen(self, project: LiveProject, position: int, offer: Offer | None = None) -> Seen:
        """What the grid looks like to a project."""
        return Seen(
            offer=self.offer(project) if offer is None else offer,
            connected=self._workers.get,
            max_running=project.load.most(self._config.max_running_jobs),
            position=position,
            now_ms=milliseconds(self._clock),
        )

    def reason(
        self, project: LiveProject, position: int = 0, offer: Offer | None = None
    ) -> WaitingReason | None:
        """Why jobs of an open project wait; None when none of them does."""
        if not any(job.state is JobState.QUEUED for job in project.jobs):
            return None
        return reason_of(project, self.seen(project, position, offer))

    def start(self, project: LiveProject) -> Start | None:
        """When the first job of a waiting project should start; None: nobody can tell."""
        if project.starts_at_s is None:
            return None
        times = (project.starts_at_s, *project.starts_between_s)
        now_s = self._clock()
        most_likely, earliest, latest = (round(max(0.0, time - now_s), 1) for time in times)
        return Start(seconds=most_likely, earliest_seconds=earliest, latest_seconds=latest)

    def _standing(
        self, project: LiveProject, position: int, reason: WaitingReason | None
    ) -> frames.Standing:
        served = reason is None or reason.reason != WAITS_NO_WORKERS
        start = self.start(project) if served else None
        return frames.Standing(position=position, served=served, start=start, reason=reason)

    def result_urls(self, job: LiveJob) -> frames.ResultUrls:
        """Where the project's app can fetch a completed job."""
        if job.withheld:
            return frames.ResultUrls()
        return frames.ResultUrls(
            result=self._link(job, key_of_result(job), CONTENT_TYPES[job.render.output_format]),
            last_frame=self._link(job, key_of_last_frame(job)) if job.last_frame else None,
        )

    def _link(self, job: LiveJob, key: str, content_type: str | None = None) -> str:
        return self._blobs.get_url(
            key,
            expires_s=self._config.download_url_s,
            origin=job.project.origin,
            content_type=content_type,
        )

    def replay(self, project: LiveProject, position: int) -> Iterator[bytes]:
        """Frames that tell an app all it must know of a project."""
        standing = self._standing(project, position, self.reason(project, position))
        return frames.replay(project, standing, urls=self.result_urls)

    async def recall(self, row: ProjectRow) -> LiveProject:
        """A project as it was stored, with what only its files can tell.

        While the media store is away or slow, a video is told without its last frame rather than
        late.
        """
        project = from_row(row)
        if self._loop.time() < self._media_slow_until_s:
            return project
        for job in project.jobs:
            delivered = job.state is JobState.COMPLETED and not job.withheld
            if delivered and isinstance(job.render, VideoRender):
                try:
                    async with asyncio.timeout(LAST_FRAME_WITHIN_S):
                        job.last_frame = await self._blobs.stat(key_of_last_frame(job)) is not None
                except TimeoutError:
                    self._media_slow_until_s = self._loop.time() + _MEDIA_SLOW_S
                    _log.warning("the media store is slow: last frames of videos are left out")
                    break
                except ServerUnavailable as error:
                    _log.warning("nobody knows whether job %s has a last frame: %s", job.id, error)
                    break
        return project

    # ── writing ──────────────────────────────────────────────────────────────────────────────────

    def stop(self) -> None:
        """Gives up what could not be written so far.

        Nobody was told that it is stored: workers report again, and leases bring the jobs back.
        """
        self._stopped = True

    def persist(self, write: Callable[[], "asyncio.Future[T]"], done: Callable[[T], None]) -> None:
        """Writes what has already happened out there, again and again until it is stored.

        A full disk or a locked database must not make the server forget a finished render.
        """
        self.unstored += 1
        self._try(write, done)

    def _try(self, write: Callable[[], "asyncio.Future[T]"], done: Callable[[T], None]) -> None:
        def written(future: "asyncio.Future[T]") -> None:
            error = future.exception()
            if error is None:
                self.unstored -= 1
                done(future.result())
            elif self._stopped:
                _log.error("a write was not stored before the end: %s", error)
            else:
                _log.error("a write failed and is tried again: %s", error)
                self._loop.call_later(_WRITE_AGAIN_S, self._try, write, done)

        write().add_done_callback(written)


def key_of_result(job: LiveJob) -> str:
    """Where the result of the job's latest attempt lies."""
    return result_key(job.project.id, job.id, job.attempt, job.render.output_format)


def key_of_last_frame(job: LiveJob) -> str:
    """Where the last frame of the video of the job's latest attempt lies, if there is one."""
    return last_frame_key(job.project.id, job.id, job.attempt)


def keys_of_attempts(job: LiveJob) -> Iterator[str]:
    """Where workers may have put something of a job, in any attempt at it."""
    project, kind = job.project.id, job.render.output_format
    for attempt in range(1, job.attempt + 1):
        yield result_key(project, job.id, attempt, kind)
        yield last_frame_key(project, job.id, attempt)
        yield preview_key(project, job.id, attempt)
