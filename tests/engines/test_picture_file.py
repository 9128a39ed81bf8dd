"""Picture files in and out."""

import pytest
from PIL import Image

from dreamgrid.engines import picture_file
from dreamgrid.protocol.params import ImageFormat
from tests.engines.dreamlet.helpers import encode_picture, read_settings

SETTINGS: dict[str, str | int | float] = {"model": "dreamlet-v1", "prompt": "ein Äpfel", "seed": 4}


@pytest.mark.parametrize("file_format", ["png", "jpg", "webp"])
def test_every_file_type_carries_its_settings(file_format: ImageFormat) -> None:
    data = picture_file.encode(Image.new("RGB", (16, 16), "red"), file_format, SETTINGS)
    assert read_settings(data) == SETTINGS
    assert b"trainedAlgorithmicMedia" in data
    assert b"dreamgrid dreamlet-v1" in data


@pytest.mark.parametrize("file_format", ["png", "jpg", "webp"])
def test_an_endless_prompt_does_not_break_the_file(file_format: ImageFormat) -> None:
    settings = SETTINGS | {"prompt": "\N{SNOWMAN}" * 100_000, "negative_prompt": "\x00" * 100_000}
    data = picture_file.encode(Image.new("RGB", (16, 16)), file_format, settings)
    assert len(data) < 100_000
    assert str(read_settings(data)["prompt"]).startswith("\N{SNOWMAN}" * 4000)


def test_a_file_without_settings_has_none() -> None:
    assert read_settings(encode_picture(Image.new("RGB", (4, 4)))) == {}
