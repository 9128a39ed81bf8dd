"""What waits for a socket that is slower than the server."""

import asyncio
from collections.abc import Iterator

import pytest
from aiohttp import WSMsgType, web
from hypothesis import given
from hypothesis import strategies as st

from dreamgrid.protocol.socket import CLOSE_TRY_AGAIN
from dreamgrid.server import outbox as outbox_module
from dreamgrid.server.outbox import (
    COALESCE_FROM,
    MAX_UNREAD_BYTES,
    MAX_WAITING,
    MAX_WAITING_BYTES,
    Outbox,
)


class Pipe(asyncio.Transport):
    """A connection whose peer reads only when a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.writes = 0
        self.wrote = asyncio.Event()
        self.unread = 0
        self.gone = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.gone, "nothing may be written to a closed connection"
        self.written += data
        self.writes += bool(data)
        self.wrote.set()

    def get_write_buffer_size(self) -> int:
        return self.unread

    def is_closing(self) -> bool:
        return self.gone

    def frames(self) -> Iterator[bytes]:
        """What the peer reads: every WebSocket frame that was written."""
        data = bytes(self.written)
        while data:
            assert data[0] == 0x80 | WSMsgType.BINARY, "one whole binary frame"
            size, head = data[1], 2
            if size == 126:
                size, head = int.from_bytes(data[2:4], "big"), 4
                assert size > 125, "the shortest form of a length"
            elif size == 127:
                size, head = int.from_bytes(data[2:10], "big"), 10
                assert size > 0xFFFF, "the shortest form of a length"
            yield data[head : head + size]
            data = data[head + size :]


class Socket(web.WebSocketResponse):
    """Notes how it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.closed_with: tuple[int, bytes] | None = None

    async def close(self, *, code: int = 1000, message: bytes = b"", drain: bool = True) -> bool:
        self.closed_with = (code, message)
        return True


class Line:
    """An outbox, its connection, and what its peer got."""

    def __init__(self) -> None:
        self.socket = Socket()
        self.pipe = Pipe()
        self.outbox = Outbox(self.socket, self.pipe, WSMsgType.BINARY)
        self.pipe.unread = MAX_UNREAD_BYTES + 1

    async def read(self) -> list[bytes]:
        """Lets the peer read, closes, and returns all that it got."""
        self.pipe.unread = 0
        self.outbox.close(1000, "done")
        await self.outbox.run()
        return list(self.pipe.frames())


@pytest.fixture
async def line() -> Line:
    return Line()


async def test_frames_arrive_in_the_order_in_which_they_were_put(line: Line) -> None:
    frames = [f"{number}".encode() for number in range(1_000)]
    for frame in frames:
        line.outbox.put(frame)
    assert await line.read() == frames


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 1_000_000])
async def test_a_frame_of_any_length_arrives_whole(line: Line, size: int) -> None:
    frames = [b"x" * size, b"the next"]
    for frame in frames:
        line.outbox.put(frame)
    assert await line.read() == frames


async def test_frames_of_one_turn_leave_in_one_write(line: Line) -> None:
    line.pipe.unread = 0
    for number in range(10):
        line.outbox.put(f"{number}".encode())
    await asyncio.sleep(0)
    assert len(list(line.pipe.frames())) == 10
    assert line.pipe.writes == 1


async def test_frames_leave_as_soon_as_a_slow_peer_has_read(line: Line) -> None:
    line.outbox.put(b"patience")
    await asyncio.sleep(0)
    assert line.pipe.written == b""
    line.pipe.unread = 0
    async with asyncio.timeout(60):
        await line.pipe.wrote.wait()
    assert list(line.pipe.frames()) == [b"patience"]


async def test_an_app_that_keeps_up_gets_every_progress(line: Line) -> None:
    frames = [f"{number}".encode() for number in range(COALESCE_FROM)]
    for frame in frames:
        line.outbox.put(frame, key="job")
    assert await line.read() == frames


async def test_an_app_that_has_fallen_behind_gets_only_the_newest_progress(line: Line) -> None:
    for number in range(COALESCE_FROM):
        line.outbox.put(f"state {number}".encode())
    for number in range(1_000):
        line.outbox.put(f"one {number}".encode(), key="one")
        line.outbox.put(f"two {number}".encode(), key="two")
    assert (await line.read())[COALESCE_FROM:] == [b"one 999", b"two 999"]


async def test_progress_never_overtakes_a_change_of_state(line: Line) -> None:
    for number in range(COALESCE_FROM):
        line.outbox.put(f"state {number}".encode())
    line.outbox.put(b"step 5 of the first attempt", key="job")
    line.outbox.put(b"queued again")
    line.outbox.put(b"step 1 of the second attempt", key="job")
    assert (await line.read())[COALESCE_FROM:] == [
        b"queued again",
        b"step 1 of the second attempt",
    ]


@given(st.lists(st.sampled_from([None, None, "one", "two"]), max_size=20))
def test_whatever_is_put_arrives_in_order_states_whole_and_the_newest_of_each_key(
    keys: list[str | None],
) -> None:
    async def put_all() -> list[int]:
        line = Line()
        for index, key in enumerate(keys):
            line.outbox.put(f"{index}".encode(), key)
        return [int(frame) for frame in await line.read()]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outbox_module, "COALESCE_FROM", 3)
        sent = asyncio.run(put_all())
    assert sent == sorted(set(sent))
    assert sent[:3] == list(range(len(keys)))[:3]
    for index, key in enumerate(keys):
        newest = key is None or key not in keys[index + 1 :]
        assert index in sent or not newest


async def test_an_app_that_never_reads_is_given_up(line: Line) -> None:
    for number in range(MAX_WAITING + 10):
        line.outbox.put(f"{number}".encode())
    line.outbox.close(1001, "too late: the first close decides")
    assert len(await line.read()) == MAX_WAITING
    assert line.socket.closed_with is not None
    assert line.socket.closed_with[0] == CLOSE_TRY_AGAIN


async def test_long_frames_fill_the_outbox_sooner(line: Line) -> None:
    frame = b"x" * (MAX_WAITING_BYTES // 4)
    for _ in range(10):
        line.outbox.put(frame)
    assert len(await line.read()) == 4
    assert line.socket.closed_with is not None
    assert line.socket.closed_with[0] == CLOSE_TRY_AGAIN


async def test_bytes_that_were_superseded_or_sent_no_longer_count(line: Line) -> None:
    frame = b"x" * (MAX_WAITING_BYTES // 100)
    for _ in range(COALESCE_FROM):
        line.outbox.put(b"filler")
    for _ in range(300):
        line.outbox.put(frame, key="job")
    line.outbox._send_all()
    for _ in range(99):
        line.outbox.put(frame)
    assert line.outbox._close is None


async def test_progress_alone_never_fills_the_outbox(line: Line) -> None:
    for number in range(MAX_WAITING * 2):
        line.outbox.put(f"{number}".encode(), key="job")
    assert len(await line.read()) == COALESCE_FROM + 1
    assert line.socket.closed_with == (1000, b"done")


async def test_what_waits_is_sent_before_the_end_and_nothing_after(line: Line) -> None:
    line.outbox.put(b"last words")
    line.outbox.close(4015, "replaced")
    line.outbox.put(b"too late")
    assert await line.read() == [b"last words"]
    assert line.socket.closed_with == (4015, b"replaced")


async def test_a_long_reason_is_cut_between_letters(line: Line) -> None:
    line.outbox.close(4400, "x" * 119 + "éé")
    await line.read()
    assert line.socket.closed_with is not None
    reason = line.socket.closed_with[1]
    assert len(reason) <= 123
    assert reason.decode() == "x" * 119


async def test_nothing_is_written_to_a_peer_that_is_gone(line: Line) -> None:
    line.outbox.put(b"hello?")
    line.pipe.gone = True
    await line.read()
    assert line.pipe.written == b""
    assert line.socket.closed_with is None
