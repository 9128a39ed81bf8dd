"""A worker measures itself: how fast its engines are here, and on how many threads.

It does so once, while it has nothing else to do, in a process of its own that ends as soon as a job
comes. What it found lies in the worker's folder, counts from the next start on, and is measured
anew when machine, software or settings are others. `dreamgrid work doctor` shows it, and the
server hears of it with the next hello: until a job says better, that is what it knows.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from dreamgrid.engines.registry import Registry
from dreamgrid.errors import DreamgridError, EngineCrashed
from dreamgrid.protocol.renders import AnyRender
from dreamgrid.protocol.worker import Device, MeasuredSpeed
from dreamgrid.worker import frames
from dreamgrid.worker.config import WorkerConfig
from dreamgrid.worker.host import EngineHost
from dreamgrid.worker.line import Patience
from dreamgrid.worker.tasks import task_group, wait_ended

ROUNDS = 2
"""Timed renders of each kind; the faster one counts."""

WORTH_IT = 0.9
"""More threads must take less than this share of the time: the machine has other work too."""

_PATIENCE = Patience(cancel_s=0.0, stall_s=60.0)
_FILE = "tuning.json"
_SHORTEST_S = 1e-6  # what clocks can tell; times are divided by each other

_log = logging.getLogger(__name__)


class Tuning(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker found out about itself.

    Attributes:
        measured_on: Machine, software and settings; anything else makes it worthless.
        threads: CPU threads for an engine.
        speeds: How long the trial of each model took, on so many threads.
    """

    measured_on: str
    threads: int
    speeds: tuple[MeasuredSpeed, ...]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a worker would measure.

    Attributes:
        setup: What its own engines are started with, but for the threads.
        trials: What to render.
        thread_counts: Numbers of threads to try.
        measured_on: Machine, software and settings.
    """

    setup: frames.Setup
    trials: tuple[AnyRender, ...]
    thread_counts: tuple[int, ...]
    measured_on: str


def plan_for(
    config: WorkerConfig, registry: Registry, setup: frames.Setup, device: Device, version: str
) -> Plan:
    """What to measure on this machine: every model that says how, on one thread and on many."""
    found = registry.by_model()
    trials = (found[model].spec.trial(model) for model in setup.engines)
    most = config.threads_per_engine
    counts = (most,) if config.threads else tuple(sorted({1, most}))
    settings = (counts, config.engines, config.sound_font)
    about = (device.name, device.memory_bytes, os.cpu_count(), version, *settings)
    return Plan(
        setup=setup,
        trials=tuple(trial for trial in trials if trial is not None),
        thread_counts=counts,
        measured_on=" ".join([*map(str, about), *sorted(setup.engines)]),
    )


def read(folder: Path) -> Tuning | None:
    """What was found before, on whatever machine; None if nothing was."""
    try:
        return msgspec.json.decode((folder / _FILE).read_bytes(), type=Tuning)
    except (OSError, msgspec.DecodeError):
        return None


def write(folder: Path, tuning: Tuning) -> None:
    """Keeps it for the next start; without room for the file it is measured again then."""
    new = folder / f"{_FILE}.new"
    try:
        new.write_bytes(msgspec.json.format(msgspec.json.encode(tuning)))
        os.replace(new, folder / _FILE)
    except OSError as error:
        _log.warning("what this worker measured cannot be kept: %s", error.strerror)
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)


class SelfTest:
    """Measures a worker once it has been quiet for a while; a job that comes ends it.

    Attributes:
        tuning: What is known, from this start or an earlier one.
    """

    def __init__(self, plan: Plan, folder: Path, quiet_s: float) -> None:
        known = read(folder)
        self.tuning = known if known and known.measured_on == plan.measured_on else None
        self._plan = plan
        self._folder = folder
        self._quiet_s = quiet_s
        self._noise = asyncio.Event()

    def disturb(self) -> None:
        """There is a job, or there was one until now: not before `quiet_s` from here."""
        self._noise.set()

    async def run(self, busy: Callable[[], bool]) -> Tuning | None:
        """Waits for quiet and measures, again and again until no job disturbs it.

        Args:
            busy: Whether the worker has jobs.

        Returns:
            What was found; None where it was known before, or cannot be measured.
        """
        if self.tuning is not None or not self._plan.trials or self._quiet_s <= 0:
            return None
        while True:
            self._noise.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._quiet_s):
                    await self._noise.wait()
            if self._noise.is_set() or busy():
                continue
            measuring = asyncio.create_task(measure(self._plan))
            if await self._undisturbed(measuring):
                return self._kept(measuring)

    async def _undisturbed(self, measuring: asyncio.Task[Tuning | None]) -> bool:
        """Whether the measurement came to its end before a job came."""
        noise = asyncio.create_task(self._noise.wait())
        try:
            await asyncio.wait([measuring, noise], return_when=asyncio.FIRST_COMPLETED)
            return measuring.done()
        finally:
            noise.cancel()
            measuring.cancel()
            await wait_ended(measuring)

    def _kept(self, measuring: asyncio.Task[Tuning | None]) -> Tuning | None:
        try:
            self.tuning = measuring.result()
        except EngineCrashed as crash:
            _log.warning("this worker could not measure itself: %s", crash)
        else:
            if self.tuning is None:
                _log.warning("this worker could not measure itself: no trial render succeeded")
            else:
                write(self._folder, self.tuning)
        return self.tuning


def best_threads(taken_s: Mapping[int, Sequence[float]]) -> int:
    """The number of threads to use: more of them only where they are worth it.

    Args:
        taken_s: Seconds of each trial, in the same order, by number of threads.
    """
    best, *others = sorted(taken_s)
    for threads in others:
        pairs = zip(taken_s[threads], taken_s[best], strict=True)
        shares = [more / fewer for more, fewer in pairs]
        if sum(shares) < WORTH_IT * len(shares):
            best = threads
    return best


async def measure(plan: Plan) -> Tuning | None:
    """Renders every trial on every number of threads. Canceling it ends its process at once.

    Returns:
        What was found; None where nothing could be rendered.

    Raises:
        EngineCrashed: A process did not start.
    """
    found = {
        threads: await _on_threads(
            msgspec.structs.replace(plan.setup, threads=threads), plan.trials
        )
        for threads in plan.thread_counts
    }
    known = [trial for trial in plan.trials if all(trial in one for one in found.values())]
    if not known:
        return None
    threads = best_threads({n: [one[trial] for trial in known] for n, one in found.items()})
    speeds = tuple(MeasuredSpeed(render=trial, took_s=found[threads][trial]) for trial in known)
    return Tuning(measured_on=plan.measured_on, threads=threads, speeds=speeds)


async def _on_threads(setup: frames.Setup, trials: Sequence[AnyRender]) -> dict[AnyRender, float]:
    taken_s = {}
    async with task_group() as tasks:
        host = EngineHost(tasks, setup, _PATIENCE)
        try:
            await host.start()
            for trial in trials:
                with contextlib.suppress(DreamgridError):  # what cannot be made has no speed
                    await host.render(trial, {})  # loads the model
                    times = [(await host.render(trial, {})).render_s for _ in range(ROUNDS)]
                    taken_s[trial] = max(min(times), _SHORTEST_S)
        finally:
            await wait_ended(asyncio.create_task(host.close()))
    return taken_s
