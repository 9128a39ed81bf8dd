"""The data folder: where it is, who holds it, and which grid is running from it.

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
from dreamgrid.errors import ConfigError, DreamgridError

try:
    import fcntl
except ImportError:  # not on Windows; there nobody is kept out
    fcntl = None  # type: ignore[assignment]

DATA_VARIABLE = "DREAMGRID_DATA"
RUNNING_FILE = "running.json"
LOCK_FILE = "in-use.lock"

_ANSWER_S = 3.0


class FolderInUse(ConfigError):
    """Another process serves from this data folder."""


@dataclass(frozen=True, kw_only=True)
class Running:
    """A grid that serves from a data folder on this machine."""

    url: str
    api_key: str = field(repr=False)
    pid: int


def data_dir(flag: Path | None) -> Path:
    """The flag, else DREAMGRID_DATA, else the user's own data folder."""
    if flag is not None:
        return flag.expanduser()
    if os.environ.get(DATA_VARIABLE):
        return Path(os.environ[DATA_VARIABLE]).expanduser()
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "dreamgrid"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keeps every other grid out of the folder for as long as the block runs.

    Raises:
        FolderInUse: Another process holds it.
        ConfigError: It cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (folder / LOCK_FILE).open("w", encoding="ascii")
    except OSError as error:
        reason = "it is a file" if folder.is_file() else error.strerror
        raise ConfigError(
            f"cannot write in the data folder {folder} ({reason}); "
            f"choose another with --data or {DATA_VARIABLE}"
        ) from None
    with lock:
        # The system gives the lock back when the process ends, however it ends.
        if fcntl is not None:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise FolderInUse(
                    f"another dreamgrid is using the data folder {folder}; stop it first, "
                    "or choose another folder with --data"
                ) from None
        yield


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
        return Running(url=str(said["url"]), api_key=str(said["api_key"]), pid=int(said["pid"]))
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
