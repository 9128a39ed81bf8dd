"""Which parts of a grid lie outside its data folder: a note in it, so that nobody misses them.

A folder without its database or its media would look like a grid that has just begun: a server that
was started without `--store` would serve an empty one.
"""

import os
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from dreamgrid.errors import ConfigError
from dreamgrid.server.config import ServerConfig

FILE = "kept-elsewhere.json"
DATABASE = "dreamgrid.sqlite"
MEDIA = "blobs"


class Whereabouts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where the parts of a grid lie that its folder does not hold; without passwords.

    Attributes:
        store: Host and name of its PostgreSQL database.
        blobs: Bucket of its media.
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
        address = urlsplit(config.store)
        store = f"postgresql://{address.hostname or ''}{address.path}"
    if config.blobs is not None:
        blobs = f"s3://{config.blobs.bucket}/{config.blobs.prefix}".rstrip("/")
    return Whereabouts(store=store, blobs=blobs, node=config.node is not None)


def note(config: ServerConfig) -> None:
    """Notes in the folder what lies elsewhere."""
    found = of(config)
    path = config.data_dir / FILE
    if found == Whereabouts():
        path.unlink(missing_ok=True)
    elif found != noted(config.data_dir):
        fresh = path.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(found))
        os.replace(fresh, path)


def check(config: ServerConfig) -> None:
    """Looks whether these settings leave out what the folder's note names.

    Raises:
        ConfigError: They do, and the folder has none of its own.
    """
    before = noted(config.data_dir)
    missing = missing_database(config.data_dir)
    if config.store is None and missing:
        raise ConfigError(missing)
    if config.blobs is None and before.blobs and not (config.data_dir / MEDIA).exists():
        raise ConfigError(
            f"the media of this grid lie in {before.blobs}: name it with --blobs or "
            f"DREAMGRID_BLOBS. To begin without them, remove {config.data_dir / FILE}"
        )


def missing_database(folder: Path) -> str | None:
    """What to say to those who look in the folder for a database that lies elsewhere."""
    store = noted(folder).store
    if store is None or (folder / DATABASE).exists():
        return None
    return (
        f"the database of this grid is {store}: name it, with its user and password, with --store "
        f"or DREAMGRID_STORE. To begin an empty grid here, remove {folder / FILE}"
    )
