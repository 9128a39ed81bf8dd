"""The GPUs of a machine, as the programs that come with their drivers tell them.

NVIDIA's is `nvidia-smi`, AMD's `rocm-smi`, and macOS has `system_profiler` for Apple's own, so that
nothing needs to be installed. Numbers that they do not tell are None.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

VISIBLE_VARIABLES: Mapping[str, tuple[str, ...]] = {
    "nvidia": ("CUDA_VISIBLE_DEVICES",),
    "amd": ("HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"),
}
"""Which GPUs of a maker a process may use; its owner sets one to leave some to others. The first is
the one that we set for a process of our own."""

_MIB = 1024**2
_ANSWERS_WITHIN_S = 10.0
_FIELDS = (
    *("index", "uuid", "name", "driver_version", "memory.total", "memory.free"),
    *("temperature.gpu", "utilization.gpu", "power.draw"),
)
_NVIDIA_QUESTIONS = (f"--query-gpu={','.join(_FIELDS)}", "--format=csv,noheader,nounits")
_ROCM_QUESTIONS = (
    *("--showproductname", "--showuniqueid", "--showmeminfo", "vram", "--showtemp"),
    *("--showuse", "--showpower", "--showdriverversion", "--json"),
)

Maker = Literal["nvidia", "amd", "apple"]


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """A GPU.

    Attributes:
        index: Its number on this machine.
        uuid: Its name for the driver, the same after a restart.
        name: Its name for people.
        maker: Whose driver tells of it.
        driver: Version of its driver.
        memory_bytes: All of its memory.
        free_bytes: What nobody uses.
        shares_memory: It has no memory of its own: `memory_bytes` is what the system lets it use
            of the main memory; None until `machine.look` has said how much.
        celsius: How hot it is.
        busy_percent: How much of the last second somebody computed on it.
        watts: What it draws.
    """

    index: int
    uuid: str
    name: str
    maker: Maker = "nvidia"
    driver: str = ""
    memory_bytes: int | None = None
    free_bytes: int | None = None
    shares_memory: bool = False
    celsius: int | None = None
    busy_percent: int | None = None
    watts: float | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which a process sees this GPU alone."""
        if self.maker == "apple":
            return {}
        only = self.uuid if self.maker == "nvidia" else str(self.index)
        return {VISIBLE_VARIABLES[self.maker][0]: only}


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the drivers of a machine tell.

    Attributes:
        gpus: Without those that the environment hides.
        problem: What a driver says when it does not work; empty when it does, or is absent.
        has_driver: Whether there is one.
    """

    gpus: tuple[Gpu, ...] = ()
    problem: str = ""
    has_driver: bool = False


@dataclass(frozen=True)
class _Program:
    """A program that tells of GPUs."""

    name: str
    arguments: tuple[str, ...]
    read: Callable[[str], Iterator[Gpu]] = field(repr=False)


def see() -> Seen:
    """The GPUs as they are now."""
    gpus: list[Gpu] = []
    problems: list[str] = []
    found = False
    for program in PROGRAMS:
        path = shutil.which(program.name)
        if path is None:
            continue
        told = _ask(path, program.arguments)
        try:
            gpus += filter(_visible, program.read(told.stdout if not told.returncode else ""))
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            problems.append(f"{program.name} said what cannot be read: {error}")
        if told.returncode:
            problems.append((told.stderr or told.stdout).strip() or f"it ended: {told.returncode}")
        found = True
    return Seen(gpus=tuple(gpus), problem="; ".join(problems), has_driver=found)


def _ask(path: str, arguments: tuple[str, ...]) -> "subprocess.CompletedProcess[str]":
    asked = [path, *arguments]
    try:
        return subprocess.run(  # noqa: S603 - found by which(), nothing from outside in it
            asked, capture_output=True, text=True, timeout=_ANSWERS_WITHIN_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(asked, returncode=1, stdout="", stderr=str(error))


def _nvidia(told: str) -> Iterator[Gpu]:
    rows = (line.split(",") for line in told.splitlines() if line.strip())
    for row in rows:
        if len(row) != len(_FIELDS):
            continue
        index, uuid, name, driver, memory, free, celsius, busy, watts = map(str.strip, row)
        yield Gpu(
            index=_whole(index) or 0,
            uuid=uuid,
            name=name,
            driver=driver,
            memory_bytes=_bytes(memory),
            free_bytes=_bytes(free),
            celsius=_whole(celsius),
            busy_percent=_whole(busy),
            watts=_number(watts),
        )


_Cards = dict[str, dict[str, Any]]


def _amd(told: str) -> Iterator[Gpu]:
    """Cards as `rocm-smi` tells them; its words differ from release to release."""
    said = msgspec.json.decode(told[told.find("{") :] or "{}", type=_Cards)
    driver = _any(said.get("system", {}), "Driver version")
    for number, (name, card) in enumerate(
        (name, card) for name, card in said.items() if name.startswith("card")
    ):
        total = _whole(_any(card, "VRAM Total Memory (B)"))
        used = _whole(_any(card, "VRAM Total Used Memory (B)"))
        called = _any(card, "Card Series", "Card series", "Card Model", "Card model")
        celsius = _any(card, "Temperature (Sensor edge) (C)", "Temperature (Sensor junction) (C)")
        watts = "Graphics Package Power (W)"
        index = _whole(name.removeprefix("card"))
        yield Gpu(
            index=number if index is None else index,
            uuid=_any(card, "Unique ID").replace("0x", "GPU-") or name,
            name=called or "AMD GPU",
            maker="amd",
            driver=driver,
            memory_bytes=total,
            free_bytes=None if total is None or used is None else total - used,
            celsius=_whole(celsius),
            busy_percent=_whole(_any(card, "GPU use (%)")),
            watts=_number(_any(card, f"Current Socket {watts}", f"Average {watts}")),
        )


class _Display(msgspec.Struct):
    model: str = msgspec.field(name="sppci_model", default="")


class _Displays(msgspec.Struct):
    found: list[_Display] = msgspec.field(name="SPDisplaysDataType", default=[])


def _apple(told: str) -> Iterator[Gpu]:
    """The chip of an Apple Mac; those with other makers' GPUs have none that torch can use."""
    for display in msgspec.json.decode(told or "{}", type=_Displays).found:
        if display.model.startswith("Apple"):
            chip = display.model
            yield Gpu(index=0, uuid=chip, name=chip, maker="apple", shares_memory=True)
            return


PROGRAMS = (
    _Program("nvidia-smi", _NVIDIA_QUESTIONS, _nvidia),
    _Program("rocm-smi", _ROCM_QUESTIONS, _amd),
    _Program("system_profiler", ("SPDisplaysDataType", "-json"), _apple),
)


def _any(said: dict[str, Any], *names: str) -> str:
    """The first of these that is told; "" for none."""
    found = (str(said[name]).strip() for name in names if name in said)
    return next((value for value in found if value and not value.startswith("N/A")), "")


def _bytes(mib: str) -> int | None:
    whole = _whole(mib)
    return None if whole is None else whole * _MIB


def _whole(text: str) -> int | None:
    number = _number(text)
    return None if number is None else int(number)


def _number(text: str) -> float | None:
    return float(text) if text.replace(".", "", 1).isdecimal() else None


def _visible(gpu: Gpu) -> bool:
    names = VISIBLE_VARIABLES.get(gpu.maker, ())
    shown = [os.environ[name] for name in names if name in os.environ]
    return all(_is_among(gpu, one) for one in shown)


def _is_among(gpu: Gpu, shown: str) -> bool:
    wanted = [one.strip() for one in shown.split(",")]
    return any(one and (one == str(gpu.index) or gpu.uuid.startswith(one)) for one in wanted)
