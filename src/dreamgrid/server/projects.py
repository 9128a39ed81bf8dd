"""The apps' side of projects: submit, cancel, and look."""

import asyncio
import logging
from collections.abc import Iterable

from dreamgrid.errors import (
    InvalidRequest,
    MissingAsset,
    NotFound,
    ServerRestarting,
)
from dreamgrid.protocol import failures
from dreamgrid.protocol.codec import MAX_REQUEST_BYTES
from dreamgrid.protocol.job_request import JobRequest, same_request, valid_id
from dreamgrid.protocol.rest import ProjectRecord
from dreamgrid.protocol.rest_projects import ListedJob
from dreamgrid.server import frames, records
from dreamgrid.server.accounts import Accounts
from dreamgrid.server.auth import Account
from dreamgrid.server.blobs.base import Blobs
from dreamgrid.server.blobs.keys import input_key, preview_key
from dreamgrid.server.bus.base import app_subject
from dreamgrid.server.catalog import Catalog
from dreamgrid.server.clock import Clock, milliseconds
from dreamgrid.server.config import ServerConfig
from dreamgrid.server.garbage import uncollected
from dreamgrid.server.kept_files import KeptFiles
from dreamgrid.server.known_workers import KnownWorkers
from dreamgrid.server.live import LiveProject, from_row, to_row
from dreamgrid.server.new_projects import App, NewProjects
from dreamgrid.server.open_projects import OpenProjects, key_of_last_frame, key_of_result
from dreamgrid.server.queue_notices import QueueNotices
from dreamgrid.server.refused_projects import id_taken, refusal
from dreamgrid.server.rendering import Rendering
from dreamgrid.server.store.base import Ended, Store, SubmitResult, Submitted
from dreamgrid.states import JobEvent, JobState, may

_log = logging.getLogger("dreamgrid.projects")


class Projects:
    """Submits and cancels projects, and shows them to those they belong to."""

    def __init__(
        self,
        *,
        config: ServerConfig,
        catalog: Catalog,
        store: Store,
        blobs: Blobs,
        accounts: Accounts,
        open_projects: OpenProjects,
        known_workers: KnownWorkers,
        rendering: Rendering,
        queue: QueueNotices,
        kept: KeptFiles,
        clock: Clock,
    ) -> None:
        self._config = config
        self._catalog = catalog
        self._store = store
        self._blobs = blobs
        self._accounts = accounts
        self._open = open_projects
        self._new = NewProjects(config, catalog, known_workers, clock)
        self._rendering = rendering
        self._queue = queue
        self._kept = kept
        self._clock = clock
        self._cancels: dict[str, asyncio.Future[Ended]] = {}  # those under way, by project
        self._stopping = False
        self._tasks: set[asyncio.Task[None]] = set()

    # ── life of the server ───────────────────────────────────────────────────────────────────────

    async def load(self) -> None:
        """Takes up every project that the last run of the server left open."""
        with uncollected():
            async for rows in self._store.open_projects():
                for row in rows:
                    project = await self._open.recall(row)
                    self._open.add(project)
                    self._rendering.take_up(project)
        self._rendering.scheduler.hint()

    def stop_accepting(self) -> None:
        """Refuses new projects from now on; clients send them again after the restart."""
        self._stopping = True

    @property
    def accepting(self) -> bool:
        """Whether new projects are taken."""
        return not self._stopping

    # ── submit ───────────────────────────────────────────────────────────────────────────────────

    async def submit(self, app: App, request: JobRequest, raw: bytes) -> None:
        """Accepts a project, or raises why not; a refused one costs nothing and leaves nothing.

        The first frame about the project is the acknowledgement. The same request twice has one
        effect and is answered with where the project stands.

        Args:
            app: Who asks.
            request: The request, decoded.
            raw: The same request as the app sent it.

        Raises:
            InvalidRequest: A value is outside what the catalogue allows, or an asset is missing.
            ModelNotServed: No worker offers the model, and none did lately.
            DuplicateProject: The id belongs to another project.
            TooManyRequests: The account has too many unfinished projects, or files.
            ServerRestarting: The server is stopping.
        """
        began_s = self._clock()
        project = self._checked(app, request, raw)
        if project is None:
            return
        assets = project.jobs[0].render.assets
        if assets:
            await self._check_assets(app, project.id, assets)
            known = self._open.project(project.id)
            if known is not None:  # the same request again, while the assets were looked at
                self._answer_again(app, known, raw)
                return
            self._check_admission(app)  # others may have been faster
        self._accept(app, project, began_s)

    def submit_at_once(self, app: App, request: JobRequest, raw: bytes) -> None:
        """The same for a request that brings no inputs, so that nothing has to be waited for."""
        began_s = self._clock()
        project = self._checked(app, request, raw)
        if project is not None:
            self._accept(app, project, began_s)

    def _checked(self, app: App, request: JobRequest, raw: bytes) -> LiveProject | None:
        """A project that may be accepted, if its inputs are there; None: it was known already."""
        if len(raw) > MAX_REQUEST_BYTES:
            raise InvalidRequest(
                f"the request has {len(raw)} bytes; at most {MAX_REQUEST_BYTES} are allowed"
            )
        known = self._open.project(valid_id(request.project_id))
        if known is not None:
            self._answer_again(app, known, raw)
            return None
        self._check_admission(app)
        return self._new.make(app, request, raw)

    def _accept(self, app: App, project: LiveProject, began_s: float) -> None:
        """Takes a project up and gives it to the store."""
        self._open.add(project)
        self._rendering.scheduler.at_once(project.jobs)
        stored = self._store.submit(to_row(project))
        stored.add_done_callback(lambda future: self._submitted(app, project, future, began_s))

    def _check_admission(self, app: App) -> None:
        """Another project of this account may come now.

        Raises:
            ServerRestarting: The server is stopping.
            TooManyRequests: The account has too many unfinished projects, or files.
        """
        if self._stopping:
            raise ServerRestarting("the server is restarting; send this again in a moment")
        self._open.check_room(app.account.id)
        self._kept.check(app.account.id)

    async def _check_assets(self, app: App, project_id: str, assets: Iterable[str]) -> None:
        """Every input that a request speaks of is there, and no longer than it may be.

        Raises:
            MissingAsset: One is not there.
            InvalidRequest: One is too long.
        """
        with self._open.beginning(project_id):
            for role in assets:
                there = await self._blobs.stat(input_key(app.account.id, project_id, role))
                if there is None or project_id in self._open.inputs_leaving:
                    raise MissingAsset(f"the request says that {role} was uploaded, but it was not")
                most_bytes = self._config.max_input_bytes(role)
                if there.size_bytes > most_bytes:  # not every store has limits
                    raise InvalidRequest(
                        f"{role} has {there.size_bytes} bytes, at most {most_bytes} are taken"
                    )

    def _answer_again(self, app: App, project: LiveProject, raw: bytes) -> None:
        if project.account_id != app.account.id or not same_request(project.request, raw):
            raise id_taken(project.id)
        asker = app_subject(app.account.id, app.app_id)
        self._open.tell_again(project, asker, self._queue.position(project))

    def _submitted(
        self, app: App, project: LiveProject, future: asyncio.Future[Submitted], began_s: float
    ) -> None:
        error = future.exception()
        if error is None and future.result().result is SubmitResult.CREATED:
            project.stored = True
            _log.info(
                "project %s: %d jobs for %s",
                project.id,
                len(project.jobs),
                project.model,
                extra={"project_id": project.id, "account_id": project.account_id},
            )
            self._rendering.measures.took("submit", self._clock() - began_s)
            if project.canceling:
                return  # its app did not even wait for the answer; the cancel is on its way
            self._accounts.note_balance(
                project.account_id, project.token_type, future.result().balance
            )
            left = [job for job in project.jobs if not job.assigning]
            self._rendering.scheduler.waiting.add_all(left)
            # A worker may have its job already, which is told after this: then it was the next one.
            self._open.tell_queued(project, self._queue.position(project) or 1)
            if left:
                self._rendering.scheduler.hint()
            return
        self._open.remove(project)
        known = (SubmitResult.KNOWN, SubmitResult.CONFLICT)
        if error is None and future.result().result in known:
            task = asyncio.create_task(self._tell_end_again(project), name="known-project")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        why = refusal(project, error or future.result())
        self._open.tell(project, frames.refused(project.id, why))

    async def _tell_end_again(self, asked: LiveProject) -> None:
        """Answers a request for a project that has ended with how it ended."""
        row = await self._store.project(asked.id)
        same = row is not None and row.account_id == asked.account_id
        if row is None or not (same and same_request(row.request, asked.request)):
            self._open.tell(asked, frames.refused(asked.id, id_taken(asked.id)))
            return
        if row.ended_ms is None:
            return
        ended = await self._open.recall(row)
        ended.origin = asked.origin
        for frame in self._open.replay(ended, 0):
            self._open.tell(asked, frame)

    # ── cancel ───────────────────────────────────────────────────────────────────────────────────

    async def cancel(self, app: App, project_id: str) -> None:
        """Ends a project that the account no longer wants; returns when that is stored.

        Delivered jobs stay delivered and paid; the rest is given back. Canceling what has ended,
        or never was, is no error. Its own app is told, if it is another one.

        Raises:
            ServerUnavailable: It could not be stored; the project goes on.
        """
        project = self._open.project(project_id.upper())
        if project is not None and project.account_id == app.account.id:
            if project.app_id != app.app_id:
                await self.end(project)
            elif await self._cancel(project, claimed=True):
                self._open.tell_others(project, frames.ended(project))

    async def end(self, project: LiveProject, message: str = "") -> None:
        """Ends a project without having been asked by its own app, which is told.

        Args:
            project: It is open.
            message: Who did that and why, as a sentence.

        Raises:
            ServerUnavailable: It could not be stored; the project goes on.
        """
        if await self._cancel(project, claimed=False, message=message):
            project.cancel_message = message
            self._open.tell_end(project)

    async def _cancel(self, project: LiveProject, *, claimed: bool, message: str = "") -> bool:
        """Ends a project; False when it had ended, or somebody else has ended it meanwhile."""
        cancel = self._cancels.get(project.id)
        first = cancel is None
        if cancel is None:
            cancel = self._begin_cancel(project, claimed=claimed, message=message)
        # Whoever asked may go away while it is stored: what follows of it must happen all the same.
        await asyncio.wait([cancel])
        if cancel.exception() is None:
            return first and cancel.result().accepted
        if self._open.project(project.id) is project:  # else it was not accepted either
            cancel.result()
        return False

    def _begin_cancel(
        self, project: LiveProject, *, claimed: bool, message: str
    ) -> asyncio.Future[Ended]:
        project.canceling = True
        for job in project.jobs:
            if job.on_worker:
                self._rendering.stop_on_worker(job)
            else:
                self._rendering.scheduler.waiting.note(job)
        now_ms = milliseconds(self._clock)
        reason = failures.ARTIST_CANCELED
        cancel = self._store.cancel(project.id, reason, now_ms, claimed=claimed, message=message)
        self._cancels[project.id] = cancel
        cancel.add_done_callback(lambda future: self._canceled(project, future))
        return cancel

    def _canceled(self, project: LiveProject, future: asyncio.Future[Ended]) -> None:
        del self._cancels[project.id]
        project.canceling = False
        if future.exception() is not None:
            if self._open.project(project.id) is project:
                self._resume(project)
            return
        ended = future.result()
        if not ended.accepted:
            return  # it ended while the cancel was on its way, and its app was told so
        project.canceled = True
        project.ended_ms = milliseconds(self._clock)
        for job in project.jobs:
            if may(job.state, JobEvent.CANCEL):
                job.move(JobEvent.CANCEL)
        self._open.remove(project)
        self._open.changed(project)
        self._accounts.note_balance(project.account_id, project.token_type, ended.balance)
        self._rendering.scheduler.hint()

    def _resume(self, project: LiveProject) -> None:
        """Goes on with a project whose cancel could not be stored."""
        waiting = self._rendering.scheduler.waiting
        for frame in self._open.replay(project, self._queue.position(project)):
            self._open.tell(project, frame)  # nothing was told while the cancel was under way
        for job in project.jobs:
            if job.state is JobState.QUEUED:  # it may have been skipped in the meantime
                waiting.add(job)
            else:  # its worker was told to stop
                self._rendering.take_back(job, "it was about to be canceled, which was not stored")
        self._rendering.scheduler.hint()

    # ── looking at projects ──────────────────────────────────────────────────────────────────────

    async def recent(
        self, account: Account, *, since_ms: int, limit: int, app_source: str | None
    ) -> tuple[ListedJob, ...]:
        """The jobs of an account's ended projects that completed since then, newest first."""
        rows = await self._store.recent_projects(account.id, since_ms, limit, app_source)
        jobs = [
            job
            for project in map(from_row, rows)
            for job in project.jobs
            if job.state is JobState.COMPLETED
            and not job.removed
            and (job.ended_ms or 0) >= since_ms
        ]
        jobs.sort(key=lambda job: job.ended_ms or 0, reverse=True)
        return tuple(
            records.listed(
                job.project,
                self._catalog.entry(job.project.model),
                job,
                permille=self._catalog.network_permille[job.project.network],
            )
            for job in jobs[:limit]
        )

    def record(self, project: LiveProject, artist: Account, *, raw: bool) -> ProjectRecord:
        """A project of an account as the HTTP endpoints show it."""
        reason = self._open.reason(project) if project.ended_ms is None else None
        entry = self._catalog.entry(project.model)
        permille = self._catalog.network_permille[project.network]
        return records.record(project, artist, entry, reason, permille=permille, raw=raw)

    async def find(
        self, account: Account, project_id: str, *, anybodys: bool = False
    ) -> LiveProject:
        """A project of this account (`anybodys`: or of another one), open or ended.

        Raises:
            NotFound: It has none with this id.
        """
        live = self._open.project(project_id)
        if live is None or not live.stored:
            row = await self._store.project(project_id)
            live = from_row(row) if row is not None else None
        theirs = live is not None and (anybodys or live.account_id == account.id)
        if live is not None and all(job.removed for job in live.jobs):
            theirs = False
        if live is None or not theirs or not live.stored:
            raise NotFound(f"you have no project {project_id}")
        return live

    def needs(self, key: str) -> bool:
        """Whether a stored file is an input that an open project still waits to use."""
        role, _, rest = key.partition("/")
        return role == "inputs" and self._open.uses_inputs(rest.split("/")[1])

    async def owner(self, project_id: str) -> str | None:
        """The account that a project id belongs to; None while it is free."""
        live = self._open.project(project_id)
        if live is not None:
            return live.account_id
        row = await self._store.project(project_id)
        return row.account_id if row is not None else None

    async def result_key(
        self,
        account: Account,
        project_id: str,
        job_id: str,
        *,
        preview: bool,
        last_frame: bool = False,
    ) -> str:
        """Where the result, the newest preview, or the last frame of a video, of a job lies.

        Raises:
            NotFound: The account has no such job, or there is nothing to fetch yet.
        """
        project = await self.find(account, project_id)
        job = next((job for job in project.jobs if job.id == job_id), None)
        if job is not None and job.withheld:
            raise NotFound(f"the content filter withheld {job_id}; it cannot be fetched")
        if job is not None and job.removed:
            raise NotFound(f"you removed the result of {job_id}")
        if job is not None and preview and (job.previewed or job.ended):
            return preview_key(project.id, job.id, job.attempt)
        if job is not None and not preview and job.state is JobState.COMPLETED:
            if last_frame:
                return key_of_last_frame(job)
            return key_of_result(job)
        raise NotFound(f"project {project_id} has no such file (yet) for {job_id}")
