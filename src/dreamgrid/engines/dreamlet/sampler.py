"""From noise to a picture: Euler steps along the flow, with classifier-free guidance.

The network predicts the clean picture. At noise level t a noisy picture is
`(1 - t) * picture + t * noise`, so a step from t to a lower t' keeps the share t'/t of what is
still noisy and takes the rest from the prediction. Pure numpy: one picture per call, its noise
drawn from its own seed, so a picture does not depend on what else is rendered.
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


class Painter(Protocol):
    """The network: noisy pictures [B, 3, H, W], noise levels [B] and B texts to clean pictures."""

    def __call__(self, noisy: Floats, levels: Floats, texts: EncodedTexts, /) -> Floats:
        """Returns clean pictures, float32 [B, 3, H, W], about -1..1."""
        ...


OnPrediction = Callable[[int, int, Floats], None]
"""Called with (steps done, steps in all, clean picture [3, H, W]) after every step. May raise."""


def step_count(steps: int, strength: float | None) -> int:
    """How many steps are really done: a starting picture leaves only the last share of them."""
    return steps if strength is None else round(steps * strength)


def draw_noise(seed: int, height_px: int, width_px: int) -> Floats:
    """Standard normal noise [3, H, W] for a seed of 0..2**32-1."""
    # RandomState is the generator whose stream numpy promises never to change.
    noise = np.random.RandomState(seed).standard_normal((3, height_px, width_px))
    return noise.astype(np.float32)


def sample(
    painter: Painter,
    texts: EncodedTexts,
    *,
    noise: Floats,
    steps: int,
    guidance: float,
    start: Floats | None = None,
    strength: float = 1.0,
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
        on_prediction: Sees every step.

    Returns:
        float32 [3, H, W] in -1..1.
    """
    first_level = 1.0 if start is None else strength
    count = step_count(steps, None if start is None else strength)
    levels = np.linspace(first_level, 0.0, count + 1, dtype=np.float32)
    picture = noise if start is None else (1 - levels[0]) * start + levels[0] * noise
    if guidance == 1.0:
        texts = EncodedTexts(texts.tokens[:1], texts.mask[:1], texts.pooled[:1])
    copies = len(texts.pooled)
    for index in range(count):
        level, next_level = levels[index], levels[index + 1]
        noisy = np.repeat(picture[None], copies, axis=0)
        predicted = painter(noisy, np.full(copies, level, np.float32), texts)
        clean = predicted[0]
        if copies == 2:
            clean = predicted[1] + np.float32(guidance) * (predicted[0] - predicted[1])
        # Guidance overshoots the range of colors; the next step must not build on that.
        clean = np.clip(clean, -1.0, 1.0)
        picture = clean + (next_level / level) * (picture - clean)
        on_prediction(index + 1, count, clean)
    return np.clip(picture, -1.0, 1.0)
