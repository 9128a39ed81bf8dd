"""`dreamgrid keys`: who may use the account."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

import dreamgrid
from dreamgrid.cli import exits, options
from dreamgrid.cli.amounts import amount
from dreamgrid.cli.asking import ask
from dreamgrid.cli.stdout import stdout
from dreamgrid.errors import NotFound
from dreamgrid.protocol.amounts import plain
from dreamgrid.protocol.scopes import Scope

app = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys.")


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="To recognize it by, such as phone.")] = "",
    scope: Annotated[
        Scope,
        typer.Option(
            "--scope",
            help="What it may do: everything; submit projects and look; only run a worker; or "
            "only look.",
        ),
    ] = "all",
    max_per_day: Annotated[
        str | None,
        typer.Option("--max-per-day", metavar="TOKENS", help="Most that it may spend a day (UTC)."),
    ] = None,
    max_total: Annotated[
        str | None,
        typer.Option("--max-total", metavar="TOKENS", help="Most that it may ever spend."),
    ] = None,
    server: options.Server = None,
    key: options.Key = None,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """Make a key. It is shown once, here and now.

    For example:

    - `dreamgrid keys create phone`
    - `dreamgrid keys create shop --scope render --max-per-day 5`
    - `dreamgrid keys create attic --scope work`
    """
    exits.speaks_json.set(as_json)
    per_day, total = _cap(max_per_day), _cap(max_total)
    made = ask(
        lambda client: client.account.keys.create(
            name, scope=scope, max_per_day=per_day, max_total=total
        ),
        server,
        key,
        data,
    )
    if as_json:
        exits.say_json(_record(made))
        return
    console = stdout(soft_wrap=True)
    console.print(Text(made.key or "", "bold green"))
    exits.note(f"Keep it: it is not shown again. 'dreamgrid keys revoke {made.id}' ends it.")


@app.command("list")
def list_keys(
    server: options.Server = None,
    key: options.Key = None,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """List the account's keys, without their secrets.

    For example:

    - `dreamgrid keys list`
    """
    exits.speaks_json.set(as_json)
    keys = ask(lambda client: client.account.keys.list(), server, key, data)
    if as_json:
        exits.say_json([_record(one) for one in keys])
        return
    columns = ("id", "name", "begins with", "made", "may", "spends at most")
    table = Table(box=None, header_style="dim", pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=column == "id", min_width=36 if column == "id" else None)
    for one in keys:
        made = one.created_at.astimezone().strftime("%Y-%m-%d %H:%M")
        caps = [f"{plain(one.max_per_day)} a day"] if one.max_per_day is not None else []
        caps += [f"{plain(one.max_total)} in all"] if one.max_total is not None else []
        name, begin = Text(one.name), f"{one.prefix}…"
        table.add_row(one.id, name, begin, made, one.scope, ", ".join(caps))
    stdout().print(table)


@app.command()
def revoke(
    key_id: Annotated[
        str,
        typer.Argument(
            metavar="ID|NAME", help="As 'dreamgrid keys list' shows them; the beginning is enough."
        ),
    ],
    server: options.Server = None,
    key: options.Key = None,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """Make a key useless from now on.

    For example:

    - `dreamgrid keys revoke phone`
    - `dreamgrid keys revoke 868db328`
    """
    exits.speaks_json.set(as_json)

    async def end(client: dreamgrid.AsyncClient) -> str:
        known = await client.account.keys.list()
        meant = [one for one in known if one.name == key_id or one.id.startswith(key_id.upper())]
        if len(meant) != 1:
            many = f"{len(meant)} keys are" if meant else "you have no key that is"
            raise NotFound(f"{many} called '{key_id}'; see 'dreamgrid keys list'")
        await client.account.keys.revoke(meant[0].id)
        return meant[0].id

    revoked = ask(end, server, key, data)
    if as_json:
        exits.say_json({"event": "revoked", "id": revoked})
    else:
        stdout().print("revoked", style="green")


def _cap(text: str | None) -> Decimal | None:
    return None if text is None else amount(text, of="the cap")


def _record(key: dreamgrid.ApiKey) -> dict[str, str | datetime | None]:
    record: dict[str, str | datetime | None] = {
        "id": key.id,
        "name": key.name,
        "prefix": key.prefix,
        "created_at": key.created_at.isoformat(),
        "scope": key.scope,
        "max_per_day": None if key.max_per_day is None else plain(key.max_per_day),
        "max_total": None if key.max_total is None else plain(key.max_total),
    }
    return record | {"key": key.key} if key.key else record
