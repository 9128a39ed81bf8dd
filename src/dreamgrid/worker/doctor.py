"""What is right and wrong with this machine as a worker, in plain words."""

import os
import platform
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from dreamgrid.engines.base import Finding
from dreamgrid.engines.gpus import PROGRAMS, VISIBLE_VARIABLES, Gpu
from dreamgrid.engines.machine import GIB, Machine, existing, look
from dreamgrid.engines.registry import Registry
from dreamgrid.worker.rest import paused
from dreamgrid.worker.tuning import read

SCARCE_DISK_BYTES = 2 * GIB
SCARCE_MEMORY_BYTES = 2 * GIB
HOT_C = 85


def examine(
    registry: Registry, data_dir: Path, machine: Machine | None = None
) -> tuple[Finding, ...]:
    """Looks at processor, memory, disk, GPUs, and every engine.

    Args:
        registry: The engines that were found.
        data_dir: Where the worker keeps its state; need not exist.
        machine: What was seen of this machine. None: looks at it.
    """
    machine = look(data_dir) if machine is None else machine
    return (
        *_machine(machine),
        _disk(data_dir),
        *_speeds(data_dir / "worker"),
        *_paused(data_dir / "worker"),
        *_gpus(machine),
        *(finding for finding in _engines(registry)),
    )


def _machine(machine: Machine) -> Iterator[Finding]:
    python = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    yield Finding(level="good", subject="processor", text=f"{machine.cores} cores, {python}")
    total = machine.memory_bytes
    if total is None:
        return
    scarce = total < SCARCE_MEMORY_BYTES
    yield Finding(
        level="note" if scarce else "good",
        subject="memory",
        text=f"{total / GIB:.1f} GiB",
        advice="the embedded models need about 2 GiB: close other programs" if scarce else "",
    )


def _disk(data_dir: Path) -> Finding:
    there = existing(data_dir)
    free = shutil.disk_usage(there).free
    if not os.access(there, os.W_OK):
        return Finding(
            level="problem",
            subject="disk",
            text=f"{there} cannot be written",
            advice="choose another folder with --data",
        )
    scarce = free < SCARCE_DISK_BYTES
    return Finding(
        level="note" if scarce else "good",
        subject="disk",
        text=f"{free / GIB:.1f} GiB free for {data_dir}",
        advice="free some space, or choose another folder with --data" if scarce else "",
    )


def _speeds(data_dir: Path) -> Iterator[Finding]:
    """What the worker of this folder found out about itself."""
    tuning = read(data_dir)
    if tuning is None:
        text = "not measured yet: a worker does so once it had nothing to do for a while"
        yield Finding(level="good", subject="speed", text=text)
        return
    parts = [f"{speed.render.model} {speed.took_s:.2f} s" for speed in tuning.speeds]
    text = f"trial renders on {tuning.threads} threads: {', '.join(parts)}"
    yield Finding(level="good", subject="speed", text=text)


def _paused(data_dir: Path) -> Iterator[Finding]:
    if paused(data_dir, time.time()) is not None:
        text = "its workers rest, because somebody paused them"
        advice = "dreamgrid work resume"
        yield Finding(level="note", subject="pause", text=text, advice=advice)


def _gpus(machine: Machine) -> Iterator[Finding]:
    """GPUs as their drivers tell them."""
    if machine.gpu_problem:
        yield Finding(
            level="problem",
            subject="GPU",
            text=f"the GPU's driver does not work: {machine.gpu_problem}",
            advice="restart the machine; if that does not help, install the driver again",
        )
    elif not machine.has_driver:
        names = ", ".join(program.name for program in PROGRAMS)
        text = f"no GPU's driver on this machine (there is none of {names}); the CPU renders"
        yield Finding(level="note", subject="GPU", text=text)
    elif not machine.gpus:
        text = "the GPU's driver works and shows no GPU; the CPU renders"
        hiding = (name for names in VISIBLE_VARIABLES.values() for name in names)
        name = next((name for name in hiding if name in os.environ), "")
        advice = f"{name} may hide it" if name else ""
        yield Finding(level="note", subject="GPU", text=text, advice=advice)
    for gpu in machine.gpus:
        yield _gpu(gpu)


def _gpu(gpu: Gpu) -> Finding:
    text = f"{gpu.name}, {_gib(gpu.free_bytes)} of {_gib(gpu.memory_bytes)} GiB free, "
    text += f"driver {gpu.driver or 'of the system'}"
    hot = gpu.celsius is not None and gpu.celsius >= HOT_C
    return Finding(
        level="note" if hot else "good",
        subject="GPU",
        text=text if gpu.celsius is None else f"{text}, {gpu.celsius} °C",
        advice="it is hot and will slow down: look after its fans" if hot else "",
    )


def _gib(size_bytes: int | None) -> str:
    return "?" if size_bytes is None else f"{size_bytes / GIB:.1f}"


def _engines(registry: Registry) -> Iterator[Finding]:
    for engine in registry.engines:
        if engine.models:
            text = f"serves {', '.join(engine.models)}"
            yield Finding(level="good", subject=engine.name, text=text)
        if engine.limited:
            yield Finding(level="note", subject=engine.name, text=engine.limited)
        closer = engine.spec.examine()
        yield from closer
        if not engine.models and not closer:
            text = engine.spec.missing or "serves no model on this machine"
            yield Finding(level="note", subject=engine.name, text=text)
    for broken in registry.broken:
        yield Finding(
            level="problem",
            subject=broken.name,
            text=f"cannot be used: {broken.reason}",
            advice=f"mend or uninstall the package of {broken.reference}",
        )
    if not registry.by_model():
        yield Finding(
            level="problem",
            subject="engines",
            text="none can serve a model on this machine",
            advice="pip install -e '.[embedded]' in the clone",
        )
