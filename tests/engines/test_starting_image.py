"""The picture that a render begins with: whatever comes is decoded within bounds or refused."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from dreamgrid.engines import starting_image
from dreamgrid.engines.starting_image import decode, start_of
from dreamgrid.errors import EngineError, UnreadableMedia
from dreamgrid.protocol.params import STARTING_IMAGE
from dreamgrid.protocol.renders import ImageRender


def encode_picture(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and then ends."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    checksum = struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + checksum + b"\0\0\0\0IEND"


def test_a_picture_that_claims_to_be_huge_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(UnreadableMedia, match="10000x10000"):
        decode(png_header(10_000, 10_000))
    with pytest.raises(UnreadableMedia, match="pixels"):  # beyond what Pillow itself opens
        decode(png_header(100_000, 100_000))


def test_a_picture_of_exactly_the_limit_is_not_refused_for_its_size() -> None:
    with pytest.raises(UnreadableMedia, match="no readable picture"):
        decode(png_header(8_000, 5_000))
    with pytest.raises(UnreadableMedia, match="8000x5001"):
        decode(png_header(8_000, 5_001))


def test_a_file_of_too_many_bytes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode_picture(Image.new("RGB", (8, 8)))
    monkeypatch.setattr(starting_image, "MAX_INPUT_BYTES", len(data) - 1)
    with pytest.raises(UnreadableMedia, match="bytes"):
        decode(data)


@pytest.mark.parametrize("data", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF"])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(UnreadableMedia) as refused:
        decode(data)
    assert str(refused.value) == (
        "the starting image is no readable picture: send a PNG, JPEG, WebP or GIF"
    )


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_a_picture_cut_short_is_refused(kind: str) -> None:
    generator = np.random.default_rng(1)
    noisy = Image.fromarray(generator.integers(0, 255, (64, 64, 3)).astype(np.uint8))
    data = encode_picture(noisy, kind)
    with pytest.raises(UnreadableMedia):
        decode(data[: len(data) // 2])


def test_kinds_that_are_not_offered_are_refused() -> None:
    with pytest.raises(UnreadableMedia):
        decode(encode_picture(Image.new("RGB", (8, 8)), "TIFF"))


def test_the_camera_was_held_sideways_and_the_picture_stands_upright() -> None:
    picture = Image.new("RGB", (4, 2), "black")
    picture.paste("white", (0, 0, 2, 2))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # the camera's right side was up
    upright = decode(encode_picture(picture, "PNG", exif=exif))
    assert upright.size == (2, 4)
    assert upright.getpixel((0, 0)) == (255, 255, 255)
    assert upright.getpixel((0, 3)) == (0, 0, 0)


def test_what_is_transparent_becomes_white() -> None:
    picture = Image.new("RGBA", (2, 1), (255, 0, 0, 0))
    picture.putpixel((1, 0), (255, 0, 0, 255))
    decoded = decode(encode_picture(picture))
    assert decoded.getpixel((0, 0)) == (255, 255, 255)
    assert decoded.getpixel((1, 0)) == (255, 0, 0)


def test_sixteen_bit_grey_is_scaled_instead_of_clipped() -> None:
    grey = Image.fromarray(np.full((2, 2), 128 * 257, np.uint16))
    assert decode(encode_picture(grey)).getpixel((0, 0)) == (128, 128, 128)


def test_a_starting_image_without_strength_is_refused_instead_of_guessed() -> None:
    render = ImageRender(model="m", prompt="", width=8, height=8, steps=1, guidance=1.0, seed=0)
    assert start_of(render, {}) is None
    with pytest.raises(EngineError, match="no strength"):
        start_of(render, {STARTING_IMAGE: encode_picture(Image.new("RGB", (8, 8)))})
