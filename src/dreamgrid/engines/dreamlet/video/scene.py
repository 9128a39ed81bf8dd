"""The stage of a video: key pictures of the model's size in, frames of the file's size out.

The model paints 64 pixels a side. What is finer in a given picture than that, its detail, is taken
off before and laid over the frames again, so that the frame of a given picture is that picture.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from dreamgrid.engines.dreamlet import pictures
from dreamgrid.engines.dreamlet.engine import CANVAS_PX, canvas_size
from dreamgrid.engines.dreamlet.sampler import Floats
from dreamgrid.engines.dreamlet.video.camera import Pose, look, margin_px

_PAD_PX = 24  # around a canvas: more than the margin of the longest one, 4 x 64 pixels


@dataclass(frozen=True)
class Given:
    """A picture that the app gave for the first or the last frame.

    Attributes:
        canvas: The picture at the model's size, float32 [3, h, w] in -1..1.
        detail: What the model cannot hold, float32 [H, W, 3] in levels, the camera's margin
            included.
    """

    canvas: Floats
    detail: Floats


class Stage:
    """Knows the sizes of one video.

    Attributes:
        width: Pixels of a frame.
        height: Pixels of a frame.
    """

    def __init__(self, width: int, height: int, *, given: bool) -> None:
        """Takes the size of the frames, and whether the video begins or ends with a picture."""
        self.width = width
        self.height = height
        self._given = given

    @property
    def canvas(self) -> tuple[int, int]:
        """Width and height of what the model paints, in pixels."""
        return canvas_size(self.width, self.height) if self._given else (CANVAS_PX, CANVAS_PX)

    def take(self, picture: Image.Image) -> Given:
        """A picture from outside, fitted to the frame."""
        fitted = pictures.fit(picture, self.width, self.height)
        small = fitted.resize(self.canvas, Image.Resampling.LANCZOS)
        canvas = pictures.to_floats(small)
        x, y = margin_px(self.width), margin_px(self.height)
        with_margin = np.pad(np.asarray(fitted), ((y, y), (x, x), (0, 0)), mode="symmetric")
        return Given(canvas, with_margin.astype(np.float32) - np.asarray(self.enlarge(canvas)))

    def enlarge(self, canvas: Floats) -> Image.Image:
        """A key picture [3, h, w] at the size of a frame with the camera's margin around it."""
        whole = canvas if self._given else pictures.extend(canvas, self.width, self.height)
        high, wide = whole.shape[1:]
        padding = ((0, 0), (_PAD_PX, _PAD_PX), (_PAD_PX, _PAD_PX))
        padded = np.pad(whole, padding, mode="symmetric" if self._given else "edge")
        x, y = margin_px(self.width), margin_px(self.height)
        beside, above = wide * x / self.width, high * y / self.height
        box = (
            _PAD_PX - beside,
            _PAD_PX - above,
            _PAD_PX + wide + beside,
            _PAD_PX + high + above,
        )
        size = (self.width + 2 * x, self.height + 2 * y)
        return pictures.from_floats(padded).resize(size, Image.Resampling.LANCZOS, box=box)

    def frame(self, canvas: Floats, details: list[tuple[float, Given]], pose: Pose) -> Image.Image:
        """One frame: a key picture with shares of details over it, seen by the camera."""
        picture = self.enlarge(canvas)
        if any(share for share, _ in details):
            levels = np.asarray(picture, np.float32).copy()
            for share, given in details:
                levels += np.float32(share) * given.detail
            picture = Image.fromarray(np.rint(levels.clip(0, 255)).astype(np.uint8))
        return look(picture, self.width, self.height, pose, soft=not self._given)
