"""The diffusers engine beside the bare pipeline: `python -m benchmarks.real_weights`.

Three questions, answered with random weights of a chosen size, so that nothing is downloaded:

- **Overhead.** The same picture by the pipeline alone and by the engine, which also watches steps,
  checks the prompt and the picture, and writes the file. They take turns; the share is the median
  time of the pipeline over that of the engine.
- **Switching.** How long it takes until another model is ready, its files being in the disk cache,
  and until one is that is in memory still.
- **Batches.** Several pictures in one forward pass beside one after the other: what is gained, and
  whether the pixels are the same.

With a GPU: `--size sdxl --side 1024` and `--size flux --side 1024` (needs 32 GB of main memory and
of disk), which nobody has run yet.

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
from dreamgrid.engines.diffusers.family import families, samplings, settings_of
from dreamgrid.engines.diffusers.memory import device
from dreamgrid.engines.diffusers.sampling import scheduler_for
from dreamgrid.engines.diffusers.weights import Places, find_weights
from dreamgrid.protocol.renders import ImageRender

OTHER = "sd3.5_medium"
"""A tiny model to switch to."""

STABLE_DIFFUSION: dict[str, tuple[int, ...]] = {
    "tiny": (32, 64),
    "small": (64, 128, 256),
    "real": (320, 640, 1280, 1280),
}
"""Channels of the network; `real` is that of Stable Diffusion 1.5."""

SIZES = (*STABLE_DIFFUSION, "sdxl", "flux")
"""The last two have the networks of Stable Diffusion XL, with narrower text, and of Flux.1, in 16
bits, for a GPU."""

FLUX: dict[str, Any] = {"num_layers": 19, "num_single_layers": 38, "num_attention_heads": 24}


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What one call found; times in seconds.

    Attributes:
        device: Where it ran.
        parameters: Of the network.
        plan: How the engine keeps the weights.
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
    plan: str
    pipeline_s: float
    engine_s: float
    share: float
    switch_s: float
    warm_switch_s: float
    batch: int
    batch_gain: float
    largest_difference: int


def write(folder: Path, size: str) -> tuple[str, int]:
    """Writes a model of that size, and one to switch to; returns its id and its network's size."""
    torch.manual_seed(tiny.SEED)
    model, made, network = _of_size(size)
    name = "transformer" if hasattr(made, "transformer") else "unet"
    shape = {"shift_factor": 0.0609, "scaling_factor": 1.5035} if name == "transformer" else {}
    levels = [32, 32, 64, 64]  # so that a latent stands for 8 x 8 pixels, as usual
    decoder = tiny.vae(
        network.config.in_channels // 4 if name == "transformer" else 4,
        block_out_channels=levels,
        down_block_types=["DownEncoderBlock2D"] * len(levels),
        up_block_types=["UpDecoderBlock2D"] * len(levels),
        **shape,
    )
    parts = made.components | {name: network, "vae": decoder}
    kept = {"requires_safety_checker": False} if "safety_checker" in parts else {}
    type(made)(**parts, **kept).save_pretrained(folder / model)
    tiny.write(OTHER, folder)
    return model, int(network.num_parameters())


def _of_size(size: str) -> tuple[str, Any, Any]:
    """A model's id, its pipeline with a tiny network, and the network that it shall have."""
    if size in STABLE_DIFFUSION:
        return "sd-v1-5", tiny.stable_diffusion(), _stable_diffusion(STABLE_DIFFUSION[size])
    made = tiny.stable_diffusion_xl() if size == "sdxl" else tiny.flux()
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)  # in 32 bits they would need twice the memory
    try:
        if size == "sdxl":
            return "sd_xl_base_1.0", made, _stable_diffusion_xl(dict(made.unet.config))
        return "flux1-dev-fp8", made, _flux()
    finally:
        torch.set_default_dtype(usual)


def _stable_diffusion(channels: tuple[int, ...]) -> Any:
    count = len(channels)
    return diffusers.UNet2DConditionModel(
        block_out_channels=channels,
        layers_per_block=1 if count == 2 else 2,
        sample_size=32,
        down_block_types=("DownBlock2D", *("CrossAttnDownBlock2D",) * (count - 1)),
        up_block_types=(*("CrossAttnUpBlock2D",) * (count - 1), "UpBlock2D"),
        cross_attention_dim=32,
    )


def _stable_diffusion_xl(smaller: dict[str, Any]) -> Any:
    return diffusers.UNet2DConditionModel.from_config(
        smaller
        | {
            "block_out_channels": (320, 640, 1280),
            "layers_per_block": 2,
            "attention_head_dim": (5, 10, 20),
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            "transformer_layers_per_block": (1, 2, 10),
        }
    )


def _flux() -> Any:
    return diffusers.FluxTransformer2DModel(
        patch_size=1,
        in_channels=64,
        attention_head_dim=128,
        joint_attention_dim=32,
        pooled_projection_dim=32,
        axes_dims_rope=(16, 56, 56),
        **FLUX,
    )


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
        (family,) = (family for family in families() if render.model in family.weights)
        self._task = family.tasks[0]
        self._pipeline = model.pipeline(self._task)
        self._model, self._render = model, render
        self._sampling = samplings()[family.sampling]

    def pictures(self, *seeds: int) -> list[Any]:
        render = self._render
        self._pipeline.scheduler = scheduler_for(
            self._model.scheduler, self._sampling, render.sampler, render.scheduler, None
        )
        made = self._pipeline(
            **settings_of(self._task, render),
            num_images_per_prompt=len(seeds),
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
    model, parameters = write(folder, wish.size)
    weights = find_weights(families(), Places(own=folder, cache=folder / "no-cache"))
    engine = DiffusersEngine(weights, threads=wish.threads)
    engine.load(model)
    render = ImageRender(
        model=model,
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
            taken += [_seconds(partial(fresh.load, one)) for one in (OTHER, model)]
    median = statistics.median
    return Figures(
        device=device(),
        parameters=parameters,
        plan=engine._model.plan if engine._model else "",
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
