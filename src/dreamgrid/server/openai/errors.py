"""Errors below the API's address, in the shape that its clients read."""

from aiohttp import web

from dreamgrid.protocol import openai
from dreamgrid.server.http import ERROR, REFUSAL, Handler, encoded


@web.middleware
async def openai_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Says an error of any part of the server in OpenAI's words. Stands before all that refuse."""
    response = await handler(request)
    if not request.path.startswith(f"{openai.PATH}/"):
        return response
    if ERROR in response:
        trouble = openai.trouble_of(response[ERROR])
    elif REFUSAL in response:
        trouble = openai.trouble_without_class(response.status, response[REFUSAL])
    else:  # no error, or one that another node has said already
        return response
    assert isinstance(response, web.Response), "an error is told whole"
    response.body = encoded(openai.ErrorAnswer(error=trouble))
    again = openai.worth_repeating(response.status)
    response.headers["x-should-retry"] = "true" if again else "false"
    return response
