"""The way of a video through what the model can paint.

Pictures of neighbouring noise are neighbouring pictures, so a slow walk through noise is a scene in
which things live and breathe. The walk is a great circle through two draws of noise, on which every
point is as likely a draw as any other (spherical interpolation: Shoemake 1985; for the noise of
generative models: White 2016, "Sampling Generative Networks"). Parts of a prompt are crossed by
mixing the predictions for both, which makes things turn into each other instead of fading.
"""

import math
from dataclasses import dataclass

import numpy as np

from dreamgrid.engines.dreamlet.sampler import Floats, draw_noise

RADIANS_PER_S = 0.6
"""How fast the walk is: once around, and back to the first picture, in ten and a half seconds."""

BARELY = 0.1
"""Noise level at which the model paints a given picture as good as unchanged, in its own hand."""

ALIVE = 0.45
"""Noise level up to which a given picture changes by and by: its things stay, their parts move."""

BETWEEN = 0.65
"""Noise level half way from one given picture to another: something else than both is there."""

_DETAIL_LEFT = 0.5  # share of a given picture's detail at the far end of the video
_LINGER = 1.3  # more: a change from part to part goes slower where things change most, half way


@dataclass(frozen=True)
class Noises:
    """Two independent draws of noise; the walk is the great circle through both."""

    here: Floats
    aside: Floats

    @classmethod
    def draw(cls, seed: int, height_px: int, width_px: int) -> "Noises":
        """The draws of a seed; the first one is that of a picture with the same seed."""
        return cls(draw_noise(seed, height_px, width_px), draw_noise(seed, height_px, width_px, 1))

    def at(self, moment_s: float) -> Floats:
        """The noise [3, H, W] after so many seconds."""
        angle = RADIANS_PER_S * moment_s
        return (math.cos(angle) * self.here + math.sin(angle) * self.aside).astype(np.float32)


def part_weights(part_count: int, moment: float) -> Floats:
    """How much of each part is shown at a moment 0..1: one part, or two that cross."""
    if part_count == 1:
        return np.ones(1, np.float32)
    place = min(max(moment * part_count - 0.5, 0.0), part_count - 1.0)
    part = min(int(place), part_count - 2)
    way = 2 * (place - part) - 1
    share = 0.5 + 0.5 * math.copysign(abs(way) ** _LINGER, way)
    weights = np.zeros(part_count, np.float32)
    weights[part : part + 2] = 1 - share, share
    return weights


def first_level(moment: float, *, starts: bool, ends: bool) -> float:
    """The noise level to begin a key picture at.

    Args:
        moment: 0 at the first frame to 1 at the last.
        starts: A picture is given for the first frame.
        ends: A picture is given for the last frame.
    """
    if not starts and not ends:
        return 1.0
    if starts and ends:
        return BARELY + (BETWEEN - BARELY) * math.sin(math.pi * moment) ** 2
    distance = moment if starts else 1 - moment
    return BARELY + (ALIVE - BARELY) * math.sin(math.pi / 2 * distance) ** 2


def crossing(moment: float, *, starts: bool, ends: bool) -> float:
    """How far the video is from the first given picture to the last, 0..1."""
    if starts and ends:
        return moment * moment * (3 - 2 * moment)
    return 0.0 if starts else 1.0


def hand_shares(moment: float, *, starts: bool, ends: bool) -> tuple[float, float]:
    """How much of the model's own hand in the first and the last given picture is taken off."""
    if starts and ends:
        return _fading(moment)
    return (float(starts), float(ends))


def detail_shares(moment: float, *, starts: bool, ends: bool) -> tuple[float, float]:
    """How much detail of the first and of the last given picture is seen at a moment.

    It fades as the model changes the picture; half way between two pictures there is none.
    """
    if starts and ends:
        return _fading(moment)
    fading = 1 - (1 - _DETAIL_LEFT) * (moment if starts else 1 - moment)
    return (fading * starts, fading * ends)


def _fading(moment: float) -> tuple[float, float]:
    """One at the first moment for the first picture, at the last for the last, none half way."""
    share = math.cos(math.pi * moment) ** 2
    return (share, 0.0) if moment < 0.5 else (0.0, share)
