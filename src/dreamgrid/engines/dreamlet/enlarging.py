"""Larger pictures: four times as wide and high by a network of our own, the rest by Lanczos.

The network sees a picture in tiles, each with the pixels around it that it depends on. So tiles fit
together without a seam, memory stays bounded, and a picture of any size takes the same way.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from dreamgrid.engines.dreamlet import pictures
from dreamgrid.engines.dreamlet.sampler import Floats

FACTOR = 4
TILE_PX = 128
REACH_PX = 12
"""How far a pixel that the network makes depends on those of its input: its 12 convolutions."""

LANCZOS_REACH = 2.0
"""Up to this factor Lanczos alone enlarges the network's result; a second run changes little."""

Upscale = Callable[[Floats], Floats]
"""The network: pictures [B, 3, H, W] in -1..1 to pictures [B, 3, 4 H, 4 W]."""

OnTile = Callable[[], None]
"""Called after every tile. May raise."""


def enlarge(upscale: Upscale, picture: Image.Image, on_tile: OnTile = lambda: None) -> Image.Image:
    """A picture four times as wide and high."""
    high = Image.new("RGB", (picture.width * FACTOR, picture.height * FACTOR))
    edge = ((0, 0), (REACH_PX, REACH_PX), (REACH_PX, REACH_PX))
    padded = np.pad(pictures.to_floats(picture), edge, mode="edge")
    for x, y, width, height in _tiles(*picture.size):
        around = padded[:, y : y + height + 2 * REACH_PX, x : x + width + 2 * REACH_PX]
        cut = slice(REACH_PX * FACTOR, -REACH_PX * FACTOR)
        made = upscale(np.ascontiguousarray(around[None]))[0, :, cut, cut]
        high.paste(pictures.from_floats(made), (x * FACTOR, y * FACTOR))
        on_tile()
    return high


def fit(
    upscale: Upscale,
    picture: Image.Image,
    width_px: int,
    height_px: int,
    on_tile: OnTile = lambda: None,
) -> Image.Image:
    """As `pictures.fit`: covers the size and crops what stands out, but enlarges by the network."""
    missing = _missing(picture, width_px, height_px)
    if missing <= 1:
        return pictures.fit(picture, width_px, height_px)
    picture = _cropped(picture, width_px, height_px)
    for _ in range(run_count(missing)):
        picture = enlarge(upscale, picture, on_tile)
    return pictures.fit(picture, width_px, height_px)


def run_count(factor: float) -> int:
    """How often the network enlarges a picture for a factor above 1."""
    return max(1, math.ceil(math.log(factor / LANCZOS_REACH, FACTOR) - 1e-9))


def tile_count(picture: Image.Image, width_px: int, height_px: int) -> int:
    """How many tiles `fit` will go through."""
    missing = _missing(picture, width_px, height_px)
    if missing <= 1:
        return 0
    width, height = _cropped_size(picture, width_px, height_px)
    return sum(
        sum(1 for _ in _tiles(width * FACTOR**run, height * FACTOR**run))
        for run in range(run_count(missing))
    )


def _missing(picture: Image.Image, width_px: int, height_px: int) -> float:
    """The factor that makes a picture cover a size."""
    return max(width_px / picture.width, height_px / picture.height)


def _cropped_size(picture: Image.Image, width_px: int, height_px: int) -> tuple[int, int]:
    factor = _missing(picture, width_px, height_px)
    return (
        min(picture.width, math.ceil(width_px / factor)),
        min(picture.height, math.ceil(height_px / factor)),
    )


def _cropped(picture: Image.Image, width_px: int, height_px: int) -> Image.Image:
    """The middle of a picture in the proportions of a size, so that nothing is made in vain."""
    width, height = _cropped_size(picture, width_px, height_px)
    left, top = (picture.width - width) // 2, (picture.height - height) // 2
    return picture.crop((left, top, left + width, top + height))


def _tiles(width_px: int, height_px: int) -> Iterator[tuple[int, int, int, int]]:
    """Left, top, width and height of every tile."""
    for y in range(0, height_px, TILE_PX):
        for x in range(0, width_px, TILE_PX):
            yield x, y, min(TILE_PX, width_px - x), min(TILE_PX, height_px - y)
