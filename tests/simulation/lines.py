"""Connections that delay, lose and cut: the server's side speaks to the real socket code.

Within one connection messages keep their order and none is lost alone, as TCP has it: what gets
lost is everything from some moment on, and both sides notice it at different times, or late.
Beyond that, reports of workers are also repeated, overtaken and lost one by one, which a careless
worker could do.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from aiohttp import WSMsgType

from dreamgrid.server.short_way import ShortWay

OK = 1000
LOST = 1006


@dataclass(frozen=True)
class Weather:
    """How bad the network is; chances are for one message.

    Attributes:
        latency_s: Longest time that most messages take.
        stall: That a message, and all behind it, takes up to `stall_s`.
        cut: That the connection breaks here.
        repeat: That a report of a worker comes twice.
        overtake: That a report of a worker comes late, after others.
        lose: That a report of a worker that is no outcome never comes.
    """

    latency_s: float = 0.02
    stall: float = 0.0
    stall_s: float = 20.0
    cut: float = 0.0
    repeat: float = 0.0
    overtake: float = 0.0
    lose: float = 0.0


FAIR = Weather()


@dataclass(frozen=True)
class Message:
    """What socket code reads."""

    data: bytes
    type: WSMsgType = WSMsgType.TEXT


class Pipe:
    """One direction of a connection, in order."""

    def __init__(self, line: "Line", take: Callable[[bytes], None]) -> None:
        self._line = line
        self._take = take
        self._free_s = 0.0  # when the message before has arrived

    def send(self, data: bytes, *, overtakes: bool = False) -> None:
        line = self._line
        weather, chance = line.weather(), line.chance
        if line.broken:
            return
        if chance.random() < weather.cut:
            line.cut()
            return
        delay_s = chance.uniform(0.0, weather.latency_s)
        if chance.random() < weather.stall:
            delay_s = chance.uniform(0.0, weather.stall_s)
        at_s = line.loop.time() + delay_s
        if not overtakes:
            at_s = self._free_s = max(self._free_s + 1e-6, at_s)  # timers keep no order
        line.loop.call_at(at_s, self._arrive, data)

    def _arrive(self, data: bytes) -> None:
        if not self._line.broken:
            self._take(data)


class Line:
    """A connection between a server and one peer.

    Args:
        chance: Decides what goes wrong.
        weather: How much goes wrong, now.
        take: Called with each message that reaches the peer.
        ended: Called once when the peer notices that the connection is over.
        left: Called once when the server ends it or notices that it is over, with the close code.
    """

    def __init__(
        self,
        chance: random.Random,
        weather: Callable[[], Weather],
        take: Callable[[bytes], None],
        ended: Callable[[], None],
        left: Callable[[int], None] | None = None,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.chance = chance
        self.weather = weather
        self.broken = False
        self.up = Pipe(self, self._reaches_server)
        self.down = Pipe(self, take)
        self.short_way = ShortWay()
        self.inbox: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.close_code: int | None = None
        self._ended: Callable[[], None] | None = ended
        self._left = left

    def _reaches_server(self, data: bytes) -> None:
        if not self.short_way.offer(data):
            self.inbox.put_nowait(data)

    def cut(self) -> None:
        """Both sides hear nothing more, and notice it sooner or later."""
        if not self.broken:
            self.broken = True
            patience_s = self.chance.choice([0.0, 1.0, 60.0])
            self.loop.call_later(self.chance.uniform(0.0, patience_s), self._server_notices, LOST)
            self.loop.call_later(self.chance.uniform(0.0, patience_s), self.peer_notices)

    def hang_up(self) -> None:
        """The peer says goodbye after everything that it has sent."""
        if not self.broken:
            self.loop.call_at(self.up._free_s, self._server_notices, OK)
            self.peer_notices()

    def _server_notices(self, code: int) -> None:
        self.broken = True
        self._is_over(code)

    def _is_over(self, code: int) -> bool:
        """The server's side reads to the end of what has come; whether it was open until now."""
        if self.close_code is not None:
            return False
        self.close_code = code
        self.inbox.put_nowait(None)
        if self._left is not None:
            self._left(code)
        return True

    def close(self, code: int) -> None:
        """The server ends it after everything that it has sent."""
        if self._is_over(code):
            self.loop.call_at(max(self.loop.time(), self.down._free_s), self._closed)

    def _closed(self) -> None:
        self.broken = True
        self.peer_notices()

    def peer_notices(self) -> None:
        """The peer learns that it is over."""
        ended, self._ended = self._ended, None
        if ended is not None:
            ended()


class ServerOutbox:
    """What the server's parts say `put` to."""

    def __init__(self, line: Line, told: Callable[[bytes], None]) -> None:
        self._line = line
        self._told = told
        self._open = True
        self._closing = asyncio.Event()
        self.dead = False

    def put(self, frame: bytes, key: str | None = None) -> None:
        del key
        if self._open and not self.dead:
            self._told(frame)
            if not self.dead:  # the server may have crashed on saying it
                self._line.down.send(frame)

    def close(self, code: int, reason: str) -> None:
        del reason
        if self._open and not self.dead:
            self._open = False
            self._line.close(code)
            self._closing.set()

    async def run(self) -> None:
        await self._closing.wait()


class ServerSocket:
    """What the server's socket code reads from."""

    def __init__(self, line: Line) -> None:
        self._line = line

    @property
    def close_code(self) -> int | None:
        return self._line.close_code

    async def close(self, *, code: int, message: bytes = b"") -> None:
        del message
        self._line.close(code)

    async def __aiter__(self) -> AsyncIterator[Message]:
        while (data := await self._line.inbox.get()) is not None:
            yield Message(data)
