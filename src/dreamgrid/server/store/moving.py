"""Moves a database from SQLite to PostgreSQL: every row, in one transaction, and compared.

It arrives whole or not at all, so that it can be broken off and begun again at any time.
"""

import graphlib
import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from dreamgrid.errors import ConfigError
from dreamgrid.server.store import postgres_schema
from dreamgrid.server.store.connection import Connection
from dreamgrid.server.store.postgres import SERVER_LOCK, TURN_LOCK
from dreamgrid.server.store.postgres_connection import PostgresConnection
from dreamgrid.server.store.sql_audit import audited
from dreamgrid.server.store.sqlite import migrate_file

Progress = Callable[[int, int], None]
"""Told how much is done, and how much there is."""

_TELL_EVERY = 1_000
"""Rows between two calls of it."""


class Contents(msgspec.Struct, frozen=True):
    """What a table holds.

    Attributes:
        rows: How many rows.
        checksum: The same for the same rows in any order.
    """

    rows: int
    checksum: int


def copy_rows(file: Path, address: str, on_progress: Progress) -> dict[str, int]:
    """Copies the database in a file into an empty one; how many rows each table has.

    Where that was done before, nothing is.

    Args:
        file: A SQLite database that nobody else uses. It is brought to the newest version first.
        address: As `PostgresConnection` takes it.
        on_progress: Told rows; each counts twice, as it is written and compared.

    Raises:
        ConfigError: One of them cannot be used: the source's books do not add up, or the target
            is in use, or holds something else. Nothing was changed in the target.
    """
    with _both(file, address) as (source, target):
        return _Copy(source, target, on_progress).run()


def check_rows(file: Path, address: str) -> None:
    """Looks whether `copy_rows` would do it; fills nothing in.

    Raises:
        ConfigError: As `copy_rows`.
    """
    with _both(file, address) as (source, target):
        copy = _Copy(source, target, lambda done, total: None)
        if not copy.target_is_empty():
            copy.run()  # compares


@contextmanager
def _both(file: Path, address: str) -> Iterator[tuple[sqlite3.Connection, PostgresConnection]]:
    """The database in a file and the one at an address, of the newest version and nobody else's."""
    try:
        with (
            closing(_source(file)) as source,
            closing(PostgresConnection(address)) as target,
            _alone(target),
        ):
            postgres_schema.migrate(target)
            yield source, target
    except sqlite3.Error as error:
        raise ConfigError(f"the database {file} cannot be read: {error}") from error
    except psycopg.Error as error:
        raise ConfigError(f"PostgreSQL does not take it: {str(error).strip()}") from error


def _source(file: Path) -> sqlite3.Connection:
    migrate_file(file)
    connection = sqlite3.connect(file, isolation_level=None)
    try:
        # No second file with what was written last: this one is kept under another name.
        connection.execute("PRAGMA journal_mode = delete")
        if not audited(connection).clean:
            raise ConfigError("the books do not add up; 'dreamgrid audit' says what to do about it")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _alone(target: PostgresConnection) -> Iterator[None]:
    """Keeps servers out of a database for as long as the block runs, and not a moment longer.

    The end of the connection would let them in as well, but only when PostgreSQL has noticed it.
    """
    (ours,) = target.execute("SELECT pg_try_advisory_lock(?)", (SERVER_LOCK,)).fetchone()
    if not ours:
        raise ConfigError("a server uses that database; stop it first, or name another database")
    try:
        yield
    finally:
        if not target.lost:
            if target.in_transaction:
                target.execute("ROLLBACK")
            target.execute("SELECT pg_advisory_unlock(?)", (SERVER_LOCK,))


class _Copy:
    """One copy under way."""

    def __init__(
        self, source: sqlite3.Connection, target: PostgresConnection, on_progress: Progress
    ) -> None:
        self._source = source
        self._target = target
        self._on_progress = on_progress
        self._tables = _tables(source)
        self._done = 0
        self._total = 2 * sum(_count(source, table) for table in self._tables)

    def target_is_empty(self) -> bool:
        return all(_count(self._target, table) == 0 for table in self._tables)

    def run(self) -> dict[str, int]:
        self._target.execute("BEGIN")
        self._target.execute("SELECT pg_advisory_xact_lock(?)", (TURN_LOCK,))
        empty = self.target_is_empty()
        sent = {
            table: self._write(table, columns) if empty else _contents(self._rows(table, columns))
            for table, columns in self._tables.items()
        }
        for table, columns in self._tables.items():
            there = self._target.stream(f"SELECT {', '.join(columns)} FROM {table}")
            if _contents(self._counted(there)) != sent[table]:
                raise ConfigError(
                    f"what arrived of the table {table} is not what was sent; nothing was kept"
                    if empty
                    else "that database holds another grid already; name an empty one"
                )
        if empty:
            self._continue_numbers()
            if not audited(self._target).clean:
                raise ConfigError("the books do not add up over there; nothing was kept")
        self._target.execute("COMMIT")
        return {table: contents.rows for table, contents in sent.items()}

    def _write(self, table: str, columns: list[str]) -> Contents:
        # Events have rung the webhooks already.
        self._target.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        seen = _Digest()
        self._target.copy_in(table, columns, seen.through(self._rows(table, columns)))
        self._target.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        return seen.contents

    def _rows(self, table: str, columns: list[str]) -> Iterator[tuple[Any, ...]]:
        return self._counted(self._source.execute(f"SELECT {', '.join(columns)} FROM {table}"))

    def _counted(self, rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
        for row in rows:
            yield row
            self._done += 1
            if self._done % _TELL_EVERY == 0 or self._done == self._total:
                self._on_progress(self._done, self._total)

    def _continue_numbers(self) -> None:
        """Numbers that PostgreSQL gives itself go on after the highest."""
        own = self._target.execute(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = current_schema() AND is_identity = 'YES'"
        ).fetchall()
        for table, column in own:
            self._target.execute(
                f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'),"
                f" (SELECT coalesce(max({column}), 0) + 1 FROM {table}), false)"
            )


def _tables(source: sqlite3.Connection) -> dict[str, list[str]]:
    """Every table and its columns; what others refer to comes first."""
    names = source.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    ).fetchall()
    refers = {
        name: {row[2] for row in source.execute(f"PRAGMA foreign_key_list({name})")}
        for (name,) in names
    }
    return {
        name: [row[1] for row in source.execute(f"PRAGMA table_info({name})")]
        for name in graphlib.TopologicalSorter(refers).static_order()
    }


def _count(connection: Connection, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def _contents(rows: Iterable[tuple[Any, ...]]) -> Contents:
    seen = _Digest()
    for _ in seen.through(rows):
        pass
    return seen.contents


class _Digest:
    """Counts rows and adds up their hashes, in whatever order they come."""

    def __init__(self) -> None:
        self._rows = 0
        self._sum = 0

    @property
    def contents(self) -> Contents:
        return Contents(self._rows, self._sum)

    def through(self, rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
        for row in rows:
            digest = hashlib.blake2b(msgspec.msgpack.encode(row), digest_size=16).digest()
            self._rows += 1
            self._sum = (self._sum + int.from_bytes(digest)) % 2**128
            yield row
