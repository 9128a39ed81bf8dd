"""`dreamgrid studio`: the grid in a browser."""

import webbrowser
from typing import Annotated

import typer
from rich.text import Text

import dreamgrid
from dreamgrid.cli import exits, loop, options
from dreamgrid.cli.folder import data_dir
from dreamgrid.cli.stdout import stdout
from dreamgrid.cli.target import find
from dreamgrid.errors import ConfigError, NotAllowed


def studio(
    open_it: Annotated[
        bool, typer.Option("--open/--no-open", help="Open it in this machine's browser.")
    ] = True,
    server: options.Server = None,
    key: options.Key = None,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """Open the studio: make things, see the grid, manage everything, in a browser.

    On the machine of the grid you are signed in by a link that works once, for ten minutes.
    Elsewhere the studio asks for name and password.

    For example:

    - `dreamgrid studio`
    - `dreamgrid studio --no-open`
    """
    exits.speaks_json.set(as_json)

    async def address() -> str:
        target = await find(server, key, data_dir(data))
        if target is None:
            raise ConfigError("no grid runs on this machine and none is named: 'dreamgrid up'")
        async with dreamgrid.AsyncClient(target.url, target.api_key) as client:
            try:
                return (await client.account.sign_in_link()).url
            except NotAllowed:
                return target.url

    url = loop.run(address())
    if as_json:
        exits.say_json({"url": url})
    else:
        stdout(soft_wrap=True).print(Text(url, "bold cyan"))
    if open_it and not as_json:
        webbrowser.open(url)
