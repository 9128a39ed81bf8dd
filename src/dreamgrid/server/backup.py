"""Copies a data folder while its server goes on; the copy is a data folder again.

The database is copied first, as of one moment: every result that it knows was uploaded before, and
so lies in the folder when the media are copied. Files that are there already are left, so that the
next copy to the same place is quick.
"""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import quote

import msgspec

from dreamgrid.errors import ConfigError
from dreamgrid.server import earlier_prices, key_ring, whereabouts
from dreamgrid.server.blobs.folder import ID_FILE, UPLOADS, Folder, file_keys, id_of
from dreamgrid.server.blobs.keys import is_key
from dreamgrid.server.store.sqlite_audit import audit_file

SMALL_FILES = (
    *("token-secret", "blob-secret", "local-key"),
    *(earlier_prices.FILE, whereabouts.FILE),
)
"""What a server keeps beside its database and its media. Not the notes of the one that runs."""

_OLD_SECRETS = f"*-secret{key_ring.OLD}*"
"""What those before the present ones signed is still good."""

_UNFINISHED = ".new"
"""Ends the name of a file until it is whole; copies that broke off leave such files."""

Progress = Callable[[int, int], None]
"""Told how many files are done, and how many there are."""


class Copied(msgspec.Struct, frozen=True, kw_only=True):
    """What a copy holds.

    Attributes:
        counted: Rows of its database, by kind; empty where the database lies elsewhere.
        database: Where that is. None: in the copy.
        files: Media.
        sent: How many of those were not there before.
    """

    counted: dict[str, int]
    database: str | None
    files: int
    sent: int


def back_up(source: Path, target: Path, on_progress: Progress) -> Copied:
    """Copies the data folder `source` to `target`, which is empty or an earlier copy.

    Raises:
        ConfigError: One of the two cannot be used, or the copied books do not add up.
        OSError: The disk is full or broken.
    """
    if not source.is_dir():
        raise ConfigError(f"there is no data folder {source}; name it with --data")
    _check_target(source, target)
    elsewhere = whereabouts.noted(source).store
    file = source / whereabouts.DATABASE
    if elsewhere is not None and file.exists():
        raise ConfigError(
            f"the database of this grid is {elsewhere}, so {file} is an old one or another "
            "grid's: take it out of the folder, and try again"
        )
    _check_not_outdated(target, elsewhere, whereabouts.missing_media(source))
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    for unfinished in target.glob(f"*{_UNFINISHED}"):
        unfinished.unlink()
    counted: dict[str, int] = {}
    if elsewhere is None:
        counted = _copy_database(source, target)
    for name in SMALL_FILES:
        if (source / name).exists():
            _copy(source / name, target / name)
    _copy_old_secrets(source, target)
    files, sent = _copy_media(source / whereabouts.MEDIA, target / whereabouts.MEDIA, on_progress)
    return Copied(counted=counted, database=elsewhere, files=files, sent=sent)


def _check_target(source: Path, target: Path) -> None:
    if target.resolve().is_relative_to(source.resolve()):
        raise ConfigError(f"{target} lies in the data folder itself; name another place")
    if (target / "in-use.lock").exists():
        raise ConfigError(f"a server has used {target}; name an empty folder or an earlier copy")
    strange = [path.name for path in target.glob("*") if not _is_of_a_copy(path.name)]
    if strange:
        raise ConfigError(f"{target} holds {strange[0]}: name an empty folder or an earlier copy")


def _is_of_a_copy(name: str) -> bool:
    if name.endswith(_UNFINISHED):
        name = name.removeprefix(".").removesuffix(_UNFINISHED)
    known = {whereabouts.DATABASE, whereabouts.MEDIA, *SMALL_FILES}
    return name in known or fnmatchcase(name, _OLD_SECRETS)


def _copy_old_secrets(source: Path, target: Path) -> None:
    """Copies those that are there, with their age: it says when they are removed."""
    there = {path.name for path in source.glob(_OLD_SECRETS)}
    for path in target.glob(_OLD_SECRETS):
        if path.name not in there:
            path.unlink()
    for name in there:
        with suppress(FileNotFoundError):  # too old, and removed meanwhile
            _copy(source / name, target / name)


def _check_not_outdated(target: Path, store: str | None, blobs: str | None) -> None:
    """Refuses a copy from before a move: its old parts would lie beside newer secrets for good.

    Args:
        target: The earlier copy.
        store: Where the database lies now; None: in the data folder.
        blobs: The same of the media.
    """
    for name, now in ((whereabouts.DATABASE, store), (whereabouts.MEDIA, blobs)):
        if now is not None and (target / name).exists():
            raise ConfigError(
                f"{target} holds '{name}' from before it was moved to '{now}': name another "
                "folder, and remove this one when you need it no more"
            )


def _copy_database(source: Path, target: Path) -> dict[str, int]:
    """A copy as of one moment, while others write; how many rows of each kind."""
    file, copy = source / whereabouts.DATABASE, target / whereabouts.DATABASE
    fresh = target / f"{whereabouts.DATABASE}{_UNFINISHED}"
    if not file.is_file():
        raise ConfigError(f"there is no database at {file}; name the data folder with --data")
    try:
        _vacuum_into(fresh, file)
        fresh.chmod(0o600)
        report = audit_file(fresh)
        if not report.clean:
            raise ConfigError(
                f"the books in the copy do not add up ({len(report.findings)} findings), so the "
                "copy of before was kept; 'dreamgrid audit' tells what is wrong"
            )
        _sync(fresh)
        os.replace(fresh, copy)
    finally:
        fresh.unlink(missing_ok=True)
    return report.counted


def _vacuum_into(fresh: Path, file: Path) -> None:
    try:
        uri = f"file:{quote(str(file.absolute()))}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
            connection.execute("PRAGMA busy_timeout = 5000")
            connection.execute("VACUUM INTO ?", (str(fresh),))
    except sqlite3.Error as error:
        raise ConfigError(f"the database {file} cannot be copied: {error}") from error


def _copy_media(source: Path, target: Path, on_progress: Progress) -> tuple[int, int]:
    """Makes one folder like the other; how many files, and how many were copied."""
    if not source.is_dir():
        return 0, 0
    _check_same_media(source, target)
    there = Folder(target)
    if (source / ID_FILE).exists():
        _copy(source / ID_FILE, target / ID_FILE)
    keys = [key for key in file_keys(source) if is_key(key)]
    for key in set(file_keys(target)) - set(keys):
        there.remove(key)
    sent = 0
    for done, key in enumerate(keys, start=1):
        with suppress(FileNotFoundError):  # too old, and removed meanwhile
            sent += _copy(source / key, target / key)
        on_progress(done, len(keys))
    return len(keys), sent


def _check_same_media(source: Path, target: Path) -> None:
    """Refuses to make a copy of some media like a folder that never held them."""
    known = id_of(target)
    used = (source / UPLOADS).is_dir() and known in (None, id_of(source))
    if not used and file_keys(target):
        raise ConfigError(
            f"the media folder {source} is not the one that {target} is a copy of: its disk may be "
            "missing. The copy keeps the media of before; mount the disk and copy again, or name "
            "another folder for the copy"
        )


def _copy(source: Path, target: Path) -> bool:
    """Copies a file with its age, whole or not at all; False: it was there."""
    found = source.stat()
    with suppress(FileNotFoundError):
        known = target.stat()
        if (known.st_size, known.st_mtime_ns) == (found.st_size, found.st_mtime_ns):
            return False
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f".{target.name}{_UNFINISHED}")
    shutil.copy2(source, fresh)
    _sync(fresh)
    os.replace(fresh, target)
    return True


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
