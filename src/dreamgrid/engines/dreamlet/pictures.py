"""Pictures of the model's size and of the app's: fitting, extending, previews."""

import io

import numpy as np
from PIL import Image, ImageOps

from dreamgrid.engines.dreamlet.sampler import Floats

PREVIEW_SIDE_PX = 128
MAX_EXTENSION = 4
"""Longer pictures than 4:1 are not only extended but also cropped."""

_PREVIEW_QUALITY = 80


def fit(picture: Image.Image, width_px: int, height_px: int) -> Image.Image:
    """Resamples so that the picture covers the size, and crops what stands out evenly."""
    if picture.size == (width_px, height_px):
        return picture
    return ImageOps.fit(picture, (width_px, height_px), Image.Resampling.LANCZOS)


def extend(pixels: Floats, width_px: int, height_px: int) -> Floats:
    """Continues the edges of a square [3, S, S] until it has the proportions of the size."""
    side = pixels.shape[1]
    longest = MAX_EXTENSION * side
    wide = min(longest, max(side, round(side * width_px / height_px)))
    high = min(longest, max(side, round(side * height_px / width_px)))
    left, top = (wide - side) // 2, (high - side) // 2
    margins = ((0, 0), (top, high - side - top), (left, wide - side - left))
    return np.pad(pixels, margins, mode="edge")


def to_floats(picture: Image.Image) -> Floats:
    """An RGB picture as float32 [3, H, W] in -1..1."""
    pixels = np.asarray(picture, dtype=np.float32) / np.float32(127.5) - np.float32(1)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def from_floats(pixels: Floats) -> Image.Image:
    """float32 [3, H, W] in -1..1 as an RGB picture."""
    levels = np.rint((pixels.clip(-1, 1) + 1) * 127.5).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(levels.transpose(1, 2, 0)))


def shifted(picture: Image.Image, change: Floats) -> Image.Image:
    """A picture with a smaller one of changes [3, h, w] (of -2..2), made larger, added to it."""
    bands = []
    for band, channel in zip(picture.split(), change, strict=True):
        smooth = Image.fromarray(channel * np.float32(127.5)).resize(
            picture.size, Image.Resampling.BICUBIC
        )
        levels = np.asarray(band, np.float32) + np.asarray(smooth)
        bands.append(Image.fromarray(np.rint(levels.clip(0, 255)).astype(np.uint8)))
    return Image.merge("RGB", bands)


def encode_preview(pixels: Floats) -> bytes:
    """A small JPEG of a picture that is still being painted."""
    picture = from_floats(pixels)
    scale = PREVIEW_SIDE_PX / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    small = picture.resize(size, Image.Resampling.LANCZOS)
    return _saved(small, "JPEG", quality=_PREVIEW_QUALITY)


def encode_frame(picture: Image.Image) -> bytes:
    """A frame of a video as a PNG file, packed quickly rather than tightly."""
    return _saved(picture, "PNG", compress_level=2)


def _saved(picture: Image.Image, kind: str, **options: int) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()
