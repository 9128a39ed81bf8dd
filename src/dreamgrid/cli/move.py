"""`dreamgrid move`: from the data folder to PostgreSQL and S3."""

import os
from contextlib import ExitStack
from pathlib import Path

from rich.text import Text

from dreamgrid.cli import exits, loop, options
from dreamgrid.cli.addresses import store_address
from dreamgrid.cli.bars import Bars
from dreamgrid.cli.folder import data_dir
from dreamgrid.cli.stdout import stdout
from dreamgrid.errors import ConfigError


def move(
    data: options.Data = None,
    store: options.Store = None,
    blobs: options.Blobs = None,
    as_json: options.Json = False,
) -> None:
    """Move a grid out of its data folder: the database to PostgreSQL, media to S3, or one of them.

    The server must be stopped. Everything that arrives is compared; what was moved stays in the
    folder under another name. Broken off, it can be begun again.

    For example:

    - `dreamgrid move --store postgresql://grid@db.example.org/grid --blobs s3://media`
    - `dreamgrid move --data ./grid --blobs 's3://media?endpoint=https://s3.example.org'`
    """
    from dreamgrid.server import whereabouts  # noqa: PLC0415 (loads the server)
    from dreamgrid.server.blobs import s3_settings  # noqa: PLC0415
    from dreamgrid.server.config import ServerConfig  # noqa: PLC0415
    from dreamgrid.server.folder_lock import held  # noqa: PLC0415
    from dreamgrid.server.moving import begin, move_media, move_rows, settle  # noqa: PLC0415

    exits.speaks_json.set(as_json)
    store = store_address(store)
    if not store and not blobs:
        raise ConfigError("say where to: --store, --blobs, or both")
    folder = data_dir(data)
    if not folder.is_dir():
        raise ConfigError(f"there is no data folder {folder}; name it with --data")
    config = ServerConfig(
        data_dir=folder,
        store=store,
        blobs=None if blobs is None else s3_settings.parse(blobs, os.environ),
    )
    rows: dict[str, int] = {}
    files = 0
    with held(folder), ExitStack() as stack:
        bars = Bars(stack, quiet=as_json)
        left = begin(config)
        if left.blobs is not None:
            files = loop.run(move_media(left, bars.show))
        if left.store is not None:
            rows = move_rows(left, bars.show)
        renamed = settle(left)
    if as_json:
        told = {"event": "moved", "rows": rows, "files": files}
        exits.say_json(told | {"renamed": [str(path) for path in renamed]})
    elif left.store is None and left.blobs is None:
        now = whereabouts.of(config)
        there = " and ".join(filter(None, (now.store, now.blobs)))
        stdout(soft_wrap=True).print(Text(f"was moved already to {there}", "green"))
    else:
        _tell(rows, files, renamed)


def _tell(rows: dict[str, int], files: int, renamed: list[Path]) -> None:
    console = stdout(soft_wrap=True)
    moved = []
    if rows:
        moved.append(f"{sum(rows.values()):,} rows of {len(rows)} tables")
    moved.append(f"{files:,} files")
    console.print(Text(f"moved and compared: {', '.join(moved)}", "bold green"))
    for path in renamed:
        console.print(f"  kept as {path}; remove it when you need it no more", style="dim")
    console.print("Start the server with the same --data, --store and --blobs.", style="dim")
