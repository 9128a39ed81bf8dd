"""The embedded store: SQLite in WAL mode, `synchronous=FULL`, group commit.

One thread writes, one thread reads, and a third moves the write-ahead log into the database file,
because a checkpoint on the writer's thread would make commits wait for it.
"""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from dreamgrid.errors import ConfigError
from dreamgrid.protocol.params import TOKEN_TYPES, TokenType
from dreamgrid.server import ledger
from dreamgrid.server.store import (
    sqlite_accounts,
    sqlite_events,
    sqlite_keys,
    sqlite_money,
    sqlite_projects,
    sqlite_workers,
)
from dreamgrid.server.store.audit import Audit
from dreamgrid.server.store.base import (
    AccountRow,
    Acquisition,
    Balance,
    Ended,
    EventRow,
    HistoryRow,
    JobEnd,
    KeyRow,
    ProjectRow,
    Refunded,
    Rotation,
    SessionRow,
    Submitted,
    WorkerRow,
)
from dreamgrid.server.store.group_commit import GroupCommitWriter
from dreamgrid.server.store.sqlite_admin import SqliteAdmin
from dreamgrid.server.store.sqlite_audit import audit_file
from dreamgrid.server.store.sqlite_schema import migrate
from dreamgrid.server.store.sqlite_webhooks import SqliteWebhooks

T = TypeVar("T")

MAX_UNCLAIMED = 500
"""Most projects that `unclaimed_projects` answers."""

_CHECKPOINT_EVERY_S = 1.0
_ACCOUNT_COLUMNS = "id, username, address, email, created_ms"
_log = logging.getLogger("dreamgrid.store")


class SqliteStore:
    """A `Store` in one file.

    Args:
        path: The database file; created when absent.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store-reader")
        self._checkpointer = _Checkpointer(self._connect)
        self._writer: GroupCommitWriter
        self._read_connection: sqlite3.Connection
        self._closed = False
        self.webhooks = SqliteWebhooks(self._write, self._read)
        self.admin = SqliteAdmin(self._write, self._read)

    async def open(self) -> None:
        try:
            self._read_connection = await self._in_reader(self._open)
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(
                f"the database {self._path} cannot be opened ({error}); is its folder writable, "
                "and is no other server using it?"
            ) from error
        self._writer = GroupCommitWriter(self._connect)
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

    async def _read(self, question: Callable[[sqlite3.Connection], T]) -> T:
        return await self._in_reader(lambda: question(self._read_connection))

    def _write(self, operation: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        return self._writer.write(operation)

    async def _rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return await self._in_reader(lambda: self._read_connection.execute(sql, values).fetchall())

    # accounts and keys

    def create_account(
        self, account: AccountRow, grant_micros: dict[TokenType, int]
    ) -> asyncio.Future[bool]:
        def operation(connection: sqlite3.Connection) -> bool:
            added = connection.execute(
                f"INSERT INTO account ({_ACCOUNT_COLUMNS}) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                msgspec.structs.astuple(account),
            )
            if added.rowcount == 0:
                return False
            for currency in TOKEN_TYPES:
                sqlite_money.open_balance(connection, account.id, currency)
            for currency, amount in grant_micros.items():
                sqlite_money.transfer(
                    connection, ledger.grant(currency, account.id, amount, account.created_ms)
                )
            return True

        return self._writer.write(operation)

    async def account(self, account_id: str) -> AccountRow | None:
        return await self._one_account("id = ?", account_id)

    async def account_by_username(self, username: str) -> AccountRow | None:
        return await self._one_account("lower(username) = lower(?)", username)

    async def account_by_address(self, address: str) -> AccountRow | None:
        return await self._one_account("address <> '' AND lower(address) = lower(?)", address)

    async def key_by_hash(self, key_hash: bytes) -> KeyRow | None:
        return await self._in_reader(lambda: sqlite_keys.by_hash(self._read_connection, key_hash))

    async def _one_account(self, condition: str, value: Any) -> AccountRow | None:
        rows = await self._rows(f"SELECT {_ACCOUNT_COLUMNS} FROM account WHERE {condition}", value)
        for row in rows:
            return AccountRow(
                id=row[0], username=row[1], address=row[2], email=row[3], created_ms=row[4]
            )
        return None

    def add_key(self, key: KeyRow, *, most: int | None = None) -> asyncio.Future[bool]:
        return self._writer.write(lambda connection: sqlite_keys.add(connection, key, most))

    async def keys(self, account_id: str) -> list[KeyRow]:
        return await self._in_reader(
            lambda: sqlite_keys.of_account(self._read_connection, account_id)
        )

    def revoke_key(self, account_id: str, key_id: str, at_ms: int) -> asyncio.Future[bytes | None]:
        return self._writer.write(
            lambda connection: sqlite_keys.revoke(connection, account_id, key_id, at_ms)
        )

    def balances(self, account_id: str) -> asyncio.Future[dict[TokenType, Balance]]:
        def operation(connection: sqlite3.Connection) -> dict[TokenType, Balance]:
            rows = connection.execute(
                "SELECT currency, posted_micros, held_micros FROM balance WHERE account_id = ?",
                (account_id,),
            )
            found = {row[0]: Balance(posted_micros=row[1], held_micros=row[2]) for row in rows}
            return {token: found[token] for token in TOKEN_TYPES if token in found}

        return self._writer.write(operation)

    def grant(
        self, account_id: str, currency: TokenType, amount_micros: int, at_ms: int
    ) -> asyncio.Future[Balance]:
        def operation(connection: sqlite3.Connection) -> Balance:
            entry = ledger.grant(currency, account_id, amount_micros, at_ms)
            sqlite_money.transfer(connection, entry)
            return sqlite_money.balance(connection, account_id, currency)

        return self._writer.write(operation)

    def refund(self, project_id: str, job_id: str | None, at_ms: int) -> asyncio.Future[Refunded]:
        return self._writer.write(
            lambda connection: sqlite_money.refund(connection, project_id, job_id, at_ms)
        )

    async def audit(self) -> Audit:
        return await asyncio.get_running_loop().run_in_executor(None, audit_file, self._path)

    # sessions and history: what each operation does is told in `sqlite_accounts`

    def add_session(self, session: SessionRow, at_ms: int) -> asyncio.Future[None]:
        return self._writer.write(
            lambda connection: sqlite_accounts.add_session(connection, session, at_ms)
        )

    async def session(self, session_id: str) -> SessionRow | None:
        return await self._in_reader(
            lambda: sqlite_accounts.session(self._read_connection, session_id)
        )

    def rotate_session(self, rotation: Rotation) -> asyncio.Future[str | None]:
        return self._writer.write(
            lambda connection: sqlite_accounts.rotate_session(connection, rotation)
        )

    def extend_session(self, session_id: str, expires_ms: int) -> asyncio.Future[None]:
        return self._writer.write(
            lambda connection: sqlite_accounts.extend_session(connection, session_id, expires_ms)
        )

    def end_session(self, session_id: str) -> asyncio.Future[None]:
        return self._writer.write(
            lambda connection: sqlite_accounts.end_session(connection, session_id)
        )

    async def history(self, account_id: str, limit: int, offset: int) -> list[HistoryRow]:
        return await self._in_reader(
            lambda: sqlite_money.history(self._read_connection, account_id, limit, offset)
        )

    # projects: what each operation does is told in `sqlite_projects`

    def submit(self, project: ProjectRow) -> asyncio.Future[Submitted]:
        return self._writer.write(lambda connection: sqlite_projects.submit(connection, project))

    def acquire(
        self, acquisitions: Sequence[Acquisition], at_ms: int
    ) -> asyncio.Future[list[bool]]:
        return self._writer.write(
            lambda connection: sqlite_projects.acquire(connection, acquisitions, at_ms)
        )

    def start(self, job_id: str, attempt: int, at_ms: int) -> asyncio.Future[None]:
        return self._writer.write(
            lambda connection: sqlite_projects.start(connection, job_id, attempt, at_ms),
            hurry=False,  # nobody waits for it
        )

    def requeue(
        self, job_id: str, attempt: int, failures: int, reason: str, at_ms: int
    ) -> asyncio.Future[bool]:
        return self._writer.write(
            lambda connection: sqlite_projects.requeue(
                connection, job_id, attempt, failures, reason, at_ms
            )
        )

    def end_job(self, end: JobEnd) -> asyncio.Future[Ended]:
        return self._writer.write(lambda connection: sqlite_projects.end_job(connection, end))

    def cancel(
        self, project_id: str, reason: str, at_ms: int, *, claimed: bool
    ) -> asyncio.Future[Ended]:
        return self._writer.write(
            lambda connection: sqlite_projects.cancel(
                connection, project_id, reason, at_ms, claimed=claimed
            )
        )

    def claim(self, project_ids: Sequence[str]) -> asyncio.Future[None]:
        rows = [(project_id,) for project_id in project_ids]

        def operation(connection: sqlite3.Connection) -> None:
            connection.executemany("UPDATE project SET claimed = 1 WHERE id = ?", rows)

        return self._writer.write(operation)

    def prune(self, before_ms: int) -> asyncio.Future[int]:
        return self._writer.write(lambda connection: sqlite_projects.prune(connection, before_ms))

    async def events(self, project_id: str, after: int, most: int = 1_000) -> list[EventRow]:
        return await self._in_reader(
            lambda: sqlite_events.read(self._read_connection, project_id, after, most)
        )

    async def project(self, project_id: str) -> ProjectRow | None:
        rows = await self._projects("id = ?", project_id)
        return rows[0] if rows else None

    async def project_of_job(self, job_id: str) -> str | None:
        rows = await self._rows(
            "SELECT project.id FROM job JOIN project ON project.number = job.project"
            " WHERE job.id = ?",
            job_id,
        )
        return rows[0][0] if rows else None

    async def open_projects(self) -> list[ProjectRow]:
        return await self._projects("ended_ms IS NULL ORDER BY created_ms, number")

    async def unclaimed_projects(
        self, account_id: str, app_id: str | None, since_ms: int
    ) -> list[ProjectRow]:
        condition = "account_id = ? AND ended_ms >= ? AND claimed = 0"
        newest = f"ORDER BY ended_ms DESC LIMIT {MAX_UNCLAIMED}"
        if app_id is None:
            found = await self._projects(f"{condition} {newest}", account_id, since_ms)
        else:
            found = await self._projects(
                f"{condition} AND app_id = ? {newest}", account_id, since_ms, app_id
            )
        return found[::-1]

    # workers: what each operation does is told in `sqlite_workers`

    def note_workers(self, workers: Sequence[WorkerRow]) -> asyncio.Future[None]:
        return self._writer.write(lambda connection: sqlite_workers.note(connection, workers))

    def forget_workers(self, before_ms: int) -> asyncio.Future[None]:
        return self._writer.write(lambda connection: sqlite_workers.forget(connection, before_ms))

    async def workers(self, since_ms: int) -> list[WorkerRow]:
        return await self._in_reader(
            lambda: sqlite_workers.seen_since(self._read_connection, since_ms)
        )

    async def recent_projects(
        self, account_id: str, since_ms: int, limit: int, app_source: str | None
    ) -> list[ProjectRow]:
        condition = (
            "account_id = ? AND ended_ms >= ? AND EXISTS"
            " (SELECT 1 FROM job WHERE project = number AND state = 'completed')"
        )
        values: list[Any] = [account_id, since_ms]
        if app_source is not None:
            condition += " AND json_extract(CAST(request AS TEXT), '$.appSource') = ?"
            values.append(app_source)
        return await self._projects(f"{condition} ORDER BY ended_ms DESC LIMIT ?", *values, limit)

    async def ended_projects(
        self, account_id: str, limit: int, before: str | None
    ) -> list[ProjectRow]:
        condition, values = "account_id = ? AND ended_ms IS NOT NULL", [account_id]
        if before is not None:
            condition += " AND (ended_ms, id) < (SELECT ended_ms, id FROM project WHERE id = ?)"
            values.append(before)
        condition += " ORDER BY ended_ms DESC, id DESC LIMIT ?"
        return await self._projects(condition, *values, limit)

    async def _projects(self, condition: str, *values: Any) -> list[ProjectRow]:
        return await self._in_reader(
            lambda: sqlite_projects.select(self._read_connection, condition, values)
        )


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
