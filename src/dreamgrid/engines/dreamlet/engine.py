"""Renders dreamlet-v1 with onnxruntime on the CPU.

A prompt alone is painted on a square of 64 pixels, because that is what the network learned: on a
wider canvas it paints a thing twice or stretches it. For other proportions the ground at the edges
is continued outwards, so nothing of the thing is cut off. A starting image already says where
things are, so it is worked on in the proportions asked for, with 64 pixels on the shorter side.

The result is resampled to the requested size with a Lanczos filter: a large picture is a smooth
enlargement, as dreamlet knows no finer detail.
"""

import math
from collections.abc import Mapping
from pathlib import Path

from dreamgrid.engines import picture_file
from dreamgrid.engines.base import Artifact, OnStep, Step
from dreamgrid.engines.dreamlet import pictures
from dreamgrid.engines.dreamlet.networks import Networks, networks_in
from dreamgrid.engines.dreamlet.sampler import Floats, draw_noise, sample, step_count
from dreamgrid.engines.safety import ContentFilter
from dreamgrid.engines.starting_image import start_of
from dreamgrid.errors import EngineError, ModelNotAvailable
from dreamgrid.protocol.params import CONTENT_TYPES, MAX_SEED
from dreamgrid.protocol.renders import AnyRender, ImageRender

MODEL = "dreamlet-v1"
CANVAS_PX = 64
MAX_CANVAS_PX = 128
CANVAS_STEP_PX = 16  # the network folds pixels 4 x 4 and halves the canvas twice
MAX_SIDE_PX = 4096
MAX_STEPS = 1000


class DreamletEngine:
    """Holds the two networks; renders one job at a time."""

    def __init__(self, weights: Path, *, threads: int = 1) -> None:
        """Takes the folder of the exported files and the number of CPU threads to use."""
        self._weights = weights
        self._threads = max(1, threads)
        self._filter = ContentFilter(threads=self._threads)

    def load(self, model: str) -> None:
        """Reads the weights; takes a fifth of a second.

        Raises:
            ModelNotAvailable: It is not `dreamlet-v1`, or its files are missing or broken.
        """
        if model != MODEL:
            raise ModelNotAvailable(f"the dreamlet engine serves {MODEL}, not {model}")
        self._loaded()

    def generate(self, render: AnyRender, inputs: Mapping[str, bytes], on_step: OnStep) -> Artifact:
        """Paints one picture.

        The same render gives the same picture, bit for bit, whatever the number of threads. With
        a starting image, `strength` is the share of the steps that are done: with none left, the
        image itself is returned, fitted to the size.

        Raises:
            RenderCanceled: Raised by `on_step` and passed on.
            ModelNotAvailable: The files of the model are missing or broken.
            UnreadableMedia: The starting image cannot be read or is too large.
            RenderRefused: The content filter refuses the prompt.
            EngineError: A setting is out of all bounds, or it is no picture.
        """
        if not isinstance(render, ImageRender):
            raise EngineError(f"{MODEL} makes pictures only")
        _check(render)
        self._filter.check(render.prompt)
        networks = self._loaded()
        start = start_of(render, inputs)
        strength = None if start is None else start.strength
        steps_done = step_count(render.steps, strength)
        if start is not None and steps_done == 0:
            painted = start.picture
        else:
            width_px = height_px = CANVAS_PX
            small_start = None
            if start is not None:
                width_px, height_px = canvas_size(render.width, render.height)
                small_start = pictures.to_floats(pictures.fit(start.picture, width_px, height_px))

            def proportioned(pixels: Floats) -> Floats:
                if start is not None:
                    return pixels
                return pictures.extend(pixels, render.width, render.height)

            def on_prediction(step: int, count: int, clean: Floats) -> None:
                def preview() -> bytes:
                    return pictures.encode_preview(proportioned(clean))

                on_step(Step(step=step, step_count=count, preview=preview))

            pixels = sample(
                networks.paint,
                networks.encode(render.prompt, render.negative_prompt),
                noise=draw_noise(render.seed, height_px, width_px),
                steps=render.steps,
                guidance=render.guidance,
                start=small_start,
                strength=1.0 if strength is None else strength,
                on_prediction=on_prediction,
            )
            painted = pictures.from_floats(proportioned(pixels))
        picture = pictures.fit(painted, render.width, render.height)
        return Artifact(
            data=picture_file.encode(picture, render.output_format, _settings(render, strength)),
            content_type=CONTENT_TYPES[render.output_format],
            steps=steps_done,
            sensitive=self._filter.objections(render.prompt, [picture]),
        )

    def _loaded(self) -> Networks:
        return networks_in(self._weights, self._threads)


def canvas_size(width_px: int, height_px: int) -> tuple[int, int]:
    """The canvas (width, height) for a starting image and a result of the given size."""
    longer, shorter = max(width_px, height_px), min(width_px, height_px)
    steps = round(CANVAS_PX * longer / shorter / CANVAS_STEP_PX)
    long_px = min(MAX_CANVAS_PX, steps * CANVAS_STEP_PX)
    return (long_px, CANVAS_PX) if width_px > height_px else (CANVAS_PX, long_px)


def _check(render: ImageRender) -> None:
    """Refuses what no catalogue would let through; the server has its own, tighter limits.

    Raises:
        EngineError: Says which setting is wrong.
    """
    if not (1 <= render.width <= MAX_SIDE_PX and 1 <= render.height <= MAX_SIDE_PX):
        raise EngineError(f"{render.width}x{render.height}: sides are 1 to {MAX_SIDE_PX} pixels")
    if not 1 <= render.steps <= MAX_STEPS:
        raise EngineError(f"{render.steps} steps: 1 to {MAX_STEPS} are possible")
    if not 0 <= render.seed <= MAX_SEED:
        raise EngineError(f"seed {render.seed} is not between 0 and {MAX_SEED}")
    if not math.isfinite(render.guidance):
        raise EngineError(f"guidance {render.guidance} is no number")
    if render.strength is not None and not 0 <= render.strength <= 1:
        raise EngineError(f"strength {render.strength} is not between 0 and 1")


def _settings(render: ImageRender, strength: float | None) -> dict[str, str | int | float]:
    """What a reader of the file needs to paint the picture again."""
    settings: dict[str, str | int | float] = {
        "model": render.model,
        "prompt": render.prompt,
        "negative_prompt": render.negative_prompt,
        "width": render.width,
        "height": render.height,
        "steps": render.steps,
        "guidance": render.guidance,
        "seed": render.seed,
    }
    if strength is not None:
        settings["strength"] = strength
    return settings
