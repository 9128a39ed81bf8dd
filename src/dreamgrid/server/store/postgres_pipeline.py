"""Transactions whose statements do not wait for each other.

A statement is sent when it comes, and whoever reads its answer waits for it; most answers nobody
reads. It is libpq's own pipeline mode, as psycopg hands it through: psycopg's cursors can do it
too, but take five times the CPU for a statement.
"""

import selectors
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache, partial
from typing import Any

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGresult

Row = tuple[Any, ...]
Taken = Callable[[PGresult], None]
"""Takes an answer when it has come."""

_FINE = (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)
"""One that takes no file descriptor of its own."""


class Answer:
    """What one statement, or one for several rows of values, answers: a `Cursor`."""

    __slots__ = ("_changed", "_missing", "_pipeline", "_result", "_rows")

    def __init__(self, pipeline: "Pipeline", statements: int) -> None:
        self._pipeline = pipeline
        self._missing = statements
        self._changed = 0
        self._result: PGresult | None = None
        self._rows: Iterator[Row] | None = None

    def take(self, result: PGresult) -> None:
        """It has come, or a part of it."""
        self._missing -= 1
        self._changed += result.command_tuples or 0
        self._result = result

    @property
    def missing(self) -> int:
        """How many of its parts have not come."""
        return self._missing

    @property
    def rowcount(self) -> int:
        self._pipeline.wait_for(self)
        return self._changed

    def fetchone(self) -> Any:
        return next(self._read(), None)

    def fetchmany(self, size: int, /) -> list[Any]:
        return [row for _, row in zip(range(size), self._read(), strict=False)]

    def fetchall(self) -> list[Any]:
        return list(self._read())

    def __iter__(self) -> Iterator[Any]:
        return self._read()

    def _read(self) -> Iterator[Row]:
        if self._rows is None:
            self._pipeline.wait_for(self)
            self._rows = iter(self._pipeline.rows(self._result) if self._result else ())
        return self._rows


class Pipeline:
    """The transactions of one connection, one after the other; nothing else uses it meanwhile.

    Args:
        connection: Open, with adapters that stay as they are.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._pgconn = connection.pgconn
        self._transformer = Transformer.from_context(connection)
        self._expected: deque[Taken] = deque()
        self._names: dict[str, list[tuple[Sequence[int], bytes]]] = {}
        self._prepared: list[bytes] = []
        self._named = 0
        self._marked = False
        self._selector = _Selector()
        self._selector.register(self._pgconn.socket, selectors.EVENT_READ)

    def begin(self, sql: str, values: Sequence[Any], check: Callable[[Row], None]) -> Answer:
        """Begins a transaction with a statement; its answer.

        Args:
            sql: The statement.
            values: Its values.
            check: Is called with the row that it answers before any other answer is given. What it
                raises, whoever waits for one gets.
        """

        def checked(result: PGresult) -> None:
            check(self.rows(result)[0])
            answer.take(result)

        self._pgconn.enter_pipeline_mode()
        self._send("BEGIN", (), _nothing)
        answer = Answer(self, 1)
        self._send(sql, values, checked)
        return answer

    def execute(self, sql: str, values: Sequence[Any]) -> Answer:
        """Sends a statement. Values stand at `$1`, `$2` and so on."""
        answer = Answer(self, 1)
        self._send(sql, values, answer.take)
        return answer

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> Answer:
        """Sends a statement for each of several rows of values."""
        several = list(rows)
        answer = Answer(self, len(several))
        for values in several:
            self._send(sql, values, answer.take)
        return answer

    def commit(self) -> None:
        """Ends the transaction; nothing of it is stored when this raises.

        Raises:
            psycopg.Error: A statement failed. Of a connection that broke nobody knows.
        """
        self._send("COMMIT", (), _nothing)  # which is skipped after one that failed
        self._mark_end()
        while self._expected:
            self._receive()
        self._end()

    def rollback(self) -> None:
        """Undoes the transaction, and forgets what is prepared: that may have been the reason.

        Raises:
            psycopg.Error: The connection broke.
        """
        if not self._marked:
            self._mark_end()
        self._end()
        forgotten = b"".join(b"; DEALLOCATE " + name for name in self._prepared)
        self._names.clear()
        self._prepared.clear()
        result = self._pgconn.exec_(b"ROLLBACK" + forgotten)
        if result.status not in _FINE:
            raise error_from_result(result)

    def close(self) -> None:
        """Forgets the connection."""
        self._selector.close()

    def wait_for(self, answer: Answer) -> None:
        """Waits until an answer is whole.

        Raises:
            psycopg.Error: Its statement failed, or one before.
        """
        if answer.missing:
            self._pgconn.send_flush_request()
            while answer.missing:
                self._receive()

    def rows(self, result: PGresult) -> list[Row]:
        """The rows of an answer."""
        self._transformer.set_pgresult(result)
        return self._transformer.load_rows(0, result.ntuples, tuple)

    def _send(self, sql: str, values: Sequence[Any], taken: Taken) -> None:
        transformer = self._transformer
        parameters = transformer.dump_sequence(values, _automatic(len(values)))
        name = self._prepared_for(sql, transformer.types or ())
        self._pgconn.send_query_prepared(name, parameters, transformer.formats)
        self._expected.append(taken)

    def _prepared_for(self, sql: str, types: Sequence[int]) -> bytes:
        """The name of a statement that takes values of these types; 0: whatever its place takes."""
        variants = self._names.setdefault(sql, [])
        for known, name in variants:
            if known == types or all(map(_fits, known, types)):
                return name
        self._named += 1
        name = b"dreamgrid_%d" % self._named
        variants.append((types, name))
        self._pgconn.send_prepare(name, sql.encode(), types)
        self._expected.append(partial(self._is_prepared, name))
        return name

    def _is_prepared(self, name: bytes, result: PGresult) -> None:
        self._prepared.append(name)

    def _receive(self) -> None:
        """Hands on the oldest answer that is expected."""
        result = self._result()
        if result is None or self._pgconn.status == ConnStatus.BAD:
            raise psycopg.OperationalError(self._pgconn.get_error_message())
        if result.status not in _FINE:
            raise error_from_result(result)
        self._result()  # None: it is the last of its statement
        self._expected.popleft()(result)

    def _mark_end(self) -> None:
        """Says that nothing follows; up to here the server skips everything after a failure."""
        self._pgconn.pipeline_sync()
        self._marked = True

    def _end(self) -> None:
        """Takes all answers to the end and leaves the mode."""
        self._expected.clear()
        while (result := self._result()) is None or result.status != ExecStatus.PIPELINE_SYNC:
            if self._pgconn.status == ConnStatus.BAD:
                raise psycopg.OperationalError(self._pgconn.get_error_message())
        self._pgconn.exit_pipeline_mode()
        self._marked = False

    def _result(self) -> PGresult | None:
        """The next result; waits for it without keeping other threads from their work."""
        pgconn = self._pgconn
        while pgconn.is_busy():
            if pgconn.flush():  # it takes no more before we have read
                self._selector.modify(pgconn.socket, selectors.EVENT_READ | selectors.EVENT_WRITE)
                self._selector.select()
                self._selector.modify(pgconn.socket, selectors.EVENT_READ)
            else:
                self._selector.select()
            pgconn.consume_input()
        return pgconn.get_result()


def _fits(known: int, given: int) -> bool:
    return known == given or not known or not given


def _nothing(result: PGresult) -> None:
    """For answers that nobody reads."""


@lru_cache(maxsize=512)
def _automatic(count: int) -> list[PyFormat]:
    return [PyFormat.AUTO] * count
