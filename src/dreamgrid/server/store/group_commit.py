"""One writer thread that commits many operations with one fsync.

Operations that arrive while a commit is under way share the next one, so that throughput grows with
load and an idle server answers after a single fsync. An operation is a function of the connection;
all operations of a batch run in one transaction. If one raises, the batch is rolled back and its
operations run again, each in a transaction of its own, so that only the culprit fails.
"""

import asyncio
import logging
import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeVar

from dreamgrid.errors import ServerUnavailable
from dreamgrid.server.store.connection import Connection
from dreamgrid.server.store.sql_changes import answers

T = TypeVar("T")


class WriterConnection(Connection, Protocol):
    """A connection that has transactions."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction has begun and not ended."""
        ...

    def close(self) -> None:
        """Hangs up; what was not committed is undone."""
        ...


C = TypeVar("C", bound=WriterConnection)
Operation = Callable[[C], Any]
Write = tuple[Operation[C], asyncio.Future[Any]]

Outcome = tuple[bool, Any]
"""Whether an operation succeeded, and its value or exception."""

_MAX_BATCH = 1_000
_LEISURE_S = 0.2
_log = logging.getLogger("dreamgrid.store")


class GroupCommitWriter(Generic[C]):
    """Runs operations on its own thread; futures resolve on the event loop, in order.

    Args:
        connect: Opens the connection; called on the writer thread, which keeps it.
    """

    def __init__(self, connect: Callable[[], C]) -> None:
        self._connect = connect
        self._loop = asyncio.get_running_loop()
        self._gathered: list[Write[C]] = []
        self._hurrying = False
        self._queue: queue.SimpleQueue[list[Write[C]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._closed = False
        self._handed_over: deque[tuple[float, int]] = deque()

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def write(self, operation: Callable[[C], T], *, hurry: bool = True) -> asyncio.Future[T]:
        """Queues an operation; the future resolves once it is durable.

        Without `hurry` it shares the transaction of the next operation that is in one, or waits
        for `_LEISURE_S`: a commit costs the disk the same for one operation and for many.

        The future raises `ServerUnavailable` when the disk is full or the file cannot be written,
        and whatever else the operation raised. In both cases nothing of it was stored.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        if self._closed:
            future.set_exception(ServerUnavailable("the server is stopping; try again in a moment"))
        else:
            self._gathered.append((operation, future))
            if hurry and not self._hurrying:
                self._hurrying = True
                self._loop.call_soon(self._hand_over)
            elif len(self._gathered) == 1:
                self._loop.call_later(_LEISURE_S, self._hand_over)
        return future

    def _hand_over(self) -> None:
        """Gives the thread all that one turn of the event loop wrote: it wakes up once for it."""
        gathered, self._gathered = self._gathered, []
        self._hurrying = False
        if gathered:
            self._handed_over.append((self._loop.time(), len(gathered)))
            self._queue.put(gathered)

    def backlog(self) -> tuple[int, float]:
        """How many operations are not answered yet, and for how many seconds the oldest waits."""
        if not self._handed_over:
            return len(self._gathered), 0.0
        waiting = sum(count for _, count in self._handed_over)
        return len(self._gathered) + waiting, self._loop.time() - self._handed_over[0][0]

    def _settle(self, futures: list[asyncio.Future[Any]], outcomes: list[Outcome]) -> None:
        """Resolves the futures of a batch, which is of whole hand-overs."""
        answered = len(futures)
        while answered:
            answered -= self._handed_over.popleft()[1]
        _resolve(futures, outcomes)

    async def close(self) -> None:
        """Commits what is queued and ends the thread."""
        if not self._closed:
            self._closed = True
            self._hand_over()
            self._queue.put(None)
            await self._loop.run_in_executor(None, self._thread.join)

    def _run(self) -> None:
        """Answers every batch, whatever happens: a write that is never answered hangs for ever."""
        connection: C | None = None
        while batch := self._next_batch():
            outcomes: list[Outcome]
            try:
                connection = connection or self._connect()
            except Exception as error:  # the top of the thread: it must survive
                _log.error("the database cannot be opened for writing: %s", error)
                outcomes = [(False, _unwritable(error))] * len(batch)
            else:
                outcomes = self._committed(connection, [operation for operation, _ in batch])
                if connection.in_transaction:
                    _log.error("a transaction can be neither committed nor undone; opening anew")
                    connection.close()  # undoes it
                    connection = None
            self._loop.call_soon_threadsafe(self._settle, [future for _, future in batch], outcomes)
        if connection is not None:
            connection.close()

    def _committed(self, connection: C, operations: list[Operation[C]]) -> list[Outcome]:
        """Runs operations in one transaction, or one by one where that fails."""
        return _commit(connection, operations)

    def _next_batch(self) -> list[Write[C]]:
        batch: list[Write[C]] = []
        item = self._queue.get()
        while item is not None:
            batch += item
            if len(batch) >= _MAX_BATCH:
                return batch
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return batch
        if batch:  # closing: commit these first, then find the end mark again
            self._queue.put(None)
        return batch


def _commit(connection: C, operations: list[Operation[C]]) -> list[Outcome]:
    try:
        connection.execute("BEGIN IMMEDIATE")
        outcomes = [(True, told) for told in answers(connection, operations)]
        connection.execute("COMMIT")
    except Exception as error:  # the top of the writer's loop: it must survive
        if connection.in_transaction:
            with suppress(sqlite3.Error):  # then it is still open, which `_run` notices
                connection.execute("ROLLBACK")
        if len(operations) == 1:
            return [(False, _translated(error))]
        _log.warning("a batch of %d writes failed, writing one by one: %s", len(operations), error)
        return [_commit(connection, [operation])[0] for operation in operations]
    return outcomes


def _translated(error: Exception) -> Exception:
    if not isinstance(error, sqlite3.OperationalError):
        return error
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return ServerUnavailable("the server's disk is full; nothing was stored or charged")
    return _unwritable(error)


def _unwritable(error: Exception) -> ServerUnavailable:
    return ServerUnavailable(f"the server's database cannot be written: {error}")


def _resolve(futures: list[asyncio.Future[Any]], outcomes: list[Outcome]) -> None:
    for future, (succeeded, value) in zip(futures, outcomes, strict=True):
        if future.cancelled():
            continue
        if succeeded:
            future.set_result(value)
        else:
            future.set_exception(value)
