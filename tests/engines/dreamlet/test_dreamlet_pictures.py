"""Picture files in and out."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image

from dreamgrid.engines.dreamlet import pictures
from dreamgrid.errors import UnreadableMedia
from dreamgrid.protocol.params import ImageFormat
from tests.engines.dreamlet.helpers import encode_picture, open_picture

SETTINGS: dict[str, str | int | float] = {"model": "dreamlet-v1", "prompt": "ein Äpfel", "seed": 4}


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and then ends."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    checksum = struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + checksum + b"\0\0\0\0IEND"


def test_a_picture_that_claims_to_be_huge_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(UnreadableMedia, match="10000x10000"):
        pictures.decode(png_header(10_000, 10_000))
    with pytest.raises(UnreadableMedia, match="pixels"):  # beyond what Pillow itself opens
        pictures.decode(png_header(100_000, 100_000))


def test_a_picture_of_exactly_the_limit_is_not_refused_for_its_size() -> None:
    with pytest.raises(UnreadableMedia, match="cannot be read"):
        pictures.decode(png_header(8_000, 5_000))
    with pytest.raises(UnreadableMedia, match="8000x5001"):
        pictures.decode(png_header(8_000, 5_001))


def test_a_file_of_too_many_bytes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode_picture(Image.new("RGB", (8, 8)))
    monkeypatch.setattr(pictures, "MAX_INPUT_BYTES", len(data) - 1)
    with pytest.raises(UnreadableMedia, match="bytes"):
        pictures.decode(data)


@pytest.mark.parametrize("data", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF"])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(UnreadableMedia):
        pictures.decode(data)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_a_picture_cut_short_is_refused(kind: str) -> None:
    generator = np.random.default_rng(1)
    noisy = Image.fromarray(generator.integers(0, 255, (64, 64, 3)).astype(np.uint8))
    data = encode_picture(noisy, kind)
    with pytest.raises(UnreadableMedia):
        pictures.decode(data[: len(data) // 2])


def test_kinds_that_are_not_offered_are_refused() -> None:
    with pytest.raises(UnreadableMedia):
        pictures.decode(encode_picture(Image.new("RGB", (8, 8)), "TIFF"))


def test_the_camera_was_held_sideways_and_the_picture_stands_upright() -> None:
    picture = Image.new("RGB", (4, 2), "black")
    picture.paste("white", (0, 0, 2, 2))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # the camera's right side was up
    upright = pictures.decode(encode_picture(picture, "PNG", exif=exif))
    assert upright.size == (2, 4)
    assert upright.getpixel((0, 0)) == (255, 255, 255)
    assert upright.getpixel((0, 3)) == (0, 0, 0)


def test_what_is_transparent_becomes_white() -> None:
    picture = Image.new("RGBA", (2, 1), (255, 0, 0, 0))
    picture.putpixel((1, 0), (255, 0, 0, 255))
    decoded = pictures.decode(encode_picture(picture))
    assert decoded.getpixel((0, 0)) == (255, 255, 255)
    assert decoded.getpixel((1, 0)) == (255, 0, 0)


def test_sixteen_bit_grey_is_scaled_instead_of_clipped() -> None:
    grey = Image.fromarray(np.full((2, 2), 128 * 257, np.uint16))
    assert pictures.decode(encode_picture(grey)).getpixel((0, 0)) == (128, 128, 128)


def test_floats_and_pictures_are_the_same_thing() -> None:
    generator = np.random.default_rng(2)
    picture = Image.fromarray(generator.integers(0, 256, (6, 5, 3)).astype(np.uint8))
    again = pictures.from_floats(pictures.to_floats(picture))
    np.testing.assert_array_equal(np.asarray(again), np.asarray(picture))


def test_fitting_covers_the_size_and_crops_evenly() -> None:
    stripes = Image.new("RGB", (300, 100), "red")
    stripes.paste("blue", (100, 0, 200, 100))
    fitted = pictures.fit(stripes, 50, 50)
    assert fitted.size == (50, 50)
    assert fitted.getpixel((25, 25)) == (0, 0, 255)
    assert fitted.getpixel((4, 25)) == (0, 0, 255)


@pytest.mark.parametrize("file_format", ["png", "jpg", "webp"])
def test_every_file_type_carries_its_settings(file_format: ImageFormat) -> None:
    data = pictures.encode(Image.new("RGB", (16, 16), "red"), file_format, SETTINGS)
    assert pictures.read_settings(data) == SETTINGS
    assert b"trainedAlgorithmicMedia" in data
    assert b"dreamgrid dreamlet-v1" in data


@pytest.mark.parametrize("file_format", ["png", "jpg", "webp"])
def test_an_endless_prompt_does_not_break_the_file(file_format: ImageFormat) -> None:
    settings = SETTINGS | {"prompt": "\N{SNOWMAN}" * 100_000, "negative_prompt": "\x00" * 100_000}
    data = pictures.encode(Image.new("RGB", (16, 16)), file_format, settings)
    assert len(data) < 100_000
    assert str(pictures.read_settings(data)["prompt"]).startswith("\N{SNOWMAN}" * 4000)


def test_a_file_without_settings_has_none() -> None:
    assert pictures.read_settings(encode_picture(Image.new("RGB", (4, 4)))) == {}


def test_a_preview_is_a_small_jpeg_in_proportion() -> None:
    preview = pictures.encode_preview(np.zeros((3, 64, 96), np.float32))
    opened = Image.open(io.BytesIO(preview))
    assert opened.format == "JPEG"
    assert opened.size == (128, 85)
    assert open_picture(preview).getpixel((64, 40)) == (128, 128, 128)
