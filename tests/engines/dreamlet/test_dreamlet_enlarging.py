"""Larger pictures by the shipped upscaler: seams, sizes, and whether it earns its keep."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from dreamgrid.engines.dreamlet import WEIGHTS, enlarging, pictures
from dreamgrid.engines.dreamlet.networks import Networks, networks_in


@pytest.fixture(scope="module")
def networks() -> Networks:
    return networks_in(WEIGHTS, 1)


def drawing(width_px: int, height_px: int) -> Image.Image:
    """A scene of clear shapes, smoothed so that nothing is jagged."""
    picture = Image.new("RGB", (width_px * 4, height_px * 4), (90, 160, 220))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, height_px * 3, width_px * 4, height_px * 4), fill=(60, 140, 60))
    for index, color in enumerate(("white", "orange", "crimson")):
        left = width_px * (0.3 + 1.2 * index)
        draw.ellipse((left, height_px, left + width_px, height_px * 2.6), fill=color)
        draw.line((left, height_px * 3.5, left + width_px, height_px * 2), "black", 16)
    return picture.resize((width_px, height_px), Image.Resampling.LANCZOS)


def distance(one: Image.Image, other: Image.Image) -> float:
    """Mean distance in levels of 0..255."""
    levels = [np.asarray(picture).astype(np.float64) for picture in (one, other)]
    return float(np.abs(levels[0] - levels[1]).mean())


def test_tiles_fit_together_without_a_seam(networks: Networks) -> None:
    small = drawing(enlarging.TILE_PX + 60, 48)
    tiled = np.asarray(enlarging.enlarge(networks.upscale, small)).astype(int)
    edge, reach = ((0, 0), (enlarging.REACH_PX,) * 2, (enlarging.REACH_PX,) * 2), enlarging.REACH_PX
    padded = np.pad(pictures.to_floats(small), edge, mode="edge")
    cut = slice(4 * reach, -4 * reach)
    whole = pictures.from_floats(networks.upscale(padded[None])[0][:, cut, cut])
    assert np.abs(tiled - np.asarray(whole).astype(int)).max() <= 1


def test_shapes_come_nearer_to_the_truth_than_by_lanczos(networks: Networks) -> None:
    truth = drawing(384, 256)
    small = truth.resize((96, 64), Image.Resampling.LANCZOS)
    by_network = enlarging.fit(networks.upscale, small, 384, 256)
    assert distance(by_network, truth) < 0.8 * distance(pictures.fit(small, 384, 256), truth)


def test_a_plain_picture_stays_plain(networks: Networks) -> None:
    plain = Image.new("RGB", (20, 20), (200, 120, 40))
    large = np.asarray(enlarging.enlarge(networks.upscale, plain)).astype(int)
    assert np.abs(large - np.array((200, 120, 40))).max() <= 4


@pytest.mark.parametrize(
    ("size", "tiles"),
    [((50, 40), 0), ((60, 60), 1), ((140, 40), 1), ((400, 400), 2), ((7, 900), 2)],
)
def test_the_result_has_the_size_asked_for_and_every_tile_is_told(
    networks: Networks, size: tuple[int, int], tiles: int
) -> None:
    told: list[None] = []
    picture = drawing(50, 40)
    large = enlarging.fit(networks.upscale, picture, *size, on_tile=lambda: told.append(None))
    assert large.size == size
    assert len(told) == enlarging.tile_count(picture, *size)
    assert min(len(told), 2) == tiles


@pytest.mark.parametrize(("factor", "runs"), [(1.1, 1), (8, 1), (8.1, 2), (32, 2), (33, 3)])
def test_the_network_runs_again_when_lanczos_would_have_to_do_more_than_double(
    factor: float, runs: int
) -> None:
    assert enlarging.run_count(factor) == runs


def test_an_enlarged_picture_covers_the_same_part_as_a_fitted_one(networks: Networks) -> None:
    picture = drawing(60, 40)
    by_network = enlarging.fit(networks.upscale, picture, 128, 128)
    assert distance(by_network, pictures.fit(picture, 128, 128)) < 6
