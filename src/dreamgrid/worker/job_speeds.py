"""How long jobs took on this machine, remembered over restarts, one of each model.

A server forgets what it measured when it restarts, and a worker that comes back is new to it: what
is remembered here goes with the next hello, so that the first forecasts are right. No word of a job
is kept, only its size.
"""

from pathlib import Path

import msgspec

from dreamgrid.engines import remembered
from dreamgrid.protocol.renders import AnyRender
from dreamgrid.protocol.worker import Device, MeasuredSpeed

MOST_MODELS = 50
"""Those that were not rendered for longest are forgotten: a hello has its limits."""

WORTH_WRITING = 0.1
"""A time is written down anew when it differs by more than this share."""

_FILE = "job-speeds"
_SIZE = (
    "steps",
    "guidance",
    "width",
    "height",
    "frames",
    "fps",
    "motion_fps",
    "duration_s",
)  # what a job's time depends on; each kind of render has some of them


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What lies on the disk; another machine or version makes it worthless."""

    measured_on: str
    speeds: tuple[MeasuredSpeed, ...]


class JobSpeeds:
    """The newest job of each model.

    Args:
        folder: Of the worker.
        device: What it renders on.
        version: Of its software.
    """

    def __init__(self, folder: Path, device: Device, version: str) -> None:
        self._folder = folder
        self._measured_on = f"{device.kind} {device.name} {device.memory_bytes} {version}"
        kept = remembered.recall(_FILE, _Kept, folder)
        known = kept.speeds if kept and kept.measured_on == self._measured_on else ()
        self._speeds = {speed.render.model: speed for speed in known}

    def beside(self, measured: tuple[MeasuredSpeed, ...]) -> tuple[MeasuredSpeed, ...]:
        """What the worker may tell of its speed.

        Args:
            measured: What it measured by itself; jobs say better how long jobs take.
        """
        others = (speed for speed in measured if speed.render.model not in self._speeds)
        return (*self._speeds.values(), *others)

    def knows(self, model: str) -> bool:
        """Whether a job of a model was rendered."""
        return model in self._speeds

    def note(self, render: AnyRender, took_s: float) -> None:
        """A job is done, whose model was loaded when it began."""
        if render.loras or render.control_net is not None or render.assets or took_s <= 0:
            return  # it took longer for a reason that the next job may not have
        speed = MeasuredSpeed(render=_size_of(render), took_s=took_s)
        before = self._speeds.pop(render.model, None)
        self._speeds[render.model] = speed
        while len(self._speeds) > MOST_MODELS:
            del self._speeds[next(iter(self._speeds))]
        same = before is not None and before.render == speed.render
        if before is None or not same or abs(took_s / before.took_s - 1) > WORTH_WRITING:
            kept = _Kept(measured_on=self._measured_on, speeds=tuple(self._speeds.values()))
            remembered.keep(_FILE, kept, self._folder)


def _size_of(render: AnyRender) -> AnyRender:
    """The same work without anything that its app wrote."""
    size = {name: getattr(render, name) for name in _SIZE if hasattr(render, name)}
    return type(render)(model=render.model, prompt="", seed=1, **size)
