"""What waits to be sent on one WebSocket, and how it is sent.

Every other part of the server only ever says `put`, which never blocks. All frames of one turn of
the event loop leave in one write: that is one system call and one wake-up of the peer, where a call
for each frame would cost more than making the frames. State changes are all kept; once an app has
fallen behind, only the newest frame of a coalescing key (the progress of one job) is; and an app
that has fallen too far behind is disconnected, since it gets everything again when it comes back.
"""

import asyncio
import struct

from aiohttp import WSMsgType, web

from dreamgrid.protocol.socket import CLOSE_TRY_AGAIN

COALESCE_FROM = 64
"""Frames that may wait before progress frames begin to supersede each other."""

MAX_WAITING = 10_000
"""Frames that may wait before the connection is given up."""

MAX_UNREAD_BYTES = 64 * 1024
"""Bytes on their way to the peer beyond which frames wait here, where they can be superseded."""

MAX_WAITING_BYTES = 8 * 1024 * 1024
"""The same in bytes; one frame alone may be larger."""

MAX_REASON_BYTES = 120
"""Longest reason for closing; a close frame has room for 123 bytes."""

_LOOK_AGAIN_S = 0.02
_MIDDLE_HEAD = struct.Struct("!BBH").pack


class Outbox:
    """Sends frames in order.

    Args:
        socket: The connection, after its upgrade.
        transport: What it is made of. Control frames are left to `socket`.
        opcode: Text or binary.
    """

    def __init__(
        self, socket: web.WebSocketResponse, transport: asyncio.Transport, opcode: WSMsgType
    ) -> None:
        self._socket = socket
        self._transport = transport
        self._first_byte = 0x80 | opcode
        self._loop = asyncio.get_running_loop()
        self._frames: dict[int | str, bytes] = {}  # by coalescing key, else by a number of its own
        self._waiting_bytes = 0
        self._count = 0
        self._flushing: asyncio.Handle | None = None
        self._close: tuple[int, str] | None = None
        self._closing = asyncio.Event()

    def put(self, frame: bytes, key: str | None = None) -> None:
        """Queues a frame; with a `key`, it may supersede an unsent one of the same key."""
        if self._close is not None:
            return
        frames = self._frames
        behind = len(frames) >= COALESCE_FROM
        if behind and key is not None:
            # The newer one goes to the end: nothing overtakes.
            self._waiting_bytes -= len(frames.pop(key, b""))
        if len(frames) >= MAX_WAITING or self._waiting_bytes >= MAX_WAITING_BYTES:
            self.close(CLOSE_TRY_AGAIN, "you read too slowly; connect again to catch up")
            return
        self._waiting_bytes += len(frame)
        if behind and key is not None:
            frames[key] = frame
        else:
            self._count += 1
            frames[self._count] = frame
        if self._flushing is None:
            self._flushing = self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = None
        if self._socket.closed or self._transport.is_closing():
            return  # the peer is gone; the reading side ends the session
        if self._transport.get_write_buffer_size() > MAX_UNREAD_BYTES:
            self._flushing = self._loop.call_later(_LOOK_AGAIN_S, self._flush)
            return
        self._send_all()

    def _send_all(self) -> None:
        parts: list[bytes] = []
        for frame in self._frames.values():
            parts.append(self._head(len(frame)))
            parts.append(frame)
        self._frames.clear()
        self._waiting_bytes = 0
        self._transport.write(b"".join(parts))

    def _head(self, size: int) -> bytes:
        """What precedes the payload of a whole, unmasked frame (RFC 6455, 5.2)."""
        if size < 126:
            return bytes((self._first_byte, size))
        if size < 1 << 16:
            return _MIDDLE_HEAD(self._first_byte, 126, size)
        return bytes((self._first_byte, 127)) + size.to_bytes(8, "big")

    def close(self, code: int, reason: str) -> None:
        """Ends the connection after what is queued was sent; the first call decides the code."""
        if self._close is None:
            self._close = (code, reason)
            self._closing.set()

    async def run(self) -> None:
        """Returns when the connection was closed from this side; cancel it when the peer left."""
        await self._closing.wait()
        if self._close is not None and not self._transport.is_closing():
            self._send_all()
            code, reason = self._close
            await self._socket.close(code=code, message=close_reason(reason))


def close_reason(text: str) -> bytes:
    """A reason as a close frame carries it: cut to its limit, between letters."""
    return text.encode()[:MAX_REASON_BYTES].decode(errors="ignore").encode()
