"""`dreamgrid backup`: a copy of a data folder, while its server goes on."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.text import Text

from dreamgrid.cli import exits, options
from dreamgrid.cli.bars import Bars
from dreamgrid.cli.folder import data_dir
from dreamgrid.cli.stdout import stdout


def backup(
    target: Annotated[Path, typer.Argument(help="Where to: an empty folder or an earlier copy.")],
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """Copy a grid's data folder, also while it runs: database, media and secrets.

    The copy is a data folder: serve it, or copy it back. An earlier copy gets only what is new.
    A database in PostgreSQL is left to pg_dump, media in S3 to the store.

    For example:

    - `dreamgrid backup /mnt/backup/grid`
    - `dreamgrid serve --data /mnt/backup/grid`
    """
    from dreamgrid.server.backup import back_up  # noqa: PLC0415 (loads the server)

    exits.speaks_json.set(as_json)
    with ExitStack() as stack:
        bars = Bars(stack, quiet=as_json)
        copied = back_up(data_dir(data), target, lambda *so_far: bars.show("files", *so_far))
    if as_json:
        exits.say_json({"event": "backed_up", **msgspec.to_builtins(copied)})
        return
    counted = ", ".join(f"{number:,} {name}s" for name, number in copied.counted.items())
    console = stdout(soft_wrap=True)
    console.print(Text(f"copied to {target}", "bold green"))
    console.print(f"  {copied.files:,} files, {copied.sent:,} of them new", style="dim")
    if copied.database is None:
        console.print(f"  {counted}; the books add up", style="dim")
    else:
        console.print(f"  the database is {copied.database}: copy it with pg_dump", style="yellow")
