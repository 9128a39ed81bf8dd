"""The machine that engines run on: processor, memory, disk and GPUs, as far as it tells."""

import os
import platform
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from dreamgrid.engines import gpus
from dreamgrid.engines.gpus import Gpu

GIB = 1024**3
_APPLE_SHARE = 2 / 3  # of main memory, which macOS lets the GPU use
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What engines can use.

    Attributes:
        processor: Its name for people.
        cores: Of the processor, as many as this process may use.
        memory_bytes: Main memory, or as much of it as a container may use. None: unknown.
        disk_free_bytes: Free space where weights are kept.
        gpus: Without those that the environment hides, as `CUDA_VISIBLE_DEVICES` does.
        gpu_problem: What the driver says when it does not work; empty when it does, or is absent.
        has_driver: Whether there is a GPU's driver.
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
    seen = gpus.see()
    memory = main_memory_bytes()
    return Machine(
        processor=processor_name(),
        cores=_cores(),
        memory_bytes=memory,
        disk_free_bytes=shutil.disk_usage(existing(folder)).free,
        gpus=tuple(_with_memory(gpu, memory) for gpu in seen.gpus),
        gpu_problem=seen.problem,
        has_driver=seen.has_driver,
    )


def _with_memory(gpu: Gpu, memory_bytes: int | None) -> Gpu:
    if not gpu.shares_memory or memory_bytes is None:
        return gpu
    return replace(gpu, memory_bytes=int(memory_bytes * _APPLE_SHARE))


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


def available_bytes() -> int | None:
    """Main memory that programs may still take, in a container too. None: the system says not."""
    known: list[int] = []
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        known.append(next(int(line.split()[1]) * 1024 for line in lines if "MemAvailable" in line))
    for path in _CGROUP_LIMITS[:1]:
        with suppress(OSError, ValueError, StopIteration):
            limit = int(Path(path).read_text())
            used = Path(path).with_name("memory.stat").read_text().splitlines()
            # Without what it only keeps of files, which leaves when it is needed.
            anonymous = next(int(line.split()[1]) for line in used if line.startswith("anon "))
            known.append(limit - anonymous)
    return min(known, default=None)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _limit(path: str) -> int | None:
    """What a container may use; None: as much as there is."""
    with suppress(OSError, ValueError):
        return int(Path(path).read_text())
    return None
