"""Media in a folder: the disk side of the local store. Blocking; called from worker threads.

A file is written under `.uploads` and moved to its place when it is whole, so that readers see the
old file or the new one and a crash leaves nothing but a leftover there, which the next start
removes. Keys cannot begin with a dot, so nothing can be addressed in `.uploads`.
"""

import contextlib
import os
import secrets
import shutil
import stat as stat_bits
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from dreamgrid.errors import ConfigError
from dreamgrid.server.blobs.base import Usage
from dreamgrid.server.blobs.keys import check_key

UPLOADS = ".uploads"
ID_FILE = ".id"
"""Tells a media folder from every other one, such as the empty one below a disk that is away."""

SECRET_BYTES = 32
_MOVE_TRIES = 5


@dataclass(frozen=True, kw_only=True)
class OpenFile:
    """A stored file, opened for reading; a later upload of the same key does not change it.

    Attributes:
        file: At position 0. The holder closes it.
        size_bytes: Its length.
        etag: Differs between any two uploads of a key.
    """

    file: FileIO
    size_bytes: int
    etag: str


class Folder:
    """Stored files below one folder.

    Raises:
        ConfigError: The folder cannot be written.
    """

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._uploads = f"{self._root}/{UPLOADS}"
        try:
            shutil.rmtree(self._uploads, ignore_errors=True)  # what a crash left half done
            os.makedirs(self._uploads, mode=0o700, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"the media folder {root} cannot be written: {error.strerror}"
            ) from None

    def be_known(self) -> None:
        """Gives the folder an id, if it has none.

        Raises:
            ConfigError: It cannot be written.
        """
        path = Path(self._root) / ID_FILE
        if not path.exists():
            write_secret(path, secrets.token_hex(16).encode())

    def path(self, key: str) -> str:
        """Where the file of a key lies."""
        return f"{self._root}/{check_key(key)}"

    def begin(self) -> "Incoming":
        """A new file on its way in."""
        return Incoming(f"{self._uploads}/{secrets.token_hex(12)}")

    def size(self, key: str) -> int | None:
        """The length of a file in bytes, or None when there is none."""
        try:
            found = os.stat(self.path(key))
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found.st_size if stat_bits.S_ISREG(found.st_mode) else None

    def open(self, key: str) -> OpenFile | None:
        """Opens a file, or None when there is none."""
        try:
            file = FileIO(self.path(key))
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        found = os.fstat(file.fileno())
        return OpenFile(
            file=file, size_bytes=found.st_size, etag=f"{found.st_mtime_ns:x}-{found.st_size:x}"
        )

    def head(self, key: str, max_bytes: int) -> bytes | None:
        """The first bytes of a file, or None when there is none."""
        opened = self.open(key)
        if opened is None:
            return None
        with opened.file as file:
            return read_exactly(file, min(max_bytes, opened.size_bytes))

    def remove(self, key: str) -> bool:
        """Removes a file; whether there was one."""
        try:
            os.unlink(self.path(key))
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError):
            if self.size(key) is None:
                return False
            raise
        return True

    def remove_below(self, prefix: str) -> int:
        """Removes every file below a prefix; how many."""
        return _sweep(self.path(prefix), lambda entry: True)

    def remove_older(self, older_than: float, keep: Callable[[str], bool]) -> int:
        """Removes every file uploaded before a time in seconds since 1970; how many.

        Files stay whose key `keep` says yes to.
        """

        def is_over(entry: "os.DirEntry[str]") -> bool:
            if entry.stat(follow_symlinks=False).st_mtime >= older_than:
                return False
            return not keep(os.path.relpath(entry.path, self._root))

        return _sweep(self._root, is_over)

    def usage(self) -> Usage:
        """Counts what is stored."""
        sizes = [_size_of(entry) for entry in _files(self._root)]
        return Usage(
            count=len(sizes), size_bytes=sum(sizes), free_bytes=shutil.disk_usage(self._root).free
        )


class Incoming:
    """A file on its way in.

    Calls may come from different threads, one of them late: the lock and `_over` see to it that
    nothing is written or left behind after `abort`.
    """

    def __init__(self, temporary: str) -> None:
        self._temporary = temporary
        self._descriptor: int | None = None
        self._over = False
        self._lock = threading.Lock()

    def append(self, data: bytes) -> None:
        """Writes more bytes.

        Raises:
            OSError: The disk is full or broken.
        """
        with self._lock:
            self._write(data)

    def commit(self, data: bytes, path: str, durable: bool) -> None:
        """Writes the last bytes and moves the file to its place.

        Raises:
            OSError: The disk is full or broken.
        """
        with self._lock:
            descriptor = self._write(data)
            if durable:
                os.fsync(descriptor)
            os.close(descriptor)
            self._descriptor = None
            _move(self._temporary, path, durable=durable)
            self._over = True

    def abort(self) -> None:
        """Forgets the file, unless it is at its place already."""
        with self._lock:
            if self._over:
                return
            self._over = True
            if self._descriptor is not None:
                os.close(self._descriptor)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._temporary)

    def _write(self, data: bytes) -> int:
        if self._over:
            raise OSError("this upload was given up")
        if self._descriptor is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            self._descriptor = os.open(self._temporary, flags, 0o600)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        return self._descriptor


def file_keys(root: Path) -> list[str]:
    """The keys of all whole files below a folder."""
    return [os.path.relpath(entry.path, root) for entry in _files(str(root))]


def read_exactly(file: FileIO, count: int) -> bytes:
    """`count` bytes from where the file stands, fewer only at its end."""
    parts: list[bytes] = []
    while count > 0 and (part := file.read(count)):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def write_secret(path: Path, secret: bytes) -> None:
    """Puts a secret into a file of its owner's alone, all at once.

    Raises:
        ConfigError: It cannot be written.
    """
    try:
        fresh = Incoming(f"{path}.{secrets.token_hex(6)}")
        fresh.commit(secret, str(path), True)
    except OSError as error:
        raise ConfigError(f"the secret {path} cannot be written: {error.strerror}") from None


def load_secret(path: Path) -> bytes:
    """The secret in a file; makes one where there is none, all at once and for the owner only.

    Raises:
        ConfigError: It cannot be read or written, or is damaged.
    """
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh = Incoming(f"{path}.{secrets.token_hex(6)}")
            fresh.commit(secrets.token_bytes(SECRET_BYTES), str(path), True)
        secret = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"the secret {path} cannot be used: {error.strerror}") from None
    if len(secret) < SECRET_BYTES:
        raise ConfigError(
            f"the secret {path} is damaged; remove it to get a new one (open links stop working)"
        )
    return secret


def _move(source: str, target: str, *, durable: bool) -> None:
    """Moves a whole file to its place; a sweep may remove the empty folder under our hands."""
    folder = os.path.dirname(target)
    for _ in range(_MOVE_TRIES):
        made = not os.path.isdir(folder)
        with contextlib.suppress(FileNotFoundError):
            os.makedirs(folder, exist_ok=True)  # its parent may go while this one is made
            os.replace(source, target)
            break
    else:
        raise OSError(f"{folder} vanishes again and again")
    if durable:
        _sync_folder(folder)
        if made:
            _sync_folder(os.path.dirname(folder))


def _sync_folder(folder: str) -> None:
    """Makes names in a folder survive a power cut; systems without the notion need nothing."""
    flags = getattr(os, "O_DIRECTORY", None)
    if flags is None:
        return
    descriptor = os.open(folder, os.O_RDONLY | flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def id_of(root: Path) -> str | None:
    """The id of a media folder. None: no server has used it, or none that gives ids."""
    try:
        return (root / ID_FILE).read_text("ascii")
    except FileNotFoundError:
        return None


def _files(folder: str) -> Iterator["os.DirEntry[str]"]:
    """Every stored file below a folder, whole ones only."""
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _files(entry.path)
        else:
            yield entry


def _size_of(entry: "os.DirEntry[str]") -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size
    except FileNotFoundError:  # removed since it was listed
        return 0


def _sweep(folder: str, is_over: Callable[["os.DirEntry[str]"], bool]) -> int:
    """Removes the files that are over, and the folders that this empties; how many files."""
    removed = 0
    for entry in _files(folder):
        with contextlib.suppress(FileNotFoundError):
            if is_over(entry):
                os.unlink(entry.path)
                removed += 1
    for below, folders, _ in os.walk(folder, topdown=False):
        for name in folders:
            if name != UPLOADS:
                with contextlib.suppress(OSError):  # not empty
                    os.rmdir(f"{below}/{name}")
    return removed
