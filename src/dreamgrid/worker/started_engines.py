"""What a worker can start before it knows its server: its engines.

Their process loads while whoever starts the server as well is still busy with that.
"""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import PackageNotFoundError, version

import msgspec

from dreamgrid.engines.music import sound_font
from dreamgrid.engines.registry import Registry
from dreamgrid.errors import ConfigError
from dreamgrid.protocol.worker import Device
from dreamgrid.worker.config import WorkerConfig
from dreamgrid.worker.frames import Setup
from dreamgrid.worker.host import EngineHost, EnginePool
from dreamgrid.worker.identity import probe_device
from dreamgrid.worker.line import Patience
from dreamgrid.worker.tasks import task_group
from dreamgrid.worker.trials import Contestant
from dreamgrid.worker.tuning import SelfTest, plan_for

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class StartedEngines:
    """Engines that wait for jobs.

    Attributes:
        engines: Which of them may make each model, by their references, in the owner's order.
        pool: Lends them to jobs.
        device: What they run on.
        contestants: Each of them, as it is measured.
        measured_elsewhere: Models that the self-test measures, in its own process.
        self_test: What is known of their speed, and how more is found out.
        slots: How many jobs to hold at a time.
        slots_of: Model id to how many, where these are more.
    """

    engines: Mapping[str, tuple[str, ...]]
    pool: EnginePool
    device: Device
    contestants: tuple[Contestant, ...]
    measured_elsewhere: frozenset[str]
    self_test: SelfTest
    slots: int
    slots_of: Mapping[str, int]

    @property
    def models(self) -> tuple[str, ...]:
        """What they serve."""
        return tuple(self.engines)


@asynccontextmanager
async def started_engines(
    config: WorkerConfig, registry: Registry
) -> AsyncIterator[StartedEngines]:
    """The engines of a worker, for as long as the block runs.

    Args:
        config: The worker's settings. Neither its server nor its key is looked at, because who
            starts a server at the same time does not know them yet.
        registry: The engines that are installed.

    Raises:
        ConfigError: No engine can serve a model here, or the sound font cannot be played; the
            message says what to do.
        EngineCrashed: A process does not start.
    """
    serving = _serving(config, registry)
    device = probe_device(config.gpu)
    setup = Setup(
        engines=serving,
        threads=config.threads_per_engine,
        filter_threshold=config.filter_threshold,
        sound_font=_sound_font(config),
        environment=config.gpu.environment if config.gpu else {},
    )
    plan = plan_for(config, registry, setup, device, software_version())
    self_test = SelfTest(plan, config.data_dir, config.quiet_s)
    if self_test.tuning is not None:
        setup = msgspec.structs.replace(setup, threads=self_test.tuning.threads)
    # Here and not above: while it measures itself, a process loads only what it renders.
    setup = msgspec.structs.replace(
        setup,
        early=_early(serving, registry),
        folder=str(config.data_dir.absolute()),
        quiet_s=config.quiet_s,
    )
    slots, slots_of = _slots(config, registry, serving)
    patience = Patience(cancel_s=config.cancel_grace_s, stall_s=config.stall_timeout_s)
    async with task_group() as tasks:
        hosts = [EngineHost(tasks, setup, patience) for _ in range(config.engines)]
        # Of several, the one that is free first takes the next job: nobody knows yet which.
        pool = EnginePool(hosts, each=max(slots, *slots_of.values(), 0) if len(hosts) == 1 else 1)
        try:
            await pool.start()
            yield StartedEngines(
                engines=serving,
                pool=pool,
                device=device,
                contestants=contestants_of(registry, serving, device),
                measured_elsewhere=frozenset(trial.model for trial in plan.trials),
                self_test=self_test,
                slots=slots,
                slots_of=slots_of,
            )
        finally:
            await pool.close()


def _sound_font(config: WorkerConfig) -> str:
    """Looked at before anything starts, so that its owner hears at once what is wrong with it."""
    if config.sound_font is None:
        return ""
    font = sound_font.read(config.sound_font)
    _log.info("music is played with %s", font.name)
    return str(font.path.absolute())


def software_version() -> str:
    """The version of dreamgrid that runs here."""
    try:
        return version("dreamgrid")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "unknown"


def _serving(config: WorkerConfig, registry: Registry) -> dict[str, tuple[str, ...]]:
    """Model id to the references of engines, for all models that this worker shall serve."""
    available = {
        model: config.served_by.get(model) or tuple(one.reference for one in registry.of(model))
        for model in registry.by_model()
    }
    unknown = sorted(set(config.models) - set(available))
    if not available or unknown:
        close = dict.fromkeys(
            found for one in unknown for found in get_close_matches(one, available, n=1)
        )
        meant = f"did you mean {' or '.join(close)}? " if close else ""
        problem = (
            f"no installed engine serves {', '.join(unknown)}; {meant}"
            f"there are: {', '.join(available)}"
            if available
            else "no engine can serve a model on this machine"
        )
        raise ConfigError("\n".join([problem, *registry.advice(optional=True)]))
    for limit in registry.limits():
        _log.warning("%s", limit)
    return {model: available[model] for model in config.models or available}


def _slots(
    config: WorkerConfig, registry: Registry, serving: Mapping[str, tuple[str, ...]]
) -> tuple[int, dict[str, int]]:
    """As many as were set, else one that waits or, on a GPU, as many as its engines want.

    Returns:
        How many jobs to hold of whatever model, and model id to how many where these are more.

    Args:
        config: The worker's settings.
        registry: The engines that are installed.
        serving: Model id to the references of engines, for what this worker serves.
    """
    if config.slots:
        return config.slots, {}
    if config.gpu is None or config.engines > 1:
        return config.engines + 1, {}
    specs = {one.reference: one.spec for one in registry.engines}
    held = {
        model: min(specs[one].held(config.data_dir, [model]) for one in engines)
        for model, engines in serving.items()
    }
    fewest = min(held.values())
    return fewest, {model: count for model, count in held.items() if count > fewest}


def contestants_of(
    registry: Registry, serving: Mapping[str, tuple[str, ...]], device: Device
) -> tuple[Contestant, ...]:
    """The engines of a worker, each with what its speed depends on.

    Args:
        registry: The engines that are installed.
        serving: Model id to the references of engines.
        device: What they run on.
    """
    used = {reference for engines in serving.values() for reference in engines}
    machine = f"{device.kind} {device.name} {device.memory_bytes} {software_version()}"
    return tuple(
        Contestant(
            reference=one.reference,
            name=one.name,
            measured_on=f"{machine} {one.version}".strip(),
            # These say themselves by what they are measured, in one piece.
            whole=frozenset(model for model in one.models if one.spec.trial(model) is not None),
        )
        for one in registry.engines
        if one.reference in used
    )


def _early(serving: Mapping[str, tuple[str, ...]], registry: Registry) -> tuple[str, ...]:
    """What the process loads before a job asks for it."""
    found = {engine.reference: engine.spec.early for engine in registry.engines}
    return tuple(model for model, engines in serving.items() if model in found[engines[0]])
