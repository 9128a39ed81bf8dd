"""How many frames a video of some length has: one rule for the SDK and for what asks in seconds."""

import math
from typing import Protocol

from dreamgrid.errors import InvalidRequest


class FrameRange(Protocol):
    """What a model can make: `min`, `min + step`, and so on up to `max`."""

    @property
    def min(self) -> float:
        """The fewest."""

    @property
    def max(self) -> float:
        """The most."""

    @property
    def step(self) -> float | None:
        """How many more make the next count. None: 1."""


def frames_in(
    duration_s: float,
    name: str,
    *,
    model: str,
    allowed: FrameRange | None,
    per_second: float | None,
) -> int:
    """How many frames the wanted duration has, as near as the model can make.

    The first frame shows time 0, so a second of 16 frames has 17; models that make frames in groups
    of their own, which do not begin after a first frame, count without it.

    Args:
        duration_s: Seconds.
        name: What the request calls them; for messages.
        model: Whose rules these are; for messages.
        allowed: How many frames it makes. None: it does not say.
        per_second: How many of them make a second. None: it does not say.

    Raises:
        InvalidRequest: The model makes none of that length.
    """
    if not isinstance(duration_s, int | float) or not math.isfinite(duration_s):
        raise InvalidRequest(f"{name} is {duration_s!r}: give seconds")
    if allowed is None or per_second is None:
        raise InvalidRequest(f"{model} does not say its frame rate: give frames and fps")
    step = max(1, int(allowed.step or 1))
    extra = 1 if (int(allowed.min) - 1) % step == 0 else 0
    wanted = math.floor(duration_s * per_second + 0.5) + extra
    if not allowed.min - step / 2 <= wanted <= allowed.max + step / 2:
        low, high = ((end - extra) / per_second for end in (allowed.min, allowed.max))
        raise InvalidRequest(f"{name} is {duration_s:g}: {model} allows {low:.3g} to {high:.3g}")
    groups = math.floor((wanted - allowed.min) / step + 0.5)
    most = int(allowed.max - allowed.min) // step
    return int(allowed.min) + step * min(max(groups, 0), most)
