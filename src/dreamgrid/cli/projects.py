"""`dreamgrid projects`: what you asked for, from any process and at any time."""

from __future__ import annotations

import asyncio
import re
import sys
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

import dreamgrid
from dreamgrid.cli import exits, loop, options
from dreamgrid.cli.asking import ask
from dreamgrid.cli.folder import data_dir
from dreamgrid.cli.producing import OUT
from dreamgrid.cli.screen import LiveScreen, Screen
from dreamgrid.cli.stdout import stdout
from dreamgrid.cli.target import connected
from dreamgrid.errors import InvalidRequest, NotFound, ProjectFailed
from dreamgrid.protocol.amounts import plain, price
from dreamgrid.protocol.failures import in_words
from dreamgrid.protocol.rest import JobRecord, ProjectRecord
from dreamgrid.states import ProjectState

app = typer.Typer(
    no_args_is_help=True, help="List, watch, cancel, download and delete what you asked for."
)

_Id = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="As 'dreamgrid projects list' shows it, or its beginning, as in names of files.",
    ),
]
_WHOLE_ID = 36
_SHORTEST_ID = 4
_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")
_LATELY = 100
"""How many projects back a shortened id is looked for."""


@app.command("list")
def list_projects(
    limit: Annotated[int, typer.Option(min=1, max=100, help="Most finished ones.")] = 20,
    server: options.Server = None,
    key: options.Key = None,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """List what is under way, and what has ended lately, well or not.

    For example:

    - `dreamgrid projects list`
    - `dreamgrid projects list --limit 100 --json | jq -r .[].id`
    """
    exits.speaks_json.set(as_json)

    async def look(client: dreamgrid.AsyncClient) -> list[ProjectRecord]:
        return await _known(client, limit)

    records = ask(look, server, key, data)
    if as_json:
        exits.say_json([_row(record) for record in records])
        return
    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("id", no_wrap=True, min_width=_WHOLE_ID)  # to be copied
    table.add_column("state", no_wrap=True)
    table.add_column("made", no_wrap=True)
    table.add_column("cost", justify="right", no_wrap=True)
    table.add_column("model", no_wrap=True, overflow="ellipsis")
    for record in records:
        row = _row(record)
        results = f"{row['delivered']} of {row['count']}"
        cost = price(row["cost"], row["token"]) if float(row["cost"]) else ""
        state = f"[{_COLORS.get(row['state'], 'yellow')}]{row['state']}[/]"
        table.add_row(record.id, state, results, cost, record.model.id)
    console = stdout()
    console.print(table if records else "[dim]nothing lately; 'dreamgrid generate' makes something")
    if sum(record.finished for record in records) >= limit:
        more = "--limit 100" if limit < 100 else "client.projects.list_projects(before=...)"
        exits.note(f"these are the latest {limit} that ended; {more} finds older ones")


@app.command()
def show(
    project_id: _Id,
    server: options.Server = None,
    key: options.Key = None,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """Show one project with all of its results.

    For example:

    - `dreamgrid projects show 6f1e9d1c`
    """
    exits.speaks_json.set(as_json)

    async def look(client: dreamgrid.AsyncClient) -> ProjectRecord:
        return await client.projects.get_status(await whole_id(client, project_id))

    record = ask(look, server, key, data)
    jobs = [_job(job, over=False) for job in record.worker_jobs]
    jobs += [_job(job, over=True) for job in record.completed_jobs]
    jobs.sort(key=lambda job: int(job["index"]))
    if as_json:
        exits.say_json(_row(record) | {"jobs": jobs})
        return
    console = stdout()
    row = _row(record)
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim")
    facts.add_row("project", f"[bold]{record.id}[/]")
    facts.add_row("model", record.model.id)
    facts.add_row("asked for", f"{record.image_count}, {_local(record.create_time)}")
    facts.add_row("state", row["state"] + _because(record))
    facts.add_row("cost", price(row["cost"], row["token"]))
    console.print(facts)
    table = Table("", "state", "seed", "worker", box=None, header_style="dim", pad_edge=False)
    for job in jobs:
        seed = "" if job["seed"] is None else str(job["seed"])
        table.add_row(str(job["index"] + 1), escape(job["state"]), seed, escape(job["worker"]))
    console.print(table)


@app.command()
def watch(
    project_id: _Id,
    server: options.Server = None,
    key: options.Key = None,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """Follow a project until it ends, whoever asked for it. Ctrl-C stops watching, not the project.

    With --json, one line for each event.

    For example:

    - `dreamgrid projects watch 6f1e9d1c`
    - `dreamgrid projects watch 6f1e9d1c --json | jq -r .event`
    """
    exits.speaks_json.set(as_json)
    console = stdout()
    live = not as_json and console.is_terminal
    screen = LiveScreen(console) if live else Screen()

    async def follow() -> str:
        with screen:
            async with connected(server, key, data_dir(data), worker=False) as (client, _):
                project = await client.projects.attach(await whole_id(client, project_id))
                screen.begin(max(1, project.params.count), project.type)
                async for event in project.events():
                    screen.show(event)
                    if as_json:
                        exits.say_json(_event(event))
                if project.error is not None:
                    raise project.error
                return str(project.state)

    state = loop.run(follow())
    if not as_json:
        console.print(f"{state}; 'dreamgrid projects download {project_id}' saves what was made")


@app.command()
def cancel(
    project_id: _Id,
    server: options.Server = None,
    key: options.Key = None,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """Cancel a project. What was delivered stays paid; the rest is given back.

    For example:

    - `dreamgrid projects cancel 6f1e9d1c`
    """
    exits.speaks_json.set(as_json)

    async def stop(client: dreamgrid.AsyncClient) -> ProjectRecord:
        whole = await whole_id(client, project_id)
        if not (await client.projects.get_status(whole)).finished:
            await client.projects.cancel(whole)
        return await client.projects.get_status(whole)

    record = ask(stop, server, key, data)
    if as_json:
        exits.say_json({"event": record.status, "project": record.id})
    elif record.status == ProjectState.CANCELED:
        stdout().print("canceled", style="green")
    else:
        stdout().print(f"it had ended already: {record.status}", style="yellow")


@app.command()
def download(
    project_id: _Id,
    out: options.Out = OUT,
    server: options.Server = None,
    key: options.Key = None,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """Save everything that a project has delivered so far.

    For example:

    - `dreamgrid projects download 6f1e9d1c --out again`
    """
    exits.speaks_json.set(as_json)

    async def save(client: dreamgrid.AsyncClient) -> list[Path]:
        whole = await whole_id(client, project_id)
        results = await client.projects.get_result(whole)
        if not results:
            raise ProjectFailed(f"project {whole} has delivered nothing (yet)", project_id=whole)
        await asyncio.to_thread(out.mkdir, parents=True, exist_ok=True)
        name = whole[:8].lower()
        return [await one.save(out / f"{name}-{one.index + 1}") for one in results]

    files = ask(save, server, key, data)
    if as_json:
        exits.say_json({"event": "saved", "files": [str(path) for path in files]})
        return
    console = stdout(soft_wrap=True)
    for path in files:
        console.print(f"  [bold green]{path}[/]")


@app.command()
def delete(
    project_ids: Annotated[
        list[str], typer.Argument(metavar="ID...", help="As 'dreamgrid projects list' shows them.")
    ],
    result: Annotated[
        int | None,
        typer.Option("--result", min=1, help="Only this result of one project, counted from 1."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    server: options.Server = None,
    key: options.Key = None,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """Delete what was made from the server, for good. Files that you saved stay; so does the cost.

    A project that is under way must be canceled first.

    For example:

    - `dreamgrid projects delete 6f1e9d1c`
    - `dreamgrid projects delete 6f1e9d1c --result 2 --yes`
    """
    exits.speaks_json.set(as_json)
    if result is not None and len(project_ids) > 1:
        raise InvalidRequest("--result is for one project: give one id")

    async def find(client: dreamgrid.AsyncClient) -> list[ProjectRecord]:
        whole = [await whole_id(client, one) for one in project_ids]
        return [await client.projects.get_status(one) for one in dict.fromkeys(whole)]

    records = ask(find, server, key, data)
    job_id = None if result is None else _result_number(records[0], result)
    if not yes:
        _make_sure(records, result)

    async def remove(client: dreamgrid.AsyncClient) -> None:
        for record in records:
            await client.projects.delete(record.id, job_id=job_id)

    ask(remove, server, key, data)
    if as_json:
        exits.say_json({"event": "deleted", "projects": [one.id for one in records], "job": job_id})
    else:
        stdout().print("deleted", style="green")


def _result_number(record: ProjectRecord, number: int) -> str:
    """The id of the job that made a project's result of this number."""
    for job in record.completed_jobs:
        if job.job_index + 1 == number and is_delivered(job):
            return job.job_id
    raise NotFound(
        f"project {record.id} has no result {number}; 'dreamgrid projects show {record.id}' "
        "lists them"
    )


def _make_sure(records: list[ProjectRecord], result: int | None) -> None:
    """Asks before anything is lost.

    Raises:
        InvalidRequest: There is nobody to ask.
    """
    if exits.speaks_json.get() or not sys.stdin.isatty():
        raise InvalidRequest("deleting cannot be undone: add --yes to do it without being asked")
    of = records[0].id if len(records) == 1 else f"{len(records)} projects"
    what = "everything" if result is None else f"result {result}"
    typer.confirm(f"Delete {what} of {of} for good?", abort=True)


_COLORS = {"completed": "green", "failed": "red", "canceled": "dim"}


async def _known(client: dreamgrid.AsyncClient, limit: int) -> list[ProjectRecord]:
    """Projects under way and so many that have ended, newest first."""
    try:
        found = list(await client.projects.list_projects(limit=limit))
    except NotFound:  # a grid of the original network: only what made something can be found
        ids = [one.id for one in await client.projects.list_projects_elsewhere()]
        made = [one.project_id for one in await client.projects.list_recent(limit=_LATELY)]
        ids += [one for one in dict.fromkeys(made) if one not in ids][:limit]
        found = [await client.projects.get_status(project_id) for project_id in ids]
    return sorted(found, key=lambda one: -one.create_time)


async def whole_id(client: dreamgrid.AsyncClient, text: str) -> str:
    """The one project that an id, or the beginning of one, means.

    Raises:
        InvalidRequest: It is too short to be meant.
        NotFound: None of the latest projects begins so, or several do.
    """
    if len(text) >= _WHOLE_ID:
        return text
    if len(text) < _SHORTEST_ID:
        raise InvalidRequest(
            f"'{text}' is too short for an id: give at least {_SHORTEST_ID} characters of it; "
            "'dreamgrid projects list' shows whole ids"
        )
    known = [one.id for one in await _known(client, _LATELY)]
    found = [one for one in known if one.startswith(text.upper())]
    if len(found) == 1:
        return found[0]
    many = f"{len(found)} projects begin" if found else "no project of yours begins"
    raise NotFound(f"{many} with '{text}'; 'dreamgrid projects list' shows whole ids")


def is_delivered(job: JobRecord) -> bool:
    """Whether there is a file to fetch."""
    # Here, because it loads the whole client.
    from dreamgrid.client import finished  # noqa: PLC0415

    return finished.is_delivered(job)


def _row(record: ProjectRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "model": record.model.id,
        "media": record.model.type,
        "state": record.status,
        "count": record.image_count,
        "delivered": sum(map(is_delivered, record.completed_jobs)),
        "cost": plain(record.cost_actual.cost_in_token),
        "token": record.token_type,
        "created": datetime.fromtimestamp(record.create_time / 1000, UTC).isoformat(),
    }


def _because(record: ProjectRecord) -> str:
    """Why it ended so, unless its state says that."""
    words = record.message or in_words(record.reason or "")
    return "" if words in ("", record.status) else f" ({escape(words)})"


def _job(job: JobRecord, *, over: bool) -> dict[str, Any]:
    if is_delivered(job):
        state = "delivered"
    elif job.triggered_nsfw_filter:
        state = "withheld by the content filter"
    elif over:
        state = f"not made: {in_words(job.reason)}" if job.reason else "not made"
    else:
        state = "on a worker" if job.worker.name else "waiting"
    return {
        "id": job.job_id,
        "index": job.job_index,
        "state": state,
        "seed": job.seed_used if job.seed_used >= 0 else None,
        "worker": job.worker.name,
    }


def _event(event: dreamgrid.Event) -> dict[str, Any]:
    """An event as a JSON line: its kind, and whatever of it is plain; of a result, its facts."""
    plain = (str, int, float, bool, type(None))
    told = {one.name: getattr(event, one.name) for one in fields(event)}
    plain_ones = {name: value for name, value in told.items() if isinstance(value, plain)}
    if isinstance(event, dreamgrid.JobCompleted):
        plain_ones |= {"seed": event.result.seed, "url": event.result.url}
    return {"event": event_name(type(event)), **plain_ones}


def event_name(kind: type[dreamgrid.Event]) -> str:
    """The name of an event; what event streams and webhooks tell has the same one there."""
    if kind is dreamgrid.JobRetried:
        return "retried"
    return _CAPITAL.sub("_", kind.__name__).lower()


def _local(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000).astimezone().strftime("%d %b %H:%M")
