"""`client.projects`: create, follow, find and cancel projects; models, sizes and prices."""

import asyncio
import time
import uuid
from collections.abc import Mapping
from typing import Any, Unpack, cast

import msgspec

from dreamgrid import errors
from dreamgrid.client import estimates
from dreamgrid.client.catalog import Catalog
from dreamgrid.client.estimates import Prices
from dreamgrid.client.events import Event
from dreamgrid.client.files import Files
from dreamgrid.client.finished import Finished
from dreamgrid.client.history import Found, History
from dreamgrid.client.http import Http
from dreamgrid.client.inputs import InputFile, read_input
from dreamgrid.client.job import Job
from dreamgrid.client.listeners import Emitter
from dreamgrid.client.models import Models
from dreamgrid.client.orders import Order, media_of, order_of
from dreamgrid.client.project import WAIT_S, OnTimeout, Project
from dreamgrid.client.records import created_at, params_of
from dreamgrid.client.results import Audio, Image, Result, Video
from dreamgrid.client.settings import (
    AudioSettings,
    ImageSettings,
    Settings,
    VideoSettings,
    check_names,
    takes,
)
from dreamgrid.client.tracker import Tracker
from dreamgrid.protocol.assets import AUDIO_ROLES, REFERENCE_AUDIO, VIDEO_ROLES
from dreamgrid.protocol.job_request import valid_id
from dreamgrid.protocol.model_names import AUDIO_IDENTITY
from dreamgrid.protocol.params import AnyParams, ImageParams, Media, VideoParams
from dreamgrid.protocol.request_params import request_from_params
from dreamgrid.protocol.request_template import encode_request
from dreamgrid.protocol.rest import ProjectRecord, ProjectSync
from dreamgrid.tracing import current, of_project, tracer

_ACKNOWLEDGE_S = 10.0
_UPLOADS_AT_ONCE = 4


class Projects(Emitter, Models, Prices, Finished, Files):
    """`client.projects`."""

    def __init__(self, http: Http, catalog: Catalog, tracker: Tracker, *, app_id: str) -> None:
        Emitter.__init__(self)
        Models.__init__(self, http, catalog, tracker.session)
        self._tracker = tracker
        self._app_id = app_id
        self._projects: dict[History, Project[Result]] = {}
        tracker.on_left = self._let_go
        self._tracer = tracer("dreamgrid-client")
        self._asked: dict[str, tuple[float, str]] = {}  # when and in which trace

    # ── create ───────────────────────────────────────────────────────────────────────────────────

    @takes(Settings)
    async def create(self, **settings: Unpack[Settings]) -> Project[Result]:
        """Asks for pictures, videos or sound; returns as soon as the server has taken the request.

        What is made depends on the model. Plain mistakes are refused here, before anything is
        uploaded or charged. A lost connection does no harm: the request has an id of its own, so
        that it is rendered and charged once, however often it is sent.

        Raises:
            TypeError: There is no setting of that name.
            UnknownModel: The grid's catalogue has no such model.
            InvalidRequest: A setting has the wrong type, is out of range, or is for another kind of
                media.
            MissingAsset: The model cannot do without an input that was not given.
            UnreadableMedia: An input is missing, unreadable, too large or of the wrong kind.
            CostLimitExceeded: It would cost more than `max_cost`.
            ModelNotServed: No worker offers the model, nor did one lately.
            InsufficientFunds: The balance does not cover it. Nothing was charged.
            DuplicateProject: `project_id` is taken by a project with other settings.
            TooManyRequests: The account has too many unfinished projects.
            ServerUnavailable: The server cannot store it now. Nothing was charged.
            ProjectFailed: The server refused it for a reason that this version has no class for.
            AuthenticationFailed: The key is missing or wrong.
            ConnectionFailed: No server there, or none for 30 s.
        """
        return await self._create(settings, None)

    @takes(ImageSettings)
    async def create_image(self, **settings: Unpack[ImageSettings]) -> Project[Image]:
        """As `create`, for pictures only: with the right settings and types in an editor."""
        return cast("Project[Image]", await self._create(settings, "image"))

    @takes(VideoSettings)
    async def create_video(self, **settings: Unpack[VideoSettings]) -> Project[Video]:
        """As `create`, for videos only."""
        return cast("Project[Video]", await self._create(settings, "video"))

    @takes(AudioSettings)
    async def create_audio(self, **settings: Unpack[AudioSettings]) -> Project[Audio]:
        """As `create`, for music and speech only."""
        return cast("Project[Audio]", await self._create(settings, "audio"))

    @takes(Settings)
    async def generate(
        self,
        *,
        timeout_s: float | None = WAIT_S,
        on_timeout: OnTimeout = "cancel",
        progress: bool = False,
        **settings: Unpack[Settings],
    ) -> list[Result]:
        """Creates a project, waits for it and returns what was made, in one call.

        A call that is given up (Ctrl-C, or a canceled task) cancels the project as well.

        Args:
            timeout_s: Seconds after which to stop waiting. None: wait as long as it takes.
            on_timeout: What the timeout does to the project: `cancel` it, so that nothing more is
                charged, or `leave` it running; `attach()` finds it by the error's `project_id`.
            progress: Show a bar, in the terminal or the notebook.

        Raises:
            WaitTimeout: It was not finished in time.
            ProjectFailed: Nothing could be made.
            ProjectCanceled: Somebody canceled it.
            DreamgridError: Everything that `create` raises.
        """
        project = await self._create(settings, None)
        try:
            return await project.wait(timeout_s=timeout_s, on_timeout=on_timeout, progress=progress)
        except asyncio.CancelledError:
            # Nobody holds a project to cancel, so it must not run on and cost something.
            await self._tracker.withdraw(project._history)
            raise

    # ── find ─────────────────────────────────────────────────────────────────────────────────────

    async def attach(self, project_id: str) -> Project[Result]:
        """Takes up a project that was created before, by this process or any other.

        Its events begin with what has happened so far, and go on with what happens, whoever
        created it. On a grid that keeps no log of events (the original network is one) the record
        of the project is looked at every few seconds instead, which shows states and results.

        Raises:
            NotFound: The account has no such project.
            AuthenticationFailed: The key is missing or wrong.
            ConnectionFailed: No server there.
        """
        number = valid_id(project_id)
        followed = self._still_followed(number)
        return followed or await self._attach(await self._tracker.record(number))

    async def sync(self) -> tuple[Project[Result], ...]:
        """Takes up every unfinished project of this `app_id`, such as after a restart.

        Raises:
            AuthenticationFailed: The key is missing or wrong.
            ConnectionFailed: No server there.
        """
        found = await self._unfinished({"appId": self._app_id})
        return tuple([await self._attached(record) for record in found])

    async def list_projects_elsewhere(self) -> tuple[ProjectRecord, ...]:
        """Unfinished projects of the account that other apps have created; see `attach()`."""
        found = await self._unfinished({})
        return tuple(record for record in found if record.app_id != self._app_id)

    @property
    def tracked_projects(self) -> tuple[Project[Result], ...]:
        """Projects that this client follows. One that has ended leaves after 30 s."""
        found = (self._projects.get(history) for history in self._tracker.histories)
        return tuple(project for project in found if project is not None)

    async def cancel(self, project_id: str) -> None:
        """Cancels a project, whoever created it; see `Project.cancel`.

        Raises:
            NotFound: The account has no such project.
        """
        await (await self.attach(project_id)).cancel()

    # ── how ──────────────────────────────────────────────────────────────────────────────────────

    async def _create(self, settings: Mapping[str, Any], wanted: Media | None) -> Project[Result]:
        check_names(settings)
        number = _project_id(settings)
        entry = await self._catalog.model(settings["model"])
        media = media_of(entry)
        if wanted is not None and media != wanted:
            raise errors.InvalidRequest(
                f"{entry.id} makes {media}: use create_{media}() or create()"
            )
        options, comfy = await self._catalog.described(entry)
        order = order_of(settings, entry, options, comfy=comfy)
        params = await self._in_pixels(order.params)
        if settings.get("max_cost") is not None and not self._tracker.follows(number):
            await self._check_cost(params, settings["max_cost"])
        types = await self._upload_inputs(number, order)
        if order.voice and REFERENCE_AUDIO in types:
            types[AUDIO_IDENTITY] = types[REFERENCE_AUDIO]
        request = request_from_params(number, params, comfy=comfy, voice=order.voice)
        request = msgspec.structs.replace(request, traceparent=current())
        if self._tracer is not None:
            self._asked.setdefault(number, (time.time(), request.traceparent or ""))
        return await self._submit(number, params, encode_request(request, types))

    async def _in_pixels(self, params: AnyParams) -> AnyParams:
        """The same with a known preset; that of a video as the pixels that it stands for."""
        if not isinstance(params, ImageParams | VideoParams) or params.size_preset is None:
            return params
        network = params.network or self._session.network
        size = await self._catalog.preset(params.model, params.size_preset, network)
        if isinstance(params, ImageParams):
            return params
        fields = {name: getattr(params, name) for name in params.__struct_fields__}
        sides = {"size_preset": None, "width": size.width, "height": size.height}
        return VideoParams(**fields | sides)

    async def _fetch(self, url: str, max_bytes: int) -> bytes:
        return await self._http.download(url, max_bytes=max_bytes)

    async def _upload_inputs(self, project_id: str, order: Order) -> dict[str, str]:
        """Reads all inputs, then uploads them; their media types, by role."""
        waiting = {role: source for role, source in order.inputs.items() if source is not True}
        files: dict[str, InputFile] = {}
        for role, source in waiting.items():
            files[role] = await read_input(
                source, order.names[role], _media_of_role(role), download=self._fetch
            )
        if self._tracker.follows(project_id):
            return {role: file.content_type for role, file in files.items()}
        gate = asyncio.Semaphore(_UPLOADS_AT_ONCE)

        async def put(role: str, file: InputFile) -> None:
            async with gate:
                await self._put(project_id, role, file.data, file.content_type)

        try:
            async with asyncio.TaskGroup() as group:
                for role, file in files.items():
                    group.create_task(put(role, file))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None  # one reason is enough; the others were stopped
        return {role: file.content_type for role, file in files.items()}

    async def _submit(self, project_id: str, params: AnyParams, frame: bytes) -> Project[Result]:
        """Sends the request and waits for the server's first word about it."""
        history = await self._tracker.submit(self._history(project_id, params), frame)
        project = self._hold(history)
        try:
            async with asyncio.timeout(_ACKNOWLEDGE_S):
                while not history.acknowledged and history.error is None:
                    await history.log.changed.wait()
        except TimeoutError:
            return project  # a slow server; the tracker goes on asking
        except asyncio.CancelledError:
            # The caller gets no project to cancel, so it must not run and cost something.
            await self._tracker.withdraw(history)
            raise
        if history.refusal is not None:
            raise history.refusal
        return project

    async def _unfinished(self, query: dict[str, str]) -> tuple[ProjectRecord, ...]:
        path = "/api/v1/artist/projects/sync"
        return (await self._http.bare(path, ProjectSync, query=query)).active_projects

    async def _attached(self, record: ProjectRecord) -> Project[Result]:
        return self._still_followed(valid_id(record.id)) or await self._attach(record)

    async def _attach(self, record: ProjectRecord) -> Project[Result]:
        number = valid_id(record.id)
        history = self._history(number, params_of(record))
        history.created_at = created_at(record)
        ours = record.app_id in ("", self._app_id) and not record.finished
        await self._tracker.follow(history, record, ours=ours)
        return self._hold(history, attached=True)

    def _history(self, project_id: str, params: AnyParams) -> History:
        def make_result(job: Job[Result], found: Found) -> Result:
            return self._result(project_id, params, job, found)

        history: History | None = None

        def tell(event: Event) -> None:
            project = self._projects.get(history) if history else None
            if project is not None:
                project._listeners.tell(event)
            self._listeners.tell(event)
            if self._asked and history is not None and history.finished:
                self._trace_end(history)

        history = History(project_id, params, make_result, tell)
        return history

    def _hold(self, history: History, *, attached: bool = False) -> Project[Result]:
        project: Project[Result] | None = self._projects.get(history)
        if project is None:
            project = Project(history, self._tracker, attached=attached)
            if self._tracker.followed(history.id) is history:  # it may have ended meanwhile
                self._projects[history] = project
        return project

    def _let_go(self, history: History) -> None:
        self._projects.pop(history, None)

    def _trace_end(self, history: History) -> None:
        """Tells how long a project took that has ended, once, as its app saw it."""
        asked = self._asked.pop(history.id, None)
        if self._tracer is not None and asked is not None:
            asked_s, traceparent = asked
            self._tracer.span(
                "ask and wait",
                history.id,
                asked_s,
                time.time(),
                about=f"app {history.id}",
                within=of_project(history.id),
                traceparent=traceparent,
            )

    def _result(self, project_id: str, params: AnyParams, job: Job[Result], found: Found) -> Result:
        return self._make_result(
            project_id=project_id,
            job_id=job.id,
            index=job.index,
            seed=job.seed,
            params=params,
            output_format=found.output_format,
            url=found.url,
            sha256=found.sha256,
        )

    async def _enhance(
        self, image: Image, strength: str, prompt: str | None, model: str | None
    ) -> Image:
        """See `Image.enhance`."""
        share = estimates.enhance_strength(strength)
        chosen = model or await self._finer_model(image.model)
        asked = cast("ImageParams", image.params)
        width, height = await self._pixels_of(asked)
        results = await self.generate(
            model=chosen,
            prompt=image.prompt if prompt is None else prompt,
            starting_image=await image.read(),
            strength=share,
            steps=await estimates.enhancing_steps(self._catalog, chosen),
            width=width,
            height=height,
            output_format=asked.output_format,
            token_type=asked.token_type,
        )
        if not results:
            raise errors.ProjectFailed("the content filter withheld the finer picture")
        return cast("Image", results[0])

    async def _pixels_of(self, asked: ImageParams) -> tuple[int | None, int | None]:
        """How large a picture is that was asked for like this. None: the server does not say."""
        if asked.width is not None and asked.height is not None:
            return asked.width, asked.height
        if asked.size_preset is not None:
            preset = await self._catalog.preset(asked.model, asked.size_preset)
            return preset.width, preset.height
        size = (await self._catalog.model(asked.model)).size
        return (size.width, size.height) if size is not None else (None, None)

    async def _finer_model(self, otherwise: str) -> str:
        try:
            return await estimates.enhancer(self._catalog)
        except errors.UnknownModel:
            return otherwise

    def _end_listeners(self) -> set[asyncio.Task[Any]]:
        """Ends listeners that are still at work; they have to be waited for."""
        all_of_them = [self._listeners, *(one._listeners for one in self._projects.values())]
        return set[asyncio.Task[Any]]().union(*(one.cancel() for one in all_of_them))

    def _still_followed(self, project_id: str) -> Project[Result] | None:
        """The project of that id, unless this client has let go of it before its end."""
        history = self._tracker.followed(project_id)
        if history is None or (history.error is not None and not history.finished):
            return None
        return self._projects.get(history)


def _project_id(settings: Mapping[str, Any]) -> str:
    given = settings.get("project_id")
    if given is None:
        by_hand = [name for name, value in settings.items() if _is_by_hand(name, value)]
        if by_hand:
            raise errors.InvalidRequest(
                f"{by_hand[0]} is True: give the project_id that you have uploaded it for"
            )
    return valid_id(given or str(uuid.uuid4()))


def _is_by_hand(name: str, value: object) -> bool:
    return value is True and (name.startswith("reference_") or name == "starting_image")


def _media_of_role(role: str) -> Media:
    if role in AUDIO_ROLES:
        return "audio"
    return "video" if role in VIDEO_ROLES else "image"
