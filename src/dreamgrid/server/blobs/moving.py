"""Copies the media of a data folder into an S3-compatible store; what is there already is left."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

from dreamgrid.server.blobs.folder import Folder, file_keys
from dreamgrid.server.blobs.keys import is_key
from dreamgrid.server.blobs.s3 import S3Blobs
from dreamgrid.server.blobs.s3_settings import S3Settings

AT_ONCE = 8
"""How many files are on their way at the same time."""

Progress = Callable[[int, int], None]
"""Told how much is done, and how much there is."""


async def copy_media(root: Path, settings: S3Settings, on_progress: Progress) -> int:
    """Copies every file and compares what arrived; how many files there are.

    Broken off and begun again it goes on where it was.

    Args:
        root: The folder that holds them.
        settings: Where they go.
        on_progress: Told files.

    Raises:
        ConfigError: The store cannot be used.
        ServerUnavailable: It does not answer any more, or has something else than was sent.
    """
    folder = Folder(root)
    keys = [key for key in await asyncio.to_thread(file_keys, root) if is_key(key)]
    blobs = S3Blobs(settings)
    waiting, done = iter(keys), 0

    async def carry(keys: Iterator[str]) -> None:
        nonlocal done
        for key in keys:
            await blobs.keep(key, Path(folder.path(key)))
            done += 1
            on_progress(done, total)

    total = len(keys)
    try:
        await blobs.open()
        on_progress(0, total)
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(carry(waiting))
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None
    finally:
        await blobs.close()
    return total
