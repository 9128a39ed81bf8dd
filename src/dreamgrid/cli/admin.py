"""`dreamgrid admin`: what only whoever runs the grid may do."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import quote

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from dreamgrid.cli import amounts, exits, loop, options
from dreamgrid.cli.amounts import Giving
from dreamgrid.cli.folder import data_dir
from dreamgrid.cli.stdout import stdout
from dreamgrid.cli.target import connected
from dreamgrid.client.endpoint import Endpoint
from dreamgrid.protocol import rest_admin as wire
from dreamgrid.protocol.amounts import plain, price
from dreamgrid.protocol.rest import Balances, Grant

T = TypeVar("T")
Method = Literal["GET", "POST", "PUT"]

app = typer.Typer(
    no_args_is_help=True,
    help="Run a grid for others: accounts, money, workers, jobs, bans. Every action is kept in a "
    "trail with its reason ('dreamgrid admin log').",
)

Because = Annotated[str, typer.Option("--reason", "-r", help="Why, for the trail.")]
Lift = Annotated[bool, typer.Option("--lift", help="End it instead.")]


@app.command()
def accounts(
    search: Annotated[str, typer.Argument(help="Only names that contain this.")] = "",
    server: options.Server = None,
    key: options.Key = None,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """List accounts: what they can spend, their limits and bans.

    For example:

    - `dreamgrid admin accounts`
    - `dreamgrid admin accounts ali`
    """
    path = f"accounts?limit=500&search={quote(search)}"
    found = _call("GET", path, wire.AccountEntries, None, server, key, data, as_json)
    if as_json:
        exits.say_json([_account(one) for one in found.accounts])
        return
    table = _table("name", "spark", "sogni", "running", "queued", "priority", "banned")
    for one in found.accounts:
        own = one.limits
        limits = ["" if most is None else str(most) for most in _caps(own)]
        table.add_row(
            Text(one.username),
            plain(one.spark),
            plain(one.sogni),
            *limits,
            str(own.priority or ""),
            Text("" if one.banned_reason is None else one.banned_reason or "yes"),
        )
    stdout().print(table)


def _account(one: wire.AccountEntry) -> dict[str, Any]:
    said: dict[str, Any] = msgspec.to_builtins(one)
    return said | {"spark": plain(one.spark), "sogni": plain(one.sogni)}


def _caps(limits: wire.Limits) -> tuple[int | None, int | None]:
    return limits.max_running_jobs, limits.max_queued_projects


@app.command(cls=Giving)
def grant(
    username: Annotated[str, typer.Argument(help="Whom.")],
    amount: Annotated[str, typer.Argument(help="How much, such as 100 or 0.5.")],
    token: Annotated[
        Literal["spark", "sogni"], typer.Option("--token", help="In which currency.")
    ] = "spark",
    reason: Because = "",
    server: options.Server = None,
    key: options.Key = None,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """Give an account more to spend.

    For example:

    - `dreamgrid admin grant alice 20 --reason "a gift"`
    """
    tokens = amounts.amount(amount)
    wish = Grant(username=username, amount=tokens, token_type=token, reason=reason)
    balance = _call("POST", "grants", Balances, wish, server, key, data, as_json)
    spark, sogni = plain(balance.spark.net), plain(balance.sogni.net)
    _done(as_json, "granted", username=username, spark=spark, sogni=sogni)


@app.command()
def refund(
    project: Annotated[str, typer.Argument(help="Id of the project.")],
    job: Annotated[str, typer.Argument(help="Id of one job of it. Without it: all.")] = "",
    reason: Because = "",
    server: options.Server = None,
    key: options.Key = None,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """Take back what was charged for a project, or one job of it. Twice is as good as once.

    For example:

    - `dreamgrid admin refund 6F1E9D1C-2A6B-4B6E-9C61-5B0C4D1F2A33 --reason blurry`
    """
    wish = wire.NewRefund(project_id=project, job_id=job or None, reason=reason)
    done = _call("POST", "refunds", wire.RefundAnswer, wish, server, key, data, as_json)
    amount = plain(done.amount)
    if as_json:
        said = {"jobs": done.jobs, "amount": amount, "token": done.token_type}
        exits.say_json({"event": "refunded", **said})
    elif done.jobs:
        back = f"{price(amount, done.token_type)} for {done.jobs} job{'s' * (done.jobs > 1)}"
        stdout().print(Text("refunded", "green") + Text(f"  {back}", "dim"))
    else:
        what = f"job {job} of project {project}" if job else f"project {project}"
        stdout().print(
            f"nothing to refund: nothing is charged for {what}, or it was given back before",
            style="yellow",
            markup=False,
        )


@app.command()
def workers(
    server: options.Server = None,
    key: options.Key = None,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """List the connected workers and what they are doing, and those that rest, with their reasons.

    For example:

    - `dreamgrid admin workers`
    """
    found = _call("GET", "workers", wire.WorkerEntries, None, server, key, data, as_json)
    everybody = (*found.workers, *found.away)
    if as_json:
        exits.say_json(msgspec.to_builtins(everybody))
        return
    table = _table("name", "owner", "state", "jobs", "models", "id")
    for one in everybody:
        jobs = f"{len(one.jobs)}/{one.slots}"
        table.add_row(
            Text(one.name), Text(one.owner), one.state, jobs, ", ".join(one.models), one.id
        )
    console = stdout()
    console.print(table)
    for one in everybody:
        if one.paused_reason:
            console.print(Text(f"{one.name} {one.state}: {one.paused_reason}", style="yellow"))


_ORDERED = {"pause": "paused", "resume": "resumed", "drain": "draining"}


@app.command()
def worker(
    name: Annotated[str, typer.Argument(help="Its name or id.")],
    action: Annotated[
        Literal["pause", "resume", "drain"], typer.Argument(help="What it shall do.")
    ],
    reason: Because = "",
    server: options.Server = None,
    key: options.Key = None,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """Pause a worker (for as long as you like), resume it, or let it finish and leave.

    For example:

    - `dreamgrid admin worker studio-pc pause --reason "new fan"`
    - `dreamgrid admin worker studio-pc resume`
    """
    wish = wire.WorkerOrder(worker=name, action=action, reason=reason)
    _call("POST", "workers", Any, wish, server, key, data, as_json)
    _done(as_json, _ORDERED[action], worker=name)


@app.command()
def requeue(
    job: Annotated[str, typer.Argument(help="Id of the job.")],
    reason: Because = "",
    server: options.Server = None,
    key: options.Key = None,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """Take a job from its worker and let another one render it.

    For example:

    - `dreamgrid admin requeue 0B7F9C1E-5D0A-4C55-8A55-0D2A4B0C9E11`
    """
    path = f"jobs/{quote(job, safe='')}/requeue"
    _call("POST", path, Any, wire.Because(reason=reason), server, key, data, as_json)
    _done(as_json, "requeued", job=job)


@app.command()
def cancel(
    project: Annotated[str, typer.Argument(help="Id of the project.")],
    reason: Because = "",
    server: options.Server = None,
    key: options.Key = None,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """End a project of anybody; what is not delivered is given back.

    For example:

    - `dreamgrid admin cancel 6F1E9D1C-2A6B-4B6E-9C61-5B0C4D1F2A33`
    """
    path = f"projects/{quote(project, safe='')}/cancel"
    _call("POST", path, Any, wire.Because(reason=reason), server, key, data, as_json)
    _done(as_json, "canceled", project=project)


@app.command()
def ban(
    kind: Annotated[Literal["account", "app"], typer.Argument(help="An account, or an app id.")],
    target: Annotated[str, typer.Argument(help="Its name, or the app id.")],
    lift: Lift = False,
    reason: Because = "",
    server: options.Server = None,
    key: options.Key = None,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """Ban an account or block an app id, and disconnect it; with --lift end that.

    For example:

    - `dreamgrid admin ban account mallory --reason spam`
    - `dreamgrid admin ban account mallory --lift`
    """
    wish = wire.NewBan(kind=kind, target=target, reason=reason, lift=lift)
    _call("POST", "bans", Any, wish, server, key, data, as_json)
    _done(as_json, "lifted" if lift else "banned", kind=kind, target=target)


@app.command()
def limits(
    username: Annotated[str, typer.Argument(help="Whose.")],
    running: Annotated[
        int | None, typer.Option("--running", min=0, help="Most jobs that workers hold at once.")
    ] = None,
    queued: Annotated[
        int | None, typer.Option("--queued", min=0, help="Most unfinished projects.")
    ] = None,
    priority: Annotated[
        int,
        typer.Option(
            "--priority", min=-60, max=60, help="Minutes by which its jobs count as older."
        ),
    ] = 0,
    reason: Because = "",
    server: options.Server = None,
    key: options.Key = None,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """Give an account limits of its own; what is left out is as the grid's settings say.

    For example:

    - `dreamgrid admin limits alice --running 3 --queued 10`
    - `dreamgrid admin limits alice`
    """
    wish = wire.NewLimits(
        max_running_jobs=running, max_queued_projects=queued, priority=priority, reason=reason
    )
    path = f"accounts/{quote(username, safe='')}/limits"
    _call("PUT", path, Any, wish, server, key, data, as_json)
    _done(as_json, "limited", username=username)


@app.command()
def log(
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="Most lines.")] = 50,
    server: options.Server = None,
    key: options.Key = None,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """Show what administrators did, newest first: when, who, what, and why.

    For example:

    - `dreamgrid admin log --limit 10`
    """
    path = f"actions?limit={limit}"
    found = _call("GET", path, wire.ActionEntries, None, server, key, data, as_json)
    if as_json:
        exits.say_json(msgspec.to_builtins(found.actions))
        return
    table = _table("when", "who", "did", "to", "detail", "because")
    for one in found.actions:
        when = datetime.fromtimestamp(one.time / 1_000).astimezone().strftime("%Y-%m-%d %H:%M")
        words = (one.actor, one.action, one.target, one.detail, one.reason)
        table.add_row(when, *map(Text, words))
    stdout().print(table if found.actions else "[dim]nothing yet")


def _call(
    method: Method,
    path: str,
    kind: type[T],
    body: msgspec.Struct | None,
    server: str | None,
    key: str | None,
    data: Path | None,
    as_json: bool,
) -> T:
    exits.speaks_json.set(as_json)

    async def ask() -> T:
        async with connected(server, key, data_dir(data), worker=False) as (_, target):
            endpoint = Endpoint.resolve(target.url, target.api_key)
            from dreamgrid.client.http import Http  # noqa: PLC0415 (loads the whole client)

            http = Http(endpoint, user_agent="dreamgrid-admin")
            try:
                return await http.rest(method, f"/v1/admin/{path}", kind, body=body)
            finally:
                await http.aclose()

    return loop.run(ask())


def _done(as_json: bool, event: str, **details: object) -> None:
    if as_json:
        exits.say_json({"event": event, **details})
        return
    words = ", ".join(f"{name} {value}" for name, value in details.items())
    stdout().print(Text(event, "green") + Text(f"  {words}", "dim"))


def _table(*columns: str) -> Table:
    return Table(*columns, box=None, header_style="dim", pad_edge=False)
