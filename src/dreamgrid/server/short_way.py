"""A short way in for the messages of a WebSocket that can be dealt with at once.

Usually aiohttp puts a message in a queue, which wakes the task of its connection, which takes it
out: a turn of the event loop and some ten calls for each step of each render. Here messages are
offered as soon as aiohttp has read them. What is not taken goes on into its queue, and until its
task has dealt with it so does all that follows: nothing overtakes.

aiohttp has no door for this, so `inlet` makes one. Where that does not fit the aiohttp that is
installed, all messages go the usual way.
"""

from collections.abc import Callable

from aiohttp import web

try:
    from dreamgrid.server.inlet import InletSocket, unlike_expected
except ImportError as error:
    NO_SHORT_WAY: str | None = str(error)
else:
    NO_SHORT_WAY = unlike_expected()
"""Why this aiohttp has no short way; None: it has one."""


class ShortWay:
    """Whether the messages of a connection are dealt with where they arrive.

    Attributes:
        take: Is given a message and says whether it has dealt with it. None: nobody is ready for
            messages.
    """

    def __init__(self) -> None:
        self.take: Callable[[bytes], bool] | None = None
        self._ahead = 0  # messages that wait, or are in the hands of the connection's task
        self._failure: Exception | None = None

    def offer(self, message: bytes) -> bool:
        """Whether a message is dealt with. If not, it must now go the usual way."""
        if not self._ahead and self.take is not None:
            try:
                if self.take(message):
                    return True
            except Exception as error:  # whoever reads the connection must not get it
                self._failure = error
        self._ahead += 1
        return False

    def raise_failure(self) -> None:
        """Raises what `take` raised.

        The task of the connection calls it before it deals with a message that came the usual way,
        and at the end: what was dealt with by half is not dealt with again.
        """
        if self._failure is not None:
            raise self._failure

    def dealt_with(self) -> None:
        """The task of the connection is done with a message that went the usual way."""
        self._ahead -= 1

    def end(self) -> None:
        """The connection closes: no message is taken any more."""
        self._ahead += 1


def socket_with(
    way: ShortWay, *, max_bytes: int, ping_every_s: float | None = None
) -> web.WebSocketResponse:
    """A WebSocket whose messages take the short way where there is one; text is bytes.

    Args:
        way: The way.
        max_bytes: Longest message.
        ping_every_s: How often a silent peer is asked for a sign of life. None: never.
    """
    if NO_SHORT_WAY is None:
        return InletSocket(way.offer, way.end, max_bytes=max_bytes, ping_every_s=ping_every_s)
    return web.WebSocketResponse(
        heartbeat=ping_every_s, compress=False, max_msg_size=max_bytes, decode_text=False
    )
