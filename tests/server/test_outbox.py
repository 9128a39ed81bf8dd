"""What waits for a socket that is slower than the server."""

import asyncio

import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st

from dreamgrid.server import outbox as outbox_module
from dreamgrid.server.outbox import (
    CLOSE_TOO_SLOW,
    COALESCE_FROM,
    MAX_UNREAD_BYTES,
    MAX_WAITING,
    Outbox,
)


class SlowTransport(asyncio.Transport):
    """A transport whose peer reads only when a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = False
        self.gone = False
        self.writes: list[bytes] = []
        self.written = asyncio.Event()

    def get_write_buffer_size(self) -> int:
        return 0 if self.reads else MAX_UNREAD_BYTES + 1

    def is_closing(self) -> bool:
        return self.gone

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))
        self.written.set()

    @property
    def sent(self) -> list[bytes]:
        """The payloads of all frames, which are short here."""
        data, payloads = b"".join(self.writes), []
        while data:
            assert data[0] == 0x80 | WSMsgType.BINARY
            assert data[1] < 126
            payloads.append(data[2 : 2 + data[1]])
            data = data[2 + data[1] :]
        return payloads


class Socket(web.WebSocketResponse):
    """A socket that notes how it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.closed_with: tuple[int, bytes] | None = None

    async def close(self, *, code: int = 1000, message: bytes = b"", drain: bool = True) -> bool:
        self.closed_with = (code, message)
        return True


@pytest.fixture
async def socket() -> Socket:
    return Socket()


@pytest.fixture
async def transport() -> SlowTransport:
    return SlowTransport()


@pytest.fixture
async def outbox(socket: Socket, transport: SlowTransport) -> Outbox:
    """An outbox whose frames all wait."""
    return Outbox(socket, transport, WSMsgType.BINARY)


async def everything_sent(outbox: Outbox, transport: SlowTransport) -> list[bytes]:
    """Lets the peer read, and returns all that it got."""
    transport.reads = True
    outbox.close(1000, "done")
    async with asyncio.timeout(5):
        await outbox.run()
    return transport.sent


async def test_frames_are_sent_in_the_order_in_which_they_were_put(
    outbox: Outbox, transport: SlowTransport
) -> None:
    frames = [f"{number}".encode() for number in range(1_000)]
    for frame in frames:
        outbox.put(frame)
    assert await everything_sent(outbox, transport) == frames


async def test_an_app_that_keeps_up_gets_every_progress(
    outbox: Outbox, transport: SlowTransport
) -> None:
    frames = [f"{number}".encode() for number in range(COALESCE_FROM)]
    for frame in frames:
        outbox.put(frame, key="job")
    assert await everything_sent(outbox, transport) == frames


async def test_an_app_that_has_fallen_behind_gets_only_the_newest_progress(
    outbox: Outbox, transport: SlowTransport
) -> None:
    for number in range(COALESCE_FROM):
        outbox.put(f"state {number}".encode())
    for number in range(1_000):
        outbox.put(f"one {number}".encode(), key="one")
        outbox.put(f"two {number}".encode(), key="two")
    sent = await everything_sent(outbox, transport)
    assert sent[COALESCE_FROM:] == [b"one 999", b"two 999"]


async def test_progress_never_overtakes_a_change_of_state(
    outbox: Outbox, transport: SlowTransport
) -> None:
    for number in range(COALESCE_FROM):
        outbox.put(f"state {number}".encode())
    outbox.put(b"step 5 of the first attempt", key="job")
    outbox.put(b"queued again")
    outbox.put(b"step 1 of the second attempt", key="job")
    sent = await everything_sent(outbox, transport)
    assert sent[COALESCE_FROM:] == [b"queued again", b"step 1 of the second attempt"]


@given(st.lists(st.sampled_from([None, None, "one", "two"]), max_size=20))
def test_whatever_is_put_arrives_in_order_states_whole_and_the_newest_of_each_key(
    keys: list[str | None],
) -> None:
    async def run() -> list[int]:
        transport = SlowTransport()
        outbox = Outbox(Socket(), transport, WSMsgType.BINARY)
        for index, key in enumerate(keys):
            outbox.put(f"{index}".encode(), key)
        sent = await everything_sent(outbox, transport)
        return [int(frame) for frame in sent]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outbox_module, "COALESCE_FROM", 3)
        sent = asyncio.run(run())
    assert sent == sorted(set(sent))
    assert sent[:3] == list(range(len(keys)))[:3]
    for index, key in enumerate(keys):
        newest = key is None or key not in keys[index + 1 :]
        assert index in sent or not newest


async def test_an_app_that_never_reads_is_given_up(
    outbox: Outbox, socket: Socket, transport: SlowTransport
) -> None:
    for number in range(MAX_WAITING + 10):
        outbox.put(f"{number}".encode())
    outbox.close(1001, "too late: the first close decides")
    sent = await everything_sent(outbox, transport)
    assert len(sent) == MAX_WAITING
    assert socket.closed_with is not None
    assert socket.closed_with[0] == CLOSE_TOO_SLOW


async def test_progress_alone_never_fills_the_outbox(
    outbox: Outbox, socket: Socket, transport: SlowTransport
) -> None:
    for number in range(MAX_WAITING * 2):
        outbox.put(f"{number}".encode(), key="job")
    sent = await everything_sent(outbox, transport)
    assert len(sent) == COALESCE_FROM + 1
    assert socket.closed_with == (1000, b"done")


async def test_what_waits_is_sent_before_the_end_and_nothing_after(
    outbox: Outbox, socket: Socket, transport: SlowTransport
) -> None:
    outbox.put(b"last words")
    outbox.close(4015, "replaced")
    outbox.put(b"too late")
    assert await everything_sent(outbox, transport) == [b"last words"]
    assert socket.closed_with == (4015, b"replaced")


async def test_a_long_reason_is_cut_between_letters(
    outbox: Outbox, socket: Socket, transport: SlowTransport
) -> None:
    outbox.close(4400, "x" * 119 + "éé")
    await everything_sent(outbox, transport)
    assert socket.closed_with is not None
    reason = socket.closed_with[1]
    assert len(reason) <= 123
    assert reason.decode() == "x" * 119


async def test_what_waits_leaves_in_one_write_as_soon_as_the_peer_reads(
    outbox: Outbox, transport: SlowTransport
) -> None:
    outbox.put(b"one")
    outbox.put(b"two")
    await asyncio.sleep(0)
    assert not transport.writes
    transport.reads = True
    async with asyncio.timeout(5):
        await transport.written.wait()
    assert transport.sent == [b"one", b"two"]
    assert len(transport.writes) == 1


async def test_nothing_is_written_to_a_peer_that_is_gone(
    outbox: Outbox, socket: Socket, transport: SlowTransport
) -> None:
    transport.reads = transport.gone = True
    outbox.put(b"hello?")
    await asyncio.sleep(0)
    assert await everything_sent(outbox, transport) == []
    assert socket.closed_with is None


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536, 300_000])
async def test_frames_of_any_size_reach_a_real_client(size: int) -> None:
    async def handle(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        assert request.transport is not None
        outbox = Outbox(ws, request.transport, WSMsgType.BINARY)
        outbox.put(b"x" * size)
        outbox.put(b"after it")
        outbox.close(4015, "replaced")
        await outbox.run()
        return ws

    app = web.Application()
    app.router.add_get("/", handle)
    async with TestClient(TestServer(app)) as client, client.ws_connect("/") as ws:
        assert await ws.receive_bytes() == b"x" * size
        assert await ws.receive_bytes() == b"after it"
        assert (await ws.receive()).type is WSMsgType.CLOSE
        assert ws.close_code == 4015
