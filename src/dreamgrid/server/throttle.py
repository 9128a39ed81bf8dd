"""How often strangers may try something: counts per caller, in memory."""

from collections import OrderedDict
from collections.abc import Callable

from dreamgrid.errors import TooManyRequests

_MAX_CALLERS = 10_000
"""Callers remembered; beyond that the one that was quiet for longest is forgotten."""


class Throttle:
    """At most `limit` tries in `period_s` for each caller.

    Args:
        what: The thing that is limited, in the plural, for messages.
        limit: Tries that are free; 0 and below: no limit.
        period_s: Seconds after the first try at which the count begins anew.
        clock: Seconds.
    """

    def __init__(
        self, what: str, *, limit: int, period_s: float, clock: Callable[[], float]
    ) -> None:
        self._what = what
        self._limit = limit
        self._period_s = period_s
        self._clock = clock
        self._callers: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def check(self, caller: str) -> None:
        """Raises when a caller has used up its tries; counts nothing.

        Raises:
            TooManyRequests: It has; says for how long.
        """
        began_s, tries = self._callers.get(caller, (0.0, 0))
        wait_s = began_s + self._period_s - self._clock()
        if 0 < self._limit <= tries and wait_s > 0:
            raise TooManyRequests(
                f"too many {self._what} from your address; try again in {wait_s:.0f} s",
                retry_after_s=wait_s,
            )

    def count(self, caller: str) -> None:
        """Counts one try."""
        now_s = self._clock()
        began_s, tries = self._callers.pop(caller, (now_s, 0))
        if now_s >= began_s + self._period_s:
            began_s, tries = now_s, 0
        self._callers[caller] = (began_s, tries + 1)
        if len(self._callers) > _MAX_CALLERS:
            self._callers.popitem(last=False)

    def use(self, caller: str) -> None:
        """Counts one try, unless there were too many.

        Raises:
            TooManyRequests: There were.
        """
        self.check(caller)
        self.count(caller)

    def undo(self, caller: str) -> None:
        """Takes one counted try back, because it was no failure after all."""
        began_s, tries = self._callers.get(caller, (0.0, 0))
        if tries:
            self._callers[caller] = (began_s, tries - 1)
