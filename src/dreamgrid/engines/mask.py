"""Which part of a picture to paint: the ControlNet `inpaint`, whose image is white there."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps

from dreamgrid.engines.starting_image import decode
from dreamgrid.errors import EngineError
from dreamgrid.protocol.params import ControlNet

_SOFT_SHARE = 1 / 128
"""How wide the edge of a mask is, as a share of the shorter side: half a pixel of dreamlet's."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Mask:
    """Where to paint, and how strictly all the rest is kept.

    Attributes:
        area: 0..255 for each pixel of the result: 255 is painted, 0 is kept.
        strength: Share of the kept pixels that is really kept, 0..1.
        start: Share of the steps after which it sets in.
        end: Share of the steps after which it lets go.
    """

    area: Image.Image
    strength: float
    start: float
    end: float

    @classmethod
    def of(cls, net: ControlNet, data: bytes, width_px: int, height_px: int) -> "Mask":
        """The mask of a job whose result has the given size.

        Where it is gray, both are mixed. `mode` decides about its edge: `balanced` makes it soft,
        `prompt_priority` soft and a little wider, `cn_priority` leaves it as it is. `preprocess`
        makes a plain picture black and white first.

        Raises:
            UnreadableMedia: The file cannot be read.
            EngineError: A number is out of all bounds.
        """
        for value in (net.strength, net.start, net.end):
            if value is not None and not 0 <= value <= 1:
                raise EngineError(f"{value} is no share: use 0 to 1")
        area = decode(data, what="mask").convert("L")
        if net.preprocess:
            area = area.point(lambda level: 255 if level >= 128 else 0)
        area = ImageOps.fit(area, (width_px, height_px), Image.Resampling.BILINEAR)
        soft_px = min(width_px, height_px) * _SOFT_SHARE
        if net.mode == "prompt_priority":
            area = _widened(area, round(2 * soft_px))
        if net.mode != "cn_priority":
            area = area.filter(ImageFilter.GaussianBlur(soft_px))
        return cls(
            area=area,
            strength=1.0 if net.strength is None else net.strength,
            start=net.start or 0.0,
            end=1.0 if net.end is None else net.end,
        )

    def keep(self, kept: Floats, painted: Floats, done: float) -> Floats:
        """Puts what is kept back into predictions [B, 3, h, w], when `done` of the steps are."""
        if not self.start <= done < self.end:
            return painted
        size = (kept.shape[2], kept.shape[1])
        levels = np.asarray(self.area.resize(size, Image.Resampling.BOX), np.float32)
        share = np.float32(self.strength) * (1 - levels / 255)
        return painted + share * (kept - painted)

    def lay(self, painted: Image.Image, over: Image.Image) -> Image.Image:
        """The finished picture: painted where the mask says so, and else what was there."""
        if self.end < 1:
            return painted
        outside = ImageOps.invert(self.area).point(lambda level: round(level * self.strength))
        return Image.composite(over, painted, outside)


def _widened(area: Image.Image, reach_px: int) -> Image.Image:
    """Each pixel becomes the brightest of the square that reaches so far around it.

    One axis after the other, and each pass doubles the reach: so the work grows with its logarithm,
    where that of pillow's MaxFilter grows with its square.
    """
    levels = np.array(area)
    for lines in (levels, levels.T):
        reached_px = 0
        while reached_px < reach_px:
            # No further than this: beyond the edge there is no pixel that had seen those inside.
            step_px = min(reached_px + 1, reach_px - reached_px)
            before = lines.copy()
            np.maximum(lines[step_px:], before[:-step_px], out=lines[step_px:])
            np.maximum(lines[:-step_px], before[step_px:], out=lines[:-step_px])
            reached_px += step_px
    return Image.fromarray(levels)
