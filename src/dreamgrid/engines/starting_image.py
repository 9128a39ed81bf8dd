"""Pictures that a render begins or ends with: bounded, decoded and upright. Needs pillow.

Engines ask for it before their first step, so that a broken one costs nobody any work.
"""

import io
import struct
import warnings
import zlib
from collections.abc import Mapping
from typing import NamedTuple

from PIL import Image, ImageOps

from dreamgrid.errors import EngineError, UnreadableMedia
from dreamgrid.protocol.params import (
    MAX_INPUT_BYTES,
    MAX_INPUT_PIXELS,
    STARTING_IMAGE,
)
from dreamgrid.protocol.renders import ImageRender

FORMATS = ("PNG", "JPEG", "WEBP", "GIF")


class Start(NamedTuple):
    """What to begin with.

    Attributes:
        picture: Upright RGB.
        strength: How much of it to change, 0..1.
    """

    picture: Image.Image
    strength: float


def start_of(render: ImageRender, inputs: Mapping[str, bytes]) -> Start | None:
    """The decoded starting image of a job. None: it has none.

    Raises:
        UnreadableMedia: See `decode`.
        EngineError: The render does not say how much of it to change.
    """
    if STARTING_IMAGE not in inputs:
        return None
    if render.strength is None:
        raise EngineError("the job has a starting image but no strength")
    return Start(decode(inputs[STARTING_IMAGE]), render.strength)


def decode(data: bytes, *, what: str = "starting image") -> Image.Image:
    """A picture file as upright RGB; what is transparent becomes white.

    Args:
        data: The file as uploaded.
        what: What the picture is for, in the words of an error.

    Raises:
        UnreadableMedia: The file has more than `MAX_INPUT_BYTES` or `MAX_INPUT_PIXELS`, is broken,
            or is no PNG, JPEG, WebP or GIF.
    """
    if len(data) > MAX_INPUT_BYTES:
        raise UnreadableMedia(
            f"the {what} has {len(data)} bytes; at most {MAX_INPUT_BYTES} are read"
        )
    try:
        with (
            # Pillow warns about sizes above its own limit; ours is checked right below.
            warnings.catch_warnings(action="ignore"),
            Image.open(io.BytesIO(data), formats=FORMATS) as picture,
        ):
            if picture.width * picture.height > MAX_INPUT_PIXELS:
                raise _too_many_pixels(what, f"{picture.width}x{picture.height}")
            return _on_white(ImageOps.exif_transpose(picture))
    except Image.DecompressionBombError:
        raise _too_many_pixels(what, "far too many") from None
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error):
        # Pillow's own words name objects in memory, which tell the app's user nothing.
        raise UnreadableMedia(
            f"the {what} is no readable picture: send a PNG, JPEG, WebP or GIF"
        ) from None


def _too_many_pixels(what: str, size: str) -> UnreadableMedia:
    return UnreadableMedia(f"the {what} has {size} pixels; at most {MAX_INPUT_PIXELS} are decoded")


def _on_white(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):  # 16 bits per pixel, which Pillow would clip to 8
        picture = picture.convert("I").point(lambda level: level * (1 / 257) + 0.5).convert("L")
    visible = picture.convert("RGBA")
    white = Image.new("RGBA", visible.size, "white")
    white.alpha_composite(visible)
    return white.convert("RGB")
