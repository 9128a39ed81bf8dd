"""How fast callers may go on: a token bucket for each of them, in memory."""

from collections import OrderedDict
from collections.abc import Callable

from dreamgrid.server.config import Rate

_MAX_CALLERS = 10_000
"""Callers remembered; beyond that the one that was quiet for longest begins with a full bucket."""


class Buckets:
    """One bucket for each caller: full in the beginning, refilled at the rate, emptied by use.

    Args:
        rate: What each caller may do.
        clock: Seconds.
    """

    def __init__(self, rate: Rate, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._unlimited = rate.unlimited
        self._clock = clock
        self._callers: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, as of when

    def take(self, caller: str) -> float:
        """Takes a token if there is one: 0.0; else the seconds until there will be one."""
        if self._unlimited:
            return 0.0
        tokens = self._tokens(caller)
        if tokens < 1:
            return (1 - tokens) / self._rate.per_s
        self._keep(caller, tokens - 1)
        return 0.0

    def takes(self, caller: str, tokens: float) -> bool:
        """Takes tokens if there are as many; whether there were."""
        if self._unlimited:
            return True
        left = self._tokens(caller) - tokens
        if left < 0:
            return False
        self._keep(caller, left)
        return True

    def borrow(self, caller: str, tokens: float) -> float:
        """Takes tokens, there or not; the seconds to wait until nothing is owed any more."""
        if self._unlimited:
            return 0.0
        left = self._tokens(caller) - tokens
        self._keep(caller, left)
        return max(0.0, -left / self._rate.per_s)

    def _tokens(self, caller: str) -> float:
        tokens, at_s = self._callers.get(caller, (self._rate.burst, 0.0))
        elapsed_s = self._clock() - at_s
        if elapsed_s < 0:  # the machine's clock was set back: go on counting from here
            self._keep(caller, tokens)
            return tokens
        return min(self._rate.burst, tokens + elapsed_s * self._rate.per_s)

    def _keep(self, caller: str, tokens: float) -> None:
        self._callers[caller] = (tokens, self._clock())
        self._callers.move_to_end(caller)
        if len(self._callers) > _MAX_CALLERS:
            self._callers.popitem(last=False)
