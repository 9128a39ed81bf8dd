"""`dreamgrid work measure`: how long each model takes on this machine, by hand."""

from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from dreamgrid.cli import exits, loop
from dreamgrid.cli.folder import data_dir
from dreamgrid.cli.owner import settings_from
from dreamgrid.cli.stdout import stdout
from dreamgrid.engines.gpus import Gpu
from dreamgrid.engines.machine import Machine, look
from dreamgrid.engines.registry import Registry, find_engines
from dreamgrid.errors import ConfigError
from dreamgrid.protocol.renders import AnyRender
from dreamgrid.server.catalog import Catalog
from dreamgrid.server.config import ServerConfig
from dreamgrid.server.trials import trials_of
from dreamgrid.worker import events
from dreamgrid.worker.config import WorkerConfig
from dreamgrid.worker.identity import probe_device
from dreamgrid.worker.lanes import chosen_gpus, lanes_of
from dreamgrid.worker.rest import anyone_at_work, at_work
from dreamgrid.worker.settings import Settings
from dreamgrid.worker.started_engines import contestants_of, started_engines
from dreamgrid.worker.trials import Trial, Trials, described, kept_trials, valid_trials

_NO_GRID = "http://nowhere.invalid"
"""The address of a worker's settings, which is not dialed here."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """What a machine remembers of a model and an engine, for people and programs.

    Attributes:
        model: Catalogue id.
        engine: Name.
        took_s: Seconds for a render with all the defaults.
        step_s: Seconds for one of its steps.
        made: That render in words.
        gpu: Number of the GPU; None: none of its own.
    """

    model: str
    engine: str
    took_s: float
    step_s: float
    made: str
    gpu: int | None = None


def measure(given: dict[str, Any], *, config: Path | None, data: Path | None, as_json: bool) -> int:
    """Measures all models of this machine that need no input, or those that are named.

    Args:
        given: What was typed, by the names of `Settings`; None for what was not.
        config: The file that was named.
        data: The data folder that was named.
        as_json: Whether programs read what it says.

    Returns:
        The exit code: 1 when a model that was named could not be measured, or none at all.

    Raises:
        ConfigError: A worker runs from this folder, or nothing can be served here.
    """
    exits.speaks_json.set(as_json)
    settings = settings_from(config, given)
    folder = data_dir(data)
    if anyone_at_work(folder / "worker"):
        raise ConfigError(
            "a worker runs from this folder and would use the machine at the same time: end it, "
            "or let it measure by itself while it has nothing to do"
        )
    registry = find_engines().preferring(settings.engines)
    machine = chosen_gpus(look(folder), tuple(map(str, settings.gpus)))
    lanes = lanes_here(settings, registry, machine, folder)
    limits = ServerConfig(data_dir=folder)
    models = {model for lane in lanes for model in lane.models or registry.by_model()}
    renders = trials_of(Catalog.load(), models, limits)
    found: list[Known] = []

    async def run() -> None:
        for lane in lanes:
            found.extend([known async for known in _measured(lane, registry, renders)])

    with at_work(folder / "worker"):
        loop.run(run())
    _say(found, as_json=as_json)
    unmeasured = set(settings.models) - {known.model for known in found}
    for model in sorted(unmeasured):
        exits.note(f"{model} was not measured: it needs an input, or what is written above")
    return exits.FAILED if unmeasured or not found else 0


async def _measured(
    lane: WorkerConfig, registry: Registry, renders: tuple[AnyRender, ...]
) -> AsyncIterator[Known]:
    """Measures the models of one worker, one after the other."""

    def tell(event: events.WorkerEvent) -> None:
        match event:
            case events.TrialBegan():
                exits.note(f"measures {event.model} with {event.engine}")
            case events.TrialFailed():
                exits.note(f"{event.model} with {event.engine}: {event.reason}")

    async with started_engines(lane, registry) as engines:
        names = {one.reference: one for one in engines.contestants}
        trials = Trials(lane.data_dir, engines.engines, engines.contestants, engines.pool, tell)
        for render in renders:
            for reference in engines.engines.get(render.model, ()):
                tell(events.TrialBegan(model=render.model, engine=names[reference].name))
                trial = await trials.measure(names[reference], render)
                if trial is not None:
                    yield known_of(trial, lane.gpu)


def lanes_here(
    settings: Settings, registry: Registry, machine: Machine, folder: Path
) -> tuple[WorkerConfig, ...]:
    """The settings of each worker of this machine, of no grid.

    Args:
        settings: What its owner decided.
        registry: The engines that are installed.
        machine: What they can use.
        folder: The data folder.

    Raises:
        ConfigError: Nothing can be served here.
    """
    return lanes_of(settings.config(_NO_GRID, "none", folder / "worker"), registry, machine)


def known_of(trial: Trial, gpu: Gpu | None) -> Known:
    """A trial for people and programs."""
    return Known(
        model=trial.render.model,
        engine=trial.name,
        took_s=trial.took_s,
        step_s=trial.step_s,
        made=described(trial.render),
        gpu=None if gpu is None else gpu.index,
    )


def remembered_by(lanes: Iterable[WorkerConfig], registry: Registry) -> Iterator[Known]:
    """What workers have measured that is still true of them.

    Args:
        lanes: Their settings.
        registry: The engines that are installed.
    """
    for lane in lanes:
        contestants = contestants_of(registry, lane.served_by, probe_device(lane.gpu))
        for trial in valid_trials(kept_trials(lane.data_dir), lane.served_by, contestants):
            yield known_of(trial, lane.gpu)


def _say(found: list[Known], *, as_json: bool) -> None:
    if as_json:
        exits.say_json({"speeds": [asdict(known) for known in found]})
        return
    table = Table("model", "engine", "what", "seconds", "a step", box=None, padding=(0, 2))
    for known in found:
        where = "" if known.gpu is None else f" (GPU {known.gpu})"
        step = f"{known.step_s:.3f}" if known.step_s else ""
        seconds = f"{known.took_s:.2f}"
        table.add_row(escape(known.model), escape(known.engine) + where, known.made, seconds, step)
    stdout().print(table)
