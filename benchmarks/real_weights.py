"""The diffusers engine beside the bare pipeline: `python -m benchmarks.real_weights`.

Four questions, answered with random weights of a chosen size, so that nothing is downloaded:

- **Overhead.** The same picture by the pipeline alone and by the engine, which also watches steps,
  checks the prompt and the picture, and writes the file. They take turns; the share is the median
  time of the pipeline over that of the engine.
- **Switching.** How long it takes until another model is ready, its files being in the disk cache,
  and until one is that is in memory still.
- **Batches.** Several pictures in one forward pass beside one after the other: what is gained, and
  whether the pixels are the same.
- **Memory.** The most that a GPU held while the engine rendered one.

Whoever has a GPU runs `python -m benchmarks.gpu`, which asks all of it at the sizes of Stable
Diffusion XL and Flux.1.

On a CPU it counts processor time, because other programs use the machine too; on a GPU wall time.
"""

import argparse
import gc
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import diffusers
import msgspec
import numpy as np
import torch
from tests.engines.diffusers import tiny, tiny_parts, tiny_pictures

from dreamgrid.engines.base import Step
from dreamgrid.engines.diffusers.engine import DiffusersEngine
from dreamgrid.engines.diffusers.family import families, samplings, settings_of
from dreamgrid.engines.diffusers.memory import device, free_memory, out_of_memory
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
        batch_gain: Pictures per second in a batch, beside one after the other; 0: it did not fit.
        largest_difference: Of a pixel's levels, 0..255, between both.
        peak_bytes: The most that the GPU held for one picture of the engine; 0 without one.
        finite: The numbers of a picture are numbers; else its pixels say nothing about equality.
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
    peak_bytes: int
    finite: bool


def write(folder: Path, size: str) -> tuple[str, int]:
    """Writes a model of that size, and one to switch to; returns its id and its network's size."""
    torch.manual_seed(tiny.SEED)
    model, made, network = _of_size(size)
    name = "transformer" if hasattr(made, "transformer") else "unet"
    shape = {"shift_factor": 0.0609, "scaling_factor": 1.5035} if name == "transformer" else {}
    # Four, so that a latent stands for 8 x 8 pixels, as usual; as wide as the real ones for a GPU.
    levels = [128, 256, 512, 512] if size in ("sdxl", "flux") else [32, 32, 64, 64]
    decoder = tiny_parts.vae(
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
        return (
            "sd-v1-5",
            tiny_pictures.stable_diffusion(),
            _stable_diffusion(STABLE_DIFFUSION[size]),
        )
    if size == "sdxl":
        made = tiny_pictures.stable_diffusion_xl()
        return "sd_xl_base_1.0", made, filled(stable_diffusion_xl())
    return "flux1-dev-fp8", tiny_pictures.flux(), filled(flux())


def without_numbers(make: Callable[[], Any]) -> Any:
    """A network of which only the shapes are there, in 16 bits: it takes no memory."""
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)  # in 32 bits they would need twice the memory
    try:
        with torch.device("meta"):
            return make()
    finally:
        torch.set_default_dtype(usual)


def filled(network: Any) -> Any:
    """The same with numbers by which pictures stay finite.

    To draw all of them takes minutes; a piece of noise is laid over each layer again and again.
    """
    made = network.to_empty(device="cpu")
    noise = torch.randn(1_000_003).to(torch.bfloat16)
    with torch.no_grad():
        for name, numbers in made.named_parameters():
            if numbers.ndim < 2:
                numbers.fill_(1.0 if name.endswith("weight") else 0.0)
                continue
            flat = numbers.view(-1)
            for start in range(0, flat.numel(), len(noise)):
                piece = flat[start : start + len(noise)]
                piece.copy_(noise[: len(piece)])
            numbers.mul_(numbers[0].numel() ** -0.5)
    return made


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


def stable_diffusion_xl() -> Any:
    """The shapes of its network, for narrower text."""
    smaller = dict(tiny_pictures.stable_diffusion_xl().unet.config)
    return without_numbers(
        lambda: diffusers.UNet2DConditionModel.from_config(
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
    )


def flux() -> Any:
    """The shapes of its network, for narrower text."""
    return without_numbers(
        lambda: diffusers.FluxTransformer2DModel(
            patch_size=1,
            in_channels=64,
            attention_head_dim=128,
            joint_attention_dim=32,
            pooled_projection_dim=32,
            axes_dims_rope=(16, 56, 56),
            guidance_embeds=True,
            **FLUX,
        )
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
        self._pipeline.vae.enable_slicing()  # as in the engine's passes: it saves much memory
        self._model, self._render = model, render
        self._sampling = samplings()[family.sampling]

    def finite(self) -> bool:
        """Whether its latents are numbers after all steps."""
        return bool(torch.isfinite(self._run((1,), "latent")).all())

    def pictures(self, *seeds: int) -> list[Any]:
        return list(self._run(seeds, "pil"))

    def _run(self, seeds: Sequence[int], output: str) -> Any:
        render = self._render
        self._pipeline.scheduler = scheduler_for(
            self._model.scheduler, self._sampling, render.sampler, render.scheduler, None
        )
        return self._pipeline(
            **settings_of(self._task, render),
            num_images_per_prompt=len(seeds),
            generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
            output_type=output,
        ).images


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What to measure: the command's options."""

    size: str
    side: int
    steps: int
    rounds: int
    batch: int
    threads: int


def loaded(wish: Wish, folder: Path) -> tuple[DiffusersEngine, ImageRender, int]:
    """An engine with weights of that size, a picture to render, and how large the network is."""
    model, parameters = write(folder, wish.size)
    engine = engine_of(folder, wish.threads)
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
    return engine, render, parameters


def engine_of(folder: Path, threads: int) -> DiffusersEngine:
    """A fresh engine with the weights of a folder."""
    places = Places(own=folder, cache=folder / "no-cache")
    return DiffusersEngine(find_weights(families(), places), threads=threads)


def closed(engine: DiffusersEngine) -> None:
    """Gives back all memory of an engine that is used no more."""
    engine._model = None
    for model in tuple(engine._warm._kept.values()):
        model.close()
    engine._warm._kept.clear()
    gc.collect()
    free_memory()


class Beside(msgspec.Struct, frozen=True, kw_only=True):
    """The engine beside the bare pipeline; fields as in `Figures`."""

    pipeline_s: float
    engine_s: float
    batch_gain: float
    largest_difference: int
    peak_bytes: int
    finite: bool


def beside(engine: DiffusersEngine, render: ImageRender, rounds: int, batch: int) -> Beside:
    """Measures overhead, batches and memory with a model that is loaded."""
    bare = _Bare(engine, render)
    finite = bare.finite()
    bare.pictures(1)
    peak_bytes = _peak_bytes(lambda: engine.generate(render, {}, _nothing))  # both are warm now
    alone: list[float] = []
    whole: list[float] = []
    for _ in range(rounds):
        alone.append(_seconds(lambda: bare.pictures(1)))
        whole.append(_seconds(lambda: engine.generate(render, {}, _nothing)))
    try:
        gain, difference = _together(bare, rounds, batch)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        free_memory()
        gain, difference = 0.0, 0
    return Beside(
        pipeline_s=statistics.median(alone),
        engine_s=statistics.median(whole),
        batch_gain=gain,
        largest_difference=difference,
        peak_bytes=peak_bytes,
        finite=finite,
    )


def _together(bare: _Bare, rounds: int, batch: int) -> tuple[float, int]:
    """What a batch gains, and by how much its pixels differ."""
    together: list[float] = []
    each: list[float] = []
    difference = 0
    seeds = range(1, batch + 1)
    for _ in range(rounds):
        began = _clock()
        some = bare.pictures(*seeds)
        halfway = _clock()
        others = [bare.pictures(seed)[0] for seed in seeds]
        together.append(halfway - began)
        each.append(_clock() - halfway)
        difference = max(difference, _difference(some, others))
    return round(statistics.median(each) / statistics.median(together), 2), difference


def switched(folder: Path, model: str, rounds: int, threads: int) -> tuple[float, float]:
    """Seconds until another model is ready that is read, and one that is in memory still."""
    read: list[float] = []
    warm: list[float] = []
    for _ in range(rounds):
        fresh = engine_of(folder, threads)
        for taken in (read, warm):
            taken += [_seconds(partial(fresh.load, one)) for one in (OTHER, model)]
        closed(fresh)
    # Each of both: the larger model decides how long it takes.
    return max(statistics.median(read[0::2]), statistics.median(read[1::2])), max(
        statistics.median(warm[0::2]), statistics.median(warm[1::2])
    )


def usual(rounds: int) -> Wish:
    """What is measured beside everything else."""
    return Wish(size="tiny", side=256, steps=10, rounds=rounds, batch=4, threads=1)


def run(wish: Wish, progress: Callable[[str], None]) -> Figures:
    """Writes the weights and measures everything."""
    diffusers.utils.logging.disable_progress_bar()
    progress(f"real weights of the size {wish.size}")
    with tempfile.TemporaryDirectory() as folder:
        return _figures(wish, Path(folder))


def tell(figures: Figures, say: Callable[[str], None]) -> None:
    """Prints them."""
    say(f"  the engine makes {figures.share} pictures for one of the bare pipeline")
    say(f"  another model is ready after {figures.switch_s} s, from memory {figures.warm_switch_s}")
    same = "the same pixels" if figures.largest_difference == 0 else "pixels that differ"
    say(f"  {figures.batch} in a pass: {figures.batch_gain} times as many a second, {same}")


def _figures(wish: Wish, folder: Path) -> Figures:
    engine, render, parameters = loaded(wish, folder)
    found = beside(engine, render, wish.rounds, wish.batch)
    plan = engine._model.plan if engine._model else ""
    closed(engine)
    switch_s, warm_switch_s = switched(folder, render.model, wish.rounds, wish.threads)
    return Figures(
        device=device(),
        parameters=parameters,
        plan=plan,
        pipeline_s=round(found.pipeline_s, 4),
        engine_s=round(found.engine_s, 4),
        share=round(found.pipeline_s / found.engine_s, 3),
        switch_s=round(switch_s, 3),
        warm_switch_s=round(warm_switch_s, 4),
        batch=wish.batch,
        batch_gain=found.batch_gain,
        largest_difference=found.largest_difference,
        peak_bytes=found.peak_bytes,
        finite=found.finite,
    )


def _peak_bytes(work: Callable[[], object]) -> int:
    """The most that a GPU held meanwhile, weights included; 0 without one."""
    if device() != "cuda":
        work()
        return 0
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    work()
    torch.cuda.synchronize()
    return int(torch.cuda.max_memory_allocated())


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
    wish = Wish(**vars(given))
    found = run(wish, lambda line: print(line, file=sys.stderr, flush=True))
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(found)) + b"\n")


if __name__ == "__main__":
    main()
