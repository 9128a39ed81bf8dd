"""What aiohttp refuses before any handler runs, told as every other error: in JSON.

Such as bytes that are no HTTP, lines that are too long, and bodies that break their own rules.
"""

import asyncio

from aiohttp import web
from aiohttp.web_request import BaseRequest

from dreamgrid.server.http import refusal


async def expect(request: web.Request) -> web.StreamResponse | None:
    """Answers the header `Expect` of a request; a refusal ends it."""
    if request.headers["Expect"].lower() != "100-continue":
        return refusal(417, "this server knows no other Expect than 100-continue")
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0  # the answer proper has not begun
    return None


class Runner(web.AppRunner):
    """Serves an application as aiohttp's own does, but for how it refuses."""

    async def _make_server(self) -> web.Server:
        plain = await super()._make_server()
        return _Server(
            plain.request_handler,
            request_factory=plain.request_factory,
            loop=asyncio.get_running_loop(),
            **self._kwargs,
        )


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(web.RequestHandler):
    __slots__ = ()

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what cannot be served. The connection is closed after it."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun; only a broken connection tells the client")
        if status >= 500:
            self.log_exception("request failed: %s", request.remote, exc_info=exc)
            response = refusal(status, "the server made a mistake; its log says which")
        else:  # anybody can send such bytes, so they make no noise in the log
            why = " ".join((message or "").split())[:120]
            response = refusal(status, f"this is no HTTP request that can be read: {why}")
        response.force_close()
        return response
