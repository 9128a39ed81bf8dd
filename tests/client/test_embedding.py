"""Saved pictures tell how they were made, as pictures of our own engine do."""

import io
import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dreamgrid.client.embedding import embedded
from dreamgrid.protocol.params import ImageParams, Lora

pillow = pytest.importorskip("PIL.Image")
PARAMS = ImageParams(model="m", prompt="an apfel, größer", steps=12, negative_prompt="worms")


def picture(kind: str, mode: str = "RGB", **options: Any) -> bytes:
    out = io.BytesIO()
    pillow.new(mode, (33, 17), 128).save(out, kind, **options)
    return out.getvalue()


def told(data: bytes) -> dict[str, Any]:
    """What a reader of metadata finds."""
    found = pillow.open(io.BytesIO(data))
    if found.format == "PNG":
        return dict(json.loads(found.text["dreamgrid"]))
    comment = found.getexif().get_ifd(0x8769)[0x9286]
    return dict(json.loads(comment.removeprefix(b"ASCII\0\0\0")))


@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [
        ("PNG", "RGB", {}),
        ("PNG", "L", {}),
        ("JPEG", "RGB", {}),
        ("WEBP", "RGB", {}),
        ("WEBP", "RGBA", {}),
        ("WEBP", "RGB", {"lossless": True}),
        ("WEBP", "RGBA", {"lossless": True}),
    ],
)
def test_settings_are_inside_and_pixels_as_before(
    kind: str, mode: str, options: dict[str, Any]
) -> None:
    before = picture(kind, mode, **options)
    after = embedded(before, PARAMS, seed=7)
    assert told(after) == {
        "model": "m",
        "prompt": "an apfel, größer",
        "negative_prompt": "worms",
        "steps": 12,
        "seed": 7,
    }
    first, second = (pillow.open(io.BytesIO(data)) for data in (before, after))
    assert (second.size, second.mode, second.format) == (first.size, first.mode, first.format)
    assert second.tobytes() == first.tobytes()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_picture_that_tells_already_stays_as_it_is(kind: str) -> None:
    once = embedded(picture(kind), PARAMS, seed=7)
    assert embedded(once, PARAMS, seed=8) == once


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a...",
        b"\x89PNG\r\n\x1a\n",
        b"RIFF\0\0\0\0WEBPVP8 ",
        b"RIFF\0\0\0\0WEBPVP8 \xff\xff\xff\x7f",
        picture("GIF", "P"),
    ],
)
def test_what_is_no_picture_of_these_kinds_stays_as_it_is(data: bytes) -> None:
    assert embedded(data, PARAMS, seed=7) == data


TEXTS = st.builds(str.__mul__, st.text(max_size=9), st.sampled_from([1, 400, 5000]))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@given(prompt=TEXTS, negative=TEXTS)
@example(prompt="\N{GRINNING FACE}" * 4000, negative="\U00020000" * 4000)
@settings(max_examples=25, deadline=None)
def test_a_picture_is_saved_whatever_was_asked_for(kind: str, prompt: str, negative: str) -> None:
    params = ImageParams(model="m", prompt=prompt, negative_prompt=negative)
    found = told(embedded(picture(kind), params, seed=1))
    for name, whole in (("prompt", prompt), ("negative_prompt", negative)):
        text = found.get(name, "")
        assert whole.startswith(text)
        assert len(text) >= min(1000, len(whole))


def test_settings_that_do_not_fit_however_short_are_left_out() -> None:
    loras = tuple(Lora(id=f"a long name of a LoRA with the number {n}") for n in range(2000))
    before = picture("JPEG")
    assert embedded(before, ImageParams(model="m", prompt="x", loras=loras), seed=1) == before


def test_a_very_long_prompt_still_fits() -> None:
    long = ImageParams(model="m", prompt="ü" * 100_000)
    after = embedded(picture("JPEG"), long, seed=None)
    assert told(after)["prompt"].startswith("üüü")
