"""One server per data folder: a second one would know nothing of the first one's live state."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dreamgrid.errors import ConfigError, FolderInUse

try:
    import fcntl
except ImportError:  # not on Windows; there nobody is kept out
    fcntl = None  # type: ignore[assignment]

LOCK_FILE = "in-use.lock"


def last_holder(folder: Path) -> int | None:
    """The process that held the folder last, or still does; None: nobody is known."""
    try:
        return int((folder / LOCK_FILE).read_text("ascii"))
    except (OSError, ValueError):
        return None


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keeps every other server out of the folder for as long as the block runs.

    Raises:
        FolderInUse: Another process holds it.
        ConfigError: It cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (folder / LOCK_FILE).open("a+", encoding="ascii")
    except OSError as error:
        reason = "it is a file" if folder.is_file() else error.strerror
        raise ConfigError(
            f"cannot write in the data folder {folder} ({reason}); "
            "choose another with --data or DREAMGRID_DATA"
        ) from None
    with lock:
        # The system gives the lock back when the process ends, however it ends.
        if fcntl is not None:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.seek(0)
                pid = lock.read(20).strip()
                holder = f" (process {pid})" if pid else ""
                raise FolderInUse(
                    f"another dreamgrid is using the data folder {folder}{holder}; stop it first, "
                    "or choose another folder with --data"
                ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield
