"""`dreamgrid rotate`: new secrets for signing, and nobody notices."""

from dreamgrid.cli import exits, options
from dreamgrid.cli.folder import data_dir
from dreamgrid.cli.stdout import stdout
from dreamgrid.errors import ConfigError


def rotate(data: options.Data = None, as_json: options.Json = False) -> None:
    """Exchange the secrets that sign sign-ins and links; the server takes them when it starts.

    What the secrets of before have signed is good until it runs out: nobody has to sign in again.
    They are removed when nothing of theirs can be good any more.

    For example:

    - `dreamgrid rotate`
    - `dreamgrid rotate --data ./grid`
    """
    from dreamgrid.server import app, key_ring, whereabouts  # noqa: PLC0415 (loads the server)
    from dreamgrid.server.blobs import local  # noqa: PLC0415

    exits.speaks_json.set(as_json)
    folder = data_dir(data)
    names = [
        name for name in (app.TOKEN_SECRET_FILE, local.SECRET_FILE) if (folder / name).is_file()
    ]
    if not names:
        raise ConfigError(f"there are no secrets in {folder}; name the data folder with --data")
    if whereabouts.noted(folder).node:
        raise ConfigError(
            f"{folder} belongs to one of several nodes, which would undo this when it starts: they "
            "share the secret through the database. Start every node with "
            "--token-secret-file old --token-secret-file new, and then with the new one first"
        )
    for name in names:
        key_ring.rotate(folder / name)
    if as_json:
        exits.say_json({"event": "rotated", "secrets": names})
        return
    said = f"new secrets in {folder}: {', '.join(names)}; restart the server to use them"
    stdout(soft_wrap=True).print(said, style="green", markup=False)
