"""What waits for a socket that is slower than the server."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import WSMsgType, web
from hypothesis import given
from hypothesis import strategies as st

from dreamgrid.server import outbox as outbox_module
from dreamgrid.server.outbox import CLOSE_TOO_SLOW, COALESCE_FROM, MAX_WAITING, Outbox


class SlowSocket(web.WebSocketResponse):
    """A socket whose peer reads only when a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.closed_with: tuple[int, bytes] | None = None
        self.ended = asyncio.Event()
        self.reads = asyncio.Event()
        self.gone = False

    async def send_frame(
        self, message: bytes, opcode: WSMsgType, compress: int | None = None
    ) -> None:
        await self.reads.wait()
        if self.gone:
            raise ConnectionResetError
        assert opcode is WSMsgType.BINARY
        self.sent.append(message)

    async def close(self, *, code: int = 1000, message: bytes = b"", drain: bool = True) -> bool:
        self.closed_with = (code, message)
        self.ended.set()
        return True


@pytest.fixture
async def socket() -> SlowSocket:
    return SlowSocket()


@pytest.fixture
async def outbox(socket: SlowSocket) -> AsyncIterator[Outbox]:
    """An outbox whose frames all wait."""
    outbox = Outbox(socket, WSMsgType.BINARY)
    sender = asyncio.create_task(outbox.run())
    yield outbox
    socket.reads.set()
    outbox.close(1000, "")
    await sender


async def everything_sent(outbox: Outbox, socket: SlowSocket) -> list[bytes]:
    """Lets the peer read, and returns all that it got."""
    socket.reads.set()
    outbox.close(1000, "done")
    async with asyncio.timeout(5):
        await socket.ended.wait()
    return socket.sent


async def test_frames_are_sent_in_the_order_in_which_they_were_put(
    outbox: Outbox, socket: SlowSocket
) -> None:
    frames = [f"{number}".encode() for number in range(1_000)]
    for frame in frames:
        outbox.put(frame)
    assert await everything_sent(outbox, socket) == frames


async def test_an_app_that_keeps_up_gets_every_progress(outbox: Outbox, socket: SlowSocket) -> None:
    frames = [f"{number}".encode() for number in range(COALESCE_FROM)]
    for frame in frames:
        outbox.put(frame, key="job")
    assert await everything_sent(outbox, socket) == frames


async def test_an_app_that_has_fallen_behind_gets_only_the_newest_progress(
    outbox: Outbox, socket: SlowSocket
) -> None:
    for number in range(COALESCE_FROM):
        outbox.put(f"state {number}".encode())
    for number in range(1_000):
        outbox.put(f"one {number}".encode(), key="one")
        outbox.put(f"two {number}".encode(), key="two")
    sent = await everything_sent(outbox, socket)
    assert sent[COALESCE_FROM:] == [b"one 999", b"two 999"]


async def test_progress_never_overtakes_a_change_of_state(
    outbox: Outbox, socket: SlowSocket
) -> None:
    for number in range(COALESCE_FROM):
        outbox.put(f"state {number}".encode())
    outbox.put(b"step 5 of the first attempt", key="job")
    outbox.put(b"queued again")
    outbox.put(b"step 1 of the second attempt", key="job")
    sent = await everything_sent(outbox, socket)
    assert sent[COALESCE_FROM:] == [b"queued again", b"step 1 of the second attempt"]


@given(st.lists(st.sampled_from([None, None, "one", "two"]), max_size=20))
def test_whatever_is_put_arrives_in_order_states_whole_and_the_newest_of_each_key(
    keys: list[str | None],
) -> None:
    async def run() -> list[int]:
        socket = SlowSocket()
        outbox = Outbox(socket, WSMsgType.BINARY)
        sender = asyncio.create_task(outbox.run())
        for index, key in enumerate(keys):
            outbox.put(f"{index}".encode(), key)
        sent = await everything_sent(outbox, socket)
        await sender
        return [int(frame) for frame in sent]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outbox_module, "COALESCE_FROM", 3)
        sent = asyncio.run(run())
    assert sent == sorted(set(sent))
    assert sent[:3] == list(range(len(keys)))[:3]
    for index, key in enumerate(keys):
        newest = key is None or key not in keys[index + 1 :]
        assert index in sent or not newest


async def test_an_app_that_never_reads_is_given_up(outbox: Outbox, socket: SlowSocket) -> None:
    for number in range(MAX_WAITING + 10):
        outbox.put(f"{number}".encode())
    outbox.close(1001, "too late: the first close decides")
    sent = await everything_sent(outbox, socket)
    assert len(sent) == MAX_WAITING
    assert socket.closed_with is not None
    assert socket.closed_with[0] == CLOSE_TOO_SLOW


async def test_progress_alone_never_fills_the_outbox(outbox: Outbox, socket: SlowSocket) -> None:
    for number in range(MAX_WAITING * 2):
        outbox.put(f"{number}".encode(), key="job")
    sent = await everything_sent(outbox, socket)
    assert len(sent) == COALESCE_FROM + 1
    assert socket.closed_with == (1000, b"done")


async def test_what_waits_is_sent_before_the_end_and_nothing_after(
    outbox: Outbox, socket: SlowSocket
) -> None:
    outbox.put(b"last words")
    outbox.close(4015, "replaced")
    outbox.put(b"too late")
    assert await everything_sent(outbox, socket) == [b"last words"]
    assert socket.closed_with == (4015, b"replaced")


async def test_a_long_reason_is_cut_between_letters(outbox: Outbox, socket: SlowSocket) -> None:
    outbox.close(4400, "x" * 119 + "éé")
    await everything_sent(outbox, socket)
    assert socket.closed_with is not None
    reason = socket.closed_with[1]
    assert len(reason) <= 123
    assert reason.decode() == "x" * 119


async def test_a_peer_that_is_gone_ends_the_sender(socket: SlowSocket) -> None:
    outbox = Outbox(socket, WSMsgType.BINARY)
    sender = asyncio.create_task(outbox.run())
    socket.gone = True
    socket.reads.set()
    outbox.put(b"hello?")
    async with asyncio.timeout(5):
        await sender
