"""Frames between frames."""

import numpy as np
import pytest

from dreamgrid.engines.interpolation import Pixels, interpolated


def square_at(x: float) -> Pixels:
    """A textured square on black whose left edge is at a column."""
    rng = np.random.default_rng(3)
    square = np.kron(rng.integers(100, 256, (4, 4, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    frame = np.zeros((96, 160, 3), np.uint8)
    frame[32:64, round(x) : round(x) + 32] = square
    return frame


@pytest.mark.parametrize(
    ("count", "fps", "to_fps", "expected"),
    [
        (9, 16, 32, 17),
        (9, 16, 16, 9),
        (81, 16, 32, 161),
        (9, 16, 24, 13),
        (10, 16, 24, 15),
        (9, 12.5, 29.97, 20),
        (2, 16, 32, 3),
        (1, 16, 32, 1),
    ],
)
def test_a_video_keeps_its_length_at_a_higher_rate(
    count: int, fps: float, to_fps: float, expected: int
) -> None:
    frames = [np.full((32, 32, 3), index, np.uint8) for index in range(count)]
    made = list(interpolated(iter(frames), fps, to_fps))
    assert len(made) == expected
    assert round(float(made[0].mean())) == 0
    assert round(float(made[-1].mean())) == count - 1


def test_what_moves_is_drawn_on_its_way_and_the_given_frames_stay() -> None:
    frames = [square_at(16 + 8 * index) for index in range(6)]
    made = list(interpolated(iter(frames), 16, 32))
    for index, frame in enumerate(frames):
        assert np.abs(made[2 * index].astype(int) - frame).mean() < 0.5
    halfway, faded = square_at(16 + 8 * 2 + 4), (frames[2].astype(float) + frames[3]) / 2
    error = np.abs(made[5].astype(float) - halfway).mean()
    assert error < np.abs(faded - halfway).mean() / 2


def test_no_frames_stay_no_frames() -> None:
    assert list(interpolated(iter(()), 16, 32)) == []
