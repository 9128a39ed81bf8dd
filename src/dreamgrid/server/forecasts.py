"""How sure a foretold start is, by how earlier forecasts came out. Pure.

What is played through (`start_times`) knows nothing of who will still come and have an earlier
turn, nor of what takes longer than usual. How much that matters shows when projects start: the wait
over what was played. Of the last such ratios those count whose wait was most like this one, because
long waits leave more time for others to come. The middle one corrects the forecast, and the
interval is where eight of ten of them lie: wide on a grid whose workers come and go, and narrow on
a steady one.
"""

from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass

KEPT = 400
"""How many of the last forecasts are remembered."""

LIKE = 80
"""How many of them, of about the same wait, a forecast is made of."""

ENOUGH = 10
"""With fewer, the interval is a guess: from half to twice the forecast."""

SHARES = (0.1, 0.5, 0.9)
"""How many of the ratios lie below the interval, below the forecast, and below the latest."""

Spread = tuple[float, float, float]
"""The ratios of these shares."""

GUESSED: Spread = (0.5, 1.0, 2.0)

SLACK_S = 2.0
"""Added to both sides of a ratio, so that short waits are not judged by fractions of a second."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """When a project should start, as it was foretold at some time.

    Attributes:
        made_s: Clock time of the forecast.
        played_s: Seconds from then by what waits and runs alone.
        wait_s: Seconds from then, most likely.
        earliest_s: Seconds from then, at least in nine of ten cases.
        latest_s: Seconds from then, at most in nine of ten cases.
    """

    made_s: float
    played_s: float
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
        # What was played, a number that keeps equal ones apart, and the ratio.
        self._newest: deque[tuple[float, int, float]] = deque()
        self._by_wait: list[tuple[float, int, float]] = []
        self._spreads: dict[int, Spread] = {}  # by where those of about a wait begin
        self.starts = 0
        self.within = 0

    def forecast(self, played_s: float, now_s: float) -> Forecast:
        """A forecast with its interval, for a project that by what is known waits for this long."""
        earliest_s, wait_s, latest_s = (
            max(0.0, (played_s + SLACK_S) * ratio - SLACK_S) for ratio in self._spread(played_s)
        )
        return Forecast(now_s, played_s, wait_s, earliest_s, latest_s)

    def came_out(self, forecast: Forecast, now_s: float) -> None:
        """A project has started now."""
        waited_s = max(0.0, now_s - forecast.made_s)
        self.starts += 1
        self.within += forecast.earliest_s <= waited_s <= forecast.latest_s
        ratio = (waited_s + SLACK_S) / (forecast.played_s + SLACK_S)
        one = (forecast.played_s, self.starts, ratio)
        self._newest.append(one)
        insort(self._by_wait, one)
        if len(self._newest) > KEPT:
            del self._by_wait[bisect_left(self._by_wait, self._newest.popleft())]
        self._spreads.clear()

    def _spread(self, played_s: float) -> Spread:
        known = len(self._by_wait)
        if known < ENOUGH:
            return GUESSED
        first = self._nearest(played_s)
        if first not in self._spreads:
            ratios = sorted(ratio for _, _, ratio in self._by_wait[first : first + LIKE])
            low, middle, high = (_quantile(ratios, share) for share in SHARES)
            self._spreads[first] = low, middle, high
        return self._spreads[first]

    def _nearest(self, played_s: float) -> int:
        """Where those begin whose wait is nearest to this one, as a multiple of it."""

        def later_are_nearer(first: int) -> bool:
            below, above = self._by_wait[first][0], self._by_wait[first + LIKE][0]
            return (played_s + SLACK_S) ** 2 > (below + SLACK_S) * (above + SLACK_S)

        ways = range(max(0, len(self._by_wait) - LIKE))
        return bisect_left(ways, True, key=lambda first: not later_are_nearer(first))


def _quantile(ratios: list[float], share: float) -> float:
    """What the next ratio lies below in this share of cases.

    Between n ratios and around them are n + 1 places, in each of which it lies as likely.
    """
    below, part = divmod(share * (len(ratios) + 1) - 1, 1.0)
    lower, upper = ratios[int(below)], ratios[min(int(below) + 1, len(ratios) - 1)]
    return lower + part * (upper - lower)
