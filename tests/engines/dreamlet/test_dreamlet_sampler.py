"""The sampler alone, with painters made of arithmetic."""

import numpy as np
import pytest

from dreamgrid.engines.dreamlet.sampler import (
    EncodedTexts,
    Floats,
    draw_noise,
    sample,
    step_count,
)

TWO_TEXTS = EncodedTexts(
    np.zeros((2, 3, 4), np.float32), np.ones((2, 3), np.int64), np.zeros((2, 4), np.float32)
)
TARGET = np.full((3, 16, 16), 0.25, np.float32)


class KnowingPainter:
    """Always predicts the same picture, and remembers what it was asked."""

    def __init__(self, *, unwanted: float = 0.0) -> None:
        self.levels: list[float] = []
        self.batch_sizes: list[int] = []
        self.unwanted = unwanted

    def __call__(self, noisy: Floats, levels: Floats, texts: EncodedTexts, /) -> Floats:
        self.levels.append(float(levels[0]))
        self.batch_sizes.append(len(noisy))
        clean = np.stack([TARGET, np.full_like(TARGET, self.unwanted)])
        return clean[: len(noisy)]


def ignore(_step: int, _count: int, _clean: Floats) -> None:
    """Wants nothing."""


def test_a_painter_that_knows_the_picture_is_followed_to_it() -> None:
    painted = sample(
        KnowingPainter(unwanted=0.25),
        TWO_TEXTS,
        noise=draw_noise(1, 16, 16),
        steps=5,
        guidance=3.0,
        on_prediction=ignore,
    )
    np.testing.assert_allclose(painted, TARGET, atol=1e-6)


def test_noise_levels_fall_evenly_from_one() -> None:
    painter = KnowingPainter()
    noise = draw_noise(1, 16, 16)
    sample(painter, TWO_TEXTS, noise=noise, steps=4, guidance=2.0, on_prediction=ignore)
    assert painter.levels == [1.0, 0.75, 0.5, 0.25]


def test_guidance_moves_away_from_the_second_text() -> None:
    painted = sample(
        KnowingPainter(unwanted=0.0),
        TWO_TEXTS,
        noise=draw_noise(1, 16, 16),
        steps=3,
        guidance=2.0,
        on_prediction=ignore,
    )
    np.testing.assert_allclose(painted, 2 * TARGET, atol=1e-6)


def test_guidance_of_one_asks_for_one_text_only() -> None:
    painter = KnowingPainter()
    noise = draw_noise(1, 16, 16)
    sample(painter, TWO_TEXTS, noise=noise, steps=2, guidance=1.0, on_prediction=ignore)
    assert painter.batch_sizes == [1, 1]


def test_overshooting_guidance_stays_within_the_range_of_colors() -> None:
    seen: list[Floats] = []
    painted = sample(
        KnowingPainter(unwanted=-1.0),
        TWO_TEXTS,
        noise=draw_noise(1, 16, 16),
        steps=3,
        guidance=20.0,
        on_prediction=lambda _step, _count, clean: seen.append(clean),
    )
    assert painted.max() <= 1.0
    assert all(clean.max() <= 1.0 for clean in seen)


def test_a_starting_picture_leaves_only_the_last_share_of_the_steps() -> None:
    painter = KnowingPainter()
    sample(
        painter,
        TWO_TEXTS,
        noise=draw_noise(1, 16, 16),
        steps=10,
        guidance=1.0,
        start=-TARGET,
        strength=0.3,
        on_prediction=ignore,
    )
    assert painter.levels == pytest.approx([0.3, 0.2, 0.1])
    assert step_count(10, 0.3) == 3
    assert step_count(10, None) == 10


def test_strength_zero_returns_the_starting_picture() -> None:
    painter = KnowingPainter()
    painted = sample(
        painter,
        TWO_TEXTS,
        noise=draw_noise(1, 16, 16),
        steps=10,
        guidance=1.0,
        start=-TARGET,
        strength=0.0,
        on_prediction=ignore,
    )
    np.testing.assert_array_equal(painted, -TARGET)
    assert painter.levels == []


def test_an_error_from_the_observer_stops_the_painting() -> None:
    painter = KnowingPainter()

    def stop(step: int, _count: int, _clean: Floats) -> None:
        if step == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        sample(
            painter,
            TWO_TEXTS,
            noise=draw_noise(1, 16, 16),
            steps=9,
            guidance=1.0,
            on_prediction=stop,
        )
    assert len(painter.levels) == 2


def test_noise_follows_from_the_seed_alone() -> None:
    np.testing.assert_array_equal(draw_noise(2**32 - 1, 16, 32), draw_noise(2**32 - 1, 16, 32))
    assert not np.array_equal(draw_noise(0, 16, 16), draw_noise(1, 16, 16))


def test_noise_is_the_same_on_every_machine() -> None:
    # Written down once: an old picture must stay repeatable after an update of numpy.
    np.testing.assert_allclose(
        draw_noise(7, 1, 2)[:, 0, :],
        [[1.690526, -0.465937], [0.032820, 0.407516], [-0.788923, 0.002066]],
        atol=1e-5,
    )
