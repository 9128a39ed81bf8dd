"""A bad network between a grid and everybody who uses it; one seed decides what goes wrong.

Everything passes a small proxy. While a connection lasts a network loses nothing, so what is lost
here is lost as out there: the connection breaks, and what was on its way is gone.
"""

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import aiohttp
from aiohttp import WSMsgType, web

from dreamgrid.server.listening import cannot_listen
from dreamgrid.testing.faults import Faults

HOST = "127.0.0.1"
HELD_BACK_S = 0.1
"""How long a message waits for the one that is to overtake it."""

_HOPS = frozenset({"connection", "host", "keep-alive", "transfer-encoding", "upgrade"})
_BAD_GATEWAY = 502

Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


class BadNetwork:
    """The proxy.

    Attributes:
        faults: What goes wrong from now on; may be changed at any time.
        url: Its address.
        target: Address of the server behind it.
        kill: Called in the moment in which the server has to die.
    """

    def __init__(self, faults: Faults, http: aiohttp.ClientSession) -> None:
        self.faults = faults
        self.url = ""
        self.target = ""
        self.kill: Callable[[], None] = lambda: None
        self._open: set[asyncio.BaseTransport] = set()
        self._http = http
        self._connections = 0
        self._runner: web.AppRunner | None = None

    async def start(self, port: int = 0) -> None:
        """Listens.

        Args:
            port: Where. 0: at a free one.

        Raises:
            ConfigError: The port is in use.
        """
        app = web.Application(client_max_size=2**32)
        app.router.add_route("*", "/{path:.*}", self._pass_on)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, HOST, port).start()
        except OSError as error:
            raise cannot_listen(HOST, port, "--port", error) from None
        self.url = f"http://{HOST}:{self._runner.addresses[0][1]}"

    async def close(self) -> None:
        """Ends every connection."""
        if self._runner is not None:
            await self._runner.cleanup()

    def cut_all(self) -> None:
        """Breaks every connection in this moment; what is on its way is lost."""
        for transport in tuple(self._open):
            if isinstance(transport, asyncio.Transport):
                transport.abort()

    @contextmanager
    def _cuttable(self, *transports: asyncio.BaseTransport | None) -> Iterator[None]:
        found = {one for one in transports if one is not None}
        self._open |= found
        try:
            yield
        finally:
            self._open -= found

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        headers = dict(request.headers)
        for name in list(headers):
            if name.lower() in _HOPS or name.lower().startswith("sec-websocket"):
                del headers[name]
        try:
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return await self._socket(request, headers)
            with self._cuttable(request.transport):
                return await self._answer(request, headers)
        except aiohttp.ClientError as error:  # such as while the server is stopped
            return web.Response(status=_BAD_GATEWAY, text=f"no server behind this network: {error}")

    async def _answer(self, request: web.Request, headers: dict[str, str]) -> web.StreamResponse:
        body = request.content if request.can_read_body else None
        asked = self._http.request(
            request.method,
            self.target + request.raw_path,
            headers=headers,
            data=body,
            allow_redirects=False,
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),
        )
        async with asked as answer:
            response = web.StreamResponse(status=answer.status, reason=answer.reason)
            for name, value in answer.headers.items():
                if name.lower() not in _HOPS:
                    response.headers.add(name, value)
            await response.prepare(request)
            async for part in answer.content.iter_any():
                await response.write(part)
            return response

    async def _socket(self, request: web.Request, headers: dict[str, str]) -> web.StreamResponse:
        there = await self._http.ws_connect(
            self.target + request.raw_path, headers=headers, max_msg_size=0, autoclose=False
        )
        here = web.WebSocketResponse(max_msg_size=0, compress=False, autoclose=False)
        await here.prepare(request)
        self._connections += 1
        number = self._connections
        pumps = [
            asyncio.create_task(self._pump(there, here, f"{number} down")),
            asyncio.create_task(self._pump(here, there, f"{number} up")),
        ]
        with self._cuttable(there._writer.transport, request.transport):
            _, late = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        broken = [task.exception() for task in pumps if not task.cancelled()]
        if any(broken):  # it was cut
            _abort(there)
            if request.transport is not None:
                request.transport.abort()
            return here
        await asyncio.gather(
            there.close(code=here.close_code or aiohttp.WSCloseCode.OK),
            here.close(code=there.close_code or aiohttp.WSCloseCode.OK),
        )
        return here

    async def _pump(self, source: Socket, target: Socket, name: str) -> None:
        """Carries messages one way until the connection ends.

        Raises:
            ConnectionResetError: It was cut.
        """
        chances: dict[int, random.Random] = {}
        held: aiohttp.WSMessage | None = None
        greeting = True
        while True:
            try:
                message = await source.receive(timeout=HELD_BACK_S if held else None)
            except TimeoutError:
                assert held is not None
                await _send(target, held)
                held = None
                continue
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                if held is not None:
                    await _send(target, held)
                return
            faults = Faults() if greeting else self.faults
            greeting = False
            chance = chances.setdefault(faults.seed, random.Random(f"{faults.seed} {name}"))  # noqa: S311
            repeated, swapped = await self._under_way(faults, chance)
            if held is None and swapped:
                held = message
                continue
            await _send(target, message)
            if repeated:
                await _send(target, message)
            if held is not None:
                await _send(target, held)
                held = None

    async def _under_way(self, faults: Faults, chance: random.Random) -> tuple[bool, bool]:
        """What happens to a message; whether it arrives twice, and whether another overtakes it.

        Raises:
            ConnectionResetError: It was lost.
        """
        cut, repeat, swap, delay, kill = (chance.random() for _ in range(5))
        if kill < faults.kill:
            self.kill()
        if cut < faults.cut or kill < faults.kill:
            raise ConnectionResetError("the connection was cut")
        if faults.delay_s:
            await asyncio.sleep(delay * faults.delay_s)
        return repeat < faults.repeat, swap < faults.swap


async def _send(socket: Socket, message: aiohttp.WSMessage) -> None:
    if message.type is WSMsgType.TEXT:
        await socket.send_str(message.data)
    else:
        await socket.send_bytes(message.data)


def _abort(socket: aiohttp.ClientWebSocketResponse) -> None:
    transport = socket._writer.transport
    if transport is not None:
        transport.abort()
