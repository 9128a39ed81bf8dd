"""The data folder: where it is, and which grid is running from it.

`running.json` is written by the grid that serves from the folder, so that other commands of the
same person find it. It holds a key, so nobody else may read it. Whether it is true is always asked.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import dreamgrid
from dreamgrid.errors import DreamgridError

DATA_VARIABLE = "DREAMGRID_DATA"
RUNNING_FILE = "running.json"
DATABASE = "dreamgrid.sqlite"

_ANSWER_S = 3.0


@dataclass(frozen=True, kw_only=True)
class Running:
    """A grid that serves from a data folder on this machine, perhaps with a worker from there."""

    url: str
    api_key: str = field(repr=False)
    pid: int
    has_worker: bool = False


def data_dir(flag: Path | None) -> Path:
    """The flag, else DREAMGRID_DATA, else the user's own data folder."""
    if flag is not None:
        return flag.expanduser()
    if os.environ.get(DATA_VARIABLE):
        return Path(os.environ[DATA_VARIABLE]).expanduser()
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "dreamgrid"


@contextmanager
def announced(folder: Path, running: Running) -> Iterator[None]:
    """Lets other commands find this grid for as long as the block runs."""
    path = folder / RUNNING_FILE
    partial = path.with_suffix(".part")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(asdict(running), file)
    partial.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def noted(folder: Path) -> Running | None:
    """The grid that the folder's file names, true or not."""
    with suppress(OSError, ValueError, TypeError):
        said = json.loads((folder / RUNNING_FILE).read_text("utf-8"))
        return Running(
            url=str(said["url"]),
            api_key=str(said["api_key"]),
            pid=int(said["pid"]),
            has_worker=said.get("has_worker") is True,
        )
    return None


async def find_running(folder: Path) -> Running | None:
    """The grid that serves from the folder right now, if it answers and knows the key."""
    running = noted(folder)
    if running is None:
        return None
    try:
        async with asyncio.timeout(_ANSWER_S):
            async with dreamgrid.AsyncClient(running.url, running.api_key) as client:
                await client.account.me()
    except (DreamgridError, TimeoutError):
        return None
    return running
