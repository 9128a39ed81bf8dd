"""The data folder: where it is, and which grid is running from it.

`running.json` is written by the grid that serves from the folder, so that other commands of the
same person find it. It holds a key, so nobody else may read it. Whether it is true is always asked.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import dreamgrid
from dreamgrid.errors import DreamgridError, OwnGridUnreachable

DATA_VARIABLE = "DREAMGRID_DATA"
RUNNING_FILE = "running.json"
DATABASE = "dreamgrid.sqlite"

_ANSWER_S = 3.0
_BUSY_ANSWER_S = 20.0
"""How long a grid whose process is there may take to answer."""


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
    return _own_folder()


def flag_for(folder: Path) -> str:
    """What to add to a command of another terminal for this folder; empty for the user's own."""
    whole = folder.absolute()
    return "" if whole == _own_folder().absolute() else f" --data {shlex.quote(str(whole))}"


def _own_folder() -> Path:
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


def forget_the_last(folder: Path) -> None:
    """Takes away what a grid that was killed has left, so that nobody looks for it there."""
    (folder / RUNNING_FILE).unlink(missing_ok=True)


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
    """The grid that serves from the folder right now, if it answers and knows the key.

    Raises:
        OwnGridUnreachable: It runs, but does not answer here; says why.
    """
    running = noted(folder)
    if running is None:
        return None
    for patience_s in (_ANSWER_S, _BUSY_ANSWER_S):
        try:
            async with asyncio.timeout(patience_s):
                async with dreamgrid.AsyncClient(running.url, running.api_key) as client:
                    await client.account.me()
                    return running
        except TimeoutError:
            why, slow = f"it did not answer within {patience_s:.0f} s", True
        except DreamgridError as error:
            why, slow = str(error), False
        if noted(folder) != running or not _lives(running.pid, folder):
            return None
        if not slow:
            break
    raise OwnGridUnreachable(
        f"the grid that runs from {folder} (process {running.pid}) is at {running.url}, and "
        f"commands on this machine need it at that address too: {why}"
    )


def _lives(pid: int, folder: Path) -> bool:
    """Whether the process that a note names has the folder, and is still there."""
    from dreamgrid.server.folder_lock import last_holder  # noqa: PLC0415 (is of the server)

    if os.name != "posix" or pid != last_holder(folder):
        return False
    try:
        os.kill(pid, 0)  # asks, and sends nothing
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's
    return True
