"""How long something takes, on whatever machine."""

import time
from pathlib import Path
from types import TracebackType

_PRESSURE = Path("/proc/pressure")


class Stopwatch:
    """Measures a block of code, without the time in which this machine was short of something.

    Linux counts for how long anything had to wait for a processor or a disk. A promise about time
    is thereby held to where the time is the program's own, and a busy machine breaks none. Where
    nobody counts, all of the time counts.

    Attributes:
        seconds: How long it took, once the block has ended.
    """

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> "Stopwatch":
        self._began_s, self._waited_s = time.monotonic(), _waited_s()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        took_s = time.monotonic() - self._began_s
        self.seconds = max(0.0, took_s - (_waited_s() - self._waited_s))


def _waited_s() -> float:
    """For how long something on this machine had to wait, since it was started."""
    total_us = 0
    for name in ("cpu", "io"):
        try:
            some = (_PRESSURE / name).read_text().splitlines()[0]
        except OSError:  # not Linux, or an older one, or switched off
            continue
        total_us += int(some.rpartition("total=")[2])
    return total_us / 1e6
