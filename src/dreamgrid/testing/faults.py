"""What goes wrong on the network and on the disk of a test grid."""

import math
from dataclasses import dataclass

from dreamgrid.errors import InvalidRequest


@dataclass(frozen=True, kw_only=True)
class Faults:
    """What goes wrong; one seed decides where.

    On sockets, of apps and of workers, in both directions; the first message of a connection, the
    greeting, always arrives. And at the server, from the moment on at which it serves.

    Attributes:
        seed: Decides what is hit: the n-th message of each connection, the n-th read or write of
            the server; always the same ones.
        cut: Share of messages at which the connection breaks; the message is lost with it.
        repeat: Share of messages that arrive twice.
        swap: Share of messages that the next one overtakes.
        delay_s: Most real seconds that a message is under way.
        disk_error: Share of the server's writes that fail, as on a full disk; nothing of them is
            stored.
        kill: Share of messages, and of the server's reads and writes, at which the server is
            killed. It comes back with what it had stored. Of the writes, one half is stored before
            it dies, and nobody hears of it.

    Raises:
        InvalidRequest: A share is not between 0 and 1, or the delay below 0.
    """

    seed: int = 0
    cut: float = 0.0
    repeat: float = 0.0
    swap: float = 0.0
    delay_s: float = 0.0
    disk_error: float = 0.0
    kill: float = 0.0

    def __post_init__(self) -> None:
        for name in ("cut", "repeat", "swap", "disk_error", "kill"):
            if not 0 <= getattr(self, name) <= 1:
                raise InvalidRequest(f"{name} is a share: from 0, never, to 1, always")
        if not 0 <= self.delay_s < math.inf:
            raise InvalidRequest("the delay is a number of seconds, 0 or more")
