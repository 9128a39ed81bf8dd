"""The pictures that come with a job: where to begin, where to paint, and what it shall be like."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from dreamgrid.engines.dreamlet import pictures
from dreamgrid.engines.dreamlet.sampler import Floats
from dreamgrid.engines.starting_image import Start, decode, start_of
from dreamgrid.errors import EngineError, RenderRefused
from dreamgrid.protocol.assets import CONTEXT_IMAGE, CONTROL_NET_IMAGE
from dreamgrid.protocol.params import INPAINT, ControlNet
from dreamgrid.protocol.renders import ImageRender

LIKENESS_PX = 8
"""Whatever is larger than this on the canvas is taken from the picture that it shall be like."""

LIKENESS_UNTIL = 0.4
"""Share of the steps after which the painter is free to find its own outlines."""

_SOFT_SHARE = 1 / 128
"""How wide the edge of a mask is, as a share of the shorter side: half a pixel of the canvas."""


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


@dataclass(frozen=True)
class Given:
    """What comes with a job; None for what does not.

    Attributes:
        start: The picture to begin with.
        mask: Where to paint in it.
        likeness: A picture that the result shall be like, in its colors and large shapes.
    """

    start: Start | None = None
    mask: Mask | None = None
    likeness: Image.Image | None = None

    @classmethod
    def of(cls, render: ImageRender, inputs: Mapping[str, bytes]) -> "Given":
        """Reads all inputs of a job.

        Raises:
            UnreadableMedia: One cannot be read or is too large.
            RenderRefused: There is nothing to use one with.
            EngineError: The render does not say how much of the start to change.
        """
        start, mask = start_of(render, inputs), None
        if render.control_net is not None:
            if render.control_net.name != INPAINT or CONTROL_NET_IMAGE not in inputs:
                raise RenderRefused(f"{render.model} takes the ControlNet '{INPAINT}' with a mask")
            if start is None:
                raise RenderRefused("a mask needs a starting image to paint in")
            mask = Mask.of(
                render.control_net, inputs[CONTROL_NET_IMAGE], render.width, render.height
            )
        like = inputs.get(f"{CONTEXT_IMAGE}1")
        return cls(start, mask, None if like is None else decode(like, what="context image"))

    def correct(self, begun: Floats | None, width_px: int, height_px: int) -> "Correction | None":
        """What to correct in each prediction of the painter; None: nothing.

        Args:
            begun: The start on the canvas, [3, h, w].
            width_px: Of the canvas.
            height_px: Of the canvas.
        """
        if self.mask is None and self.likeness is None:
            return None
        like = None
        if self.likeness is not None:
            like = pictures.to_floats(pictures.fit(self.likeness, width_px, height_px))
        return Correction(self.mask, begun, like)


class Correction:
    """The sampler's `Correct` for one job."""

    def __init__(self, mask: Mask | None, kept: Floats | None, like: Floats | None) -> None:
        self._mask = mask
        self._kept = kept
        self._like = like
        if like is not None:
            self._down = _smoothing(like.shape[1])
            self._across = _smoothing(like.shape[2])

    def __call__(self, done: float, clean: Floats) -> Floats:
        """Predictions [B, 3, h, w] with what has to be as given."""
        if self._like is not None and done < LIKENESS_UNTIL:
            clean = clean + self._smooth(self._like - clean)
        if self._mask is not None and self._kept is not None:
            clean = self._mask.keep(self._kept, clean, done)
        return clean

    def _smooth(self, pixels: Floats) -> Floats:
        smooth: Floats = (self._down @ pixels @ self._across.T).astype(np.float32)
        return smooth


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


def _smoothing(length: int) -> Floats:
    """A matrix [length, length] that leaves of a row of pixels what is larger than LIKENESS_PX."""
    places = (np.arange(length, dtype=np.float32) + 0.5) / LIKENESS_PX
    cells = np.arange(length // LIKENESS_PX, dtype=np.float32) + 0.5
    near = np.clip(1 - np.abs(np.clip(places, cells[0], cells[-1])[:, None] - cells), 0, 1)
    mean = np.abs(places[None, :] - cells[:, None]) < 0.5
    smoothing: Floats = (near @ (mean / np.float32(LIKENESS_PX))).astype(np.float32)
    return smoothing
