"""The machine under the benchmarks: cores, load, CPU time, and the processes that are started."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import psutil

SERVER_CORE = 0
LOAD_CORE = 1


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """What a server prints, as one line of JSON, when it is ready.

    Attributes:
        url: Where it listens.
        keys: One API key per account.
        results: Folder that results are expected in; None when nobody looks for them.
    """

    url: str
    keys: tuple[str, ...]
    results: str | None = None


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A server under test in a process of its own."""

    address: Address
    pid: int

    def cpu_s(self) -> float:
        """CPU seconds of all its threads so far, in user and kernel mode."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    def memory_bytes(self) -> int:
        """Memory that it holds now."""
        return int(psutil.Process(self.pid).memory_info().rss)


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where and when figures were taken."""

    python: str
    system: str
    cores: int
    load_average: tuple[float, float, float]


def describe() -> Machine:
    """This machine now."""
    return Machine(
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        cores=os.cpu_count() or 1,
        load_average=os.getloadavg(),
    )


def pin(core: int) -> None:
    """Keeps this process, and the threads it will start, on one core where that is possible."""
    if hasattr(os, "sched_setaffinity"):
        with suppress(OSError):  # there is no such core
            os.sched_setaffinity(0, {core})


@contextmanager
def server(module: str, *arguments: str) -> Iterator[Running]:
    """Runs `python -m MODULE` until the block ends; it must print its `Address` first."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parent.parent,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"{module} ended before it was ready")
        yield Running(address=msgspec.json.decode(line, type=Address), pid=process.pid)
    finally:
        process.terminate()
        process.wait(60)
