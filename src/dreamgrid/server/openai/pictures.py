"""Pictures that clients send: how large they are, and masks as this grid's models read them."""

import io
import struct
import warnings
import zlib
from typing import TYPE_CHECKING

from dreamgrid.errors import ServerUnavailable, UnreadableMedia
from dreamgrid.protocol.params import MAX_INPUT_PIXELS

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

_FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
_ORIENTATION = 0x0112
_ON_ITS_SIDE = 5
_BROKEN = (OSError, SyntaxError, ValueError, struct.error, zlib.error)
"""What Pillow raises for a picture whose beginning looked well."""


def size_of(data: bytes) -> tuple[int, int]:
    """Width and height of a picture as people see it. Blocking.

    Raises:
        UnreadableMedia: It is none, or broken, or too large.
    """
    picture = _opened(data, "image")
    width, height = picture.size
    try:
        turned = picture.getexif().get(_ORIENTATION)  # of a PNG, this may read all of it
    except _BROKEN:
        raise UnreadableMedia("the image is broken or cut off") from None
    on_its_side = isinstance(turned, int) and turned >= _ON_ITS_SIDE
    return (height, width) if on_its_side else (width, height)


def painted_in(mask: bytes, size: tuple[int, int]) -> bytes:
    """A mask that is white where it is to be painted, from one that is transparent there. Blocking.

    Args:
        mask: As OpenAI's clients send it.
        size: Of the picture that it belongs to.

    Raises:
        UnreadableMedia: It is no picture, has nothing transparent, or another size.
    """
    from PIL import ImageChops  # noqa: PLC0415 (see `_opened`)

    picture = _opened(mask, "mask")
    if picture.size != size:
        theirs, ours = ("x".join(map(str, one)) for one in (picture.size, size))
        raise UnreadableMedia(f"the mask is {theirs} and its picture {ours}: make them the same")
    try:
        transparent = ImageChops.invert(picture.convert("RGBA").getchannel("A"))
    except _BROKEN:
        raise UnreadableMedia("the mask is broken or cut off") from None
    if transparent.getbbox() is None:
        raise UnreadableMedia("the mask is transparent nowhere: make it so where to paint")
    made = io.BytesIO()
    transparent.save(made, "PNG")
    return made.getvalue()


def _opened(data: bytes, what: str) -> "Picture":
    try:
        from PIL import Image  # noqa: PLC0415 (a server that only schedules never needs it)
    except ImportError:
        raise ServerUnavailable(
            "this server cannot read pictures: whoever runs it installs dreamgrid[server]"
        ) from None
    try:
        # Pillow warns about sizes above its own limit; ours is checked right below.
        with warnings.catch_warnings(action="ignore"):
            picture = Image.open(io.BytesIO(data), formats=_FORMATS)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise UnreadableMedia(f"the {what} is no PNG, JPEG, WebP or GIF picture") from None
    if picture.width * picture.height > MAX_INPUT_PIXELS:
        raise UnreadableMedia(f"the {what} has more than {MAX_INPUT_PIXELS} pixels")
    return picture
