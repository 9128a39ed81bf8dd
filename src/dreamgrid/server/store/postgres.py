"""The store for grids that outgrow one machine: PostgreSQL, with the SQL of the embedded store.

One thread writes and commits whole groups, another one reads. Writers take turns, across processes
too: the first statement of every transaction takes a lock that its end gives back. So every
operation sees what all before it have done, as in SQLite.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import TypeVar

import psycopg

from dreamgrid.errors import ConfigError, DatabaseInUse, DreamgridError, ServerUnavailable
from dreamgrid.server.store.audit import Audit
from dreamgrid.server.store.connection import Connection
from dreamgrid.server.store.group_commit import GroupCommitWriter, Operation, Outcome
from dreamgrid.server.store.postgres_connection import PostgresConnection
from dreamgrid.server.store.postgres_schema import check, migrate, schema, version
from dreamgrid.server.store.schema import Schema
from dreamgrid.server.store.sql_audit import audited
from dreamgrid.server.store.sql_changes import answers
from dreamgrid.server.store.sql_store import SqlStore

T = TypeVar("T")

TURN_LOCK = 7_236_000_001
"""Key of the lock that writers take in turn."""

SERVER_LOCK = 7_236_000_002
"""Key of the lock that the one server of a database keeps: the coordinator, where there are nodes.

Its number (`reign`) fences: whoever does not hold the lock, or has another number, writes nothing.
"""

_BEGIN = "SELECT pg_advisory_xact_lock(?), CAST(pg_current_xact_id() AS TEXT), 0"
_BEGIN_FENCED = _BEGIN[:-1] + "(SELECT last_value FROM dreamgrid_reign)"
"""The first statement of every transaction."""

_BY_INDEX = "SELECT set_config('enable_seqscan', 'off', false), set_config('jit', 'off', false)"
"""What is written is found by its key. Of a list of keys in a table that was small when it was
planned, PostgreSQL would otherwise look through the table, and remember to."""

_ASK_AGAIN_S = 0.2
"""How long to wait before asking again what became of a commit whose answer was lost."""

_log = logging.getLogger("dreamgrid.store")


class PostgresStore(SqlStore):
    """A `Store` in one database.

    Args:
        address: As `PostgresConnection` takes it.
        alone: Refuse to share the database: it is opened for one server, and whoever lost its
            connection cannot write after another server has taken over, nor after that one ended.
    """

    app_source = "(convert_from(request, 'UTF8')::json ->> 'appSource')"

    def __init__(self, address: str, *, alone: bool = False) -> None:
        super().__init__()
        self._address = address
        self._alone = alone
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store-reader")
        self._reading: PostgresConnection | None = None
        self._first_writing: PostgresConnection | None = None
        self._writer: PostgresWriter
        self._closed = False
        self._reign = 0

    async def open(self) -> None:
        try:
            await self._in_reader(self._open)
        except BaseException:
            self._reader.submit(self._hang_up)  # also from what a canceled call still opens
            self._reader.shutdown(wait=False)
            raise
        self._writer = PostgresWriter(self._writing, self._connect, self._reign)
        self._writer.start()

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        await self._writer.close()
        await self._in_reader(self._hang_up)
        self._reader.shutdown()

    async def audit(self) -> Audit:
        return await asyncio.get_running_loop().run_in_executor(None, audit_database, self._address)

    def _connect(self) -> PostgresConnection:
        return PostgresConnection(self._address)

    def _open(self) -> None:
        try:
            self._first_writing = self._writing()
            if self._alone:  # before anything that takes long: others know then that we are new
                self._begin_reign(self._first_writing)
            migrate(self._first_writing)
            if self._alone and not self._reign:
                self._begin_reign(self._first_writing)
            self._reading = self._connect()
        except BaseException as error:
            self._hang_up()
            if not isinstance(error, psycopg.Error):
                raise
            raise ConfigError(f"the database cannot be opened: {str(error).strip()}") from None

    def _hang_up(self) -> None:
        for connection in (self._reading, self._first_writing):
            if connection is not None:
                connection.close()

    def _writing(self) -> PostgresConnection:
        """A connection that may write; the one from the start, if nobody has it yet."""
        connection, self._first_writing = self._first_writing, None
        if connection is not None:
            return connection
        connection = self._connect()
        connection.execute(_BY_INDEX)
        if self._alone:
            (ours,) = connection.execute(
                "SELECT pg_try_advisory_lock(?)", (SERVER_LOCK,)
            ).fetchone()
            if not ours:
                connection.close()
                raise DatabaseInUse(
                    "another server uses this database; stop it first, or give this one a database "
                    "of its own"
                )
            if self._reign and self._reign != _reign_of(connection):
                connection.close()
                raise _replaced()
        return connection

    def _begin_reign(self, connection: PostgresConnection) -> None:
        """Counts the servers that have used the database; a number is never given twice."""
        if connection.execute("SELECT to_regclass('dreamgrid_reign')").fetchone()[0] is None:
            return  # a database that has just begun
        (self._reign,) = connection.execute("SELECT nextval('dreamgrid_reign')").fetchone()

    @property
    def reign(self) -> int:
        """The number that fences this server, once opened `alone`; larger than all before it."""
        return self._reign

    async def hold(self) -> None:
        """Makes sure that the database is still ours, on a new connection where one broke.

        Raises:
            ServerUnavailable: It is not, or does not answer.
        """
        await self._write(lambda connection: None)

    async def _in_reader(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._reader, function)

    async def _read(self, question: Callable[[Connection], T]) -> T:
        return await self._in_reader(lambda: self._ask(question))

    def _ask(self, question: Callable[[Connection], T]) -> T:
        """Asks again on a new connection where the old one broke: reading changes nothing."""
        try:
            if self._reading is not None and not self._reading.lost:
                try:
                    return question(self._reading)
                except psycopg.OperationalError:
                    if not self._reading.lost:
                        raise
            self._reading = self._connect()
            return question(self._reading)
        except psycopg.OperationalError as error:
            raise _away(error) from error

    def backlog(self) -> tuple[int, float]:
        return self._writer.backlog()

    def _write(
        self, operation: Callable[[Connection], T], *, hurry: bool = True
    ) -> asyncio.Future[T]:
        return self._writer.write(operation, hurry=hurry)


class PostgresWriter(GroupCommitWriter[PostgresConnection]):
    """Commits groups of operations; knows what became of a commit whose answer was lost.

    Args:
        connect: Opens a connection that may write.
        look: Opens one that only asks.
        reign: The number that every transaction has to find. 0: whatever is there.
    """

    def __init__(
        self,
        connect: Callable[[], PostgresConnection],
        look: Callable[[], PostgresConnection],
        reign: int = 0,
    ) -> None:
        super().__init__(connect)
        self._look = look
        self._reign = reign
        self._begin = _BEGIN_FENCED if reign else _BEGIN
        self._closing = threading.Event()

    async def close(self) -> None:
        """Commits what is queued and ends the thread; a database that is away is not waited for."""
        self._closing.set()
        await super().close()

    def _committed(
        self, connection: PostgresConnection, operations: list[Operation[PostgresConnection]]
    ) -> list[Outcome]:
        transaction: str | None = None
        try:
            began = connection.begin(self._begin, (TURN_LOCK,), self._check)
            outcomes: list[Outcome] = [(True, told) for told in answers(connection, operations)]
            _, transaction, _ = began.fetchone()
            connection.commit()
        except Exception as error:  # the top of the writer's loop: it must survive
            if connection.lost:
                if transaction is not None and self._is_stored(transaction):
                    return outcomes
                return [(False, _away(error))] * len(operations)
            if connection.in_transaction:
                with suppress(psycopg.Error):  # then it is still open, which `_run` notices
                    connection.rollback()
            if len(operations) == 1:
                return [(False, _translated(error))]
            _log.warning(
                "a batch of %d writes failed, writing one by one: %s", len(operations), error
            )
            return self._one_by_one(connection, operations)
        return outcomes

    def _check(self, began: tuple[None, str, int]) -> None:
        """Looks at what a transaction began with."""
        if began[2] != self._reign:
            raise _replaced()

    def _one_by_one(
        self, connection: PostgresConnection, operations: list[Operation[PostgresConnection]]
    ) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for operation in operations:
            if connection.lost:
                outcomes.append((False, _away(psycopg.OperationalError("the connection broke"))))
            else:
                outcomes += self._committed(connection, [operation])
        return outcomes

    def _is_stored(self, transaction: str) -> bool:
        """Whether a transaction was committed whose connection broke meanwhile.

        Nothing else is written before that is known: what was charged or delivered would be taken
        for what never happened. Only a server that stops leaves it open; the next one reads it.
        """
        said = False
        while True:
            try:
                return self._ask_about(transaction)
            except psycopg.OperationalError as error:
                if not said:
                    _log.error("nothing is written before a commit's fate is known: %s", error)
                said = True
            if self._closing.wait(_ASK_AGAIN_S):
                _log.error("stopping; nobody knows whether the last writes were stored")
                return False

    def _ask_about(self, transaction: str) -> bool:
        """Whether it was committed.

        Raises:
            psycopg.OperationalError: Nobody can tell yet.
        """
        asking = self._look()
        try:
            (status,) = asking.execute(
                "SELECT pg_xact_status(CAST(CAST(? AS TEXT) AS xid8))", (transaction,)
            ).fetchone()
        except psycopg.errors.InvalidParameterValue:  # a copy took over that never heard of it
            return False
        finally:
            asking.close()
        if status == "in progress":
            raise psycopg.OperationalError("its connection still ends")
        return bool(status == "committed")


def _replaced() -> DatabaseInUse:
    return DatabaseInUse(
        "another server has used this database meanwhile, so what this one knows is no longer "
        "true; start it again"
    )


def _reign_of(connection: PostgresConnection) -> int:
    (number,) = connection.execute("SELECT last_value FROM dreamgrid_reign").fetchone()
    return int(number)


def audit_database(address: str) -> Audit:
    """Audits a database as of one moment, whether or not a server is using it.

    Raises:
        ConfigError: It cannot be read, or is one of another version.
    """
    try:
        connection = PostgresConnection(address)
        try:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            check(connection)
            return audited(connection)
        finally:
            connection.close()
    except psycopg.Error as error:
        raise ConfigError(f"the database cannot be read: {str(error).strip()}") from error


def schema_of(address: str) -> Schema:
    """How far a database is.

    Raises:
        ConfigError: It cannot be read, or is newer than this dreamgrid.
    """
    try:
        with closing(PostgresConnection(address)) as connection:
            return schema(version(connection))
    except psycopg.Error as error:
        raise ConfigError(f"the database cannot be read: {str(error).strip()}") from error


def migrate_database(address: str) -> None:
    """Brings a database to the newest version, whether or not servers use it.

    Raises:
        ConfigError: It cannot be done. Nothing was changed.
    """
    try:
        with closing(PostgresConnection(address)) as connection:
            migrate(connection)
    except psycopg.Error as error:
        raise ConfigError(
            f"the database was left as it is, try again in a moment: {str(error).strip()}"
        ) from error


def _translated(error: Exception) -> Exception:
    if isinstance(error, DatabaseInUse):
        return ServerUnavailable(f"nothing was stored or charged: {error}")
    if isinstance(error, DreamgridError) or not isinstance(error, psycopg.OperationalError):
        return error
    if isinstance(error, psycopg.errors.DiskFull):
        return ServerUnavailable("the database's disk is full; nothing was stored or charged")
    return _away(error)


def _away(error: Exception) -> ServerUnavailable:
    return ServerUnavailable(f"the server's database does not answer: {str(error).strip()}")
