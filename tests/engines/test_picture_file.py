"""Picture files in and out."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
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
    endless = SETTINGS | {"prompt": "\N{SNOWMAN}" * 100_000, "negative_prompt": "\x00" * 100_000}
    data = picture_file.encode(Image.new("RGB", (16, 16)), file_format, endless)
    assert len(data) < 100_000
    assert str(read_settings(data)["prompt"]).startswith("\N{SNOWMAN}" * 4000)


@pytest.mark.parametrize("file_format", ["png", "jpg", "webp"])
@given(
    texts=st.dictionaries(
        st.sampled_from(["prompt", "negative_prompt", "style"]),
        st.builds(str.__mul__, st.text(max_size=9), st.sampled_from([1, 400, 5000])),
    )
)
@example(texts={"prompt": "\N{GRINNING FACE}" * 4000, "negative_prompt": "\U00020000" * 4000})
@settings(max_examples=25, deadline=None)
def test_a_picture_is_never_lost_for_its_texts(
    file_format: ImageFormat, texts: dict[str, str]
) -> None:
    wanted = SETTINGS | texts
    told = read_settings(picture_file.encode(Image.new("RGB", (8, 8)), file_format, wanted))
    assert told.keys() == wanted.keys()
    for name, text in told.items():
        assert str(wanted[name]).startswith(str(text))
        assert len(str(text)) >= min(1000, len(str(wanted[name])))


def test_settings_without_room_even_shortened_are_left_out() -> None:
    many = SETTINGS | {f"number {index}": index for index in range(5000)}
    data = picture_file.encode(Image.new("RGB", (8, 8)), "jpg", many)
    assert read_settings(data) == {}


def test_a_file_without_settings_has_none() -> None:
    assert read_settings(encode_picture(Image.new("RGB", (4, 4)))) == {}
