"""A worker in the foreground, until a signal ends it."""

import asyncio
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from dreamgrid.cli import exits, loop, planning
from dreamgrid.cli.folder import data_dir
from dreamgrid.cli.target import find
from dreamgrid.engines.machine import look
from dreamgrid.engines.registry import find_engines
from dreamgrid.engines.safety import PICTURE_THRESHOLD
from dreamgrid.errors import ConfigError
from dreamgrid.worker import events
from dreamgrid.worker.config import WorkerConfig
from dreamgrid.worker.crew import run_crew
from dreamgrid.worker.lanes import chosen_gpus, lanes_of
from dreamgrid.worker.plan import plan_work


def work_for(
    *,
    server: str | None,
    key: str | None,
    name: str,
    models: tuple[str, ...],
    data: Path | None,
    threads: int,
    gpus: tuple[str, ...],
    filter_threshold: float | None,
    sound_font: Path | None,
    as_json: bool,
) -> None:
    """Works for the grid that flags, environment or this machine name.

    Raises:
        ConfigError: There is no such grid, or no engine that can serve.
        AuthenticationFailed: The grid does not accept the key.
    """
    exits.speaks_json.set(as_json)
    folder = data_dir(data)
    console = Console(highlight=False)

    def on_event(lane: WorkerConfig, event: events.WorkerEvent) -> None:
        if as_json:
            gpu = {} if lane.gpu is None else {"gpu": lane.gpu.index}
            exits.say_json({"event": type(event).__name__} | _plain(event) | gpu)
        elif line := _line(event):
            console.print(line if lane.gpu is None else f"[dim]GPU {lane.gpu.index}[/] {line}")

    async def run(stop: asyncio.Event) -> None:
        target = await find(server, key, folder)
        if target is None:
            raise ConfigError(
                "no grid to work for: give --server and --key, set DREAMGRID_URL and "
                "DREAMGRID_API_KEY, or start one on this machine with 'dreamgrid serve'"
            )
        registry = find_engines()
        machine = chosen_gpus(look(folder), gpus)
        plan = plan_work(registry, machine, models)
        if not as_json:
            console.print(planning.about(machine))
            for line in planning.brief(plan):
                console.print(line, style="dim", markup=False, soft_wrap=True)
        config = WorkerConfig(
            server_url=target.url,
            api_key=target.api_key,
            data_dir=folder / "worker",
            name=name,
            threads=threads,
            filter_threshold=PICTURE_THRESHOLD if filter_threshold is None else filter_threshold,
            sound_font=sound_font,
            slots=2,
            models=models,
        )
        lanes = lanes_of(config, registry, machine)
        await run_crew(lanes, registry, stop=stop, on_event=on_event)

    loop.serve(run)


def _plain(event: events.WorkerEvent) -> dict[str, object]:
    if isinstance(event, events.JobStarted):
        return {"job_id": event.job_id, "model": event.render.model}
    return asdict(event)


def _line(event: events.WorkerEvent) -> str:
    match event:
        case events.Joined():
            models = ", ".join(event.models)
            line = f"[green]{escape(event.name)} works for[/] {event.server_url}: {models}"
            for unknown in event.unknown_models:
                line += f"\n[yellow]{unknown} is not in that grid's catalogue[/]"
        case events.Disconnected():
            line = f"[yellow]disconnected:[/] {escape(event.reason)}; next try in "
            line += f"{event.retry_in_s:.0f} s"
        case events.JobFinished():
            line = f"[dim]{event.job_id[:8]}[/] finished in {event.render_s:.2f} s"
        case events.JobFailed():
            line = f"[dim]{event.job_id[:8]}[/] [red]{event.error}[/] {escape(event.detail)}"
        case events.Measured():
            line = (
                f"[dim]measured itself: best on {event.threads} threads, from the next start on[/]"
            )
        case events.EngineFailed():
            line = f"[red]its engine does not start:[/] {escape(event.reason)}; next try in "
            line += f"{event.retry_in_s:.0f} s"
        case events.DrainBegan():
            line = f"[yellow]takes nothing new:[/] {escape(event.reason)}"
        case _:
            line = ""
    return line
