"""How sure a foretold start is, by how earlier forecasts came out. Pure.

A forecast is one number of seconds. What it is worth shows when the project starts: the wait over
what was foretold. The interval around a forecast is where eight of ten of the last such ratios lie,
so it is wide on a grid whose workers come and go, and narrow on a steady one.
"""

from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass

KEPT = 200
"""How many of the last forecasts the interval is made of."""

ENOUGH = 10
"""With fewer, the interval is a guess: from half to twice the forecast."""

GUESSED = (0.5, 2.0)

SHARE_LEFT_OUT = 0.1
"""How many of the ratios lie below the interval, and how many above."""

SLACK_S = 2.0
"""Added to both sides of a ratio, so that short waits are not judged by fractions of a second."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """When a project should start, as it was foretold at some time.

    Attributes:
        made_s: Clock time of the forecast.
        wait_s: Seconds from then, most likely.
        earliest_s: Seconds from then, at least in nine of ten cases.
        latest_s: Seconds from then, at most in nine of ten cases.
    """

    made_s: float
    wait_s: float
    earliest_s: float
    latest_s: float


class Forecasts:
    """Makes forecasts, and learns from how they come out.

    Attributes:
        starts: How many projects started of which a start was foretold.
        within: How many of them did so within the interval.
    """

    def __init__(self) -> None:
        self._newest: deque[float] = deque()
        self._sorted: list[float] = []
        self.starts = 0
        self.within = 0

    def forecast(self, wait_s: float, now_s: float) -> Forecast:
        """A forecast with its interval, for a project that should wait for this long."""
        low, high = self._quantiles()
        earliest_s = max(0.0, (wait_s + SLACK_S) * low - SLACK_S)
        latest_s = max(0.0, (wait_s + SLACK_S) * high - SLACK_S)
        return Forecast(now_s, wait_s, min(earliest_s, wait_s), max(latest_s, wait_s))

    def came_out(self, forecast: Forecast, now_s: float) -> None:
        """A project has started now."""
        waited_s = max(0.0, now_s - forecast.made_s)
        self.starts += 1
        self.within += forecast.earliest_s <= waited_s <= forecast.latest_s
        ratio = (waited_s + SLACK_S) / (forecast.wait_s + SLACK_S)
        self._newest.append(ratio)
        insort(self._sorted, ratio)
        if len(self._newest) > KEPT:
            del self._sorted[bisect_left(self._sorted, self._newest.popleft())]

    def _quantiles(self) -> tuple[float, float]:
        if len(self._sorted) < ENOUGH:
            return GUESSED
        left_out = int(len(self._sorted) * SHARE_LEFT_OUT)
        return self._sorted[left_out], self._sorted[-1 - left_out]
