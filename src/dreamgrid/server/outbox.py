"""What waits to be sent on one WebSocket, and the task that sends it.

Every other part of the server only ever says `put`, which never blocks. State changes are all kept;
once an app has fallen behind, only the newest frame of a coalescing key (the progress of one job)
is; and an app that has fallen too far behind is disconnected, since it gets everything again when
it comes back.
"""

import asyncio
from collections import deque

from aiohttp import WSMsgType, web

COALESCE_FROM = 64
"""Frames that may wait before progress frames begin to supersede each other."""

MAX_WAITING = 10_000
"""Frames that may wait before the connection is given up."""

CLOSE_TOO_SLOW = 1013


class Outbox:
    """Sends frames in order, from one task."""

    def __init__(self, socket: web.WebSocketResponse, opcode: WSMsgType) -> None:
        self._socket = socket
        self._opcode = opcode
        self._frames: deque[list[bytes]] = deque()
        self._newest: dict[str, list[bytes]] = {}
        self._ready = asyncio.Event()
        self._close: tuple[int, str] | None = None

    def put(self, frame: bytes, key: str | None = None) -> None:
        """Queues a frame; with a `key`, it may take the place of an unsent one of the same key."""
        if self._close is not None:
            return
        frames = self._frames
        if len(frames) < COALESCE_FROM:
            frames.append([frame])
        elif key is not None and key in self._newest:
            self._newest[key][0] = frame
            return
        elif len(frames) >= MAX_WAITING:
            self.close(CLOSE_TOO_SLOW, "you read too slowly; connect again to catch up")
            return
        else:
            cell = [frame]
            frames.append(cell)
            if key is not None:
                self._newest[key] = cell
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
                while self._frames:
                    frames, self._frames = self._frames, deque()
                    self._newest.clear()
                    for cell in frames:
                        await send(cell[0], opcode)
                if self._close is not None:
                    code, reason = self._close
                    await self._socket.close(code=code, message=reason.encode()[:120])
                    return
        except (ConnectionError, RuntimeError):
            return  # the peer is gone; the reading side ends the session
