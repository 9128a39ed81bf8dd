"""Fetches weights: on request only, with progress, resumable, checked, and whole or not at all.

While a model comes, its files lie in `.downloads/MODEL` beside the folder that it will have, each
named after its checksum. What is checked loses the ending `.part`. Once all have come they get
their names, and the folder appears in one step. Whatever breaks this off, the next try goes on.
"""

import asyncio
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

import aiohttp

from dreamgrid.engines.base import Source
from dreamgrid.engines.machine import existing
from dreamgrid.errors import ConfigError, DownloadFailed
from dreamgrid.worker import hub
from dreamgrid.worker.hub import Checksum, Listing, RemoteFile

try:
    import fcntl
except ImportError:  # not on Windows; there nobody is kept out
    fcntl = None  # type: ignore[assignment]

SPARE_BYTES = 1024**3
"""Free space that a download leaves to everything else on the disk."""

_FOLDER = ".downloads"
_PART = ".part"
_PIECE_BYTES = 1024 * 1024
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60)

OnProgress = Callable[[int], None]
"""Called with the bytes that are here, of all files together."""


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How often and how soon to try again when a connection breaks off.

    Attributes:
        tries: Tries in a row that bring nothing, before giving up.
        wait_s: Seconds before the second of them; doubles each time.
    """

    tries: int = 5
    wait_s: float = 1.0


class Download:
    """Brings one model; use `fetch`."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        source: Source,
        listing: Listing,
        *,
        on_progress: OnProgress = lambda _: None,
        patience: Patience | None = None,
    ) -> None:
        """Takes the session that asks, and what `hub.listing` found."""
        self._session = session
        self._source = source
        self._listing = listing
        self._on_progress = on_progress
        self._patience = patience or Patience()
        self._folder = source.folder.parent / _FOLDER / source.folder.name
        self._arrived_bytes = 0  # of files that are whole

    async def fetch(self) -> Path:
        """Brings what is missing, and returns the model's folder. Canceling it loses nothing.

        Raises:
            ConfigError: The folder is there already or cannot be written, or the disk has too
                little room.
            DownloadFailed: The hub refuses, does not answer, or sends damaged files.
        """
        if self._source.folder.exists():
            raise ConfigError(f"{self._source.folder} is there already: move it away first")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with _alone(self._folder):
                self._check_room()
                for file in self._listing.files:
                    await self._bring(file)
                    self._arrived_bytes += file.size_bytes
                    self._on_progress(self._arrived_bytes)
                return await asyncio.to_thread(self._assemble)
        except OSError as error:
            raise ConfigError(f"cannot write to {self._folder}: {error.strerror}") from error

    def _check_room(self) -> None:
        missing = sum(self._missing_bytes(file) for file in self._listing.files)
        free = shutil.disk_usage(existing(self._folder)).free
        if missing + SPARE_BYTES > free:
            raise ConfigError(
                f"{self._listing.repository} needs {missing / 1e9:.1f} GB more, and the disk of "
                f"{self._source.folder.parent} has {free / 1e9:.1f} GB free: make room first"
            )

    def _missing_bytes(self, file: RemoteFile) -> int:
        whole = self._kept(file)
        if whole.exists():
            return 0
        part = whole.with_name(whole.name + _PART)
        return file.size_bytes - min(file.size_bytes, _size(part))

    def _kept(self, file: RemoteFile) -> Path:
        return self._folder / file.checksum.digest

    async def _bring(self, file: RemoteFile) -> None:
        """One file, from where it was broken off; a damaged one is fetched once more."""
        whole = self._kept(file)
        if whole.exists():
            return
        part = whole.with_name(whole.name + _PART)
        for _ in range(2):
            await self._bring_bytes(file, part)
            if await asyncio.to_thread(_digest, part, file.checksum) == file.checksum.digest:
                part.replace(whole)
                return
            part.unlink()
        raise DownloadFailed(
            f"{file.path} arrived damaged twice from {hub.endpoint()}: try again later"
        )

    async def _bring_bytes(self, file: RemoteFile, part: Path) -> None:
        """Tries until the file has its length."""
        failures = 0
        _opened(part, "ab").close()  # an empty file needs nothing more
        while (before := _size(part)) < file.size_bytes:
            try:
                await self._bring_more(file, part)
                reason = "the connection ended early"
            except (aiohttp.ClientError, TimeoutError) as error:
                reason = str(error) or type(error).__name__
            if _size(part) > before:
                failures = 0
                continue
            failures += 1
            if failures == self._patience.tries:
                raise DownloadFailed(
                    f"{file.path} stopped at {before} of {file.size_bytes} bytes: {reason}; the "
                    "same command goes on from there"
                )
            await asyncio.sleep(self._patience.wait_s * 2 ** (failures - 1))

    async def _bring_more(self, file: RemoteFile, part: Path) -> None:
        has = _size(part)
        asked = hub.headers() | {"Accept-Encoding": "identity"}
        if has:
            asked["Range"] = f"bytes={has}-"
        async with self._session.get(file.url, headers=asked, timeout=_TIMEOUT) as answer:
            if answer.status >= 500:
                raise aiohttp.ClientPayloadError(f"the hub answers {answer.status}")
            hub.refuse(answer.status, self._listing.repository)
            goes_on = answer.headers.get("Content-Range", "").startswith(f"bytes {has}-")
            if answer.status == 206 and not goes_on:
                raise aiohttp.ClientPayloadError("the hub sends another part than was asked for")
            with _opened(part, "ab" if answer.status == 206 else "wb") as out:
                async for piece in answer.content.iter_chunked(_PIECE_BYTES):
                    if out.tell() + len(piece) > file.size_bytes:
                        raise DownloadFailed(f"{file.path} is longer than the hub said")
                    out.write(piece)
                    self._on_progress(self._arrived_bytes + out.tell())

    def _assemble(self) -> Path:
        """Gives the files their names, and the folder its own."""
        tree = self._folder / "whole"
        shutil.rmtree(tree, ignore_errors=True)
        for file in self._listing.files:
            path = tree / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            # Linked and not moved: whatever happens now, nothing has to come again.
            _link(self._kept(file), path)
        if self._source.layout == "file":
            (tree / self._source.folder.name).replace(self._source.folder)
        else:
            tree.replace(self._source.folder)
        shutil.rmtree(self._folder)
        return self._source.folder


def _digest(path: Path, checksum: Checksum) -> str:
    counted: _Hash
    if checksum.kind == "git":
        counted = hashlib.sha1(usedforsecurity=False)
        counted.update(f"blob {path.stat().st_size}\0".encode())
    else:
        counted = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            counted.update(piece)
    return counted.hexdigest()


def _link(kept: Path, path: Path) -> None:
    try:
        os.link(kept, path)
    except OSError:  # a file system without hard links
        shutil.copyfile(kept, path)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _opened(path: Path, mode: str) -> IO[bytes]:
    return path.open(mode)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keeps a second download of the same model out."""
    with (folder / "in-use.lock").open("w") as lock:
        if fcntl is not None:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise ConfigError(f"another process is fetching {folder.name} already") from None
        yield
