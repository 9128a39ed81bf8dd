"""A short way in for the messages of a WebSocket that can be dealt with at once.

Usually aiohttp puts a message in a queue, which wakes the task of its connection, which takes it
out: a turn of the event loop and some ten calls for each step of each render. Here messages are
offered as soon as aiohttp has read them. What is not taken goes on into its queue, and until its
task has dealt with it so does all that follows: nothing overtakes.

aiohttp has no door for this, so `short_way` puts something between its parser and its queue.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from aiohttp import WSMsgType, web
from aiohttp._websocket.reader import WebSocketDataQueue, WebSocketReader

_NO_LIMIT = 1 << 30  # of what waits; the queue behind has one


class ShortWay:
    """Whether the messages of a connection are dealt with where they arrive.

    Attributes:
        take: Is given a message and says whether it has dealt with it. What it raises is not lost:
            the same message then goes the usual way, where the same is raised again. None: nobody
            is ready for messages.
    """

    def __init__(self) -> None:
        self.take: Callable[[bytes], bool] | None = None
        self._ahead = 0  # messages that wait, or are in the hands of the connection's task

    def offer(self, message: bytes) -> bool:
        """Whether a message is dealt with. If not, it must now go the usual way."""
        if not self._ahead and self.take is not None:
            with suppress(Exception):
                if self.take(message):
                    return True
        self._ahead += 1
        return False

    def dealt_with(self) -> None:
        """The task of the connection is done with a message that went the usual way."""
        self._ahead -= 1


class _Inlet(WebSocketDataQueue):
    """Stands before the queue that aiohttp made for a connection."""

    def __init__(self, way: ShortWay, request: web.Request, behind: WebSocketDataQueue) -> None:
        super().__init__(request.protocol, _NO_LIMIT, loop=asyncio.get_running_loop())
        self._way = way
        self._behind = behind

    def feed_data(self, data: Any, size: int) -> None:
        """A message, or a control frame, has come."""
        is_message = data[0] is WSMsgType.TEXT or data[0] is WSMsgType.BINARY
        if not (is_message and self._way.offer(data[1])):
            self._behind.feed_data(data, size)

    def feed_eof(self) -> None:
        """Nothing more will come."""
        self._behind.feed_eof()

    def set_exception(self, *error: BaseException) -> None:
        """What came cannot be read."""
        self._behind.set_exception(*error)


def short_way(ws: web.WebSocketResponse, request: web.Request, *, max_bytes: int) -> ShortWay:
    """The short way into a connection; call it right after the upgrade.

    Args:
        ws: The connection, without compression and with text as bytes.
        request: Its upgrade.
        max_bytes: Longest message.
    """
    way = ShortWay()
    assert ws._reader is not None, "the upgrade is done"
    inlet = _Inlet(way, request, ws._reader)
    request.protocol._payload_parser = WebSocketReader(
        inlet, max_bytes, compress=False, decode_text=False
    )
    return way
