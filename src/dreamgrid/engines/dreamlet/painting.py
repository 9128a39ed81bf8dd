"""How dreamlet paints: from words, over a starting picture, inside a mask, like another one."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image

from dreamgrid.engines.base import OnStep, Step
from dreamgrid.engines.dreamlet import enlarging, pictures
from dreamgrid.engines.dreamlet.given import Given
from dreamgrid.engines.dreamlet.networks import Networks
from dreamgrid.engines.dreamlet.sampler import Floats, draw_noise, sample, step_count
from dreamgrid.protocol.renders import ImageRender

CANVAS_PX = 64
MAX_CANVAS_PX = 128
CANVAS_STEP_PX = 16  # the network folds pixels 4 x 4 and halves the canvas twice

AGREEMENT = 0.25
"""Where the painter moved a pixel by this much (of the range of 2), a third of the old detail is
kept; where by less, more."""


@dataclass(frozen=True)
class Made:
    """A finished picture and the steps that it took."""

    picture: Image.Image
    steps: int


def canvas_size(width_px: int, height_px: int) -> tuple[int, int]:
    """The canvas (width, height) for a starting image and a result of the given size."""
    longer, shorter = max(width_px, height_px), min(width_px, height_px)
    steps = round(CANVAS_PX * longer / shorter / CANVAS_STEP_PX)
    long_px = min(MAX_CANVAS_PX, steps * CANVAS_STEP_PX)
    return (long_px, CANVAS_PX) if width_px > height_px else (CANVAS_PX, long_px)


def paint(render: ImageRender, given: Given, networks: Networks, on_step: OnStep) -> Made:
    """Paints a picture of the size asked for."""
    if given.start is None:
        return _paint_from_words(render, given, networks, on_step)
    alive = still(on_step, 0, step_count(render.steps, given.start.strength))
    size = (render.width, render.height)
    begun = enlarging.fit(networks.upscale, given.start.picture, *size, alive)
    made = paint_over(begun, given.start.strength, render, given, networks, on_step)
    if given.mask is None:
        return made
    return Made(given.mask.lay(made.picture, over=begun), made.steps)


def paint_over(
    begun: Image.Image,
    strength: float,
    render: ImageRender,
    given: Given,
    networks: Networks,
    on_step: OnStep,
) -> Made:
    """Paints over a picture that has its final size.

    It is worked on at the size of the canvas. Where that changed it, the new pixels are taken;
    where it hardly did, the old ones stay and only their color follows, so that detail finer than
    the canvas survives. The stronger, the less of it: at full strength, all is new.
    """
    steps = step_count(render.steps, strength)
    if steps == 0:
        return Made(begun, 0)
    width_px, height_px = canvas_size(*begun.size)
    small = pictures.to_floats(pictures.fit(begun, width_px, height_px))
    painted = sample(
        networks.paint,
        networks.encode(render.prompt, render.negative_prompt),
        noise=draw_noise(render.seed, height_px, width_px),
        steps=render.steps,
        guidance=render.guidance,
        start=small,
        strength=strength,
        correct=given.correct(small, width_px, height_px),
        on_prediction=_teller(on_step, lambda pixels: pixels),
    )
    alive = still(on_step, steps, steps)
    new = enlarging.fit(networks.upscale, pictures.from_floats(painted), *begun.size, alive)
    kept = np.exp(-np.square(np.abs(painted - small).max(axis=0) / AGREEMENT))
    kept *= np.sqrt(1 - np.float32(strength) ** 2)
    old = pictures.shifted(begun, painted - small)
    share = Image.fromarray(np.rint(kept * 255).astype(np.uint8))
    return Made(
        Image.composite(old, new, share.resize(begun.size, Image.Resampling.BILINEAR)), steps
    )


def _paint_from_words(
    render: ImageRender, given: Given, networks: Networks, on_step: OnStep
) -> Made:
    proportioned = partial(pictures.extend, width_px=render.width, height_px=render.height)
    painted = sample(
        networks.paint,
        networks.encode(render.prompt, render.negative_prompt),
        noise=draw_noise(render.seed, CANVAS_PX, CANVAS_PX),
        steps=render.steps,
        guidance=render.guidance,
        correct=given.correct(None, CANVAS_PX, CANVAS_PX),
        on_prediction=_teller(on_step, proportioned),
    )
    whole = pictures.from_floats(proportioned(painted))
    alive = still(on_step, render.steps, render.steps)
    large = enlarging.fit(networks.upscale, whole, render.width, render.height, alive)
    return Made(large, render.steps)


def still(on_step: OnStep, step: int, count: int) -> enlarging.OnTile:
    """Tells with every tile that the render goes on, as far as it was, and may be canceled."""
    return partial(on_step, Step(step=step, step_count=max(1, count)))


def _teller(
    on_step: OnStep, shown: Callable[[Floats], Floats]
) -> Callable[[int, int, Floats], None]:
    """Tells every step, with a preview of the picture as `shown` has it."""

    def tell(step: int, count: int, clean: Floats) -> None:
        def preview() -> bytes:
            return pictures.encode_preview(shown(clean))

        on_step(Step(step=step, step_count=count, preview=preview))

    return tell
