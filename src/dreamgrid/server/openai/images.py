"""Pictures from a prompt, and from other pictures."""

import asyncio
import base64
from collections import Counter
from dataclasses import dataclass

import msgspec
from aiohttp import web

from dreamgrid.errors import (
    DreamgridError,
    DuplicateProject,
    InsufficientFunds,
    InvalidRequest,
    ModelNotServed,
    NotFound,
    UnknownModel,
)
from dreamgrid.protocol.assets import CONTROL_NET_IMAGE
from dreamgrid.protocol.openai import (
    PATH,
    ErrorAnswer,
    ImageAnswer,
    ImageEdit,
    ImageEvent,
    ImageRequest,
    Picture,
    trouble_of,
)
from dreamgrid.protocol.params import INPAINT, ControlNet, ImageParams
from dreamgrid.protocol.project_events import ProgressEvent
from dreamgrid.server.auth import Account
from dreamgrid.server.blobs.keys import preview_key
from dreamgrid.server.clock import milliseconds
from dreamgrid.server.endpoint import Endpoints
from dreamgrid.server.event_stream import EVENT_STREAM, STILL_HERE, framed
from dreamgrid.server.event_words import has_result
from dreamgrid.server.file_links import FileLinks
from dreamgrid.server.live import LiveJob, LiveProject
from dreamgrid.server.open_projects import key_of_result
from dreamgrid.server.openai import pictures, wishes
from dreamgrid.server.openai.forms import FORM, JSON, TOO_MUCH, read_form
from dreamgrid.server.openai.orders import REQUEST_ID, Inputs, Order, Orders, delivered
from dreamgrid.server.services import Services
from dreamgrid.server.store.base import EventRow

ERRORS = (UnknownModel, ModelNotServed, InsufficientFunds, DuplicateProject)
MAX_RESULT_BYTES = 256 * 1024 * 1024
MAX_PICTURES = 16
"""Most pictures to edit in one request, as OpenAI has it."""

_FAILED = {500: "No render succeeded; nothing was charged."}


def add(api: Endpoints, services: Services, orders: Orders) -> None:
    """Makes and edits pictures."""
    answers = _Answers(services, orders)

    @api.post(
        f"{PATH}/images/generations",
        bare=True,
        scope="render",
        errors=ERRORS,
        also=_FAILED,
    )
    async def openai_generate_images(
        account: Account, body: ImageRequest, request: web.Request, response: web.Response
    ) -> ImageAnswer | web.Response:
        """Pictures from a prompt: the answer comes when they are there.

        With `stream` they come as server-sent events, each as soon as it is there, with previews
        between them. Whoever hangs up cancels what is not done yet, unless the request has an
        `Idempotency-Key`: then the same request again is answered with the same pictures.
        """
        params = wishes.image_params(body)
        asked = _Asked(account=account, request=request, response=response, body=body)
        return await answers.give(asked, params, {}, "image_generation")

    @api.post(
        f"{PATH}/images/edits",
        bare=True,
        scope="render",
        errors=(InvalidRequest, *ERRORS),
        receives=(FORM, JSON),
        also=_FAILED | TOO_MUCH,
    )
    async def openai_edit_images(
        account: Account, request: web.Request, response: web.Response
    ) -> ImageAnswer | web.Response:
        """Pictures from pictures: the files `image`, and perhaps a `mask` where to paint.

        The other fields of the form are those of `/images/generations`.
        """
        form = await read_form(request, account, services.limits)
        images, masks = form.take("image", most=MAX_PICTURES), form.take("mask", most=1)
        form.check_rest()
        body = form.filled(ImageEdit)
        params = wishes.image_params(body)
        params, inputs = await _with_pictures(services, params, images, masks)
        asked = _Asked(account=account, request=request, response=response, body=body)
        return await answers.give(asked, params, inputs, "image_edit")


async def _with_pictures(
    services: Services, params: ImageParams, images: list[bytes], masks: list[bytes]
) -> tuple[ImageParams, Inputs]:
    """What to make of which files; of the size that is nearest to the first one's shape."""
    if not images:
        raise wishes.wrong("image", "send the picture to edit as a file of the form")
    model = services.catalog.model(params.model)
    roles = wishes.edit_roles(model, len(images), masked=bool(masks))
    inputs = dict(zip(roles, images, strict=True))
    size = await asyncio.to_thread(pictures.size_of, images[0])
    if masks:
        inputs[CONTROL_NET_IMAGE] = await asyncio.to_thread(pictures.painted_in, masks[0], size)
        strength = 1.0 if params.strength is None else params.strength  # all of it is new there
        net = ControlNet(name=INPAINT)
        params = msgspec.structs.replace(params, control_net=net, strength=strength)
    if params.width is None and params.size_preset is None:
        params = msgspec.structs.replace(params, size_preset=wishes.nearest_preset(model, *size))
    return params, inputs


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """Who asks for what, and what they are answered by."""

    account: Account
    request: web.Request
    response: web.Response
    body: ImageRequest


class _Answers:
    """Gives pictures to whoever waits for them."""

    def __init__(self, services: Services, orders: Orders) -> None:
        self._services = services
        self._orders = orders
        self._links = FileLinks(services)

    async def give(
        self, asked: _Asked, params: ImageParams, inputs: Inputs, kind: str
    ) -> ImageAnswer | web.Response:
        """Orders the pictures and answers with them.

        Raises:
            DreamgridError: As `Orders.placed` and `Orders.ended`.
        """
        body, request = asked.body, asked.request
        label = body.safety_identifier or body.user
        placed = self._orders.placed(asked.account, request, params, inputs, label=label)
        async with placed as order:
            asked.response.headers[REQUEST_ID] = order.project_id
            if body.stream:
                return await self._stream(asked, order, kind)  # type: ignore[return-value]
            project = await self._orders.ended(order)
            jobs = delivered(project)
            if body.response_format == "url":
                made = [self._link(request, job) for job in jobs]
            else:
                made = [await self._picture(job) for job in jobs]
        return ImageAnswer(
            created=(project.ended_ms or project.created_ms) // 1000,
            data=tuple(made),
            output_format=_format(project),
            size=f"{project.width}x{project.height}",
            project=project.id,
        )

    def _link(self, request: web.Request, job: LiveJob) -> Picture:
        return Picture(
            url=self._links.download(request, key_of_result(job)).download_url, seed=_seed(job)
        )

    async def _picture(self, job: LiveJob) -> Picture:
        return Picture(b64_json=await self._base64(key_of_result(job)), seed=_seed(job))

    async def _base64(self, key: str) -> str:
        data = await self._services.blobs.read(key, max_bytes=MAX_RESULT_BYTES)
        return base64.b64encode(data).decode("ascii")

    async def _stream(self, asked: _Asked, order: Order, kind: str) -> web.StreamResponse:
        headers = {"Cache-Control": "no-store", REQUEST_ID: order.project_id}
        response = web.StreamResponse(headers=headers)
        response.content_type = EVENT_STREAM
        previews: Counter[str] = Counter()

        async def tell(event: EventRow | ProgressEvent | None) -> None:
            if not response.prepared:  # from here on nothing is missed
                await response.prepare(asked.request)
            told = await self._event(order, event, kind, previews) if event is not None else None
            # However long there is nothing to tell: no proxy between takes the stream for dead.
            await response.write(STILL_HERE if told is None else framed(told.type, told))

        try:
            await self._orders.ended(order, tell)
        except DreamgridError as error:
            if not response.prepared:
                raise
            # The answer has begun: only it can still say so.
            await response.write(framed("error", ErrorAnswer(error=trouble_of(error))))
        await response.write_eof()
        return response

    async def _event(
        self, order: Order, event: EventRow | ProgressEvent, kind: str, previews: Counter[str]
    ) -> ImageEvent | None:
        """What to tell of an event, if anything."""
        is_preview = isinstance(event, ProgressEvent)
        if not (event.has_preview if isinstance(event, ProgressEvent) else has_result(event)):
            return None
        project = await self._services.projects.find(order.app.account, order.project_id)
        job = next(job for job in project.jobs if job.id == event.job_id)
        key = preview_key(project.id, job.id, job.attempt) if is_preview else key_of_result(job)
        try:
            data = await self._base64(key)
        except NotFound:
            if is_preview:  # of an attempt that is over
                return None
            raise
        previews[job.id] += is_preview
        return ImageEvent(
            type=f"{kind}.partial_image" if is_preview else f"{kind}.completed",
            b64_json=data,
            created_at=milliseconds(self._services.clock) // 1000,
            output_format="jpeg" if is_preview else _format(project),
            size=f"{project.width}x{project.height}",
            partial_image_index=previews[job.id] - 1 if is_preview else None,
            image_index=job.index,
            seed=None if isinstance(event, ProgressEvent) else event.details.get("seed"),
        )


def _seed(job: LiveJob) -> int:
    return job.seed if job.seed is not None else job.render.seed


def _format(project: LiveProject) -> str:
    return "jpeg" if project.output_format == "jpg" else project.output_format
