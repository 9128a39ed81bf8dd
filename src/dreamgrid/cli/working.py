"""The workers of a machine in the foreground, until a signal ends them."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

from dreamgrid.cli import exits, loop, planning, telling
from dreamgrid.cli.folder import data_dir, noted
from dreamgrid.cli.owner import settings_from
from dreamgrid.cli.stdout import stdout
from dreamgrid.cli.target import Target, find
from dreamgrid.engines.machine import Machine, look
from dreamgrid.engines.registry import find_engines
from dreamgrid.errors import ConfigError
from dreamgrid.worker.crew import run_crew
from dreamgrid.worker.gpu_use import limit_power
from dreamgrid.worker.lanes import chosen_gpus, lanes_of
from dreamgrid.worker.plan import plan_work
from dreamgrid.worker.rest import at_work
from dreamgrid.worker.settings import Settings


def work_for(
    given: dict[str, Any], *, config: Path | None, data: Path | None, as_json: bool
) -> None:
    """Works for the grid that flags, environment, file or this machine name.

    Args:
        given: What was typed, by the names of `Settings`; None for what was not.
        config: The file that was named.
        data: The data folder that was named.
        as_json: Whether programs read what it says.

    Raises:
        ConfigError: There is no such grid, or no engine that can serve.
        AuthenticationFailed: The grid does not accept the key.
    """
    exits.speaks_json.set(as_json)
    settings = settings_from(config, given)
    folder = data_dir(data)
    console = stdout()

    async def run(stop: asyncio.Event) -> None:
        target = await _grid(settings, folder)
        shared = settings.config(target.url, target.api_key, folder / "worker")
        rules = settings.rest_rules(shared.data_dir)
        registry = find_engines().preferring(settings.engines)
        machine = chosen_gpus(look(folder), tuple(map(str, settings.gpus)))
        plan = plan_work(registry, machine, settings.models)
        if not as_json:
            console.print(planning.about(machine))
            for line in planning.brief(plan):
                console.print(line, style="dim", markup=False, soft_wrap=True)
        lanes = lanes_of(shared, registry, machine)
        _limit_power(machine, settings.max_watts)
        on_event = partial(telling.tell, console)
        with at_work(shared.data_dir):
            await run_crew(lanes, registry, stop=stop, on_event=on_event, rules=rules)

    loop.serve(run)


async def _grid(settings: Settings, folder: Path) -> Target:
    target = await find(settings.server, settings.key, folder)
    if target is None:
        raise ConfigError(
            "no grid to work for: give --server and --key, set DREAMGRID_URL and "
            "DREAMGRID_API_KEY, or start one on this machine with 'dreamgrid serve'"
        )
    running = noted(folder)
    if running is not None and running.has_worker and running.url == target.url:
        raise ConfigError(
            f"the grid at {target.url} was started with a worker for this machine, and a second "
            "one would take its place: 'dreamgrid serve' starts a grid without, and a worker with "
            "a folder of its own (--data) may join it"
        )
    return target


def _limit_power(machine: Machine, watts: int) -> None:
    for gpu in machine.gpus if watts else ():
        if objection := limit_power(gpu, watts):
            exits.note(objection)
