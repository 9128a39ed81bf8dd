"""A connection to PostgreSQL that takes the SQL that is written for SQLite as well.

psycopg in its synchronous form: the store's operations are plain functions on threads of their own,
and asked that way it answers in less than half the time of asyncpg. What `begin` begins goes past
its cursors (`postgres_pipeline`).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Dumper, Loader
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus

from dreamgrid.errors import ConfigError
from dreamgrid.server.store.connection import Cursor
from dreamgrid.server.store.postgres_pipeline import Pipeline

_DEFAULTS = {
    "application_name": "dreamgrid",
    "connect_timeout": "5",
    # A server that is gone without a word is noticed within half a minute.
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
}
_PLACE = re.compile(r"\?(\d*)")


class _WholeNumber(Dumper):
    """Numbers and truth are BIGINT, whatever their size: a statement is then prepared once."""

    oid = psycopg.adapters.types["int8"].oid

    def dump(self, obj: Any) -> bytes:
        return b"%d" % obj


class _Sum(Loader):
    """Sums of whole numbers are whole."""

    def load(self, data: Buffer) -> int:
        return int(bytes(data))


class PostgresConnection:
    """See the module's text; a `Connection` with transactions. One thread at a time.

    Args:
        address: postgresql://USER:PASSWORD@HOST/DATABASE, or anything else that libpq takes.

    Raises:
        ConfigError: The address is none.
        psycopg.OperationalError: Nobody is there, or it refuses us.
    """

    def __init__(self, address: str) -> None:
        self._connection = psycopg.connect(
            make_conninfo("", **_DEFAULTS | parsed(address)),
            autocommit=True,
            cursor_factory=psycopg.RawCursor,
            prepare_threshold=1,
        )
        for kind in (int, bool):
            self._connection.adapters.register_dumper(kind, _WholeNumber)
        self._connection.adapters.register_loader("numeric", _Sum)
        self._pipeline: Pipeline | None = None
        self._piped = False  # whether a transaction of the pipeline has begun and not ended

    @property
    def lost(self) -> bool:
        """Whether the connection broke; nothing can be asked of it any more."""
        return self._connection.closed

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction has begun and not ended."""
        # In a pipeline libpq calls itself idle whenever every answer so far has been read.
        idle = self._connection.info.transaction_status is TransactionStatus.IDLE
        return self.lost or self._piped or not idle

    def begin(self, sql: str, values: Sequence[Any], check: Callable[[Any], None]) -> Cursor:
        """Begins a transaction whose statements do not wait for each other, with one of them.

        What is wrong with one of them is raised where an answer is read, or by `commit`.

        Args:
            sql: The first statement.
            values: Its values.
            check: Is given the row that it answers, before any other answer is read.
        """
        if self._pipeline is None:
            self._pipeline = Pipeline(self._connection)
        self._piped = True
        return self._pipeline.begin(_numbered(sql), values, check)

    def commit(self) -> None:
        """Ends what `begin` began."""
        assert self._pipeline is not None, "begin() comes first"
        self._pipeline.commit()
        self._piped = False

    def rollback(self) -> None:
        """Undoes what `begin` began."""
        assert self._pipeline is not None, "begin() comes first"
        self._pipeline.rollback()
        self._piped = False

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> Cursor:
        """Runs a statement."""
        if self._piped and self._pipeline is not None:
            return self._pipeline.execute(_numbered(sql), values)
        return self._connection.execute(_numbered(sql).encode(), values or None)

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> Cursor:
        """Runs a statement for each of several rows of values."""
        if self._piped and self._pipeline is not None:
            return self._pipeline.executemany(_numbered(sql), rows)
        cursor = self._connection.cursor()
        cursor.executemany(_numbered(sql).encode(), rows)
        return cursor

    def copy_in(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], /) -> None:
        """Adds many rows to a table at once."""
        names = ", ".join(columns)
        with self._connection.cursor().copy(f"COPY {table} ({names}) FROM STDIN".encode()) as copy:
            for row in rows:
                copy.write_row(row)

    def stream(self, sql: str, /) -> Iterator[tuple[Any, ...]]:
        """The rows of an answer that has no room in memory; all of them are to be taken."""
        return self._connection.cursor().stream(sql.encode())

    def close(self) -> None:
        """Hangs up; what was not committed is undone."""
        if self._pipeline is not None:
            self._pipeline.close()
        self._connection.close()


def parsed(address: str) -> dict[str, str]:
    """The parts of an address, as libpq names them.

    Raises:
        ConfigError: It is none.
    """
    try:
        return {name: str(value) for name, value in conninfo_to_dict(address).items()}
    except psycopg.ProgrammingError as error:
        raise ConfigError(
            "the store's address cannot be read; write postgresql://USER:PASSWORD@HOST/DATABASE "
            f"({str(error).strip()})"
        ) from None


@lru_cache(maxsize=512)
def _numbered(sql: str) -> str:
    """The places of values as PostgreSQL writes them: `?` is the one after the highest so far."""
    highest = 0

    def place(found: re.Match[str]) -> str:
        nonlocal highest
        number = int(found[1]) if found[1] else highest + 1
        highest = max(highest, number)
        return f"${number}"

    return _PLACE.sub(place, sql)
