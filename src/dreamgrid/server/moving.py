"""Moves a grid out of its data folder: its database to PostgreSQL, its media to S3."""

from collections.abc import Callable
from pathlib import Path

from dreamgrid.server import whereabouts
from dreamgrid.server.blobs.moving import copy_media
from dreamgrid.server.config import ServerConfig
from dreamgrid.server.store.choice import copy_to_postgres

MOVED = ".moved"
"""Added to the names of what was moved; it is kept until somebody removes it."""

Progress = Callable[[str, int, int], None]
"""Told what is moved (`files` or `rows`), how much is done, and how much there is."""


async def move_media(config: ServerConfig, on_progress: Progress) -> int:
    """Copies the media to where the settings say; how many files. See `copy_media`."""
    assert config.blobs is not None
    folder = config.data_dir / whereabouts.MEDIA
    return await copy_media(folder, config.blobs, lambda *so_far: on_progress("files", *so_far))


def move_rows(config: ServerConfig, on_progress: Progress) -> dict[str, int]:
    """Copies the database to where the settings say; how many rows of each table."""
    assert config.store is not None
    file = config.data_dir / whereabouts.DATABASE
    return copy_to_postgres(file, config.store, lambda *so_far: on_progress("rows", *so_far))


def settle(config: ServerConfig) -> list[Path]:
    """Notes where everything lies now and renames what is left in the folder; its new names.

    To be called when all of it was copied.
    """
    left = []
    if config.store is not None:
        left.append(config.data_dir / whereabouts.DATABASE)
    if config.blobs is not None:
        left.append(config.data_dir / whereabouts.MEDIA)
    whereabouts.note(config)
    return [path.rename(_free(path)) for path in left if path.exists()]


def _free(path: Path) -> Path:
    """A name that nothing has."""
    number, name = 1, path.with_name(path.name + MOVED)
    while name.exists():
        number += 1
        name = path.with_name(f"{path.name}{MOVED}-{number}")
    return name
