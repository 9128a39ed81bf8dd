"""Time as the server sees it; tests bring a clock of their own."""

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Seconds since 1970."""


system_clock: Clock = time.time
"""The machine's clock."""


def milliseconds(clock: Clock) -> int:
    """Now, as stores and the wire write it."""
    return int(clock() * 1000)
