"""`dreamgrid explain`: why something waits, what it waits for, and when it should start."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer
from rich.markup import escape
from rich.table import Table

import dreamgrid
from dreamgrid.cli import exits, options
from dreamgrid.cli.asking import ask
from dreamgrid.cli.projects import whole_id
from dreamgrid.cli.stdout import stdout
from dreamgrid.errors import NotFound
from dreamgrid.protocol.rest_explain import ExplainedJob, Explanation

_COLORS = {"runnable": "green", "rendering": "green", "waiting": "yellow", "impossible": "red"}


def explain(
    project_id: Annotated[
        str,
        typer.Argument(
            metavar="PROJECT|JOB", help="Id of a project, or its beginning, or whole id of a job."
        ),
    ],
    server: options.Server = None,
    key: options.Key = None,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """Tell why a project or a job stands where it stands.

    Its state is runnable, waiting (and for what), impossible (and what is missing), rendering or
    ended. Also: when it should start, and why each job went to the worker that has it.

    For example:

    - `dreamgrid explain 6f1e9d1c`
    - `dreamgrid explain 6f1e9d1c --json | jq -r .state`
    """
    exits.speaks_json.set(as_json)

    async def look(client: dreamgrid.AsyncClient) -> Explanation:
        try:
            found = await whole_id(client, project_id)
        except NotFound as error:
            raise NotFound(f"{error}; a job is only known by its whole id") from None
        return await client.projects.explain(found)

    found = ask(look, server, key, data)
    if as_json:
        exits.say_json(msgspec.to_builtins(found))
        return
    console = stdout()
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column()
    reason = f", {found.reason}" if found.reason else ""
    facts.add_row("state", f"[{_COLORS.get(found.state, 'dim')}]{found.state}[/]{reason}")
    facts.add_row("why", escape(found.message))
    if found.queue_position:
        facts.add_row("place in line", str(found.queue_position))
    if found.start is not None:
        start = found.start
        interval = f"{start.earliest_seconds:.0f} to {start.latest_seconds:.0f} s"
        facts.add_row("starts in", f"about {start.seconds:.0f} s ({interval})")
    if found.calibration.starts:
        told = found.calibration
        facts.add_row("forecasts", f"{told.within} of {told.starts} starts came as foretold")
    console.print(facts)
    table = Table("", "state", "worker", "why", box=None, header_style="dim", pad_edge=False)
    for job in found.jobs:
        state = job.reason or job.state
        table.add_row(str(job.index + 1), state, escape(job.worker), escape(_why(job)))
    console.print(table)


def _why(job: ExplainedJob) -> str:
    """The message, and why it went where it went."""
    if job.why_there is None:
        return job.message
    why = job.why_there
    parts = [f"went there after {why.waited_seconds:.1f} s"]
    parts.append(f"{why.idle_workers} had room" if why.idle_workers > 1 else "only it had room")
    if why.model_loaded:
        parts.append("its model was loaded")
    if why.pace is not None:
        parts.append(f"takes {why.pace:.2f} of the usual time")
    parts.append(f"delivers {why.delivery_rate:.0%}")
    return f"{job.message}; {', '.join(parts)}"
