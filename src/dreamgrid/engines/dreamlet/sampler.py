"""From noise to a picture: Euler steps along the flow, with classifier-free guidance.

The network predicts the clean picture. At noise level t a noisy picture is
`(1 - t) * picture + t * noise`, so a step from t to a lower t' keeps the share t'/t of what is
still noisy and takes the rest from the prediction. Pure numpy; the caller draws the noise, a
picture's own from its own seed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class EncodedTexts:
    """Texts as the painter reads them.

    Attributes:
        tokens: float32 [B, N, D].
        mask: int64 [B, N], 1 where there is a token.
        pooled: float32 [B, D].
    """

    tokens: Floats
    mask: Integers
    pooled: Floats

    def repeated(self, rows: list[int], times: int) -> "EncodedTexts":
        """Some of the texts, each several times in a row."""
        tokens, mask, pooled = self.tokens[rows], self.mask[rows], self.pooled[rows]
        return EncodedTexts(tokens.repeat(times, 0), mask.repeat(times, 0), pooled.repeat(times, 0))


class Painter(Protocol):
    """The network: noisy pictures [B, 3, H, W], noise levels [B] and B texts to clean pictures."""

    def __call__(self, noisy: Floats, levels: Floats, texts: EncodedTexts, /) -> Floats:
        """Returns clean pictures, float32 [B, 3, H, W], about -1..1."""
        ...


OnPrediction = Callable[[int, int, Floats], None]
"""Called with (steps done, steps in all, clean picture [3, H, W]) after every step. May raise."""

OnPredictions = Callable[[int, Floats], None]
"""Called with (steps done, clean pictures [B, 3, H, W]) after every step. May raise."""

Correct = Callable[[float, Floats], Floats]
"""Takes the share of the steps that are done (0 at the first) and the clean pictures [B, 3, H, W]
that the network predicts, and gives those that the sampler shall go on with."""


def step_count(steps: int, strength: float | None) -> int:
    """How many steps are really done: a starting picture leaves only the last share of them."""
    return steps if strength is None else round(steps * strength)


def draw_noise(seed: int, height_px: int, width_px: int, number: int = 0) -> Floats:
    """Standard normal noise [3, H, W] for a seed of 0..2**32-1; each number is another draw."""
    # RandomState is the generator whose stream numpy promises never to change.
    stream = np.random.RandomState(seed if number == 0 else [seed, number])
    noise = stream.standard_normal((3, height_px, width_px))
    return noise.astype(np.float32)


def noise_levels(steps: int, shift: float = 1.0) -> Floats:
    """The noise levels of a run, [steps + 1], from 1 down to 0.

    A shift above 1 spends more of the steps at high noise, where the outlines are decided:
    `t' = shift * t / (1 + (shift - 1) * t)` (Esser et al. 2024, "Scaling Rectified Flow
    Transformers", section 5.3.2).
    """
    even = np.linspace(1.0, 0.0, steps + 1)
    return np.asarray(shift * even / (1 + (shift - 1) * even), dtype=np.float32)


def sample(
    painter: Painter,
    texts: EncodedTexts,
    *,
    noise: Floats,
    steps: int,
    guidance: float,
    start: Floats | None = None,
    strength: float = 1.0,
    correct: Correct | None = None,
    on_prediction: OnPrediction,
) -> Floats:
    """Paints one picture.

    Args:
        painter: The network.
        texts: Two texts: what to show, and what to move away from ("" for nothing).
        noise: [3, H, W].
        steps: Steps of a full run from noise, at least 1.
        guidance: 1 follows the first text alone; more moves away from the second.
        start: A picture [3, H, W] in -1..1 to begin with, or None.
        strength: With `start`, the noise level to begin at, 0..1.
        correct: Has the last word on every prediction. None: the network has.
        on_prediction: Sees every step.

    Returns:
        float32 [3, H, W] in -1..1.
    """
    first_level = 1.0 if start is None else strength
    count = step_count(steps, None if start is None else strength)
    levels = np.linspace(first_level, 0.0, count + 1, dtype=np.float32)
    painted = sample_many(
        painter,
        texts,
        weights=np.ones((1, 1), np.float32),
        noise=noise[None],
        levels=levels[:, None],
        guidance=guidance,
        start=None if start is None else start[None],
        correct=correct,
        on_predictions=lambda step, clean: on_prediction(step, count, clean[0]),
    )
    picture: Floats = painted[0]
    return picture


def sample_many(
    painter: Painter,
    texts: EncodedTexts,
    *,
    weights: Floats,
    noise: Floats,
    levels: Floats,
    guidance: float,
    start: Floats | None = None,
    correct: Correct | None = None,
    on_predictions: OnPredictions,
) -> Floats:
    """Paints B pictures at once, each with its own share of P texts.

    Args:
        painter: The network.
        texts: P + 1 texts: what to show, and last what to move away from.
        weights: [B, P], each row adds up to 1: a picture follows the mean of the predictions.
        noise: [B, 3, H, W].
        levels: [steps + 1, B], noise levels from the first one down to 0.
        guidance: 1 follows the texts to show alone; more moves away from the last one.
        start: Pictures [B, 3, H, W] in -1..1 to begin with, or None for noise alone.
        correct: Has the last word on every prediction. None: the network has.
        on_predictions: Sees every step.

    Returns:
        float32 [B, 3, H, W] in -1..1.
    """
    batch = len(noise)
    shown = [part for part in range(weights.shape[1]) if weights[:, part].any()]
    rows = shown if guidance == 1.0 else [*shown, len(texts.pooled) - 1]
    shares = weights[:, shown].T[:, :, None, None, None]
    read = texts.repeated(rows, batch)
    factors = levels[:, :, None, None, None]
    pictures = noise if start is None else (1 - factors[0]) * start + factors[0] * noise
    steps = len(levels) - 1
    for index in range(steps):
        noisy = np.tile(pictures, (len(rows), 1, 1, 1))
        predicted = painter(noisy, np.tile(levels[index], len(rows)), read)
        predicted = predicted.reshape(len(rows), *pictures.shape)
        clean = (shares * predicted[: len(shown)]).sum(axis=0)
        if guidance != 1.0:
            clean = predicted[-1] + np.float32(guidance) * (clean - predicted[-1])
        # Guidance overshoots the range of colors; the next step must not build on that.
        clean = np.clip(clean, -1.0, 1.0)
        if correct is not None:
            clean = correct(index / steps, clean)
        pictures = clean + (factors[index + 1] / factors[index]) * (pictures - clean)
        on_predictions(index + 1, clean)
    return np.clip(pictures, -1.0, 1.0)
