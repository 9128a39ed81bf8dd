"""What is right and wrong with this machine as a worker, in plain words."""

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from dreamgrid.engines.base import Finding
from dreamgrid.engines.registry import Registry
from dreamgrid.worker.tuning import read

SCARCE_DISK_BYTES = 2 * 1024**3
SCARCE_MEMORY_BYTES = 2 * 1024**3
HOT_C = 85

_GIB = 1024**3
_NVIDIA_SMI_S = 10.0
_NVIDIA_FIELDS = "name,driver_version,memory.total,memory.free,temperature.gpu"


def examine(registry: Registry, data_dir: Path) -> tuple[Finding, ...]:
    """Looks at processor, memory, disk, GPUs, and every engine.

    Args:
        registry: The engines that were found.
        data_dir: Where the worker keeps its state; need not exist.
    """
    return (
        *_machine(),
        _disk(data_dir),
        *_speeds(data_dir / "worker"),
        *_gpus(),
        *(finding for finding in _engines(registry)),
    )


def _machine() -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    python = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    yield Finding(level="good", subject="processor", text=f"{cores} cores, {python}")
    total = _memory_bytes()
    if total is None:
        return
    scarce = total < SCARCE_MEMORY_BYTES
    yield Finding(
        level="note" if scarce else "good",
        subject="memory",
        text=f"{total / _GIB:.1f} GiB",
        advice="the embedded models need about 2 GiB: close other programs" if scarce else "",
    )


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows, and systems that do not tell
        return None


def _disk(data_dir: Path) -> Finding:
    existing = next(
        folder for folder in (data_dir, *data_dir.absolute().parents) if folder.exists()
    )
    free = shutil.disk_usage(existing).free
    if not os.access(existing, os.W_OK):
        return Finding(
            level="problem",
            subject="disk",
            text=f"{existing} cannot be written",
            advice="choose another folder with --data",
        )
    scarce = free < SCARCE_DISK_BYTES
    return Finding(
        level="note" if scarce else "good",
        subject="disk",
        text=f"{free / _GIB:.1f} GiB free for {data_dir}",
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


def _gpus() -> Iterator[Finding]:
    """NVIDIA GPUs as their driver's own program tells them."""
    program = shutil.which("nvidia-smi")
    if program is None:
        text = "no NVIDIA driver on this machine (there is no nvidia-smi); the CPU renders"
        yield Finding(level="note", subject="GPU", text=text)
        return
    asked = [program, f"--query-gpu={_NVIDIA_FIELDS}", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(  # noqa: S603 - found by which(), nothing from outside in it
            asked, capture_output=True, text=True, timeout=_NVIDIA_SMI_S, check=False
        )
        complaint = (told.stderr or told.stdout).strip() if told.returncode else ""
    except (OSError, subprocess.TimeoutExpired) as error:
        complaint = str(error)
    if complaint:
        yield Finding(
            level="problem",
            subject="GPU",
            text=f"the NVIDIA driver does not work: {complaint}",
            advice="restart the machine; if that does not help, install the driver again",
        )
        return
    for line in told.stdout.splitlines():
        yield _gpu(*(value.strip() for value in line.split(",")))


def _gpu(name: str, driver: str, total_mib: str, free_mib: str, celsius: str) -> Finding:
    text = f"{name}, {_gib(free_mib)} of {_gib(total_mib)} GiB free, driver {driver}"
    hot = celsius.isdecimal() and int(celsius) >= HOT_C
    return Finding(
        level="note" if hot else "good",
        subject="GPU",
        text=f"{text}, {celsius} °C" if celsius.isdecimal() else text,
        advice="it is hot and will slow down: look after its fans" if hot else "",
    )


def _gib(mib: str) -> str:
    return f"{int(mib) / 1024:.1f}" if mib.isdecimal() else "?"


def _engines(registry: Registry) -> Iterator[Finding]:
    serving = registry.by_model()
    for engine in registry.engines:
        models = [model for model in engine.models if serving[model] is engine]
        if models:
            yield Finding(level="good", subject=engine.name, text=f"serves {', '.join(models)}")
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
    if not serving:
        yield Finding(
            level="problem",
            subject="engines",
            text="none can serve a model on this machine",
            advice="pip install 'dreamgrid[embedded]'",
        )
