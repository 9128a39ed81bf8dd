"""The two models that begin with a picture: larger, and finer."""

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from dreamgrid.engines.base import Step
from dreamgrid.engines.dreamlet import ENHANCER, UPSCALER
from dreamgrid.errors import RenderCanceled, RenderRefused
from tests.engines.dreamlet.helpers import Paint, encode_picture, open_picture, read_settings


@pytest.fixture(scope="module")
def apple() -> bytes:
    """A blurred red disc."""
    picture = Image.new("RGB", (96, 96), "white")
    ImageDraw.Draw(picture).ellipse((20, 20, 76, 76), fill=(200, 30, 40))
    return encode_picture(picture.resize((24, 24)).resize((96, 96), Image.Resampling.BICUBIC))


def levels(data: bytes) -> np.ndarray:
    return np.asarray(open_picture(data)).astype(np.float64)


def test_a_picture_is_made_four_times_as_large_and_stays_what_it_is(
    paint: Paint, apple: bytes
) -> None:
    made = paint(
        model=UPSCALER, prompt="", start=apple, strength=1.0, steps=1, width=384, height=384
    )
    large = open_picture(made.data)
    assert large.size == (384, 384)
    small = np.asarray(large.resize((96, 96), Image.Resampling.BOX)).astype(np.float64)
    assert np.abs(small - levels(apple)).mean() < 2


def test_a_smaller_picture_is_asked_of_no_network_and_still_one_step(
    paint: Paint, apple: bytes
) -> None:
    told: list[tuple[int, int]] = []
    made = paint(
        model=UPSCALER,
        prompt="",
        start=apple,
        strength=1.0,
        steps=1,
        on_step=lambda step: told.append((step.step, step.step_count)),
    )
    assert open_picture(made.data).size == (64, 64)
    assert told == [(1, 1)]
    assert made.steps == 1


def test_a_large_picture_is_canceled_between_two_tiles(paint: Paint) -> None:
    wide = encode_picture(Image.new("RGB", (300, 40), "teal"))
    seen: list[int] = []

    def cancel(step: Step) -> None:
        seen.append(step.step)
        if step.step == 2:
            raise RenderCanceled("stop")

    with pytest.raises(RenderCanceled):
        paint(
            model=UPSCALER,
            prompt="",
            start=wide,
            strength=1.0,
            steps=1,
            width=1200,
            height=160,
            on_step=cancel,
        )
    assert seen == [1, 2]


def canceled_at(paint: Paint, tile: int, **wish: Any) -> list[tuple[int, int]]:
    """The steps told until the tile at which a job is canceled that is all tiles until then."""
    told: list[tuple[int, int]] = []

    def cancel(step: Step) -> None:
        told.append((step.step, step.step_count))
        if len(told) == tile:
            raise RenderCanceled("stop")

    with pytest.raises(RenderCanceled):
        paint(on_step=cancel, **wish)
    return told


def test_a_picture_made_finer_is_canceled_between_two_tiles(paint: Paint, apple: bytes) -> None:
    wish = {"model": ENHANCER, "start": apple, "strength": 0.5, "steps": 8}
    size = {"width": 288, "height": 288}
    # One tile makes it large enough, four more are its outlines; the painter's steps come after.
    assert canceled_at(paint, 1, **wish, **size) == [(0, 4)]
    assert canceled_at(paint, 5, **wish, **size) == [(0, 4)] * 5
    assert canceled_at(paint, 5, **wish, **size, prompt="") == [(0, 1)] * 5


def test_a_painted_picture_is_canceled_while_it_is_made_large(paint: Paint, apple: bytes) -> None:
    size = {"width": 640, "height": 512}
    begun = canceled_at(paint, 1, start=apple, strength=0.25, steps=4, **size)
    assert begun == [(0, 1)]
    last = canceled_at(paint, 3, start=apple, strength=0.25, steps=4, **size)
    assert last == [(0, 1), (1, 1), (1, 1)]
    assert canceled_at(paint, 3, steps=2, **size) == [(1, 2), (2, 2), (2, 2)]


def test_the_stronger_the_more_changes(paint: Paint, apple: bytes) -> None:
    moved = [
        np.abs(
            levels(paint(model=ENHANCER, start=apple, strength=share, width=96, height=96).data)
            - levels(apple)
        ).mean()
        for share in (0.15, 0.35, 0.49)
    ]
    assert 0 < moved[0] < moved[1] < moved[2] < 40


def test_outlines_become_sharper_without_a_prompt_and_without_chance(
    paint: Paint, apple: bytes
) -> None:
    wish = {"model": ENHANCER, "prompt": "", "start": apple, "width": 96, "height": 96}
    one, other = (levels(paint(strength=0.49, seed=seed, **wish).data) for seed in (1, 2))
    np.testing.assert_array_equal(one, other)
    steepest = [np.abs(np.diff(picture, axis=1)).max() for picture in (one, levels(apple))]
    assert steepest[0] > steepest[1]


@pytest.mark.parametrize("model", [UPSCALER, ENHANCER])
def test_without_a_picture_they_refuse(paint: Paint, model: str) -> None:
    with pytest.raises(RenderRefused, match=f"{model} needs a starting image"):
        paint(model=model, steps=1)


def test_the_file_names_its_model_and_what_came_with_it(paint: Paint, apple: bytes) -> None:
    settings = read_settings(paint(model=ENHANCER, start=apple, strength=0.35).data)
    assert (settings["model"], settings["inputs"]) == (ENHANCER, "startingImage")
    assert settings["strength"] == 0.35
