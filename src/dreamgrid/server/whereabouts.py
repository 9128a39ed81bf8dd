"""Which parts of a grid lie outside its data folder: a note in it, so that nobody misses them.

A folder without its database or its media would look like a grid that has just begun: a server that
was started without `--store` would serve an empty one.
"""

import os
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

from dreamgrid.errors import ConfigError
from dreamgrid.server.blobs.folder import file_keys
from dreamgrid.server.blobs.s3_settings import address
from dreamgrid.server.config import ServerConfig

FILE = "kept-elsewhere.json"
DATABASE = "dreamgrid.sqlite"
MEDIA = "blobs"

_PLACE = ("host", "hostaddr", "port", "dbname")
"""What the options of a database's address may say of where it is."""


class Whereabouts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where the parts of a grid lie that its folder does not hold; without passwords.

    Attributes:
        store: Host, port and name of its PostgreSQL database.
        blobs: Bucket and endpoint of its media, as `--blobs` takes them.
        node: Whether it is the folder of one of several nodes, which share their secrets.
    """

    store: str | None = None
    blobs: str | None = None
    node: bool = False


def noted(folder: Path) -> Whereabouts:
    """What the folder's note says."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Whereabouts)
    except (OSError, msgspec.DecodeError):
        return Whereabouts()


def of(config: ServerConfig) -> Whereabouts:
    """Where a server with these settings keeps its parts."""
    store = blobs = None
    if config.store is not None:
        store = without_user(config.store)
    if config.blobs is not None:
        blobs = address(config.blobs)
    return Whereabouts(store=store, blobs=blobs, node=config.node is not None)


def without_user(store: str) -> str:
    """A database's address with nothing in it but where it is."""
    parts = urlsplit(store)
    hosts = parts.netloc.rpartition("@")[2]
    options = urlencode([pair for pair in parse_qsl(parts.query) if pair[0] in _PLACE], safe="/:,")
    return f"postgresql://{hosts}{parts.path}{options and '?'}{options}"


def note(config: ServerConfig) -> None:
    """Notes in the folder what lies elsewhere, and nothing else."""
    _write(config.data_dir, of(config))


def add(config: ServerConfig) -> None:
    """Notes in the folder what lies elsewhere, beside what was noted before."""
    found, before = of(config), noted(config.data_dir)
    store, blobs = found.store or before.store, found.blobs or before.blobs
    _write(config.data_dir, msgspec.structs.replace(before, store=store, blobs=blobs))


def _write(folder: Path, found: Whereabouts) -> None:
    path = folder / FILE
    if found == Whereabouts():
        path.unlink(missing_ok=True)
    elif found != noted(folder):
        fresh = path.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(found))
        os.replace(fresh, path)


def check(config: ServerConfig) -> None:
    """Looks whether these settings fit what the folder holds, before anything is written.

    Raises:
        ConfigError: They leave out what the folder's note names, and the folder has none of its
            own; or they name a database, and the folder holds a grid that was not moved there.
    """
    store, folder = of(config).store, config.data_dir
    # Where the note names this database, a move was broken off before it renamed the file.
    if store not in (None, noted(folder).store) and (folder / DATABASE).exists():
        raise ConfigError(
            f"{folder} holds a grid of its own, in '{DATABASE}': move it to PostgreSQL with "
            "'dreamgrid move', or name another folder with --data"
        )
    media = missing_media(config.data_dir)
    missing = missing_database(config.data_dir)
    if config.store is None and missing:
        raise ConfigError(missing)
    if config.blobs is None and media:
        raise ConfigError(
            f"the media of this grid lie in '{media}': name it with --blobs or "
            f"DREAMGRID_BLOBS. To begin without them, remove {config.data_dir / FILE}"
        )


def missing_media(folder: Path) -> str | None:
    """Where the media lie, if the note says so and the folder has not one file of them."""
    blobs = noted(folder).blobs
    # A folder without files proves nothing: commands that fail make one, too.
    return None if blobs is None or file_keys(folder / MEDIA) else blobs


def missing_database(folder: Path) -> str | None:
    """What to say to those who look in the folder for a database that lies elsewhere."""
    store = noted(folder).store
    if store is None or (folder / DATABASE).exists():
        return None
    return (
        f"the database of this grid is {store}: name it, with its user and password, with --store "
        f"or DREAMGRID_STORE. To begin an empty grid here, remove {folder / FILE}"
    )
