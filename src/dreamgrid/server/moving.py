"""Moves a grid out of its data folder: its database to PostgreSQL, its media to S3."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from dreamgrid.errors import ConfigError
from dreamgrid.server import whereabouts
from dreamgrid.server.blobs.moving import copy_media
from dreamgrid.server.config import ServerConfig
from dreamgrid.server.store.choice import check_copy_to_postgres, copy_to_postgres

MOVED = ".moved"
"""Added to the names of what was moved; it is kept until somebody removes it."""

Progress = Callable[[str, int, int], None]
"""Told what is moved (`files` or `rows`), how much is done, and how much there is."""


def begin(config: ServerConfig) -> ServerConfig:
    """Looks whether the database can go where the settings say, before anything is copied.

    Returns:
        The settings without what was moved there before.

    Raises:
        ConfigError: It cannot, or the grid was moved to another place before.
    """
    folder, asked = config.data_dir, whereabouts.of(config)
    before, store = whereabouts.noted(folder), config.store
    if store is not None and whereabouts.missing_database(folder):
        _same("database", before.store, asked.store)
        config = replace(config, store=None)
    elif store is not None:
        check_copy_to_postgres(folder / whereabouts.DATABASE, store)
    if config.blobs is not None and whereabouts.missing_media(folder):
        _same("media", before.blobs, asked.blobs)
        config = replace(config, blobs=None)
    return config


def _same(what: str, before: str | None, asked: str | None) -> None:
    if before != asked:
        raise ConfigError(f"the {what} of this grid was moved already, to '{before}'")


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
    whereabouts.add(config)
    return [path.rename(_free(path)) for path in left if path.exists()]


def _free(path: Path) -> Path:
    """A name that nothing has."""
    number, name = 1, path.with_name(path.name + MOVED)
    while name.exists():
        number += 1
        name = path.with_name(f"{path.name}{MOVED}-{number}")
    return name
