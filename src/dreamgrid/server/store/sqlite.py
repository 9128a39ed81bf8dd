"""The embedded store: SQLite in WAL mode, `synchronous=FULL`, group commit.

One thread writes, one thread reads, and a third moves the write-ahead log into the database file,
because a checkpoint on the writer's thread would make commits wait for it.
"""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from dreamgrid.errors import ConfigError
from dreamgrid.server.store.audit import Audit
from dreamgrid.server.store.connection import Connection
from dreamgrid.server.store.group_commit import GroupCommitWriter
from dreamgrid.server.store.schema import Schema
from dreamgrid.server.store.sql_store import SqlStore
from dreamgrid.server.store.sqlite_audit import audit_file
from dreamgrid.server.store.sqlite_schema import check, migrate, schema

T = TypeVar("T")

_CHECKPOINT_EVERY_S = 1.0
_log = logging.getLogger("dreamgrid.store")


class SqliteStore(SqlStore):
    """A `Store` in one file.

    Args:
        path: The database file; created when absent.
    """

    app_source = "json_extract(CAST(request AS TEXT), '$.appSource')"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store-reader")
        self._checkpointer = _Checkpointer(self._connect)
        self._writer: GroupCommitWriter[sqlite3.Connection]
        self._read_connection: sqlite3.Connection
        self._closed = False
        super().__init__()

    async def open(self) -> None:
        try:
            self._read_connection = await self._in_reader(self._open)
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(
                f"the database {self._path} cannot be opened ({error}); is its folder writable, "
                "and is no other server using it?"
            ) from error
        self._writer = self._new_writer()
        self._writer.start()
        self._checkpointer.start()

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        await self._writer.close()
        await asyncio.get_running_loop().run_in_executor(None, self._checkpointer.stop)
        await self._in_reader(self._read_connection.close)
        self._reader.shutdown()

    def _new_writer(self) -> GroupCommitWriter[sqlite3.Connection]:
        return GroupCommitWriter(self._connect)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute("PRAGMA synchronous = full")
        connection.execute("PRAGMA foreign_keys = on")
        connection.execute("PRAGMA busy_timeout = 5000")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA cache_size = -65536")
        return connection

    def _open(self) -> sqlite3.Connection:
        """A connection to the database in its newest form; its file is its owner's alone."""
        self._path.touch(mode=0o600)  # SQLite gives its side files the same mode
        connection = self._connect()
        try:
            migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    async def _in_reader(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._reader, function)

    async def _read(self, question: Callable[[Connection], T]) -> T:
        return await self._in_reader(lambda: question(self._read_connection))

    def backlog(self) -> tuple[int, float]:
        return self._writer.backlog()

    def _write(
        self, operation: Callable[[Connection], T], *, hurry: bool = True
    ) -> asyncio.Future[T]:
        return self._writer.write(operation, hurry=hurry)

    async def audit(self) -> Audit:
        return await asyncio.get_running_loop().run_in_executor(None, audit_file, self._path)


def schema_of(path: Path) -> Schema:
    """How far the database in a file is.

    Raises:
        ConfigError: There is none, it cannot be read, or it is newer than this dreamgrid.
    """
    with _looked_at(path, mode="ro") as connection:
        return schema(check(connection))


def migrate_file(path: Path) -> None:
    """Brings the database in a file to the newest version; nobody may use it meanwhile.

    Raises:
        ConfigError: There is none, or it cannot be done. Nothing was changed.
    """
    with _looked_at(path, mode="rw") as connection:
        migrate(connection)


@contextmanager
def _looked_at(path: Path, *, mode: str) -> Iterator[sqlite3.Connection]:
    if not path.is_file():
        raise ConfigError(f"there is no database at {path}; name the data folder with --data")
    uri = f"file:{quote(str(path.absolute()))}?mode={mode}"
    try:
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
            connection.execute("PRAGMA foreign_keys = on")
            yield connection
    except sqlite3.Error as error:
        raise ConfigError(f"the database {path} cannot be used: {error}") from error


class _Checkpointer:
    """Copies the write-ahead log into the database file, away from the writer's thread."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="store-checkpointer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        connection = self._connect()
        try:
            while not self._stop.wait(_CHECKPOINT_EVERY_S):
                try:
                    connection.execute("PRAGMA wal_checkpoint(passive)")
                except sqlite3.Error as error:  # such as a full disk; the log simply grows on
                    _log.warning("checkpoint failed: %s", error)
        finally:
            connection.close()
