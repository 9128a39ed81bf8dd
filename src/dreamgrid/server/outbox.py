"""What waits to be sent on one WebSocket, and the task that sends it.

Every other part of the server only ever says `put`, which never blocks. State changes are all kept;
once an app has fallen behind, only the newest frame of a coalescing key (the progress of one job)
is; and an app that has fallen too far behind is disconnected, since it gets everything again when
it comes back.
"""

import asyncio

from aiohttp import WSMsgType, web

COALESCE_FROM = 64
"""Frames that may wait before progress frames begin to supersede each other."""

MAX_WAITING = 10_000
"""Frames that may wait before the connection is given up."""

CLOSE_TOO_SLOW = 1013


MAX_REASON_BYTES = 120
"""Longest reason for closing; a close frame has room for 123 bytes."""


class Outbox:
    """Sends frames in order, from one task."""

    def __init__(self, socket: web.WebSocketResponse, opcode: WSMsgType) -> None:
        self._socket = socket
        self._opcode = opcode
        self._waiting: dict[int | str, bytes] = {}  # by coalescing key, else by a number of its own
        self._put = 0
        self._ready = asyncio.Event()
        self._close: tuple[int, str] | None = None

    def put(self, frame: bytes, key: str | None = None) -> None:
        """Queues a frame; with a `key`, it may supersede an unsent one of the same key."""
        if self._close is not None:
            return
        waiting = self._waiting
        if key is not None and len(waiting) >= COALESCE_FROM:
            waiting.pop(key, None)  # the newer one goes to the end: nothing overtakes
        if len(waiting) >= MAX_WAITING:
            self.close(CLOSE_TOO_SLOW, "you read too slowly; connect again to catch up")
            return
        if key is None or len(waiting) < COALESCE_FROM:
            self._put += 1
            waiting[self._put] = frame
        else:
            waiting[key] = frame
        self._ready.set()

    def close(self, code: int, reason: str) -> None:
        """Ends the connection after what is queued was sent; the first call decides the code."""
        if self._close is None:
            self._close = (code, reason)
            self._ready.set()

    async def run(self) -> None:
        """Sends until the connection ends; returns when it was closed from either side."""
        send, opcode = self._socket.send_frame, self._opcode
        try:
            while True:
                await self._ready.wait()
                self._ready.clear()
                while self._waiting:
                    frames, self._waiting = self._waiting, {}
                    for frame in frames.values():
                        await send(frame, opcode)
                if self._close is not None:
                    code, reason = self._close
                    await self._socket.close(code=code, message=close_reason(reason))
                    return
        except (ConnectionError, RuntimeError):
            return  # the peer is gone; the reading side ends the session


def close_reason(text: str) -> bytes:
    """A reason as a close frame carries it: cut to its limit, between letters."""
    return text.encode()[:MAX_REASON_BYTES].decode(errors="ignore").encode()
