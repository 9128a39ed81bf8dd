"""A node that does not coordinate: it hands every request and socket on to the one that does.

It keeps nothing that matters. Each relayed connection has one to the coordinator behind it, so
order and backpressure are those of TCP. When another node takes over, sockets are closed, and
whoever held them connects again; requests that change nothing are asked again there.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial

import aiohttp
from aiohttp import ClientWebSocketResponse, WSMsgType, web
from multidict import CIMultiDict
from yarl import URL

from dreamgrid.errors import ServerRestarting
from dreamgrid.protocol import codec, socket
from dreamgrid.protocol.rest_about import Health
from dreamgrid.protocol.worker import WORKER_PATH
from dreamgrid.server import loop_lag, relays
from dreamgrid.server.addresses import Networks, place
from dreamgrid.server.exposition import Relayed, exposed_relay
from dreamgrid.server.http import (
    BODY_WITHIN_S,
    Refused,
    add_cors_headers,
    bare_answer,
    errors_middleware,
    is_websocket,
)
from dreamgrid.server.long_answers import told_when_lost
from dreamgrid.server.openai.errors import openai_errors
from dreamgrid.server.openai.forms import FORM
from dreamgrid.server.outbox import close_reason
from dreamgrid.server.release import version
from dreamgrid.server.routes.health import metrics_answer

HOLD_S = 10.0
"""How long a request waits for a coordinator before it is refused."""

CONNECT_S = 2.0
RETRY_S = 0.1
MAX_WHOLE_BYTES = 1024 * 1024
"""Answers up to this size are read before a byte of them is passed on; longer ones flow through."""

CLOSE_NO_CODE = 3000
"""Stands for a close frame without a code, which cannot be sent with one."""

_MOVED = "another node of this grid takes over; connect again"
_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS"})
_METRICS = "/metrics"
_PROBES = frozenset({"/healthz", "/readyz"})
_HOPS = frozenset(
    {
        "connection",
        "content-encoding",  # of a request: it was decoded here
        "content-length",
        "expect",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_OF_ANSWERS = _HOPS - {"content-encoding", "content-length"}
_OWN = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
_PASSED = (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.PING, WSMsgType.PONG)

Here = web.WebSocketResponse[bool]
There = ClientWebSocketResponse[bool]
Body = bytes | aiohttp.StreamReader
"""Of a request; forms with files flow through."""

Goodbye = tuple[int, str]


class Gateway:
    """See the module's text.

    Args:
        secret: Of the nodes; marks what is handed on.
        own_node: Where the others reach this node.
        proxies: Whose word about where a request comes from counts.
        max_body_bytes: Longest body of a request.
    """

    def __init__(self, secret: str, own_node: str, proxies: Networks, max_body_bytes: int) -> None:
        self._secret = secret
        self._own_node = own_node
        self._proxies = proxies
        self._max_body_bytes = max_body_bytes
        self._node = ""
        self._known = asyncio.Event()
        self._underway: set[asyncio.Timeout] = set()
        self._stopping = False
        self._told = Relayed()
        self._session: aiohttp.ClientSession

    @asynccontextmanager
    async def application(self) -> AsyncIterator[web.Application]:
        """What serves the callers of this node, for as long as the block runs."""
        async with _session(aiohttp.TCPConnector(limit=0)) as self._session:
            app = web.Application(
                client_max_size=self._max_body_bytes,
                middlewares=[openai_errors, errors_middleware],
            )
            app.on_response_prepare.append(add_cors_headers)
            app.router.add_route("*", "/{path:.*}", self._handle)
            following = asyncio.create_task(loop_lag.follow(self._told.loop_lag), name="lag")
            try:
                yield app
            finally:
                following.cancel()

    def point(self, node: str) -> None:
        """From now on this node coordinates; what is under way at another one has failed."""
        if node != self._node:
            self._node = node
            self._known.set()
            self._end_relays()

    def close(self) -> None:
        """Ends what is under way; whoever has a socket here connects again, elsewhere."""
        self._stopping = True
        self._end_relays()

    def _end_relays(self) -> None:
        now_s = asyncio.get_running_loop().time()
        for relay in self._underway:
            with suppress(RuntimeError):  # it ends already, for a change just before this one
                relay.reschedule(now_s)

    @contextmanager
    def _while_it_coordinates(self, relay: asyncio.Timeout) -> Iterator[None]:
        self._underway.add(relay)
        try:
            yield
        finally:
            self._underway.discard(relay)

    async def _coordinator(self, until_s: float) -> str:
        """Where requests go.

        Raises:
            ServerRestarting: No node coordinates for now.
        """
        try:
            async with asyncio.timeout_at(until_s):
                await self._known.wait()
        except TimeoutError:
            raise _nobody() from None
        if self._stopping:
            raise ServerRestarting("this node is stopping; send the request again")
        return self._node

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if relays.caller_of(request, self._secret) is not None:
            raise _nobody()  # from a node that takes this one for the coordinator
        if is_websocket(request):
            return await self._relay_socket(request)
        if request.path == _METRICS and request.method == "GET":
            return await self._own_metrics(request)
        if request.path not in _PROBES:
            return await self._relay(request, HOLD_S)
        try:
            return await self._relay(request, 0)
        except ServerRestarting:
            if request.path != "/healthz":
                raise
            return bare_answer(Health(version=version(), workers=0))

    async def _own_metrics(self, request: web.Request) -> web.StreamResponse:
        """Each node tells its own; whether the caller may know them, the coordinator says."""
        # Who connected before this node took over is still served here, and is told of the grid.
        if self._node != self._own_node:
            permission = await self._relay(request, 0, method="HEAD")
            if permission.status == 200:
                return metrics_answer(partial(exposed_relay, self._told))
        return await self._relay(request, 0)

    def _headers(self, request: web.Request) -> CIMultiDict[str]:
        kept = [pair for pair in request.headers.items() if pair[0].lower() not in _HOPS]
        headers = CIMultiDict(kept)
        said = request.headers.get("X-Forwarded-For", "")
        asking = place(self._proxies.behind(request.remote or "", said))
        headers[relays.HEADER] = relays.header(self._secret, asking)
        return headers

    # ── requests ─────────────────────────────────────────────────────────────────────────────────

    async def _relay(
        self, request: web.Request, hold_s: float, method: str = ""
    ) -> web.StreamResponse:
        """The coordinator's answer to a request, or to its like with another method.

        When the caller hangs up, so does this node: the coordinator may wait for a render.
        """
        body = request.content if request.content_type == FORM else await _whole(request)
        task = asyncio.current_task()
        assert task is not None
        with told_when_lost(request, task.cancel):
            return await self._answer(request, body, hold_s, method or request.method)

    async def _answer(
        self, request: web.Request, body: Body, hold_s: float, method: str
    ) -> web.StreamResponse:
        self._told.requests += 1
        loop = asyncio.get_running_loop()
        until_s = loop.time() + hold_s
        while True:
            node = await self._coordinator(until_s)
            try:
                async with asyncio.timeout(None) as relay:
                    with self._while_it_coordinates(relay):
                        return await self._ask(request, body, node, method)
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
                pass  # nobody heard of it
            except (aiohttp.ClientError, OSError, TimeoutError):
                if request.method not in _REPEATABLE:
                    raise ServerRestarting(
                        "the node that coordinates this grid went away; whether it has done this "
                        "is not known: look before you send it again"
                    ) from None
            if loop.time() >= until_s:
                raise _nobody()
            await asyncio.sleep(RETRY_S)

    async def _ask(
        self, request: web.Request, body: Body, node: str, method: str
    ) -> web.StreamResponse:
        async with self._session.request(
            method,
            _url(node, request),
            headers=self._headers(request),
            skip_auto_headers=_OWN,
            data=body or None,
            allow_redirects=False,
        ) as answer:
            headers = CIMultiDict(
                pair for pair in answer.headers.items() if pair[0].lower() not in _OF_ANSWERS
            )
            size = answer.content_length
            if method == "HEAD":
                response: web.StreamResponse = web.StreamResponse(
                    status=answer.status, reason=answer.reason, headers=headers
                )
                if request.method == method:
                    await response.prepare(request)
                return response
            if size is not None and size <= MAX_WHOLE_BYTES:
                headers.popall("Content-Length", None)
                return web.Response(
                    status=answer.status,
                    reason=answer.reason,
                    headers=headers,
                    body=await answer.read(),
                )
            response = web.StreamResponse(
                status=answer.status, reason=answer.reason, headers=headers
            )
            await response.prepare(request)
            try:
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
                await response.write_eof()
            except (aiohttp.ClientError, OSError, TimeoutError, asyncio.CancelledError):
                # An answer has begun; only a broken connection tells that it is not whole.
                if request.transport is not None:
                    request.transport.abort()
                if self._stopping or node != self._node:
                    return response
                raise
            return response

    # ── sockets ──────────────────────────────────────────────────────────────────────────────────

    async def _relay_socket(self, request: web.Request) -> web.StreamResponse:
        most = codec.MAX_CLIENT_MESSAGE_BYTES
        if request.path == WORKER_PATH:
            most = codec.MAX_WORKER_MESSAGE_BYTES
        here: Here = web.WebSocketResponse(
            compress=False, max_msg_size=most, autoping=False, autoclose=False, decode_text=False
        )
        if not here.can_prepare(request):
            raise web.HTTPBadRequest(text="this is no WebSocket upgrade that can be read")
        # A connection of its own, which breaks when this one does: that says how a peer went away.
        connector = aiohttp.TCPConnector(limit=1, force_close=True)
        async with _session(connector) as session:
            there = await self._dial(request, session)
            await here.prepare(request)
            goodbye, lost = await self._converse(here, there)
            if goodbye is None:
                goodbye = (socket.CLOSE_RESTART, _MOVED)
            code, reason = goodbye
            if not lost:
                await there.close(code=code, message=close_reason(reason))
            await connector.close()
            await here.close(code=code, message=close_reason(reason))
        return here

    async def _dial(self, request: web.Request, session: aiohttp.ClientSession) -> There:
        """The coordinator's end of a socket."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + HOLD_S
        headers = self._headers(request)
        for name in list(headers):
            if name.lower().startswith("sec-websocket-"):
                headers.popall(name, None)
        while True:
            node = await self._coordinator(until_s)
            try:
                async with asyncio.timeout_at(until_s) as relay:
                    with self._while_it_coordinates(relay):
                        return await session.ws_connect(
                            _url(node, request),
                            headers=headers,
                            autoping=False,
                            autoclose=False,
                            max_msg_size=0,
                            decode_text=False,
                        )
            except (aiohttp.ClientError, OSError, TimeoutError):
                if loop.time() >= until_s:
                    raise _nobody() from None
            await asyncio.sleep(RETRY_S)

    async def _converse(self, here: Here, there: There) -> tuple[Goodbye | None, bool]:
        """Passes frames on until one side ends; what it said, and whether it went without a word.

        What the coordinator does not say goodbye to is to be connected again.
        """
        self._told.sockets += 1
        up = asyncio.create_task(_pass(here, there), name="relay-up")
        down = asyncio.create_task(_pass(there, here), name="relay-down")
        try:
            async with asyncio.timeout(None) as relay:
                with self._while_it_coordinates(relay):
                    await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            return None, not self._stopping
        finally:
            self._told.sockets -= 1
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
        first = down if down.done() and not down.cancelled() else up
        said = first.result() if first.exception() is None else None
        return said, said is None


async def _pass(source: Here | There, target: Here | There) -> Goodbye | None:
    """Passes frames on until `source` closes; None: its connection broke."""
    while True:
        message = await source.receive()
        if message.type in _PASSED:
            await target.send_frame(message.data, message.type)
        elif message.type is WSMsgType.CLOSE:
            return message.data or CLOSE_NO_CODE, str(message.extra or "")
        else:
            return None


@asynccontextmanager
async def _session(connector: aiohttp.TCPConnector) -> AsyncIterator[aiohttp.ClientSession]:
    """Connections to the coordinator, which change nothing of what passes."""
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
        auto_decompress=False,
    ) as session:
        yield session


async def _whole(request: web.Request) -> bytes:
    """The body of a request.

    Raises:
        Refused: It is too large, or takes too long.
    """
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            return await request.read()
    except TimeoutError:
        raise Refused(408, f"the body took longer than {BODY_WITHIN_S:g} seconds") from None


def _url(node: str, request: web.Request) -> URL:
    return URL(f"http://{node}{request.rel_url.raw_path_qs}", encoded=True)


def _nobody() -> ServerRestarting:
    return ServerRestarting("no node of this grid coordinates it for now; try again in a moment")
