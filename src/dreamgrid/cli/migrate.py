"""`dreamgrid migrate`: brings a database to the version that this dreamgrid needs."""

from contextlib import nullcontext
from typing import Annotated

import msgspec
import typer

from dreamgrid.cli import exits, options
from dreamgrid.cli.addresses import store_address
from dreamgrid.cli.folder import DATABASE, data_dir
from dreamgrid.cli.stdout import stdout
from dreamgrid.errors import ConfigError


def migrate(
    check: Annotated[
        bool, typer.Option("--check", help="Only look; ends with code 1 if something is missing.")
    ] = False,
    data: options.Data = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Bring a grid's database to the version of this dreamgrid. A server does so when it starts.

    In PostgreSQL it may be done while servers run; one in the data folder must not be in use.

    For example:

    - `dreamgrid migrate --check`
    - `dreamgrid migrate --store postgresql://owner@db.example.org/grid`
    """
    from dreamgrid.server.folder_lock import held  # noqa: PLC0415 (loads the server)
    from dreamgrid.server.store.choice import migrate_at, schema_at  # noqa: PLC0415
    from dreamgrid.server.whereabouts import missing_database  # noqa: PLC0415

    exits.speaks_json.set(as_json)
    store = store_address(store)
    folder = data_dir(data)
    if not store and (advice := missing_database(folder)):
        raise ConfigError(advice)
    before = schema_at(store, folder / DATABASE)
    if not check and not before.is_newest:
        with nullcontext() if store else held(folder):
            migrate_at(store, folder / DATABASE)
    after = schema_at(store, folder / DATABASE)
    if as_json:
        told = {"event": "checked" if check else "migrated", **msgspec.to_builtins(after)}
        exits.say_json(told | {"was": before.version})
    else:
        console = stdout(soft_wrap=True)
        for script in before.missing:
            console.print(f"{'missing' if check else 'applied'}  {script}", style="dim")
        said = f"the database has version {after.version}"
        said += f", this dreamgrid needs {after.newest}" if after.missing else ", the newest"
        console.print(said, style="yellow" if after.missing else "green")
    if after.missing:
        raise typer.Exit(exits.FAILED)
