"""Ways to keep a model's weights, from the fastest to the smallest, and what each of them needs."""

import gc
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from dreamgrid.engines.diffusers.fitting import ROOM

DENOISERS = ("transformer", "transformer_2", "unet")
"""The parts of a pipeline that may be kept in 8 bits: nearly all of its weights, and the ones that
lose the least by it."""

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory")
"""What torch says of it on GPUs, and of main memory."""

Place = Callable[[Any], object]
"""Takes a pipeline and puts its parts where they shall be."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A way to keep the weights.

    Attributes:
        name: For logs: `whole`, `parts` or `layers`, and what it does beside.
        place: Puts the parts of a pipeline where they shall be.
        needed_bytes: About what it takes of the GPU's memory.
        eight_bits: The denoiser is kept in 8 bits for each number, and computes with the usual
            ones.
        tiled: Large pictures are decoded piece by piece.
        stays: All of it is on the GPU between jobs, too.
    """

    name: str
    place: Place
    needed_bytes: float = 0
    eight_bits: bool = False
    tiled: bool = False
    stays: bool = False

    def arrange(self, pipeline: Any) -> None:
        """Keeps a pipeline in this way. What a plan before it did to the weights may stay."""
        if self.eight_bits:
            keep_in_eight_bits(pipeline)
        tile = getattr(getattr(pipeline, "vae", None), "enable_tiling", None)
        if self.tiled and tile is not None:
            tile()
        self.place(pipeline)


def device() -> str:
    """Where to render: `cuda`, `mps` or `cpu`."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory was too small, on whichever device."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    said = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in said for words in _OUT_OF_MEMORY)


def free_memory() -> None:
    """Returns what nobody uses to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def plans_for(
    place: str, pipeline: Any, *, eight_bits: bool, free_bytes: float | None = None
) -> list[Plan]:
    """Ways to keep a pipeline, those first that are likely to fit.

    Args:
        place: `cuda`, `mps` or `cpu`.
        pipeline: In main memory.
        eight_bits: Whether its denoiser may be kept in 8 bits.
        free_bytes: What the GPU has free. None: asks it.
    """

    def whole(one: Any) -> object:
        return one.to(place)

    if place != "cuda":
        return [Plan(name="whole", place=whole), Plan(name="whole, tiled", place=whole, tiled=True)]
    if free_bytes is None:
        free_bytes = torch.cuda.mem_get_info()[0]
    sizes = part_sizes(pipeline)
    small = {n: size / (2 if n in DENOISERS else 1) for n, size in sizes.items()}
    likely: list[Plan] = []
    for name, move, count in (("whole", whole, sum), ("parts", _by_parts, max)):
        needed = count(sizes.values()) * ROOM
        plan = Plan(name=name, place=move, needed_bytes=needed, stays=move is whole)
        likely.append(plan)
        if eight_bits:
            needed = count(small.values()) * ROOM
            title = f"{name}, 8 bits"
            likely.append(replace(plan, name=title, needed_bytes=needed, eight_bits=True))
    rest = [
        Plan(name="parts, tiled", place=_by_parts, tiled=True, eight_bits=eight_bits),
        Plan(name="layers, tiled", place=_by_layers, tiled=True),
    ]
    return [plan for plan in likely if plan.needed_bytes < free_bytes] + rest


def part_sizes(pipeline: Any) -> dict[str, int]:
    """The parts of a pipeline with numbers in them, in bytes."""
    parts = pipeline.components.items()
    return {
        name: sum(tensor.numel() * tensor.element_size() for tensor in part.parameters())
        for name, part in parts
        if isinstance(part, torch.nn.Module)
    }


def keep_in_eight_bits(pipeline: Any) -> None:
    """Keeps its denoisers in 8 bits; each layer turns into the usual numbers while it computes."""
    for name in DENOISERS:
        network = getattr(pipeline, name, None)
        if network is None or _is_in_eight_bits(network):
            continue
        usual = network.dtype
        network.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=usual)
        for layer in network.modules():
            weight = getattr(layer, "weight", None)
            if isinstance(weight, torch.Tensor) and weight.dtype == torch.float8_e4m3fn:
                layer.compute_dtype = usual  # what peft gives the LoRAs that are put onto it


def _is_in_eight_bits(network: Any) -> bool:
    return any(tensor.dtype == torch.float8_e4m3fn for tensor in network.parameters())


def _by_parts(pipeline: Any) -> None:
    """Only the part that works is on the GPU."""
    pipeline.enable_model_cpu_offload()


def _by_layers(pipeline: Any) -> None:
    """Only the layer that works is on the GPU."""
    pipeline.enable_sequential_cpu_offload()
