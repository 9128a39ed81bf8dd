"""`dreamgrid grant`: more to spend for an account of one's own grid."""

from typing import Annotated, Literal

import typer

import dreamgrid
from dreamgrid.cli import amounts, exits, loop, options
from dreamgrid.cli.folder import data_dir
from dreamgrid.cli.stdout import stdout
from dreamgrid.cli.target import connected
from dreamgrid.protocol.amounts import plain


def grant(
    username: Annotated[str, typer.Argument(help="Whom, such as local: you yourself.")],
    amount: Annotated[str, typer.Argument(help="How much, such as 100 or 0.5.")],
    token: Annotated[
        Literal["spark", "sogni"], typer.Option("--token", help="In which currency.")
    ] = "spark",
    server: options.Server = None,
    key: options.Key = None,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """Give an account of your own grid more to spend. Works with the key of who started it.

    For example:

    - `dreamgrid grant local 1000`
    - `dreamgrid grant alice 20 --token sogni`
    """
    exits.speaks_json.set(as_json)
    tokens = amounts.amount(amount)

    async def ask() -> dreamgrid.Balance:
        async with connected(server, key, data_dir(data), worker=False) as (client, _):
            return await client.account.grant(username, tokens, token=token)

    balance = loop.run(ask())
    if as_json:
        spark, sogni = plain(balance.spark), plain(balance.sogni)
        exits.say_json({"event": "granted", "username": username, "spark": spark, "sogni": sogni})
    else:
        line = f"{username} can spend {balance}"
        stdout().print(line, style="green", markup=False)
