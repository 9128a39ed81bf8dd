"""What happens to workers, as lines for people or JSON lines for programs."""

from dataclasses import asdict

from rich.console import Console
from rich.markup import escape

from dreamgrid.cli import exits
from dreamgrid.worker import events
from dreamgrid.worker.config import WorkerConfig


def tell(console: Console, lane: WorkerConfig, event: events.WorkerEvent) -> None:
    """Tells what happened to one of them."""
    if exits.speaks_json.get():
        gpu = {} if lane.gpu is None else {"gpu": lane.gpu.index}
        exits.say_json({"event": type(event).__name__} | _plain(event) | gpu)
    elif line := _about_jobs(event) or _about_trials(event) or _about_worker(event):
        console.print(line if lane.gpu is None else f"[dim]GPU {lane.gpu.index}[/] {line}")


def _plain(event: events.WorkerEvent) -> dict[str, object]:
    if isinstance(event, events.JobStarted):
        return {"job_id": event.job_id, "model": event.render.model}
    if isinstance(event, events.TrialEnded):
        told = ("model", "engine", "took_s", "step_s", "made")
        return {name: getattr(event, name) for name in told}
    return asdict(event)


def _about_jobs(event: events.WorkerEvent) -> str:
    match event:
        case events.JobFinished():
            return f"[dim]{event.job_id}[/] finished in {event.render_s:.2f} s"
        case events.JobFailed():
            return f"[dim]{event.job_id}[/] [red]{event.error}[/] {escape(event.detail)}"
        case events.Measured():
            line = f"measured itself: best on {event.threads} threads, from the next start on"
            return f"[dim]{line}[/]"
    return ""


def _about_trials(event: events.WorkerEvent) -> str:
    match event:
        case events.TrialBegan():
            return f"[dim]measures {escape(event.model)} with {escape(event.engine)}[/]"
        case events.TrialEnded():
            line = f"{event.model}: {event.took_s:.2f} s for {event.made}, by {event.engine}"
            return f"[dim]{escape(line)}[/]"
        case events.TrialFailed():
            line = f"{event.model} could not be measured with {event.engine}: {event.reason}"
            return f"[yellow]{escape(line)}[/]"
    return ""


def _about_worker(event: events.WorkerEvent) -> str:
    line = ""
    match event:
        case events.Joined():
            models = ", ".join(event.models)
            line = f"[green]{escape(event.name)} works for[/] {event.server_url}: {models}"
            for unknown in event.unknown_models:
                line += f"\n[yellow]{unknown} is not in that grid's catalogue[/]"
        case events.Disconnected(reason=reason, retry_in_s=wait_s):
            line = f"[yellow]disconnected:[/] {escape(reason)}; next try in {wait_s:.0f} s"
        case events.EngineFailed(reason=reason, retry_in_s=wait_s):
            line = f"[red]engine does not start:[/] {escape(reason)}; next try in {wait_s:.0f} s"
        case events.Rested():
            line = f"[yellow]rests:[/] {escape(event.reason)}"
        case events.Resumed():
            line = "works again"
        case events.DrainBegan():
            line = f"[yellow]takes nothing new:[/] {escape(event.reason)}"
    return line
