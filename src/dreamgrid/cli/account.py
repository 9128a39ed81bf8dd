"""`dreamgrid account`: sign in to a grid, and see what you have there."""

from __future__ import annotations

import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

import dreamgrid
from dreamgrid.cli import exits, loop, options
from dreamgrid.cli.asking import ask
from dreamgrid.cli.saved import Login, forget, remember, remembered, set_aside
from dreamgrid.cli.stdout import stdout
from dreamgrid.errors import AuthenticationFailed, ConfigError, DreamgridError, NotFound
from dreamgrid.protocol.amounts import plain, price

app = typer.Typer(no_args_is_help=True, help="Sign in to a grid, and see what you have there.")

_Server = Annotated[
    str,
    typer.Option("--server", metavar="URL", prompt="Address of the grid", help="Which grid."),
]
_Username = Annotated[str, typer.Option("--username", prompt=True, help="Your name there.")]
_Password = Annotated[
    str,
    typer.Option(
        "--password",
        envvar="DREAMGRID_PASSWORD",
        prompt=True,
        hide_input=True,
        help="Never leaves this machine. Better typed, or in DREAMGRID_PASSWORD.",
    ),
]


_AN_ID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_LATELY = 100
"""How many projects back the model of an entry is looked for."""


@app.command()
def login(
    server: _Server,
    key: Annotated[
        str | None, typer.Option("--key", help="An API key, instead of name and password.")
    ] = None,
    username: Annotated[str | None, typer.Option("--username", help="Your name there.")] = None,
    password: Annotated[
        str | None,
        typer.Option(
            "--password",
            envvar="DREAMGRID_PASSWORD",
            help="Never leaves this machine. Asked for if it is not given.",
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Sign in to a grid; all commands use it from then on, until 'dreamgrid account logout'.

    What is kept is an API key of its own, in a file that only you can read; not the password.

    For example:

    - `dreamgrid account login --server https://grid.example.org`
    - `dreamgrid account login --server http://studio:8770 --key dgk_...`
    """
    exits.speaks_json.set(as_json)
    if key is None:
        username = username or typer.prompt("Username")
        password = password or typer.prompt("Password", hide_input=True)

    async def sign_in() -> Login:
        async with dreamgrid.AsyncClient(server, key or "") as client:
            if key is None:
                await client.account.login(str(username), str(password))
                return await _with_key(client, server)
            me = await client.account.me()
            return Login(server=server, api_key=key, username=me.username)

    _keep(loop.run(sign_in()), as_json=as_json)


@app.command()
def signup(
    server: _Server,
    username: _Username,
    email: Annotated[str, typer.Option(prompt=True, help="Where the operator can write to.")],
    password: Annotated[
        str,
        typer.Option(
            "--password",
            envvar="DREAMGRID_PASSWORD",
            prompt=True,
            hide_input=True,
            confirmation_prompt=True,
            help="Nobody can restore it. Better typed, or in DREAMGRID_PASSWORD.",
        ),
    ],
    as_json: options.Json = False,
) -> None:
    """Open an account on a grid, and sign in to it.

    For example:

    - `dreamgrid account signup --server https://grid.example.org`
    """
    exits.speaks_json.set(as_json)

    async def open_account() -> Login:
        async with dreamgrid.AsyncClient(server, "") as client:
            await client.account.create(username, password, email=email)
            return await _with_key(client, server)

    _keep(loop.run(open_account()), as_json=as_json)


@app.command()
def logout(as_json: options.Json = False) -> None:
    """Forget the grid that you signed in to, and revoke the key that was made for it.

    For example:

    - `dreamgrid account logout`
    """
    exits.speaks_json.set(as_json)
    try:
        known = remembered()
    except ConfigError as error:
        _leave_broken(error, as_json=as_json)
        return
    if known is None:
        raise ConfigError("you are not signed in; 'dreamgrid account login' does that")
    if known.key_id:
        loop.run(_revoke(known))
    forget()
    if as_json:
        exits.say_json({"event": "logged_out", "server": known.server})
    else:
        stdout().print(f"signed out of {known.server}", style="green")


@app.command()
def balance(
    server: options.Server = None,
    key: options.Key = None,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """Show what you can spend.

    For example:

    - `dreamgrid account balance`
    - `dreamgrid account balance --json | jq -r .spark`
    """
    exits.speaks_json.set(as_json)
    owned = ask(lambda client: client.account.balance(), server, key, data)
    if as_json:
        exits.say_json({"spark": plain(owned.spark), "sogni": plain(owned.sogni)})
    else:
        stdout().print(str(owned))


@app.command()
def history(
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many lines.")] = 20,
    offset: Annotated[int, typer.Option(min=0, help="How many of the newest to leave out.")] = 0,
    server: options.Server = None,
    key: options.Key = None,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """Show what you received and paid, newest first.

    For example:

    - `dreamgrid account history`
    - `dreamgrid account history --limit 100 --json`
    """
    exits.speaks_json.set(as_json)

    async def look(client: dreamgrid.AsyncClient) -> list[_Line]:
        page = await client.account.transactions(limit=limit, offset=offset)
        return await _lines(client, page.entries)

    lines = ask(look, server, key, data)
    if as_json:
        exits.say_json([line.as_record() for line in lines])
        return
    table = Table(box=None, header_style="dim", pad_edge=False)
    for heading in ("when", "amount", "what for", "model", "project or job"):
        table.add_column(heading, no_wrap=True, min_width=36 if heading[0] == "p" else None)
    for line in lines:
        one = line.entry
        when = one.at.astimezone().strftime("%Y-%m-%d %H:%M")
        amount = price(one.amount, one.token_type)
        signed = f"[green]+{amount}[/]" if one.kind == "credit" else f"-{amount}"
        what = escape(one.description.lower())
        table.add_row(when, signed, what, line.model or "", line.job or line.project or "")
    stdout().print(table if lines else "[dim]nothing yet")
    if len(lines) == limit:
        exits.note(f"these are {limit} lines; --offset {offset + limit} reads on")


@dataclass(frozen=True, kw_only=True)
class _Line:
    """A line of the statement, with what is still known of what it was for.

    Attributes:
        entry: What was received or paid.
        project: Id of the project.
        job: Id of the job, where it is about one.
        model: The model. None: the grid has no record of it any more, or it is another account's.
    """

    entry: dreamgrid.Transaction
    project: str | None = None
    job: str | None = None
    model: str | None = None

    def as_record(self) -> dict[str, str | None]:
        """The line for programs."""
        one = self.entry
        return {
            "at": one.at.isoformat(),
            "kind": one.kind,
            "amount": plain(one.amount),
            "token": one.token_type,
            "description": one.description,
            "id": one.id,
            "project": self.project,
            "job": self.job,
            "model": self.model,
        }


async def _lines(
    client: dreamgrid.AsyncClient, entries: Sequence[dreamgrid.Transaction]
) -> list[_Line]:
    """The entries with the projects and models that the grid still knows them by."""
    try:
        records = await client.projects.list_projects(limit=_LATELY)
    except NotFound:
        records = ()  # a grid of the original network has no such list
    models = {record.id: record.model.id for record in records}
    projects = {
        job.job_id: record.id
        for record in records
        for job in (*record.worker_jobs, *record.completed_jobs)
    }
    lines = []
    for entry in entries:
        found = _AN_ID.search(entry.id)
        about = found[0] if found is not None else None
        job = about if about != entry.id else None
        project = about if job is None else projects.get(job)
        model = models.get(project or "")
        lines.append(_Line(entry=entry, project=project, job=job, model=model))
    return lines


async def _with_key(client: dreamgrid.AsyncClient, server: str) -> Login:
    """A key for this machine: unlike a session it can be used by several commands at once."""
    me = await client.account.me()
    made = await client.account.keys.create(f"dreamgrid command on {platform.node()}"[:100])
    login = Login(server=server, api_key=made.key or "", key_id=made.id, username=me.username)
    await client.account.logout()
    return login


async def _revoke(login: Login) -> None:
    async with dreamgrid.AsyncClient(login.server, login.api_key) as client:
        try:
            await client.account.keys.revoke(login.key_id)
        except AuthenticationFailed:
            pass  # somebody revoked it already
        except DreamgridError as error:
            exits.note(f"the key could not be revoked, and stays valid there: {error}")


def _leave_broken(error: ConfigError, *, as_json: bool) -> None:
    """Signs out although nobody can tell of what."""
    kept = set_aside()
    exits.note(f"{error}")
    exits.note(f"it is now {kept}; a key in it stays valid until 'dreamgrid keys revoke'")
    if as_json:
        exits.say_json({"event": "logged_out", "server": None, "set_aside": str(kept)})
    else:
        stdout().print("signed out", style="green")


def _keep(login: Login, *, as_json: bool) -> None:
    path = remember(login)
    if as_json:
        exits.say_json({"event": "logged_in", "server": login.server, "username": login.username})
        return
    console = stdout(soft_wrap=True)
    console.print(f"signed in to {login.server} as {login.username}", style="green")
    exits.note(f"kept in {path}; 'dreamgrid account logout' ends it")
