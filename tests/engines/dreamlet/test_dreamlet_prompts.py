"""The picture matches its prompt: simple checks of color that a random picture fails.

They look at the shipped weights with fixed seeds. They do not judge beauty; `training/evaluate.py`
measures what can be recognised.
"""

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.engines.dreamlet.helpers import Paint, open_picture

Color = NDArray[np.float64]
SEEDS = (1, 2, 3)


def border_color(data: bytes) -> Color:
    """Median color of the outermost four pixels."""
    pixels = np.asarray(open_picture(data)).astype(np.float64)
    inside = np.zeros(pixels.shape[:2], bool)
    inside[4:-4, 4:-4] = True
    median: Color = np.median(pixels[~inside], axis=0)
    return median


def thing_color(data: bytes) -> Color:
    """Mean color of what differs from a white ground."""
    pixels = np.asarray(open_picture(data)).astype(np.float64)
    drawn = pixels.min(axis=2) < 200
    assert drawn.mean() > 0.1, "the picture is almost empty"
    mean: Color = pixels[drawn].mean(axis=0)
    return mean


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("prompt", "expected"),  # the mean colors of the pictures that these words were learned from
    [
        ("a red heart", (243, 53, 102)),
        ("a green apple", (171, 207, 80)),
        ("a green circle", (88, 201, 147)),
        ("a blue circle", (72, 123, 203)),
    ],
)
def test_a_thing_has_the_color_of_its_prompt(
    paint: Paint, prompt: str, expected: tuple[int, int, int], seed: int
) -> None:
    color = thing_color(paint(prompt=prompt, seed=seed, steps=20).data)
    assert np.abs(color - expected).max() < 40


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a strawberry", (255, 255, 255)),
        ("a strawberry on a blue background", (70, 120, 220)),
        ("a strawberry on a black background", (20, 20, 24)),
        ("a strawberry on a yellow background", (245, 215, 90)),
    ],
)
def test_the_ground_has_the_color_of_its_prompt(
    paint: Paint, prompt: str, expected: tuple[int, int, int], seed: int
) -> None:
    color = border_color(paint(prompt=prompt, seed=seed, steps=20).data)
    assert np.abs(color - expected).max() < 60


@pytest.mark.parametrize("seed", SEEDS)
def test_a_meadow_is_green_below_and_blue_above(paint: Paint, seed: int) -> None:
    pixels = np.asarray(open_picture(paint(prompt="a cow in a meadow", seed=seed, steps=20).data))
    sky, grass = (np.median(rows.reshape(-1, 3), axis=0) for rows in (pixels[:8], pixels[-8:]))
    assert sky.argmax() == 2
    assert grass.argmax() == 1


@pytest.mark.parametrize("seed", SEEDS)
def test_the_night_is_darker_than_the_snow(paint: Paint, seed: int) -> None:
    night, snow = (
        np.asarray(open_picture(paint(prompt=f"a fox {place}", seed=seed, steps=20).data)).mean()
        for place in ("at night", "in the snow")
    )
    assert night + 60 < snow


@pytest.mark.parametrize("seed", SEEDS)
def test_the_same_words_in_capitals_give_the_same_picture(paint: Paint, seed: int) -> None:
    lower, upper = paint(prompt="a red apple", seed=seed), paint(prompt="A RED APPLE", seed=seed)
    np.testing.assert_array_equal(open_picture(lower.data), open_picture(upper.data))
