"""`dreamgrid keys`: who may use the account."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

import dreamgrid
from dreamgrid.cli import exits, loop, options
from dreamgrid.cli.folder import data_dir
from dreamgrid.cli.target import connected

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys.")


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="To recognize it by, such as phone.")] = "",
    server: options.Server = None,
    key: options.Key = None,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """Make a key. It is shown once, here and now."""
    exits.speaks_json.set(as_json)
    made = _ask(lambda client: client.account.keys.create(name), server, key, data)
    if as_json:
        exits.say_json(_record(made))
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print(Text(made.key or "", "bold green"))
    exits.note(f"Keep it: it is not shown again. 'dreamgrid keys revoke {made.id}' ends it.")


@app.command("list")
def list_keys(
    server: options.Server = None,
    key: options.Key = None,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """List the account's keys, without their secrets."""
    exits.speaks_json.set(as_json)
    keys = _ask(lambda client: client.account.keys.list(), server, key, data)
    if as_json:
        exits.say_json([_record(one) for one in keys])
        return
    table = Table("id", "name", "begins with", "made", box=None, header_style="dim", pad_edge=False)
    for one in keys:
        made = one.created_at.astimezone().strftime("%Y-%m-%d %H:%M")
        table.add_row(one.id, Text(one.name), f"{one.prefix}…", made)
    Console(highlight=False).print(table)


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As 'dreamgrid keys list' shows it.")],
    server: options.Server = None,
    key: options.Key = None,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """Make a key useless from now on."""
    exits.speaks_json.set(as_json)
    _ask(lambda client: client.account.keys.revoke(key_id), server, key, data)
    if as_json:
        exits.say_json({"event": "revoked", "id": key_id})
    else:
        Console(highlight=False).print("revoked", style="green")


def _ask(
    question: Callable[[dreamgrid.AsyncClient], Awaitable[T]],
    server: str | None,
    key: str | None,
    data: Path | None,
) -> T:
    async def ask() -> T:
        async with connected(server, key, data_dir(data), worker=False) as (client, _):
            return await question(client)

    return loop.run(ask())


def _record(key: dreamgrid.ApiKey) -> dict[str, str | datetime | None]:
    record: dict[str, str | datetime | None] = {
        "id": key.id,
        "name": key.name,
        "prefix": key.prefix,
        "created_at": key.created_at.isoformat(),
    }
    return record | {"key": key.key} if key.key else record
