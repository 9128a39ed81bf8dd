"""`dreamgrid status`: the grid at a glance."""

from dataclasses import dataclass

from rich.markup import escape
from rich.table import Table

import dreamgrid
from dreamgrid.cli import exits, loop, options
from dreamgrid.cli.folder import data_dir
from dreamgrid.cli.stdout import stdout
from dreamgrid.cli.target import find
from dreamgrid.errors import ConfigError
from dreamgrid.protocol.amounts import plain
from dreamgrid.protocol.params import NETWORKS


@dataclass(frozen=True, kw_only=True)
class Status:
    """What there is to see.

    Attributes:
        url: The grid.
        username: Whose key it is.
        balance: What can be spent.
        workers: Model id to how many workers offer it, in both pools.
        unfinished: How many projects of the account have not ended.
    """

    url: str
    username: str
    balance: "dreamgrid.Balance"
    workers: dict[str, int]
    unfinished: int


def status(
    server: options.Server = None,
    key: options.Key = None,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """Show which grid commands use, who you are there, and what it can do right now.

    For example:

    - `dreamgrid status`
    - `dreamgrid status --json | jq .unfinished`
    """
    exits.speaks_json.set(as_json)

    async def look() -> Status:
        target = await find(server, key, data_dir(data))
        if target is None:
            raise ConfigError(
                "no grid runs on this machine and none is named: 'dreamgrid up' starts one, "
                "'dreamgrid account login' signs in to one"
            )
        async with dreamgrid.AsyncClient(target.url, target.api_key) as client:
            return await _look(client, target.url)

    seen = loop.run(look())
    if as_json:
        exits.say_json(
            {
                "url": seen.url,
                "username": seen.username,
                "spark": plain(seen.balance.spark),
                "sogni": plain(seen.balance.sogni),
                "unfinished": seen.unfinished,
                "workers": seen.workers,
            }
        )
        return
    stdout().print(_table(seen))


async def _look(client: "dreamgrid.AsyncClient", url: str) -> Status:
    me = await client.account.me()
    workers: dict[str, int] = {}
    for network in NETWORKS:
        for model in await client.projects.get_available_models(network=network):
            workers[model.id] = workers.get(model.id, 0) + model.worker_count
    return Status(
        url=url,
        username=me.username,
        balance=await client.account.balance(),
        workers=workers,
        unfinished=len(await client.projects.list_projects_elsewhere()),
    )


def _table(seen: Status) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_row("grid", f"[bold]{seen.url}[/]")
    table.add_row("account", escape(seen.username))
    table.add_row("balance", str(seen.balance))
    table.add_row("unfinished", str(seen.unfinished) if seen.unfinished else "nothing")
    offers = [f"{model} [dim]x {count}[/]" for model, count in sorted(seen.workers.items())]
    table.add_row(
        "workers offer", "\n".join(offers) or "[yellow]nothing: no worker takes jobs now[/]"
    )
    return table
