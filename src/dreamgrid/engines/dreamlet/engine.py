"""Renders dreamlet's pictures with onnxruntime on the CPU: from words, over pictures, and larger.

A prompt alone is painted on a square of 64 pixels, because that is what the network learned: on a
wider canvas it paints a thing twice or stretches it. For other proportions the ground at the edges
is continued outwards, so nothing of the thing is cut off. A starting image already says where
things are, so it is worked on in the proportions asked for, with 64 pixels on the shorter side.

A second network makes the result four times as large, and again if need be; what is left to the
size asked for is done by a Lanczos filter.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path

from dreamgrid.engines import picture_file
from dreamgrid.engines.base import Artifact, OnStep
from dreamgrid.engines.dreamlet import painting, refining
from dreamgrid.engines.dreamlet.given import Given
from dreamgrid.engines.dreamlet.ids import ENHANCER, MODEL, UPSCALER
from dreamgrid.engines.dreamlet.networks import Networks, networks_in
from dreamgrid.engines.dreamlet.painting import CANVAS_PX, Made, canvas_size
from dreamgrid.engines.safety import ContentFilter
from dreamgrid.errors import EngineError, ModelNotAvailable
from dreamgrid.protocol.params import CONTENT_TYPES, MAX_SEED
from dreamgrid.protocol.renders import AnyRender, ImageRender

__all__ = ["CANVAS_PX", "MODEL", "DreamletEngine", "canvas_size"]

MAX_SIDE_PX = 4096
MAX_STEPS = 1000

_Way = Callable[[ImageRender, Given, Networks, OnStep], Made]
_WAYS: dict[str, _Way] = {
    MODEL: painting.paint,
    ENHANCER: refining.enhance,
    UPSCALER: refining.upscale,
}


class DreamletEngine:
    """Holds the networks; renders one job at a time."""

    def __init__(self, weights: Path, *, threads: int = 1) -> None:
        """Takes the folder of the exported files and the number of CPU threads to use."""
        self._weights = weights
        self._threads = max(1, threads)
        self._filter = ContentFilter(threads=self._threads)

    def load(self, model: str) -> None:
        """Reads the weights, and begins to read those of the content filter; takes 0.3 s.

        Raises:
            ModelNotAvailable: It is no model of this engine, or its files are missing or broken.
        """
        if model not in _WAYS:
            raise ModelNotAvailable(f"dreamlet serves {', '.join(_WAYS)}, not {model}")
        self._filter.load_beside()
        self._loaded()

    def generate(self, render: AnyRender, inputs: Mapping[str, bytes], on_step: OnStep) -> Artifact:
        """Makes one picture.

        The same render gives the same picture, bit for bit, whatever the number of threads. With
        a starting image, `strength` is the share of the steps that are done: with none left, the
        image itself is returned, fitted to the size.

        Raises:
            RenderCanceled: Raised by `on_step` and passed on.
            ModelNotAvailable: The files of the model are missing or broken.
            UnreadableMedia: An input cannot be read or is too large.
            RenderRefused: The content filter refuses the prompt, or an input is missing.
            EngineError: A setting is out of all bounds, or it is no picture.
        """
        if not isinstance(render, ImageRender):
            raise EngineError(f"{MODEL} makes pictures only")
        _check(render)
        self._filter.check(render.prompt)
        given = Given.of(render, inputs)
        made = _WAYS[render.model](render, given, self._loaded(), on_step)
        settings = _settings(render, inputs)
        return Artifact(
            data=picture_file.encode(made.picture, render.output_format, settings),
            content_type=CONTENT_TYPES[render.output_format],
            steps=made.steps,
            sensitive=self._filter.objections(render.prompt, [made.picture]),
        )

    def _loaded(self) -> Networks:
        return networks_in(self._weights, self._threads)


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


def _settings(render: ImageRender, inputs: Mapping[str, bytes]) -> dict[str, str | int | float]:
    """What a reader of the file needs to make the picture again."""
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
    if inputs:
        settings["inputs"] = ", ".join(sorted(inputs))
    if inputs and render.strength is not None:
        settings["strength"] = render.strength
    return settings
