"""`client.projects`: create, follow and cancel projects; models, sizes and prices."""

import asyncio
import uuid
from typing import Any

from dreamgrid import errors
from dreamgrid.client import checks
from dreamgrid.client.catalog import AvailableModel, Catalog, ModelOptions
from dreamgrid.client.estimates import CostEstimate, estimate
from dreamgrid.client.history import Found, History
from dreamgrid.client.http import Http
from dreamgrid.client.images import Image
from dreamgrid.client.inputs import ImageSource, InputFile, read_image
from dreamgrid.client.job import Job
from dreamgrid.client.project import Project
from dreamgrid.client.tracker import Tracker
from dreamgrid.protocol.job_request import valid_id
from dreamgrid.protocol.params import (
    CONTENT_TYPES,
    STARTING_IMAGE,
    ImageFormat,
    ImageParams,
    Network,
    TokenType,
)
from dreamgrid.protocol.request_params import request_from_params
from dreamgrid.protocol.rest import DownloadUrl, ModelEntry, SizePreset, UploadUrl

_ACKNOWLEDGE_S = 10.0


class Projects:
    """`client.projects`."""

    def __init__(self, http: Http, catalog: Catalog, tracker: Tracker) -> None:
        self._http = http
        self._catalog = catalog
        self._tracker = tracker
        self._projects: dict[History, Project] = {}

    async def create(
        self,
        *,
        model: str,
        prompt: str = "",
        count: int = 1,
        width: int | None = None,
        height: int | None = None,
        size_preset: str | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        seed: int | None = None,
        negative_prompt: str = "",
        style_prompt: str = "",
        starting_image: ImageSource | None = None,
        strength: float | None = None,
        previews: int = 0,
        output_format: ImageFormat = "png",
        network: Network | None = None,
        token_type: TokenType | None = None,
        sampler: str | None = None,
        scheduler: str | None = None,
        disable_safety: bool = False,
        project_id: str | None = None,
    ) -> Project:
        """Asks for `count` pictures; returns as soon as the server has taken the request.

        Plain mistakes are refused here, before anything is uploaded or charged.

        Args:
            model: Id of a model; see `available_models` and `get_supported_models()`.
            prompt: What to show.
            count: How many pictures.
            width: Pixels, given together with `height`. Default: the model's size.
            height: Pixels.
            size_preset: Instead of both: one of `get_size_presets(model)`.
            steps: Denoising steps; more is slower and finer. Default: the model's.
            guidance: How closely to follow the prompt. Default: the model's.
            seed: Seed of the first picture, 0 to 2**32-1; the others get random ones. The same
                seed makes the same picture. Default: random.
            negative_prompt: What to avoid.
            style_prompt: Appended to the prompt.
            starting_image: A picture to begin with: a path, bytes, an open binary file or a Pillow
                image; PNG, JPEG, WebP or GIF of at most 20 MiB.
            strength: How much to change the starting image: 0 keeps it, 1 ignores it. Default: the
                server's.
            previews: How many previews to send while each picture is made; see `Previewed`.
            output_format: `png`, `jpg` or `webp`.
            network: Worker pool for this project, `fast` or `relaxed`. Default: the client's.
            token_type: Currency to pay with, `spark` or `sogni`. Default: the server's.
            sampler: One of the model's samplers. Default: the model's.
            scheduler: One of the model's noise schedules. Default: the model's.
            disable_safety: Deliver pictures that the content filter objects to.
            project_id: A UUID of your own. Creating a project with the same settings again under
                one id makes it once, and from its first starting image. Default: a fresh one.

        Raises:
            UnknownModel: The grid's catalogue has no such model.
            InvalidRequest: A setting has the wrong type or is out of range.
            UnreadableMedia: The starting image is missing, unreadable, too large or no picture.
            ModelNotServed: No worker offers the model, nor did one lately.
            InsufficientFunds: The balance does not cover it. Nothing was charged.
            DuplicateProject: `project_id` is taken by a project with other settings.
            TooManyRequests: The account has too many unfinished projects.
            ServerUnavailable: The server cannot store it now. Nothing was charged.
            ProjectFailed: The server refused it for a reason that this version has no class for.
            AuthenticationFailed: The key is missing or wrong.
            ConnectionFailed: No server there, or none for 30 s.
        """
        params = self._params(
            model=model,
            prompt=prompt,
            count=count,
            width=width,
            height=height,
            size_preset=size_preset,
            steps=steps,
            guidance=guidance,
            seed=seed,
            negative_prompt=negative_prompt,
            style_prompt=style_prompt,
            assets=() if starting_image is None else (STARTING_IMAGE,),
            strength=strength,
            previews=previews,
            output_format=output_format,
            network=network,
            token_type=token_type,
            sampler=sampler,
            scheduler=scheduler,
            disable_safety=disable_safety,
        )
        number = valid_id(project_id or str(uuid.uuid4()))
        await checks.check(self._catalog, params)
        if starting_image is not None and not self._tracker.follows(number):
            await self._upload(number, STARTING_IMAGE, await read_image(starting_image))
        return await self._submit(number, params)

    async def cancel(self, project_id: str) -> None:
        """Cancels one of this client's projects; see `Project.cancel`.

        Raises:
            NotFound: This client follows no project of that id.
        """
        project = self._followed().get(valid_id(project_id))
        if project is None:
            raise errors.NotFound(f"this client follows no project {project_id}")
        await project.cancel()

    @property
    def tracked_projects(self) -> tuple[Project, ...]:
        """Projects that this client follows. One that has ended leaves after 30 s."""
        return tuple(self._followed().values())

    @property
    def available_models(self) -> tuple[AvailableModel, ...]:
        """Models that somebody can render right now; empty until the socket has told them."""
        return self._catalog.available

    async def wait_for_models(
        self, *, timeout_s: float | None = 10.0
    ) -> tuple[AvailableModel, ...]:
        """Waits until at least one model has a worker.

        Args:
            timeout_s: Seconds after which to give up. None: never.

        Raises:
            ServerUnavailable: No worker came.
            AuthenticationFailed: The key is missing or wrong.
            ConnectionFailed: No server there.
        """
        await self._tracker.connection.ready()
        try:
            async with asyncio.timeout(timeout_s):
                return await self._catalog.wait_available()
        except TimeoutError:
            raise errors.ServerUnavailable(
                f"no worker offers any model after {timeout_s:g} s; "
                "'dreamgrid work' on any machine starts one"
            ) from None

    async def get_available_models(
        self, *, network: Network = "fast"
    ) -> tuple[AvailableModel, ...]:
        """Models that somebody in a worker pool can render right now, asked over HTTP."""
        return await self._catalog.available_on(network)

    async def get_supported_models(self, *, force_refresh: bool = False) -> tuple[ModelEntry, ...]:
        """All models of the grid's catalogue, with workers or without. Kept for ten minutes."""
        return await self._catalog.models(fresh=force_refresh)

    async def get_model_options(self, model: str) -> ModelOptions:
        """What the settings of one model may be. Kept for ten minutes.

        Raises:
            UnknownModel: The catalogue has no such model.
        """
        return await self._catalog.options(model)

    async def get_size_presets(
        self, model: str, *, network: Network = "fast", force_refresh: bool = False
    ) -> tuple[SizePreset, ...]:
        """The named sizes of one model. Kept for ten minutes.

        Raises:
            UnknownModel: The catalogue has no such model.
        """
        return await self._catalog.presets(model, network, fresh=force_refresh)

    async def estimate_cost(
        self,
        *,
        model: str,
        count: int = 1,
        width: int | None = None,
        height: int | None = None,
        size_preset: str | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        strength: float | None = None,
        previews: int = 0,
        network: Network = "fast",
        token_type: TokenType = "spark",
        sampler: str | None = None,
    ) -> CostEstimate:
        """What a project with these settings would cost; they mean the same as in `create`.

        Raises:
            UnknownModel: The catalogue has no such model.
            InvalidRequest: A setting has the wrong type or is out of range.
        """
        params = self._params(
            model=model,
            count=count,
            width=width,
            height=height,
            size_preset=size_preset,
            steps=steps,
            guidance=guidance,
            assets=() if strength is None else (STARTING_IMAGE,),
            strength=strength,
            previews=previews,
            network=network,
            token_type=token_type,
            sampler=sampler,
        )
        await checks.check(self._catalog, params)
        return await estimate(self._http, self._catalog, params)

    async def upload_url(
        self, *, project_id: str, role: str, content_type: str | None = None
    ) -> str:
        """An address to PUT an input file of a coming project to, for about 15 minutes.

        Args:
            project_id: The id that the project will have.
            role: What the file is for, such as `startingImage`.
            content_type: Media type that the PUT will name. Default: any.
        """
        query = {"imageId": _new_id(), "jobId": valid_id(project_id), "type": role}
        if content_type is not None:
            query["contentType"] = content_type
        answer = await self._http.rest("GET", "/v1/image/uploadUrl", UploadUrl, query=query)
        return answer.upload_url

    async def download_url(
        self,
        *,
        project_id: str,
        job_id: str,
        role: str = "complete",
        content_type: str | None = None,
    ) -> str:
        """An address to GET a result or preview from, for about an hour.

        Args:
            project_id: The project.
            job_id: The render.
            role: `complete` or `preview`.
            content_type: Media type that is expected. Default: whatever is stored.

        Raises:
            NotFound: There is no such file (any more).
        """
        query = {"imageId": valid_id(job_id), "jobId": valid_id(project_id), "type": role}
        if content_type is not None:
            query["contentType"] = content_type
        answer = await self._http.rest("GET", "/v1/image/downloadUrl", DownloadUrl, query=query)
        return answer.download_url

    def _params(self, **settings: Any) -> ImageParams:
        params = checks.params_from(settings)
        if params.strength is not None and not params.assets:
            raise errors.InvalidRequest("strength is for a starting_image; there is none")
        return params

    async def _upload(self, project_id: str, role: str, file: InputFile) -> None:
        url = await self.upload_url(
            project_id=project_id, role=role, content_type=file.content_type
        )
        await self._http.upload(url, file.data, file.content_type)

    async def _submit(self, project_id: str, params: ImageParams) -> Project:
        """Sends the request and waits for the server's first word about it."""

        def make_image(job: Job[Image], found: Found) -> Image:
            return self._image(project_id, params, job, found)

        request = request_from_params(project_id, params)
        history = await self._tracker.submit(History(project_id, params, make_image), request)
        self._followed()  # lets go of those that have left
        project = self._projects.setdefault(history, Project(history, self._tracker))
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

    def _image(self, project_id: str, params: ImageParams, job: Job[Image], found: Found) -> Image:
        content_type = CONTENT_TYPES[params.output_format or "png"]

        async def find_url() -> str:
            return await self.download_url(
                project_id=project_id, job_id=job.id, content_type=content_type
            )

        return Image(
            http=self._http,
            find_url=find_url,
            project_id=project_id,
            job_id=job.id,
            index=job.index,
            seed=job.seed,
            content_type=content_type,
            url=found.url,
            sha256=found.sha256,
        )

    def _followed(self) -> dict[str, Project]:
        histories = self._tracker.histories
        self._projects = {one: self._projects[one] for one in histories if one in self._projects}
        return {history.id: project for history, project in self._projects.items()}


def _new_id() -> str:
    return str(uuid.uuid4()).upper()
