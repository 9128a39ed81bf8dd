"""`dreamgrid rotate`: new secrets for signing, and nobody notices."""

import time
from pathlib import Path

from dreamgrid.cli import exits, options
from dreamgrid.cli.addresses import store_address
from dreamgrid.cli.folder import data_dir
from dreamgrid.cli.stdout import stdout
from dreamgrid.errors import ConfigError


def rotate(
    data: options.Data = None, store: options.Store = None, as_json: options.Json = False
) -> None:
    """Exchange the secrets that sign sign-ins and links, of one server or of all nodes of a grid.

    One server takes them when it starts. Nodes share theirs through the database, and take it
    within seconds; a database that is named goes before the folder. What the secrets of before have
    signed is good until it runs out: nobody has to sign in again. They are removed when nothing of
    theirs can be good any more.

    For example:

    - `dreamgrid rotate`
    - `dreamgrid rotate --data ./grid`
    - `dreamgrid rotate --store postgresql://...`
    """
    from dreamgrid.server import app, key_ring, whereabouts  # noqa: PLC0415 (loads the server)
    from dreamgrid.server.blobs import local  # noqa: PLC0415

    exits.speaks_json.set(as_json)
    folder, address = data_dir(data), store_address(store)
    names = [
        name for name in (app.TOKEN_SECRET_FILE, local.SECRET_FILE) if (folder / name).is_file()
    ]
    of_a_node = whereabouts.noted(folder).node
    if of_a_node and address is None:
        raise ConfigError(
            f"{folder} belongs to one of several nodes, which share their secret through the "
            "database: name it with --store or DREAMGRID_STORE"
        )
    if address is not None and _rotate_shared(address, app.TOKEN_SECRET_FILE):
        from dreamgrid.server.nodes.node import SECRETS_LOOK_S  # noqa: PLC0415

        names, where = [app.TOKEN_SECRET_FILE], "database"
        said = (
            "a new secret for all nodes; the one that coordinates signs with it within "
            f"{SECRETS_LOOK_S:g} seconds"
        )
    else:
        _check_there(names, folder, address, of_a_node)
        for name in names:
            key_ring.rotate(folder / name)
        where = "folder"
        said = f"new secrets in {folder}: {', '.join(names)}; restart the server to use them"
    if as_json:
        exits.say_json({"event": "rotated", "where": where, "secrets": names})
        return
    stdout(soft_wrap=True).print(said, style="green", markup=False)


def _rotate_shared(address: str, name: str) -> bool:
    """Changes what nodes share in a database; False: none do."""
    from dreamgrid.server import key_ring  # noqa: PLC0415
    from dreamgrid.server.config import ServerConfig  # noqa: PLC0415
    from dreamgrid.server.store.choice import rotate_shared_at  # noqa: PLC0415

    good_for_s = ServerConfig.refresh_token_s
    return rotate_shared_at(
        address, name, lambda ring: key_ring.rotated(name, ring, time.time(), good_for_s)
    )


def _check_there(names: list[str], folder: Path, address: str | None, of_a_node: bool) -> None:
    if address is not None and (of_a_node or not names):
        raise ConfigError(
            "no nodes share a secret through this database; to exchange those of one server, name "
            "its data folder with --data"
        )
    if not names:
        raise ConfigError(f"there are no secrets in {folder}; name the data folder with --data")
