"""Whether a model fits into a machine, told before anything heavy is loaded. Pure."""

from dataclasses import dataclass
from typing import Literal

from dreamgrid.engines.diffusers.family import Size
from dreamgrid.engines.gpus import Gpu
from dreamgrid.engines.machine import GIB, Machine

ROOM = 1.3
"""How many times the size of the weights must be free for them to stay on the GPU."""

_SPARE_BYTES = 2 * GIB  # of main memory, for everything else on the machine
_BYTES_ON_GPU = 2  # a parameter in float16 or bfloat16
_BYTES_ON_CPU = 4  # in float32


@dataclass(frozen=True, kw_only=True)
class Fit:
    """How a model would run.

    Attributes:
        plan: `whole`: on the GPU. `parts`: only the part that works is on the GPU, which costs
            time. `cpu`: without a GPU. None: not at all.
        text: The same in words, or what it lacks.
        eight_bits: Its network is kept in 8 bits for each number; without that it would not fit.
    """

    plan: Literal["whole", "parts", "cpu"] | None
    text: str
    eight_bits: bool = False


def fit(size: Size, machine: Machine, *, eight_bits: bool = False) -> Fit:
    """How a model runs best on a machine; memory that is not told counts as enough.

    Args:
        size: How large the model is.
        machine: What there is.
        eight_bits: Whether its network may be kept in 8 bits.
    """
    if not machine.gpus:
        return _on_cpu(size, machine)
    gpu = max(machine.gpus, key=_memory_bytes)
    has = _memory_bytes(gpu)
    whole, largest = (_on_gpu_bytes(billions) for billions in (size.whole, size.largest))
    if whole * ROOM <= has:
        return Fit(plan="whole", text=f"whole on the GPU, {_gib(whole)} GiB")
    small = whole - size.networks * largest / 2
    # They are rounded in main memory.
    if eight_bits and small * ROOM <= has and _has_room(machine, whole) and not gpu.shares_memory:
        text = f"whole on the GPU, its network in 8 bits, {_gib(small)} GiB"
        return Fit(plan="whole", text=text, eight_bits=True)
    if gpu.shares_memory:
        text = f"needs a machine whose GPU may use {_gib(whole * ROOM)} GiB; here are {_gib(has)}"
        return Fit(plan=None, text=text)
    return _by_parts(size, machine, gpu, eight_bits=eight_bits)


def _by_parts(size: Size, machine: Machine, gpu: Gpu, *, eight_bits: bool) -> Fit:
    has = _memory_bytes(gpu)
    whole, largest = (_on_gpu_bytes(billions) for billions in (size.whole, size.largest))
    small = largest
    if eight_bits and largest * ROOM > has:
        # What is not the network stays as it is, and may hold the largest part now.
        small = max(largest / 2, _on_gpu_bytes(size.others))
    if small * ROOM > has:
        text = f"needs a GPU with {_gib(small * ROOM)} GiB; the largest here has {_gib(has)}"
        return Fit(plan=None, text=text)
    if not _has_room(machine, whole):
        text = (
            f"needs a GPU with {_gib(whole * ROOM)} GiB, or {_gib(whole + _SPARE_BYTES)} GiB of "
            f"main memory; here are {_gib(has)} and {_gib(machine.memory_bytes or 0)}"
        )
        return Fit(plan=None, text=text)
    eight = ", its network in 8 bits" if small < largest else ""
    text = f"part by part on the GPU{eight}, {_gib(small)} GiB at a time"
    return Fit(plan="parts", text=text, eight_bits=small < largest)


def _on_cpu(size: Size, machine: Machine) -> Fit:
    needed = size.whole * 1e9 * _BYTES_ON_CPU + _SPARE_BYTES
    if machine.memory_bytes is not None and needed > machine.memory_bytes:
        text = f"without a GPU it needs {_gib(needed)} GiB of memory; here are "
        return Fit(plan=None, text=text + _gib(machine.memory_bytes))
    return Fit(plan="cpu", text="on the processor, slowly: there is no GPU")


def weights_bytes(size: Size) -> float:
    """About how much there is to download, at least: some repositories keep larger numbers."""
    return size.whole * 1e9 * _BYTES_ON_GPU


def _has_room(machine: Machine, size_bytes: float) -> bool:
    """Whether main memory holds so much."""
    return machine.memory_bytes is None or size_bytes + _SPARE_BYTES <= machine.memory_bytes


def _on_gpu_bytes(billions: float) -> float:
    return billions * 1e9 * _BYTES_ON_GPU


def _memory_bytes(gpu: Gpu) -> float:
    return float("inf") if gpu.memory_bytes is None else float(gpu.memory_bytes)


def _gib(size_bytes: float) -> str:
    return f"{size_bytes / GIB:.0f}"
