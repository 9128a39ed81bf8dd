"""Camera moves: read from prompts, and seen in a picture whose pixels say where they are."""

import numpy as np
import pytest

pytest.importorskip("PIL")

from PIL import Image

from dreamgrid.engines.dreamlet.video.camera import (
    FULL_MOVE_S,
    MOVES,
    Pose,
    camera_for,
    look,
    margin_px,
    read_moves,
)
from dreamgrid.engines.dreamlet.video.script import MAX_PARTS, read_script

WIDTH, HEIGHT = 192, 128


@pytest.fixture(scope="module")
def map_picture() -> Image.Image:
    """Red grows from left to right, green from top to bottom; the margin continues both."""
    x = np.linspace(0, 255, WIDTH + 2 * margin_px(WIDTH))
    y = np.linspace(0, 255, HEIGHT + 2 * margin_px(HEIGHT))
    red, green = np.meshgrid(x, y)
    return Image.fromarray(np.stack([red, green, 0 * red], 2).astype(np.uint8))


def seen(picture: Image.Image, move: str) -> np.ndarray:
    end = camera_for((move,), 0, FULL_MOVE_S).at(1.0)
    return np.asarray(look(picture, WIDTH, HEIGHT, end)).astype(float)


@pytest.mark.parametrize(
    ("prompt", "left", "moves"),
    [
        ("a fox, zoom in", "a fox", ("zoom in",)),
        ("Slowly zooming out. A castle", "A castle", ("zoom out",)),
        ("a fox, camera pans left", "a fox", ("pan left",)),
        ("the camera moves right, a fox", "a fox", ("pan right",)),
        ("a fox, zoom in, pan up", "a fox", ("zoom in", "pan up")),
        ("a fox, tilt down", "a fox", ("pan down",)),
        ("a fox rotating", "a fox", ("rotate right",)),
        ("a castle, orbit shot", "a castle", ("orbit right",)),
        ("a castle, static camera", "a castle", ("still",)),
        ("a frying pan on the left", "a frying pan on the left", ()),
        ("a zoomed picture of a panda", "a zoomed picture of a panda", ()),
        ("", "", ()),
    ],
)
def test_words_about_the_camera_are_taken_out_of_a_prompt(
    prompt: str, left: str, moves: tuple[str, ...]
) -> None:
    assert read_moves(prompt) == (left, moves)


@pytest.mark.parametrize(
    ("prompt", "parts"),
    [
        ("a rose", ("a rose",)),
        ("a rose turns into a castle", ("a rose", "a castle")),
        ("a rose, then a castle and then a fox", ("a rose", "a castle", "a fox")),
        ("a rose becomes a fox, zoom in", ("a rose", "a fox")),
        ("a rose -> a fox", ("a rose", "a fox")),
        ("zoom in", ("",)),
        ("then", ("",)),
    ],
)
def test_parts_of_a_prompt_follow_each_other(prompt: str, parts: tuple[str, ...]) -> None:
    assert read_script(prompt).parts == parts


def test_a_prompt_has_no_more_parts_than_are_kept_apart() -> None:
    parts = read_script(" then ".join("abcdefghijkl")).parts
    assert len(parts) == MAX_PARTS
    assert parts[-1] == "h then i then j then k then l"


def test_a_camera_at_rest_changes_no_pixel(map_picture: Image.Image) -> None:
    inner = np.asarray(map_picture)[margin_px(HEIGHT) : -margin_px(HEIGHT), margin_px(WIDTH) :]
    np.testing.assert_array_equal(
        np.asarray(look(map_picture, WIDTH, HEIGHT, Pose())), inner[:, :WIDTH]
    )


def test_each_move_looks_where_its_name_says(map_picture: Image.Image) -> None:
    still = seen(map_picture, "still")
    red, green = still[..., 0], still[..., 1]

    def mean(move: str, channel: int) -> float:
        return float(seen(map_picture, move)[..., channel].mean())

    assert mean("pan left", 0) < red.mean() - 5 < red.mean() + 5 < mean("pan right", 0)
    assert mean("pan up", 1) < green.mean() - 5 < green.mean() + 5 < mean("pan down", 1)
    assert np.ptp(seen(map_picture, "zoom in")[..., 0]) < np.ptp(red) - 20
    assert np.ptp(seen(map_picture, "zoom out")[..., 0]) > np.ptp(red) + 10
    turned = seen(map_picture, "rotate right")[..., 1]
    assert turned[:, -1].mean() > turned[:, 0].mean() + 5
    around = seen(map_picture, "orbit right")[..., 0] - red
    assert around[HEIGHT // 2, WIDTH // 2] > 5 > around[0, 0] + 4


@pytest.mark.parametrize("move", [move for move in MOVES if move != "still"])
def test_no_move_shows_seams_or_leaves_the_picture(map_picture: Image.Image, move: str) -> None:
    view = seen(map_picture, move)[..., :2]
    for axis in (0, 1):
        assert np.abs(np.diff(view, axis=axis)).max() < 6
    assert np.abs(np.diff(view, n=2, axis=1)).max() < 5


@pytest.mark.parametrize("move", MOVES)
def test_a_full_picture_is_never_left_except_to_zoom_out(
    map_picture: Image.Image, move: str
) -> None:
    end = camera_for((move,), 0, FULL_MOVE_S, full=True).at(1.0)
    view = np.asarray(look(map_picture, WIDTH, HEIGHT, end)).astype(float)
    whole = seen(map_picture, "still")
    inside = view.min(axis=(0, 1))[0] >= whole[..., 0].min() - 2
    inside &= view.max(axis=(0, 1))[0] <= whole[..., 0].max() + 2
    assert inside == (move != "zoom out")


def test_moves_begin_and_end_slowly() -> None:
    camera = camera_for(("pan right",), 0, FULL_MOVE_S)
    way = [camera.at(n / 20).x for n in range(21)]
    speed = np.diff(way)
    assert way[0] == 0
    assert speed[0] < speed[10] / 4 > speed[-1]


def test_given_pictures_are_seen_whole() -> None:
    first = camera_for(("zoom in",), 0, 5)
    last = camera_for(("zoom in",), 0, 5, starts_whole=False, ends_whole=True)
    both = camera_for(("zoom in",), 0, 5, starts_whole=True, ends_whole=True)
    assert first.at(0) == last.at(1) == both.at(0) == both.at(1) == Pose()
    assert first.at(1) == last.at(0) == both.at(0.5) != Pose()


def test_seeds_choose_different_moves_when_none_is_named() -> None:
    assert len({camera_for((), seed, 2).end for seed in range(6)}) == 6


def test_short_videos_make_small_moves() -> None:
    assert camera_for(("pan left",), 0, FULL_MOVE_S / 4).end.x == MOVES["pan left"].x / 4
