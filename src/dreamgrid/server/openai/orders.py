"""A request becomes a project, and the request waits for it."""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from weakref import WeakValueDictionary

import msgspec
from aiohttp import web

from dreamgrid.errors import (
    AuthenticationFailed,
    DreamgridError,
    DuplicateProject,
    InvalidRequest,
    NotFound,
    ProjectCanceled,
    ProjectFailed,
    RenderRefused,
    ServerRestarting,
)
from dreamgrid.protocol import failures
from dreamgrid.protocol.codec import decode_payload, open_envelope
from dreamgrid.protocol.job_request import JobRequest
from dreamgrid.protocol.params import AnyParams
from dreamgrid.protocol.project_events import LAST_EVENTS, ProgressEvent
from dreamgrid.protocol.request_params import request_from_params
from dreamgrid.protocol.socket import JobError
from dreamgrid.server.auth import Account
from dreamgrid.server.bus.base import project_subject
from dreamgrid.server.http import credential_of, refusal_of
from dreamgrid.server.live import LiveJob, LiveProject, from_row
from dreamgrid.server.long_answers import long_answer, told_when_lost
from dreamgrid.server.new_projects import App
from dreamgrid.server.services import Services
from dreamgrid.server.store.base import EventRow
from dreamgrid.states import JobState, ProjectState

APP_ID = "openai"
"""The app that all of these projects belong to."""

REQUEST_ID = "x-request-id"
"""The header that tells clients which project made their answer."""

MAX_KEY_CHARS = 255
_KEYS = uuid.UUID("6f0c9d7e-2f0b-5c5e-9d0a-3f1f6f1b7a52")
"""Where ids made of idempotency keys live."""

Told = Callable[[EventRow | ProgressEvent | None], Awaitable[None]]
Inputs = Mapping[str, bytes]
"""Files by their role."""


@dataclass(kw_only=True)
class Order:
    """A project on its way.

    Attributes:
        app: Whose it is.
        project_id: Its id; made of the idempotency key, if there is one.
        kept: It goes on when the connection breaks: the same request again is answered with it.
        answer: Ends when it is accepted or refused; None: it was not submitted yet.
        over: It has ended.
        last_words: The last error that its app was told.
    """

    app: App
    project_id: str
    kept: bool
    answer: asyncio.Future[None] | None = None
    over: bool = False
    last_words: str = ""


class Orders:
    """Places the orders of one server."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._placing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def submit(
        self,
        account: Account,
        request: web.Request,
        params: AnyParams,
        inputs: Inputs,
        *,
        label: str | None = None,
    ) -> Order:
        """Places an order; returns when it is accepted.

        Args:
            account: Who asks.
            request: How they ask.
            params: What for; `assets` follows from the inputs.
            inputs: Files to begin with.
            label: The client's own word for it.

        Raises:
            DreamgridError: As `Projects.submit`, and what the store refuses.
        """
        order = self._order(account, request)
        with self._heard(order):
            await self._place(order, params, inputs, label)
        return order

    @asynccontextmanager
    async def placed(
        self,
        account: Account,
        request: web.Request,
        params: AnyParams,
        inputs: Inputs,
        *,
        label: str | None = None,
    ) -> AsyncIterator[Order]:
        """Places an order for as long as the block runs.

        When the client hangs up before the project has ended, it is canceled: what was delivered
        until then is paid, and nothing else. One with an idempotency key goes on.

        Raises:
            DreamgridError: As `submit`.
        """
        order = self._order(account, request)
        task = asyncio.current_task()
        assert task is not None
        with (
            long_answer(self._services, request, account),
            told_when_lost(request, task.cancel),
            self._heard(order),
        ):
            credential = credential_of(request) or ""
            if await self._services.authenticate(credential) is None:  # revoked meanwhile
                raise AuthenticationFailed(refusal_of(credential))
            try:
                await self._place(order, params, inputs, label)
                yield order
            finally:
                if not order.kept and not order.over:
                    await self._services.projects.cancel(order.app, order.project_id)

    async def ended(self, order: Order, told: Told | None = None) -> LiveProject:
        """Waits until a project has ended; it has delivered something.

        Args:
            order: The project.
            told: Awaited with each event, in order; with None now and then while there is none.

        Raises:
            RenderRefused: The content filter withheld all that was made.
            ProjectCanceled: Somebody canceled it.
            ProjectFailed: No render of it succeeded.
            ServerRestarting: The server stops.
        """
        async with self._services.feeds.watch(order.project_id) as feed:
            async for event in feed.events():
                order.over = isinstance(event, EventRow) and event.kind in LAST_EVENTS
                if told is not None:
                    await told(event)
        # As the log was read: what is in memory may hear of the end a moment later.
        row = await self._services.store.project(order.project_id)
        if row is None or not order.over:
            again = "send this again with the same Idempotency-Key" if order.kept else "try again"
            raise ServerRestarting(f"the server is restarting: {again} in a moment")
        project = from_row(row)
        if not delivered(project):
            raise why_nothing(project, order.last_words)
        return project

    def _order(self, account: Account, request: web.Request) -> Order:
        key = request.headers.get("Idempotency-Key", "")
        if len(key) > MAX_KEY_CHARS:
            raise InvalidRequest(f"an Idempotency-Key has at most {MAX_KEY_CHARS} characters")
        # Of the account's own: nobody can meet somebody else's project by guessing a key.
        made = uuid.uuid5(_KEYS, f"{account.id} {key}") if key else uuid.uuid4()
        app = App(
            account=account,
            app_id=APP_ID,
            network="fast",
            origin=self._services.origin(request),
        )
        return Order(app=app, project_id=str(made).upper(), kept=bool(key))

    @contextmanager
    def _heard(self, order: Order) -> Iterator[None]:
        """Listens to what is said of a project."""

        def heard(frame: bytes, key: str | None) -> None:
            del key
            refusal = self._error_in(frame, order)
            answer = order.answer
            if answer is None or answer.done():
                return
            if refusal is None:
                answer.set_result(None)
            else:
                answer.set_exception(refusal)

        unsubscribe = self._services.bus.subscribe(project_subject(order.project_id), heard)
        try:
            yield
        finally:
            unsubscribe()

    def _error_in(self, frame: bytes, order: Order) -> DreamgridError | None:
        """The refusal that a frame is; words of other errors are remembered."""
        if not frame or open_envelope(frame).type != JobError.message_type:
            return None
        told = decode_payload(open_envelope(frame), JobError)
        order.last_words = told.error_message
        if told.job_id is not None or not isinstance(told.error, int):
            return None
        error = failures.error_from_code(told.error, told.error_message, told.retry_after)
        if isinstance(error, DuplicateProject):
            return _other_request()
        return error or DreamgridError(told.error_message)

    async def _place(
        self, order: Order, params: AnyParams, inputs: Inputs, label: str | None
    ) -> None:
        """Returns when an order is accepted, or was before.

        Raises:
            DreamgridError: It is refused; its files are gone.
        """
        account_id, project_id = order.app.account.id, order.project_id
        projects = self._services.projects
        params = msgspec.structs.replace(params, assets=tuple(inputs))
        wish = request_from_params(project_id, params)
        digest = await asyncio.to_thread(_sha256, inputs) if inputs else None
        wish = msgspec.structs.replace(wish, app_source=label, inputs_sha256=digest)
        # In turn: the next request with this key finds the project of this one, or no file of it.
        async with self._placing.setdefault(project_id, asyncio.Lock()):
            is_new = not order.kept or await projects.owner(project_id) is None
            try:
                if is_new:
                    await self._bring(order, inputs)
                await self._submit(order, wish)
            finally:
                if is_new and inputs and await projects.owner(project_id) is None:
                    await self._services.uploads.remove(account_id, project_id)

    async def _bring(self, order: Order, inputs: Inputs) -> None:
        """Stores what the project begins with."""
        for role, data in inputs.items():
            key = self._services.uploads.expect(order.app.account.id, order.project_id, role)
            await self._services.blobs.write(key, data)

    async def _submit(self, order: Order, wish: JobRequest) -> None:
        order.answer = asyncio.get_running_loop().create_future()
        try:
            await self._services.projects.submit(order.app, wish, msgspec.json.encode(wish))
            known = self._services.open_projects.project(order.project_id)
            if known is None or not known.stored:
                await order.answer
        except DuplicateProject:
            raise _other_request() from None
        finally:
            order.answer.cancel()


def _sha256(inputs: Inputs) -> str:
    """What tells these files from others. Blocking."""
    whole = hashlib.sha256()
    for role, data in inputs.items():
        whole.update(f"{role} {hashlib.sha256(data).hexdigest()}\n".encode())
    return whole.hexdigest()


def delivered(project: LiveProject) -> list[LiveJob]:
    """The jobs whose results can be fetched."""
    return [
        job
        for job in project.jobs
        if job.state is JobState.COMPLETED and not job.withheld and not job.removed
    ]


def why_nothing(project: LiveProject, last_words: str = "") -> DreamgridError:
    """Why a project that has ended has no result.

    Args:
        project: It has ended.
        last_words: The last error that its app was told.
    """
    if any(job.withheld for job in project.jobs):
        return RenderRefused("the content filter of this grid withheld what was made")
    if project.state is ProjectState.CANCELED:
        return ProjectCanceled(project.cancel_message or "the project was canceled")
    if any(job.removed for job in project.jobs):
        return NotFound("the results of this project were removed")
    reason = failures.in_words(project.reason or failures.GENERATION_FAILURE)
    return ProjectFailed(last_words or f"nothing could be made, and nothing was charged: {reason}")


def _other_request() -> DuplicateProject:
    return DuplicateProject("this Idempotency-Key was used for another request: use a fresh one")
