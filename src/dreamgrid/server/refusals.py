"""What aiohttp refuses before any handler runs, told as every other error: in JSON.

Such as bytes that are no HTTP, lines that are too long, bodies that break their own rules, and
connections of an address that has too many.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from aiohttp import web
from aiohttp.web_request import BaseRequest

from dreamgrid.errors import TooManyRequests
from dreamgrid.protocol import failures
from dreamgrid.server.addresses import Connections
from dreamgrid.server.http import encoded, refusal

_RETRY_CONNECTION_S = 15
_LINGER_S = 2.0
"""How long a refused connection stays open, so that its peer can read why."""


async def expect(request: web.Request) -> web.StreamResponse | None:
    """Answers the header `Expect` of a request; a refusal ends it."""
    if request.headers["Expect"].lower() != "100-continue":
        return refusal(417, "this server knows no other Expect than 100-continue")
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0  # the answer proper has not begun
    return None


class Runner(web.AppRunner):
    """Serves an application as aiohttp's own does, but for how it refuses.

    Args:
        app: The application.
        connections: Counts the connections of each address.
        uncounted_port: Connections to this port are not counted. 0: there is none.
        options: Those of aiohttp's own.
    """

    def __init__(
        self,
        app: web.Application,
        connections: Connections,
        *,
        uncounted_port: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(app, **options)
        self._connections = connections
        self._uncounted_port = uncounted_port

    async def _make_server(self) -> web.Server:
        plain = await super()._make_server()
        return _Server(
            self._connections,
            self._uncounted_port,
            plain.request_handler,
            request_factory=plain.request_factory,
            loop=asyncio.get_running_loop(),
            **self._kwargs,
        )


class _Server(web.Server):
    def __init__(
        self, open_connections: Connections, uncounted_port: int, *args: Any, **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self.open_connections = open_connections
        self.uncounted_port = uncounted_port

    def __call__(self) -> web.RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)


class _Refused(asyncio.Protocol):
    """A connection to which nobody listens any more."""


def _too_many() -> bytes:
    """An answer to whatever will be asked."""
    body = encoded(
        failures.body_of(
            TooManyRequests(
                "your address has too many connections open here; close some of them",
                retry_after_s=_RETRY_CONNECTION_S,
            )
        )
    )
    return (
        "HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nRetry-After: {_RETRY_CONNECTION_S}\r\n"
        "Connection: close\r\n\r\n"
    ).encode() + body


class Connection(web.RequestHandler):
    """A connection as aiohttp serves it, but for how it refuses.

    Attributes:
        when_lost: Called once the peer has gone.
    """

    __slots__ = ("_counts", "_place", "_uncounted_port", "when_lost")

    def __init__(self, manager: _Server, **options: Any) -> None:
        super().__init__(manager, **options)
        self.when_lost: list[Callable[[], object]] = []
        self._counts = manager.open_connections
        self._place = ""
        self._uncounted_port = manager.uncounted_port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody connected."""
        peer = transport.get_extra_info("peername")
        if self._uncounted_port and transport.get_extra_info("sockname")[1] == self._uncounted_port:
            super().connection_made(transport)
            return
        place = self._counts.begin(str(peer[0]) if isinstance(peer, tuple) else "")
        if place is not None:
            self._place = place
            super().connection_made(transport)
            return
        # Whatever is sent meanwhile is read and dropped: what nobody read would reset the
        # connection, and the answer with it.
        transport.set_protocol(_Refused())
        real = cast(asyncio.Transport, transport)
        real.write(_too_many())
        self._loop.call_later(_LINGER_S, real.close)

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection is over."""
        self._counts.end(self._place)
        self._place = ""
        super().connection_lost(exc)
        for call in tuple(self.when_lost):
            call()

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
