"""The door that `short_way` needs in a WebSocket of aiohttp: all that we know of aiohttp's insides.

`pyproject.toml` names the versions for which it was tested; with others `unlike_expected` looks.
"""

import inspect
from collections.abc import Callable
from typing import Any

from aiohttp import WSMsgType, web
from aiohttp._websocket.reader import WebSocketDataQueue, WebSocketReader

MUCH_BYTES = 64 * 1024
"""What may wait in a connection, as in every one of aiohttp: with twice as much it is not read."""

_NEEDED: tuple[tuple[type, str], ...] = (
    (web.WebSocketResponse, "_post_start"),
    (web.WebSocketResponse, "_reader"),
    (web.RequestHandler, "_message_tail"),
    (web.RequestHandler, "_payload_parser"),
)
_TEXT_FRAME = b"\x81\x84\0\0\0\0look"


class Inlet(WebSocketDataQueue):
    """The queue of a connection, which offers each message before it takes it in.

    It is aiohttp's own queue: what waits in it is bounded, and read, as always.

    Args:
        offer: Is given each message, and says whether it is dealt with.
        end: Is told that the connection closes, from either side.
        queue: The one whose place it takes.
    """

    def __init__(
        self, offer: Callable[[bytes], bool], end: Callable[[], None], *queue: Any, loop: Any
    ) -> None:
        super().__init__(*queue, loop=loop)
        self._offer = offer
        self._end = end

    def feed_data(self, data: Any, size: int) -> None:
        """A message, or a control frame, has come."""
        kind = data[0]
        if kind is WSMsgType.TEXT or kind is WSMsgType.BINARY:
            if self._offer(data[1]):
                return
        elif kind is not WSMsgType.PING and kind is not WSMsgType.PONG:
            self._end()
        super().feed_data(data, size)


class InletSocket(web.WebSocketResponse):
    """A WebSocket without compression, with text as bytes, and with an inlet.

    A peer that sends messages together with its upgrade gets none: some of them are read, and
    perhaps the half of one, before there is a place for it.
    """

    def __init__(
        self,
        offer: Callable[[bytes], bool],
        end: Callable[[], None],
        *,
        max_bytes: int,
        ping_every_s: float | None,
    ) -> None:
        super().__init__(
            heartbeat=ping_every_s, compress=False, max_msg_size=max_bytes, decode_text=False
        )
        self._way_in = (offer, end)
        self._max_bytes = max_bytes

    def _post_start(self, request: Any, protocol: Any, writer: Any) -> None:
        """The upgrade is done; whatever comes from now on is for the new parser."""
        handler = request.protocol
        too_late = bool(handler._message_tail)
        super()._post_start(request, protocol, writer)
        if too_late:
            return
        self._reader = Inlet(*self._way_in, handler, MUCH_BYTES, loop=self._loop)
        self._parser = WebSocketReader(
            self._reader, self._max_bytes, compress=False, decode_text=False
        )
        handler._payload_parser = self._parser


def unlike_expected() -> str | None:
    """What in this aiohttp is not as an inlet needs it; None: all is."""
    for owner, name in _NEEDED:
        if not hasattr(owner, name):
            return f"{owner.__name__}.{name} is missing"
    if list(inspect.signature(web.WebSocketResponse._post_start).parameters) != [
        "self",
        "request",
        "protocol",
        "writer",
    ]:
        return "WebSocketResponse._post_start is called in another way"
    came: list[bytes] = []

    def offer(message: bytes) -> bool:
        came.append(message)
        return True

    try:  # they are compiled: what they take shows only when they are made
        inlet = Inlet(offer, came.clear, None, 1, loop=None)
        reader = WebSocketReader(inlet, 64, compress=False, decode_text=False)
    except TypeError as error:
        return str(error)
    reader.feed_data(_TEXT_FRAME)
    return None if came == [b"look"] else "WebSocketReader does not give messages to feed_data"
