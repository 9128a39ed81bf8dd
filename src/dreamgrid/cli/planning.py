"""What a worker would serve on this machine and why not the rest, in plain words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from dreamgrid.cli import exits
from dreamgrid.cli.folder import data_dir
from dreamgrid.cli.measuring import Known, lanes_here, remembered_by
from dreamgrid.cli.owner import settings_from
from dreamgrid.cli.stdout import stdout
from dreamgrid.engines.base import Prospect
from dreamgrid.engines.machine import GIB, Machine, look
from dreamgrid.engines.registry import find_engines
from dreamgrid.worker.lanes import chosen_gpus
from dreamgrid.worker.plan import WorkPlan, plan_work


def show(given: dict[str, Any], *, config: Path | None, data: Path | None, as_json: bool) -> None:
    """Prints the plan of a worker that is started now.

    Args:
        given: What was typed, by the names of `Settings`; None for what was not.
        config: The file that was named.
        data: The data folder that was named.
        as_json: Whether programs read it.

    Raises:
        ConfigError: A named model cannot be served; the message says why. Or there is no such
            engine.
    """
    exits.speaks_json.set(as_json)
    settings = settings_from(config, given)
    machine = chosen_gpus(look(data_dir(data)), tuple(map(str, settings.gpus)))
    registry = find_engines().preferring(settings.engines)
    plan = plan_work(registry, machine, settings.models)
    names = {one.reference: one.name for one in registry.engines}
    engines = {model: [names[one] for one in used] for model, used in plan.engines.items()}
    lanes = lanes_here(settings, registry, machine, data_dir(data)) if plan.models else ()
    speeds = tuple(remembered_by(lanes, registry))
    if as_json:
        told = {"engines": engines, "speeds": [asdict(known) for known in speeds]}
        exits.say_json({"machine": asdict(machine)} | asdict(plan) | told)
    else:
        stdout().print(Group(about(machine), whole(plan, engines, speeds)))


def about(machine: Machine) -> Text:
    """The machine in a line."""
    parts = [f"{gpu.name} ({_gib(gpu.memory_bytes)})" for gpu in machine.gpus]
    if not parts:
        parts.append("a GPU driver that does not work" if machine.gpu_problem else "no GPU")
    parts += [f"{machine.cores} cores", f"{_gib(machine.memory_bytes)} of memory"]
    parts.append(f"{_gib(machine.disk_free_bytes)} of disk free")
    return Text.assemble(("machine   ", "dim"), ", ".join(parts))


def brief(plan: WorkPlan) -> Iterator[str]:
    """What is not served, in two lines: what is only missing, and what can never fit."""
    absent = [prospect.model for prospect in plan.leaves if prospect.state == "absent"]
    blocked = [prospect.model for prospect in plan.leaves if prospect.state == "blocked"]
    too_large = [prospect.model for prospect in plan.leaves if prospect.state == "too_large"]
    if absent:
        yield f"would fit, but the weights are not here: {', '.join(absent)}"
    if blocked or too_large:
        count = len(blocked) + len(too_large)
        yield f"{count} more models cannot be served here; 'dreamgrid work plan' says why"
    elif absent:
        yield "'dreamgrid work plan' says how to get them"


def whole(
    plan: WorkPlan, engines: Mapping[str, Sequence[str]], speeds: Sequence[Known] = ()
) -> Table:
    """Every model with its reason.

    Args:
        plan: What becomes of each model.
        engines: Names of those that may make each model, in order.
        speeds: What was measured here.
    """
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for prospect in (*plan.serves, *plan.leaves):
        advice = f"\n[dim]{escape(prospect.advice)}[/]" if prospect.advice else ""
        mark = "[green]serves[/]" if prospect in plan.serves else _mark(prospect)
        text = prospect.text
        if len(used := engines.get(prospect.model, ())) > 1:
            text = "; ".join(filter(None, [f"by {' or '.join(used)}, as a job needs", text]))
        for known in speeds:
            if known.model == prospect.model and prospect in plan.serves:
                where = "" if known.gpu is None else f" on GPU {known.gpu}"
                took = f"{known.took_s:.2f} s for {known.made} by {known.engine}{where}"
                text = "; ".join(filter(None, [text, took]))
        table.add_row(mark, escape(prospect.model), escape(text) + advice)
    return table


def _mark(prospect: Prospect) -> str:
    marks = {"absent": "[yellow]no weights[/]", "too_large": "[dim]too large[/]"}
    return marks.get(prospect.state, "[yellow]cannot[/]")


def _gib(size_bytes: int | None) -> str:
    return "? GiB" if size_bytes is None else f"{size_bytes / GIB:.0f} GiB"
