"""The pictures that come with a job: where to begin, where to paint, and what it shall be like."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from dreamgrid.engines.dreamlet import pictures
from dreamgrid.engines.dreamlet.sampler import Floats
from dreamgrid.engines.mask import Mask
from dreamgrid.engines.starting_image import Start, decode, start_of
from dreamgrid.errors import RenderRefused
from dreamgrid.protocol.assets import CONTEXT_IMAGE, CONTROL_NET_IMAGE
from dreamgrid.protocol.params import INPAINT
from dreamgrid.protocol.renders import ImageRender

LIKENESS_PX = 8
"""Whatever is larger than this on the canvas is taken from the picture that it shall be like."""

LIKENESS_UNTIL = 0.4
"""Share of the steps after which the painter is free to find its own outlines."""


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


def _smoothing(length: int) -> Floats:
    """A matrix [length, length] that leaves of a row of pixels what is larger than LIKENESS_PX."""
    places = (np.arange(length, dtype=np.float32) + 0.5) / LIKENESS_PX
    cells = np.arange(length // LIKENESS_PX, dtype=np.float32) + 0.5
    near = np.clip(1 - np.abs(np.clip(places, cells[0], cells[-1])[:, None] - cells), 0, 1)
    mean = np.abs(places[None, :] - cells[:, None]) < 0.5
    smoothing: Floats = (near @ (mean / np.float32(LIKENESS_PX))).astype(np.float32)
    return smoothing
