"""Pictures that come with a job: where to paint, and what the result shall be like."""

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from dreamgrid.engines.base import Step
from dreamgrid.engines.mask import Mask
from dreamgrid.errors import EngineError, RenderRefused, UnreadableMedia
from dreamgrid.protocol.params import INPAINT, ControlNet
from tests.engines.dreamlet.helpers import Paint, encode_picture, open_picture

SIDE = 128
LEFT, RIGHT = np.s_[:, : SIDE // 2], np.s_[:, SIDE // 2 :]


def png(picture: Image.Image) -> bytes:
    return encode_picture(picture)


def levels(data: bytes) -> np.ndarray:
    return np.asarray(open_picture(data)).astype(np.float64)


@pytest.fixture(scope="module")
def ball() -> Image.Image:
    """A blue ball on yellow ground."""
    picture = Image.new("RGB", (SIDE, SIDE), (250, 220, 60))
    ImageDraw.Draw(picture).ellipse((30, 30, 98, 98), fill=(40, 60, 200))
    return picture


@pytest.fixture(scope="module")
def right_half() -> bytes:
    """A mask: only the right half is painted."""
    mask = Image.new("L", (SIDE, SIDE))
    mask.paste(255, (SIDE // 2, 0, SIDE, SIDE))
    return png(mask)


def inpaint(paint: Paint, ball: Image.Image, mask: bytes, **net: Any) -> np.ndarray:
    """The ball with a red apple painted inside the mask."""
    control_net = ControlNet(name=INPAINT, **{"mode": "cn_priority", **net})
    made = paint(
        start=png(ball), mask=mask, control_net=control_net, strength=1.0, width=SIDE, height=SIDE
    )
    return levels(made.data)


def change(made: np.ndarray, before: Image.Image) -> np.ndarray:
    moved: np.ndarray = np.abs(made - np.asarray(before)).mean(axis=2)
    return moved


def test_only_what_the_mask_shows_white_is_painted(
    paint: Paint, ball: Image.Image, right_half: bytes
) -> None:
    moved = change(inpaint(paint, ball, right_half), ball)
    assert moved[LEFT].max() == 0
    assert moved[RIGHT].mean() > 20


def test_a_soft_edge_mixes_both_sides_a_little(
    paint: Paint, ball: Image.Image, right_half: bytes
) -> None:
    hard = change(inpaint(paint, ball, right_half), ball)
    soft = change(inpaint(paint, ball, right_half, mode="balanced"), ball)
    wide = change(inpaint(paint, ball, right_half, mode="prompt_priority"), ball)
    assert hard[LEFT].sum() < soft[LEFT].sum() < wide[LEFT].sum()
    assert wide[:, : SIDE // 4].max() == 0


@pytest.mark.parametrize("size", [(64, 64), (640, 512), (512, 904)])
def test_a_mask_is_widened_as_far_as_a_square_of_its_reach(size: tuple[int, int]) -> None:
    drawn = Image.new("L", size)
    for number, place in enumerate([(0, 0), (size[0] - 1, 7), (30, 40), (33, 41), (50, 63)]):
        drawn.putpixel(place, 50 + 40 * number)
    soft_px = min(size) / 128
    squared = drawn.filter(ImageFilter.MaxFilter(2 * round(2 * soft_px) + 1))
    expected = squared.filter(ImageFilter.GaussianBlur(soft_px))
    mask = Mask.of(ControlNet(name=INPAINT, mode="prompt_priority"), png(drawn), *size)
    np.testing.assert_array_equal(np.asarray(mask.area), np.asarray(expected))


def test_a_large_mask_asks_for_no_filter_whose_work_grows_with_its_square(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[object] = []

    def remember(picture: Image.Image, wanted: object) -> Image.Image:
        asked.append(wanted)
        return picture

    monkeypatch.setattr(Image.Image, "filter", remember)
    drawn = Image.new("L", (2048, 2048))
    drawn.putpixel((1000, 700), 255)
    mask = Mask.of(ControlNet(name=INPAINT, mode="prompt_priority"), png(drawn), 2048, 2048)
    assert [type(one) for one in asked] == [ImageFilter.GaussianBlur]
    assert mask.area.getbbox() == (1000 - 32, 700 - 32, 1000 + 33, 700 + 33)
    assert mask.area.histogram()[255] == 65**2


def test_a_weaker_net_keeps_less_of_what_lies_outside(
    paint: Paint, ball: Image.Image, right_half: bytes
) -> None:
    assert change(inpaint(paint, ball, right_half, strength=0.3), ball)[LEFT].mean() > 5


def test_a_net_that_lets_go_early_leaves_the_outside_to_the_painter(
    paint: Paint, ball: Image.Image, right_half: bytes
) -> None:
    early = change(inpaint(paint, ball, right_half, end=0.2), ball)[LEFT].mean()
    late = change(inpaint(paint, ball, right_half, start=0.5, end=0.95), ball)[LEFT].mean()
    assert early > 5
    assert late > 0


def test_a_gray_mask_is_made_black_and_white_when_it_is_to_be_preprocessed(
    paint: Paint, ball: Image.Image
) -> None:
    dark = png(Image.new("L", (SIDE, SIDE), 100))
    assert change(inpaint(paint, ball, dark), ball).mean() > 1
    assert change(inpaint(paint, ball, dark, preprocess=True), ball).max() == 0


def test_the_same_mask_gives_the_same_picture_again(
    paint: Paint, ball: Image.Image, right_half: bytes
) -> None:
    np.testing.assert_array_equal(
        inpaint(paint, ball, right_half), inpaint(paint, ball, right_half)
    )


def test_a_mask_needs_a_picture_to_paint_in(paint: Paint, right_half: bytes) -> None:
    with pytest.raises(RenderRefused, match="starting image"):
        paint(mask=right_half, control_net=ControlNet(name=INPAINT))


def test_other_control_nets_are_refused(paint: Paint, ball: Image.Image, right_half: bytes) -> None:
    with pytest.raises(RenderRefused, match="inpaint"):
        paint(start=png(ball), mask=right_half, strength=0.5, control_net=ControlNet(name="canny"))


def test_a_broken_mask_is_refused_before_any_step(paint: Paint, ball: Image.Image) -> None:
    steps: list[Step] = []
    with pytest.raises(UnreadableMedia):
        paint(
            start=png(ball),
            mask=b"no picture",
            strength=0.5,
            control_net=ControlNet(name=INPAINT),
            on_step=steps.append,
        )
    assert steps == []


@pytest.mark.parametrize("wrong", [{"strength": 1.5}, {"start": -0.1}, {"end": 2.0}])
def test_shares_out_of_bounds_are_refused(
    paint: Paint, ball: Image.Image, right_half: bytes, wrong: dict[str, float]
) -> None:
    with pytest.raises(EngineError, match="share"):
        inpaint(paint, ball, right_half, **wrong)


# A picture that the result shall be like ----------------------------------------------------------


def test_a_variation_has_the_colors_and_large_shapes_of_its_reference(
    paint: Paint, ball: Image.Image
) -> None:
    sides = {"width": SIDE, "height": SIDE}
    for seed in (1, 2):
        free = levels(paint(prompt="a ball", seed=seed, **sides).data)
        alike = levels(paint(prompt="a ball", seed=seed, like=png(ball), **sides).data)
        assert change(alike, ball).mean() < 0.7 * change(free, ball).mean()


def test_every_seed_gives_another_variation(paint: Paint, ball: Image.Image) -> None:
    one, other = (levels(paint(like=png(ball), seed=seed).data) for seed in (1, 2))
    assert np.abs(one - other).mean() > 2


def test_a_broken_reference_is_refused(paint: Paint) -> None:
    with pytest.raises(UnreadableMedia):
        paint(like=b"no picture")
