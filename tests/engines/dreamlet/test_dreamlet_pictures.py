"""Picture files in and out."""

import io

import numpy as np
import pytest
from PIL import Image

from dreamgrid.engines.dreamlet import pictures
from dreamgrid.protocol.params import ImageFormat
from tests.engines.dreamlet.helpers import encode_picture, open_picture, read_settings

SETTINGS: dict[str, str | int | float] = {"model": "dreamlet-v1", "prompt": "ein Äpfel", "seed": 4}


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
    assert read_settings(data) == SETTINGS
    assert b"trainedAlgorithmicMedia" in data
    assert b"dreamgrid dreamlet-v1" in data


@pytest.mark.parametrize("file_format", ["png", "jpg", "webp"])
def test_an_endless_prompt_does_not_break_the_file(file_format: ImageFormat) -> None:
    settings = SETTINGS | {"prompt": "\N{SNOWMAN}" * 100_000, "negative_prompt": "\x00" * 100_000}
    data = pictures.encode(Image.new("RGB", (16, 16)), file_format, settings)
    assert len(data) < 100_000
    assert str(read_settings(data)["prompt"]).startswith("\N{SNOWMAN}" * 4000)


def test_a_file_without_settings_has_none() -> None:
    assert read_settings(encode_picture(Image.new("RGB", (4, 4)))) == {}


def test_a_preview_is_a_small_jpeg_in_proportion() -> None:
    preview = pictures.encode_preview(np.zeros((3, 64, 96), np.float32))
    opened = Image.open(io.BytesIO(preview))
    assert opened.format == "JPEG"
    assert opened.size == (128, 85)
    assert open_picture(preview).getpixel((64, 40)) == (128, 128, 128)
