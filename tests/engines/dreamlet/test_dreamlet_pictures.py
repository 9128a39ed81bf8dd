"""Pictures of the model's size and of the app's."""

import io

import numpy as np
from PIL import Image

from dreamgrid.engines.dreamlet import pictures
from tests.engines.dreamlet.helpers import open_picture


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


def test_a_preview_is_a_small_jpeg_in_proportion() -> None:
    preview = pictures.encode_preview(np.zeros((3, 64, 96), np.float32))
    opened = Image.open(io.BytesIO(preview))
    assert opened.format == "JPEG"
    assert opened.size == (128, 85)
    assert open_picture(preview).getpixel((64, 40)) == (128, 128, 128)
