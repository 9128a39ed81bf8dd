"""Errors below the API's address, in the shape that its clients read."""

import msgspec
from aiohttp import web

from dreamgrid.protocol import openai
from dreamgrid.protocol.failures import ErrorBody
from dreamgrid.server.http import ERROR, Handler, encoded


@web.middleware
async def openai_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Says an error of any part of the server in OpenAI's words. Stands before all that refuse."""
    response = await handler(request)
    if response.status < 400 or not request.path.startswith(f"{openai.PATH}/"):
        return response
    assert isinstance(response, web.Response), "an error is told whole"
    response.body = encoded(openai.ErrorAnswer(error=_trouble(response)))
    response.headers["x-should-retry"] = (
        "true" if openai.worth_repeating(response.status) else "false"
    )
    return response


def _trouble(response: web.Response) -> openai.Trouble:
    if ERROR in response:
        return openai.trouble_of(response[ERROR])
    told = msgspec.json.decode(response.body or b"", type=ErrorBody)  # type: ignore[arg-type]
    return openai.trouble_without_class(response.status, told.message)
