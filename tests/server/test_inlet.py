"""The door into aiohttp's WebSocket, and what is looked at before it is used."""

import asyncio
from collections.abc import Callable

import pytest
from aiohttp import WSMsgType, web
from aiohttp._websocket.reader import WebSocketDataQueue, WebSocketReader
from aiohttp.base_protocol import BaseProtocol

from dreamgrid.server import inlet
from dreamgrid.server.inlet import MUCH_BYTES, Inlet, unlike_expected
from tests.support.wire import PATIENCE_S

DATA = b"x" * 100
MESSAGE = b"\x81\xe4\0\0\0\0" + DATA
CLOSE = b"\x88\x80\0\0\0\0"
PING = b"\x89\x80\0\0\0\0"


async def opened(
    offer: Callable[[bytes], bool], end: Callable[[], None] = lambda: None
) -> tuple[Inlet, WebSocketReader, BaseProtocol]:
    protocol = await upgraded()
    queue = Inlet(offer, end, protocol, MUCH_BYTES, loop=asyncio.get_running_loop())
    return queue, WebSocketReader(queue, 1024, compress=False, decode_text=False), protocol


async def upgraded() -> BaseProtocol:
    protocol = BaseProtocol(asyncio.get_running_loop())
    protocol._upgraded = True
    return protocol


async def test_what_waits_is_bounded_as_aiohttp_does_it() -> None:
    """As for a peer that nobody knows yet: nothing of it is taken, however much comes at once."""
    own_protocol = await upgraded()
    own = WebSocketDataQueue(own_protocol, MUCH_BYTES, loop=asyncio.get_running_loop())
    queue, reader, protocol = await opened(lambda message: False)
    own_reader = WebSocketReader(own, 1024, compress=False, decode_text=False)
    flood = MESSAGE * 10_000
    own_reader.feed_data(flood)
    reader.feed_data(flood)
    assert protocol._reading_paused
    assert own_protocol._reading_paused
    assert len(queue._buffer) == len(own._buffer)
    async with asyncio.timeout(PATIENCE_S):
        for _ in range(10_000):  # what was held back comes as there is room, and none is lost
            assert (await queue.read()).data == DATA
    assert not protocol._reading_paused


async def test_what_is_taken_is_not_counted() -> None:
    queue, reader, protocol = await opened(lambda message: True)
    reader.feed_data(MESSAGE * 10_000)
    assert not protocol._reading_paused
    assert not queue._buffer


async def test_an_end_is_told_and_a_ping_is_none() -> None:
    told: list[str] = []
    queue, reader, _ = await opened(lambda message: True, lambda: told.append("end"))
    reader.feed_data(PING)
    assert told == []
    reader.feed_data(CLOSE)
    assert told == ["end"]
    assert [(await queue.read()).type for _ in range(2)] == [WSMsgType.PING, WSMsgType.CLOSE]


def test_this_aiohttp_is_as_expected() -> None:
    assert unlike_expected() is None


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(web.WebSocketResponse, "_post_start")
    assert unlike_expected() == "WebSocketResponse._post_start is missing"


def test_another_way_to_call_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web.WebSocketResponse, "_post_start", lambda self, request: None)
    assert "_post_start" in str(unlike_expected())


class Demanding:
    """A parser that wants to know something else."""

    def __init__(self, queue: object, *, size: int) -> None:
        del queue, size


class Silent:
    """A parser that hands messages on by another way."""

    def __init__(self, queue: object, size: int, **options: bool) -> None:
        del queue, size, options

    def feed_data(self, data: bytes) -> None:
        del data


@pytest.mark.parametrize(("parser", "why"), [(Demanding, "argument"), (Silent, "does not give")])
def test_another_parser_is_seen(monkeypatch: pytest.MonkeyPatch, parser: type, why: str) -> None:
    monkeypatch.setattr(inlet, "WebSocketReader", parser)
    assert why in str(unlike_expected())
