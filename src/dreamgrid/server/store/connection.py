"""What the SQL of the store asks of a database: SQLite's own connection has it, PostgreSQL gets it.

Statements are written once for both. Values stand at `?` or `?1`, as in SQLite; truth is 0 or 1.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Cursor(Protocol):
    """The outcome of a statement.

    Attributes:
        rowcount: How many rows it changed.
    """

    @property
    def rowcount(self) -> int: ...

    def fetchone(self) -> Any:
        """The next row as a tuple; None: there is none."""
        ...

    def fetchmany(self, size: int, /) -> list[Any]:
        """The next rows, at most `size`."""
        ...

    def fetchall(self) -> list[Any]:
        """All rows that follow."""
        ...

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """An open database."""

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> Cursor:
        """Runs a statement."""
        ...

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> Cursor:
        """Runs a statement for each of several rows of values."""
        ...


class Write(Protocol):
    """Runs an operation in a transaction."""

    def __call__(self, operation: Callable[[Connection], T]) -> asyncio.Future[T]: ...


class Read(Protocol):
    """Asks a question of what is stored."""

    def __call__(self, question: Callable[[Connection], T]) -> Awaitable[T]: ...
