"""Keeps this client's unfinished projects in step with the server, whatever the socket does.

Frames come in and are folded. After every reconnect, and when nothing was heard of a project for a
minute, its log at the server is read, from the last known event on. New frames wait meanwhile, so
that everything is told in order. A server without such logs is asked for the project's record:

    it is there       fold the record; live frames go on from there
    404, never heard  the request was lost on its way: send it again (its id makes that harmless)
    404, heard before asked again; after three times it counts as lost
    not ours          its frames go to another app: the event stream tells, or the record, by ticks
    no answer         asked again at the next tick; a silent server never fails a project
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from functools import partial
from typing import Any, TypeVar

from dreamgrid import errors
from dreamgrid.client import watching
from dreamgrid.client.catalog import Catalog
from dreamgrid.client.connection import Backoff
from dreamgrid.client.current_account import decimal
from dreamgrid.client.history import History
from dreamgrid.client.http import Http
from dreamgrid.client.previews import Previews
from dreamgrid.client.project import Charge
from dreamgrid.client.session import Session
from dreamgrid.client.tracked import Tracked
from dreamgrid.protocol import heard, socket
from dreamgrid.protocol.codec import (
    MAX_CLIENT_MESSAGE_BYTES,
    Envelope,
    Message,
    decode_payload,
    encode,
)
from dreamgrid.protocol.params import ImageParams, Network
from dreamgrid.protocol.rest import ProjectAnswer, ProjectRecord
from dreamgrid.states import JobState

_log = logging.getLogger("dreamgrid.client")

M = TypeVar("M", bound=Message)

KEPT_S = 30.0
"""How long a finished project stays in `tracked_projects`."""

_TICK_S = 2.5
_CANCEL_S = 120.0
_CATCH_UP_S = 5.0
_STRIKES = 3
_CHECKS_AT_ONCE = 8


class Tracker:
    """Owns the socket and every project that was sent through it.

    Args:
        http: Asks for records.
        catalog: Told which models have workers.
        query: Parameters of the socket's upgrade.
        network: Worker pool of projects that name none.
        tell: Called with what happens to the client.
        backoff: Waits between connections; tests pass a short one.
        tick_s: How often to look after projects that need it.

    Attributes:
        on_left: Called with a history that is not followed any more.
    """

    def __init__(
        self,
        http: Http,
        catalog: Catalog,
        *,
        query: dict[str, str],
        network: Network,
        tell: Callable[[object], None],
        backoff: Backoff | None = None,
        tick_s: float = _TICK_S,
    ) -> None:
        self._http = http
        self._tick_s = tick_s
        self._tracked: dict[str, Tracked] = {}
        self._previews = Previews(http, self._spawn)
        self._tasks: set[asyncio.Task[None]] = set()
        self._keeper: asyncio.Task[None] | None = None
        self._hint = asyncio.Event()
        self.on_left: Callable[[History], None] = lambda _: None
        self.session = Session(
            http,
            catalog,
            query=query,
            network=network,
            tell=tell,
            on_open=self._on_open,
            on_project=self._on_frame,
            on_closed=self._abandon,
            backoff=backoff,
        )
        self.connection = self.session.connection

    @property
    def histories(self) -> list[History]:
        """Of all projects that are followed."""
        return [tracked.history for tracked in self._tracked.values()]

    def followed(self, project_id: str) -> History | None:
        """The history of the project of that id. None: it is not followed."""
        tracked = self._tracked.get(project_id)
        return None if tracked is None else tracked.history

    def follows(self, project_id: str) -> bool:
        """Whether the same request under this id would not be sent again."""
        return self._known(project_id) is not None

    async def submit(self, history: History, frame: bytes) -> History:
        """Sends the request for a new project and follows it from then on.

        Returns:
            Its history: `history`, or that of the same request if it was sent before.

        Raises:
            InvalidRequest: The request is larger than any server reads.
            DuplicateProject: This client follows another request under that id.
            AuthenticationFailed: The key was refused.
            ConnectionFailed: There is no connection; nothing was sent.
        """
        await self.connection.ready()
        if len(frame) > MAX_CLIENT_MESSAGE_BYTES:
            raise errors.InvalidRequest(
                f"the request has {len(frame)} bytes, and a server reads at most "
                f"{MAX_CLIENT_MESSAGE_BYTES}: make the prompts shorter"
            )
        known = self._known(history.id)
        if known is None:
            self._begin_following(Tracked(history, frame))
            # Should the socket break just now, the next one begins with a look for this project.
            await self.connection.send(frame)
            return history
        if known.frame != frame:
            raise errors.DuplicateProject(
                f"project id {history.id} is taken by a project with other settings; "
                "use a fresh UUID"
            )
        known.holders += 1
        return known.history

    async def follow(self, history: History, record: ProjectRecord, *, ours: bool) -> None:
        """Follows a project that was sent before; returns when all of its record is known.

        Args:
            history: Still empty.
            record: What the server keeps of it.
            ours: Its frames come to this app. Otherwise the server's event stream tells them.

        Raises:
            AuthenticationFailed: The key was refused.
            ConnectionFailed: There is no connection.
        """
        await self.connection.ready()
        tracked = Tracked(history, None)
        history.acknowledged = True
        self._begin_following(tracked)
        if ours:
            tracked.hold()
            await self._catch_up(tracked)
            tracked.release()
        else:
            self._spawn(self._watch(tracked))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CATCH_UP_S):
                    while not _knows(history, record) and not tracked.polled:
                        await history.log.changed.wait()
        history.on_record(record)
        if history.finished:
            self._let_go(history)

    async def _watch(self, tracked: Tracked) -> None:
        """Listens to the event stream, again and again; without one, the record has to do."""
        history, failures = tracked.history, 0
        while not history.settled:
            known = tracked.known
            try:
                async with aclosing(watching.follow(self._http, history, after=known)) as stream:
                    async for number, preview in stream:
                        tracked.known, failures, tracked.polled = number, 0, False
                        if preview:
                            self._want_previews(history)
                        if history.finished:
                            self._let_go(history)
                            return
            except (errors.NotFound, errors.NotAllowed, errors.ProtocolError) as error:
                _log.info("no event stream of project %s: %s", history.id, error)
                tracked.polled, tracked.has_log = True, False
                history.log.changed.fire()
                return
            except errors.DreamgridError as error:
                _log.info("the event stream of project %s broke off: %s", history.id, error)
                tracked.polled = True  # until it is back
            if tracked.known == known:
                tracked.polled = True  # perhaps there is no more to tell: the record knows the end
            failures += 1
            await asyncio.sleep(self.connection.backoff.delay_s(failures))

    async def record(self, project_id: str) -> ProjectRecord:
        """A project as the server has it now.

        Raises:
            NotFound: There is no such project, or it belongs to another account.
        """
        path = f"/v2/projects/{project_id}"
        return (await self._http.rest("GET", path, ProjectAnswer)).project

    async def cancel(self, history: History) -> None:
        """Cancels a project; see `Project.cancel`."""
        tracked = self._of(history)
        if tracked is None or history.settled:
            return
        tracked.canceling = True
        history.cancel_refused = None
        await self._send_cancel(history)
        try:
            async with asyncio.timeout(_CANCEL_S):
                refusal = await _refusal(history)
        except TimeoutError:
            raise errors.WaitTimeout(
                f"the server did not confirm the cancel within {_CANCEL_S:.0f} s",
                project_id=history.id,
            ) from None
        if refusal is not None:
            tracked.canceling = False
            raise refusal

    async def withdraw(self, history: History) -> None:
        """One holder less; cancels a project that nobody holds, without waiting for the answer."""
        tracked = self._of(history)
        if tracked is None:
            return
        tracked.holders -= 1
        if tracked.holders == 0 and not history.settled:
            tracked.canceling = True
            await self._send_cancel(history)

    async def charge(self, history: History) -> Charge:
        """What a project cost; see `Project.charge`."""
        record = await self.record(history.id)
        return Charge(
            token=decimal(record.cost_actual.cost_in_token, "a price"),
            token_type=record.token_type,
        )

    async def aclose(self) -> None:
        """Lets go of everything. Projects go on at the server."""
        await self.connection.aclose()
        self._abandon(errors.ConnectionFailed("this client was closed; the project goes on"))
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    # ── the socket ───────────────────────────────────────────────────────────────────────────────

    def _on_open(self) -> None:
        for tracked in self._tracked.values():
            if not tracked.history.finished:
                tracked.history.on_reconnect()
                tracked.hold()
        self._hint.set()

    def _abandon(self, error: errors.DreamgridError) -> None:
        for history in self.histories:
            history.abandon(error)

    def _on_frame(self, envelope: Envelope) -> None:
        match envelope.type:
            case socket.JobState.message_type:
                self._fold(envelope, socket.JobState, History.on_state)
            case socket.JobProgress.message_type:
                self._fold(envelope, heard.Progress, self._on_progress)
            case socket.JobResult.message_type:
                self._fold(envelope, socket.JobResult, History.on_result)
            case socket.JobError.message_type:
                self._fold(envelope, socket.JobError, History.on_error)
            case socket.JobRetry.message_type:
                self._fold(envelope, socket.JobRetry, History.on_retry)
            case socket.CancelConfirmation.message_type:
                self._fold(envelope, socket.CancelConfirmation, History.on_cancel_answer)
            case socket.JobEta.message_type:
                self._fold(envelope, socket.JobEta, History.on_eta)
            case socket.ProjectQueue.message_type:
                self._fold(envelope, socket.ProjectQueue, History.on_waiting)
            case _:
                pass  # servers may say things that we do not know yet

    def _fold(self, envelope: Envelope, kind: type[M], fold: Callable[[History, M], None]) -> None:
        frame = decode_payload(envelope, kind)
        project_id: str = frame.project_id  # type: ignore[attr-defined]
        tracked = self._tracked.get(project_id.upper())
        if tracked is not None:
            tracked.take(partial(self._take_in, tracked, fold, frame))

    def _take_in(self, tracked: Tracked, fold: Callable[[History, M], None], frame: M) -> None:
        history = tracked.history
        was_finished = history.finished
        fold(history, frame)
        tracked.strikes = 0
        if history.needs_check:
            self._hint.set()
        if history.finished and not was_finished:
            self._let_go(history)

    def _on_progress(self, history: History, frame: heard.Progress) -> None:
        history.on_progress(frame)
        if frame.has_image and _wants_previews(history):
            self._previews.want(history, frame.job_id.upper())

    def _want_previews(self, history: History) -> None:
        """The stream says that there is one; which, the jobs that are at work tell."""
        for job in history.jobs.values():
            if job.state is JobState.RUNNING and _wants_previews(history):
                self._previews.want(history, job.id)

    def _let_go(self, history: History) -> None:
        """A finished project stays for a while, a canceled one goes at once."""
        if isinstance(history.error, errors.ProjectCanceled):
            self._forget(history)
        else:
            asyncio.get_running_loop().call_later(KEPT_S, self._forget, history)

    def _forget(self, history: History) -> None:
        if self._of(history) is not None:
            del self._tracked[history.id]
            self.on_left(history)

    def _of(self, history: History) -> Tracked | None:
        """What is followed under this history's id, unless that is a newer project by now."""
        tracked = self._tracked.get(history.id)
        return tracked if tracked is not None and tracked.history is history else None

    def _known(self, project_id: str) -> Tracked | None:
        """What is followed under an id. What was refused or abandoned may be sent anew."""
        tracked = self._tracked.get(project_id)
        if tracked is None or tracked.history.refusal is not None:
            return None
        return None if tracked.history.settled and not tracked.history.finished else tracked

    def _begin_following(self, tracked: Tracked) -> None:
        before = self._tracked.get(tracked.history.id)
        self._tracked[tracked.history.id] = tracked
        if before is not None:
            self.on_left(before.history)
        if self._keeper is None:
            self._keeper = self._spawn(self._keep())

    # ── the keeper ───────────────────────────────────────────────────────────────────────────────

    async def _keep(self) -> None:
        """Checks the projects that need it: at once after a hint, else with the next tick."""
        while True:
            self._hint.clear()
            if self.connection.is_open:
                due = [tracked for tracked in self._tracked.values() if tracked.is_due]
                gate = asyncio.Semaphore(_CHECKS_AT_ONCE)
                await asyncio.gather(*(self._check(tracked, gate) for tracked in due))
            try:
                async with asyncio.timeout(self._tick_s):
                    await self._hint.wait()
            except TimeoutError:
                pass

    async def _check(self, tracked: Tracked, gate: asyncio.Semaphore) -> None:
        history = tracked.history
        async with gate:
            if tracked.canceling:
                await self._send_cancel(history)
            history.needs_check = False
            if not await self._catch_up(tracked):
                await self._compare(tracked)
        if history.finished:
            self._let_go(history)

    async def _catch_up(self, tracked: Tracked) -> bool:
        """Reads the log from the last known event on, then lets the frames go on that waited.

        Returns:
            Whether that is all for now. False: there is no log, so the record has to tell.
        """
        history, held = tracked.history, tracked.held
        if tracked.has_log:
            try:
                await self._read_log(tracked)
            except (errors.NotFound, errors.NotAllowed, errors.ProtocolError) as error:
                _log.info("no log of project %s: %s", history.id, error)
                tracked.has_log = False
            except (TimeoutError, errors.DreamgridError) as error:
                _log.info("cannot read the log of project %s yet: %s", history.id, error)
                tracked.log_failures += 1
                history.needs_check = tracked.log_failures < _STRIKES
                if history.needs_check:
                    return True
        if tracked.held is not held:  # a newer connection: what was read may end before it began
            return True
        tracked.release()
        told = tracked.has_log and not tracked.log_failures and tracked.known > 0
        return told and not history.needs_check

    async def _read_log(self, tracked: Tracked) -> None:
        log = watching.follow(self._http, tracked.history, after=tracked.known, to_the_end=False)
        async with asyncio.timeout(_CATCH_UP_S), aclosing(log):
            async for number, _ in log:
                tracked.known = number
        tracked.strikes = tracked.log_failures = 0

    async def _compare(self, tracked: Tracked) -> None:
        history = tracked.history
        try:
            record = await self.record(history.id)
        except errors.NotFound:
            await self._on_not_found(tracked)
        except errors.DreamgridError as error:
            _log.info("cannot compare project %s yet: %s", history.id, error)
            history.needs_check = True
        else:
            tracked.strikes = 0
            history.on_record(record)

    async def _on_not_found(self, tracked: Tracked) -> None:
        history = tracked.history
        tracked.has_log = True  # it is the project that was not found, or nobody was there to look
        if history.finished or tracked.canceling:
            return
        if not history.acknowledged and tracked.frame is not None:
            history.heard_at = time.monotonic()
            await self.connection.send(tracked.frame)
            return
        # A proxy in front of a restarting server says 404 as well, so one is not enough.
        tracked.strikes += 1
        history.needs_check = True
        if tracked.strikes >= _STRIKES:
            history.on_missing()

    async def _send_cancel(self, history: History) -> None:
        await self.connection.send(encode(socket.CancelRequest(project_id=history.id)))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)
        return task

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            # A bug of ours must not leave anybody waiting for ever.
            _log.error("a task of the client died", exc_info=task.exception())
            self._abandon(errors.DreamgridError(f"a task died: {task.exception()!r}"))


async def _refusal(history: History) -> errors.DreamgridError | None:
    """Waits for the answer to a cancel: None, or why the project goes on."""
    while not history.settled and history.cancel_refused is None:
        await history.log.changed.wait()
    if history.cancel_refused is not None:
        return errors.ProjectError(history.cancel_refused, project_id=history.id)
    return None if history.finished else history.error


def _wants_previews(history: History) -> bool:
    params = history.params
    return isinstance(params, ImageParams) and params.previews > 0 and not history.finished


def _knows(history: History, record: ProjectRecord) -> bool:
    """Whether everything that the record says of ends is known."""
    if record.finished:
        return history.finished
    jobs = (history.jobs.get(entry.job_id.upper()) for entry in record.completed_jobs)
    return history.heard and all(job is not None and job.finished for job in jobs)
