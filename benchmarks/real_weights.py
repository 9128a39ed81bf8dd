"""The diffusers engine beside the bare pipeline: `python -m benchmarks.real_weights`.

Three questions, answered with random weights of a chosen size, so that nothing is downloaded:

- **Overhead.** The same picture by the pipeline alone and by the engine, which also watches steps,
  checks the prompt and the picture, and writes the file. They take turns; the share is the median
  time of the pipeline over that of the engine.
- **Switching.** How long it takes until another model is ready, its files being in the disk cache,
  and until one is that is in memory still.
- **Batches.** Several pictures in one forward pass beside one after the other: what is gained, and
  whether the pixels are the same.

On a CPU it counts processor time, because other programs use the machine too; on a GPU wall time.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import diffusers
import msgspec
import numpy as np
import torch
from tests.engines.diffusers import tiny

from dreamgrid.engines.base import Step
from dreamgrid.engines.diffusers.engine import DiffusersEngine
from dreamgrid.engines.diffusers.family import families, samplings
from dreamgrid.engines.diffusers.memory import device
from dreamgrid.engines.diffusers.sampling import scheduler_for
from dreamgrid.engines.diffusers.weights import Places, find_weights
from dreamgrid.protocol.renders import ImageRender

MODEL, OTHER = "sd-v1-5", "sd_xl_base_1.0"
SIZES: dict[str, tuple[int, ...]] = {
    "tiny": (32, 64),
    "small": (64, 128, 256),
    "real": (320, 640, 1280, 1280),
}
"""Channels of the network; `real` is that of Stable Diffusion 1.5."""


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What one call found; times in seconds.

    Attributes:
        device: Where it ran.
        parameters: Of the network.
        pipeline_s: One picture by the pipeline alone.
        engine_s: The same by the engine.
        share: Pictures of the engine for one of the pipeline.
        switch_s: Until another model is ready, read from its files.
        warm_switch_s: Until one is ready that is in memory still.
        batch: Pictures in one forward pass.
        batch_gain: Pictures per second in a batch, beside one after the other.
        largest_difference: Of a pixel's levels, 0..255, between both.
    """

    device: str
    parameters: int
    pipeline_s: float
    engine_s: float
    share: float
    switch_s: float
    warm_switch_s: float
    batch: int
    batch_gain: float
    largest_difference: int


def write(folder: Path, channels: tuple[int, ...]) -> int:
    """Writes both models; returns the size of the network."""
    torch.manual_seed(tiny.SEED)
    made = tiny.stable_diffusion()
    count = len(channels)
    network = diffusers.UNet2DConditionModel(
        block_out_channels=channels,
        layers_per_block=1 if count == 2 else 2,
        sample_size=32,
        down_block_types=("DownBlock2D", *("CrossAttnDownBlock2D",) * (count - 1)),
        up_block_types=(*("CrossAttnUpBlock2D",) * (count - 1), "UpBlock2D"),
        cross_attention_dim=32,
    )
    levels = [32, 32, 64, 64]  # so that a latent stands for 8 x 8 pixels, as usual
    decoder = tiny.vae(
        block_out_channels=levels,
        down_block_types=["DownEncoderBlock2D"] * len(levels),
        up_block_types=["UpDecoderBlock2D"] * len(levels),
    )
    made = type(made)(
        **made.components | {"unet": network, "vae": decoder}, requires_safety_checker=False
    )
    made.save_pretrained(folder / MODEL)
    tiny.write(OTHER, folder)
    return int(network.num_parameters())


def _clock() -> float:
    if device() == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def _seconds(work: Callable[[], object]) -> float:
    began = _clock()
    work()
    return _clock() - began


def _nothing(step: Step) -> None:
    """A worker that only wants the result."""


class _Bare:
    """The pipeline alone, with the same settings as the engine."""

    def __init__(self, engine: DiffusersEngine, render: ImageRender) -> None:
        model = engine._model
        assert model is not None
        (family,) = (family for family in families() if MODEL in family.weights)
        self._pipeline = model.pipeline(family.tasks[0])
        self._model, self._render = model, render
        self._sampling = samplings()[family.sampling]

    def pictures(self, *seeds: int) -> list[Any]:
        render = self._render
        self._pipeline.scheduler = scheduler_for(
            self._model.scheduler, self._sampling, render.sampler, render.scheduler, None
        )
        made = self._pipeline(
            prompt=[render.prompt] * len(seeds),
            negative_prompt=[""] * len(seeds),
            guidance_scale=render.guidance,
            num_inference_steps=render.steps,
            width=render.width,
            height=render.height,
            generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
            output_type="pil",
        )
        return list(made.images)


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What to measure: the command's options."""

    size: str
    side: int
    steps: int
    rounds: int
    batch: int
    threads: int


def run(wish: Wish, folder: Path) -> Figures:
    """Measures everything once the weights are written."""
    parameters = write(folder, SIZES[wish.size])
    weights = find_weights(families(), Places(own=folder, cache=folder / "no-cache"))
    engine = DiffusersEngine(weights, threads=wish.threads)
    engine.load(MODEL)
    render = ImageRender(
        model=MODEL,
        prompt="a red fox",
        steps=wish.steps,
        guidance=5.0,
        seed=1,
        sampler="euler",
        width=wish.side,
        height=wish.side,
    )
    bare = _Bare(engine, render)
    bare.pictures(1)
    engine.generate(render, {}, _nothing)  # both are warm now
    alone: list[float] = []
    whole: list[float] = []
    together: list[float] = []
    each: list[float] = []
    switches: list[float] = []
    difference = 0
    seeds = range(1, wish.batch + 1)
    for _ in range(wish.rounds):
        alone.append(_seconds(lambda: bare.pictures(1)))
        whole.append(_seconds(lambda: engine.generate(render, {}, _nothing)))
        began = _clock()
        some = bare.pictures(*seeds)
        halfway = _clock()
        others = [bare.pictures(seed)[0] for seed in seeds]
        together.append(halfway - began)
        each.append(_clock() - halfway)
        difference = max(difference, _difference(some, others))
    warm: list[float] = []
    for _ in range(wish.rounds):
        fresh = DiffusersEngine(weights, threads=wish.threads)
        for taken in (switches, warm):
            taken += [_seconds(partial(fresh.load, one)) for one in (OTHER, MODEL)]
    median = statistics.median
    return Figures(
        device=device(),
        parameters=parameters,
        pipeline_s=round(median(alone), 4),
        engine_s=round(median(whole), 4),
        share=round(median(alone) / median(whole), 3),
        switch_s=round(median(switches), 3),
        warm_switch_s=round(median(warm), 4),
        batch=wish.batch,
        batch_gain=round(median(each) / median(together), 2),
        largest_difference=difference,
    )


def _difference(some: list[Any], others: list[Any]) -> int:
    pairs = zip(some, others, strict=True)
    return max(
        int(np.abs(np.asarray(one).astype(int) - np.asarray(other)).max()) for one, other in pairs
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.real_weights")
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--side", type=int, default=256, help="pixels (default: 256)")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1, help="of the CPU (default: 1)")
    given = parser.parse_args()
    diffusers.utils.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        found = run(Wish(**vars(given)), Path(folder))
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(found)) + b"\n")


if __name__ == "__main__":
    main()
