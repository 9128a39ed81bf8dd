"""Statements for many rows at once, written once for SQLite and PostgreSQL.

A statement costs more than its rows: it is looked up, sent or stepped through, and its thread gives
up the interpreter's lock for it and has to get that back. So rows share statements of 1, 2, 4, ...
of them, of which only few differ, and each of these is prepared once.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

from dreamgrid.server.store.connection import Connection, Cursor

_ROWS = "FROM (VALUES {}) AS new"

MOST_AT_ONCE = 64
"""Most rows of one statement. Twice as many gain nothing that can be measured."""


def change(
    connection: Connection, sql: str, row: str, rows: Sequence[Sequence[Any]]
) -> list[tuple[Any, ...]]:
    """Runs a statement that takes rows, for as many as there are; what it returns.

    Args:
        connection: In a transaction.
        sql: With `{}` where VALUES has its rows. An UPDATE has them in `FROM (VALUES {}) AS new`.
        row: One of them, such as `(?, ?)`.
        rows: Their values.
    """
    start, left = 0, len(rows)
    returned: list[tuple[Any, ...]] = []
    while left:
        count = min(MOST_AT_ONCE, 1 << (left.bit_length() - 1))
        values = list(chain.from_iterable(rows[start : start + count]))
        answer = connection.execute(_with_rows(sql, row, count), values)
        if "RETURNING" in sql:
            returned += answer
        start, left = start + count, left - count
    return returned


def find(connection: Connection, sql: str, values: Iterable[Any]) -> list[Cursor]:
    """Runs a query that looks for one of several values; its answers are for the caller to read.

    Args:
        connection: In a transaction.
        sql: With `{}` between the parentheses of every `IN`.
        values: What to look for. None: nothing is asked.
    """
    wanted = list(values)
    found = []
    for start in range(0, len(wanted), MOST_AT_ONCE):
        some = wanted[start : start + MOST_AT_ONCE]
        count = 1 << (len(some) - 1).bit_length()
        some += some[-1:] * (count - len(some))  # to look for one twice finds it once
        found.append(connection.execute(_with_places(sql, count), some))
    return found


@lru_cache(maxsize=256)
def _with_rows(sql: str, row: str, count: int) -> str:
    if count == 1 and _ROWS in sql:  # a table of one row is a detour
        return re.sub(r"new\.column(\d+)", r"?\1", sql.replace(_ROWS, ""))
    return sql.replace("{}", ", ".join([row] * count))


@lru_cache(maxsize=256)
def _with_places(sql: str, count: int) -> str:
    return sql.replace("{}", ", ".join(f"?{place}" for place in range(1, count + 1)))
