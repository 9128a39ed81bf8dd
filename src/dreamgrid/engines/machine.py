"""The machine that engines run on: processor, memory, disk and GPUs, as far as it tells.

NVIDIA's driver is asked through its own program, `nvidia-smi`, so that nothing needs to be
installed for it. Numbers that it does not tell are None.
"""

import os
import platform
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

GIB = 1024**3
VISIBLE_VARIABLE = "CUDA_VISIBLE_DEVICES"
"""Which NVIDIA GPUs a process may use; its owner sets it to leave some to others."""

_MIB = 1024**2
_ANSWERS_WITHIN_S = 10.0
_FIELDS = (
    *("index", "uuid", "name", "driver_version", "memory.total", "memory.free"),
    *("temperature.gpu", "utilization.gpu", "power.draw"),
)
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """A GPU.

    Attributes:
        index: Its number on this machine.
        uuid: Its name for the driver, the same after a restart.
        name: Its name for people.
        driver: Version of its driver.
        memory_bytes: All of its memory.
        free_bytes: What nobody uses.
        celsius: How hot it is.
        busy_percent: How much of the last second somebody computed on it.
        watts: What it draws.
    """

    index: int
    uuid: str
    name: str
    driver: str = ""
    memory_bytes: int | None = None
    free_bytes: int | None = None
    celsius: int | None = None
    busy_percent: int | None = None
    watts: float | None = None


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What engines can use.

    Attributes:
        processor: Its name for people.
        cores: Of the processor, as many as this process may use.
        memory_bytes: Main memory, or as much of it as a container may use. None: unknown.
        disk_free_bytes: Free space where weights are kept.
        gpus: NVIDIA GPUs, without those that `CUDA_VISIBLE_DEVICES` hides.
        gpu_problem: What the driver says when it does not work; empty when it does, or is absent.
        has_driver: Whether there is an NVIDIA driver.
    """

    processor: str = ""
    cores: int = 1
    memory_bytes: int | None = None
    disk_free_bytes: int = 0
    gpus: tuple[Gpu, ...] = ()
    gpu_problem: str = ""
    has_driver: bool = False

    def shares(self) -> "tuple[Machine, ...]":
        """The machine as each GPU's own engine sees it: main memory is for all of them."""
        memory = self.memory_bytes
        share = None if memory is None else memory // len(self.gpus or (None,))
        return tuple(replace(self, gpus=(gpu,), memory_bytes=share) for gpu in self.gpus) or (self,)


def look(folder: Path) -> Machine:
    """This machine as it is now.

    Args:
        folder: Where weights are kept; need not exist.
    """
    program = shutil.which("nvidia-smi")
    gpus, problem = _ask(program) if program else ((), "")
    return Machine(
        processor=processor_name(),
        cores=_cores(),
        memory_bytes=main_memory_bytes(),
        disk_free_bytes=shutil.disk_usage(existing(folder)).free,
        gpus=gpus,
        gpu_problem=problem,
        has_driver=program is not None,
    )


def gpus_now() -> tuple[Gpu, ...]:
    """The GPUs as they are now; none where the driver does not answer."""
    program = shutil.which("nvidia-smi")
    return _ask(program)[0] if program else ()


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(one for one in (folder, *folder.absolute().parents) if one.exists())


def processor_name() -> str:
    """The processor, for people."""
    with suppress(OSError), open("/proc/cpuinfo") as lines:
        for line in lines:
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def main_memory_bytes() -> int | None:
    """Main memory, or as much of it as a container may use. None: the system does not tell."""
    try:
        whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows, and systems that do not tell
        return None
    return min([whole, *(limit for path in _CGROUP_LIMITS if (limit := _limit(path)) is not None)])


def _ask(program: str) -> tuple[tuple[Gpu, ...], str]:
    """The GPUs, or what is wrong with the driver."""
    asked = [program, f"--query-gpu={','.join(_FIELDS)}", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(  # noqa: S603 - found by which(), nothing from outside in it
            asked, capture_output=True, text=True, timeout=_ANSWERS_WITHIN_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return (), str(error)
    if told.returncode:
        return (), (told.stderr or told.stdout).strip() or f"it ended with {told.returncode}"
    rows = (line.split(",") for line in told.stdout.splitlines() if line.strip())
    gpus = [_gpu([value.strip() for value in row]) for row in rows if len(row) == len(_FIELDS)]
    return tuple(gpu for gpu in gpus if _visible(gpu)), ""


def _gpu(values: list[str]) -> Gpu:
    index, uuid, name, driver, memory, free, celsius, busy, watts = values
    return Gpu(
        index=int(index) if index.isdecimal() else 0,
        uuid=uuid,
        name=name,
        driver=driver,
        memory_bytes=_bytes(memory),
        free_bytes=_bytes(free),
        celsius=int(celsius) if celsius.isdecimal() else None,
        busy_percent=int(busy) if busy.isdecimal() else None,
        watts=float(watts) if watts.replace(".", "", 1).isdecimal() else None,
    )


def _bytes(mib: str) -> int | None:
    return int(mib) * _MIB if mib.isdecimal() else None


def _visible(gpu: Gpu) -> bool:
    shown = os.environ.get(VISIBLE_VARIABLE)
    if shown is None:
        return True
    wanted = [one.strip() for one in shown.split(",")]
    return any(one and (one == str(gpu.index) or gpu.uuid.startswith(one)) for one in wanted)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _limit(path: str) -> int | None:
    """What a container may use; None: as much as there is."""
    with suppress(OSError, ValueError):
        return int(Path(path).read_text())
    return None
