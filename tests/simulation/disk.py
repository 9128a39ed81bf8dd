"""The real SQLite store on a disk that is slow, full or gone whenever the history says so."""

import asyncio
import random
import sqlite3
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from dreamgrid.errors import ServerUnavailable
from dreamgrid.server.blobs.base import BlobInfo, Usage
from dreamgrid.server.clock import Clock
from dreamgrid.server.store.audit import Audit
from dreamgrid.server.store.group_commit import (
    GroupCommitWriter,
    Outcome,
    Write,
    _commit,
    _resolve,
)
from dreamgrid.server.store.sqlite import SqliteStore
from dreamgrid.server.store.sqlite_audit import audit
from dreamgrid.server.store.sqlite_schema import migrate

T = TypeVar("T")


@cache
def _empty_database() -> bytes:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    return connection.serialize()


QUICK_S = 0.002
"""Longest time that a commit takes when nothing is wrong."""

HICCUP_S = 5.0
"""Longest time of one that meets a checkpoint or somebody else's large query."""


class Disk:
    """What survives a crash: the database and the files.

    Attributes:
        broken: Writes fail.
        longest_s: Longest time that a commit, or hearing of it, takes.
        hiccups: Share of accesses that take up to `HICCUP_S` although all is well.
    """

    def __init__(self, chance: random.Random, clock: Clock) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.connection.deserialize(_empty_database())
        self.connection.execute("PRAGMA foreign_keys = on")
        self.files = MemoryBlobs(self, clock)
        self.broken = False
        self.longest_s = QUICK_S
        self.hiccups = 0.0
        self._chance = chance

    def delay_s(self) -> float:
        hiccup = self.hiccups and self._chance.random() < self.hiccups
        return self._chance.uniform(0.0, HICCUP_S if hiccup else self.longest_s)

    def answers_at_once(self) -> bool:
        return self._chance.random() < 0.5

    def rows(self, sql: str, *values: Any) -> list[Any]:
        """Reads what is stored, behind everybody's back."""
        return self.connection.execute(sql, values).fetchall()


class DiskWriter(GroupCommitWriter[sqlite3.Connection]):
    """Commits as the real one does, but on the loop; dies with its server."""

    def __init__(self, disk: Disk) -> None:
        super().__init__(lambda: disk.connection)
        self._disk = disk
        self._next: list[Write[sqlite3.Connection]] = []
        self._busy = False
        self._idle = asyncio.Event()
        self.dead = False

    def start(self) -> None:
        """There is no thread."""

    def _hand_over(self) -> None:
        self._next += self._gathered
        self._gathered = []
        self._hurrying = False
        if self._next and not self._busy:
            self._begin()

    def _begin(self) -> None:
        batch, self._next = self._next, []
        self._busy = True
        self._loop.call_later(self._disk.delay_s(), self._store, batch)

    def _store(self, batch: list[Write[sqlite3.Connection]]) -> None:
        if self.dead:
            return
        outcomes: list[Outcome]
        if self._disk.broken:
            outcomes = [(False, ServerUnavailable("the disk is full"))] * len(batch)
        else:
            outcomes = _commit(self._disk.connection, [operation for operation, _ in batch])
        self._loop.call_later(self._disk.delay_s(), self._answer, batch, outcomes)

    def _answer(self, batch: list[Write[sqlite3.Connection]], outcomes: list[Outcome]) -> None:
        if self.dead:
            return  # stored, and nobody heard of it
        _resolve([future for _, future in batch], outcomes)
        self._busy = False
        if self._next:
            self._begin()
        elif self._closed:
            self._idle.set()

    async def close(self) -> None:
        """Commits what is queued."""
        self._closed = True
        self._hand_over()
        if self._busy and not self.dead:
            await self._idle.wait()


class DiskStore(SqliteStore):
    """A server's door to the disk; shut for ever when the server dies."""

    def __init__(self, disk: Disk) -> None:
        super().__init__(Path(":memory:"))
        self._disk = disk
        self.writer = self._writer = DiskWriter(disk)
        self._read_connection = disk.connection

    async def open(self) -> None:
        """The database is open already."""

    async def close(self) -> None:
        await self.writer.close()

    async def _in_reader(self, function: Callable[[], T]) -> T:
        await asyncio.sleep(self._disk.delay_s())
        return function()

    async def audit(self) -> Audit:
        return audit(self._disk.connection)


class MemoryBlobs:
    """A media store that knows only what matters here: which files are there, and how large."""

    def __init__(self, disk: Disk, clock: Clock) -> None:
        self._disk = disk
        self._clock = clock
        self._files: dict[str, tuple[BlobInfo, float]] = {}

    def put(self, key: str, size_bytes: int) -> None:
        """Somebody uploads a file."""
        info = BlobInfo(size_bytes=size_bytes, content_type="application/octet-stream")
        self._files[key] = (info, self._clock())

    def has(self, key: str) -> bool:
        return key in self._files

    def put_url(
        self,
        key: str,
        *,
        content_type: str | None,
        max_bytes: int,
        expires_s: float,
        origin: str,
        durable: bool = True,
    ) -> str:
        del content_type, max_bytes, expires_s, durable
        return f"{origin}/{key}"

    def get_url(
        self, key: str, *, expires_s: float, origin: str, content_type: str | None = None
    ) -> str:
        del expires_s, content_type
        return f"{origin}/{key}"

    async def stat(self, key: str) -> BlobInfo | None:
        await asyncio.sleep(self._disk.delay_s())
        found = self._files.get(key)
        return found[0] if found is not None else None

    @property
    def size_at_once(self) -> Callable[[str], int | None] | None:
        """A local store and a distant one by turns."""
        return self._size if self._disk.answers_at_once() else None

    def _size(self, key: str) -> int | None:
        return self._files[key][0].size_bytes if key in self._files else None

    async def read(self, key: str, *, max_bytes: int) -> bytes:
        return b"x" * min(max_bytes, self._files[key][0].size_bytes)

    async def write(self, key: str, data: bytes) -> None:
        await asyncio.sleep(self._disk.delay_s())
        self.put(key, len(data))

    async def delete(self, key: str) -> bool:
        await asyncio.sleep(self._disk.delay_s())
        return self._files.pop(key, None) is not None

    async def delete_prefix(self, prefix: str) -> int:
        found = [key for key in self._files if key.startswith(f"{prefix}/")]
        for key in found:
            del self._files[key]
        return len(found)

    async def expire(self, older_than_s: float, *, keep: Callable[[str], bool]) -> int:
        oldest_s = self._clock() - older_than_s
        found = [key for key, (_, at_s) in self._files.items() if at_s < oldest_s]
        for key in found:
            if not keep(key):
                del self._files[key]
        return len(found)

    async def usage(self) -> Usage:
        return Usage(count=len(self._files), size_bytes=0)
