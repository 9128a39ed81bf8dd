"""Speech from text."""

from aiohttp import web

from dreamgrid.protocol.openai import PATH, SpeechRequest
from dreamgrid.protocol.params import CONTENT_TYPES, OUTPUT_FORMATS
from dreamgrid.server.auth import Account
from dreamgrid.server.endpoint import Endpoints
from dreamgrid.server.open_projects import key_of_result
from dreamgrid.server.openai import wishes
from dreamgrid.server.openai.images import ERRORS, MAX_RESULT_BYTES
from dreamgrid.server.openai.orders import REQUEST_ID, Orders, delivered
from dreamgrid.server.services import Services


def add(api: Endpoints, services: Services, orders: Orders) -> None:
    """Speaks."""

    @api.post(
        f"{PATH}/audio/speech",
        scope="render",
        errors=ERRORS,
        content_types=tuple(CONTENT_TYPES[name] for name in OUTPUT_FORMATS["audio"]),
        also={500: "No render succeeded; nothing was charged."},
    )
    async def openai_speak(
        account: Account, body: SpeechRequest, request: web.Request
    ) -> web.Response:
        """A text as speech: the answer is the file, and comes when it is there."""
        params = wishes.speech_params(body, services.catalog)
        async with orders.placed(account, request, params, {}) as order:
            (job,) = delivered(await orders.ended(order))
            data = await services.blobs.read(key_of_result(job), max_bytes=MAX_RESULT_BYTES)
        return web.Response(
            body=data,
            content_type=CONTENT_TYPES[job.render.output_format],
            headers={REQUEST_ID: order.project_id},
        )
