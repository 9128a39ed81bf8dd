"""A `Store` over any database that speaks our SQL: what its methods are, without a connection.

What each operation does is told in the modules `sql_*`; all of them are written once for SQLite and
PostgreSQL. Who inherits from this brings `_write` and `_read`, and the life of the connections.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec

from dreamgrid.protocol.params import TOKEN_TYPES, TokenType
from dreamgrid.server import ledger
from dreamgrid.server.store import (
    sql_accounts,
    sql_events,
    sql_keys,
    sql_money,
    sql_projects,
    sql_workers,
)
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
from dreamgrid.server.store.connection import Connection
from dreamgrid.server.store.sql_admin import SqlAdmin
from dreamgrid.server.store.sql_changes import Acquire, Cancel, EndJob, Requeue, Start, Submit
from dreamgrid.server.store.sql_webhooks import SqlWebhooks

T = TypeVar("T")

OPEN_AT_ONCE = 500
"""How many open projects are read at once: what was read of all of them would take more memory than
what becomes of it."""

MAX_UNCLAIMED = 500
"""Most projects that `unclaimed_projects` answers."""

_ACCOUNT_COLUMNS = "id, username, address, email, created_ms"


class SqlStore:
    """Everything of a `Store` but to open, to close and to audit it.

    Attributes:
        app_source: SQL for the label of the app in a request; databases read JSON differently.
    """

    app_source: str

    def __init__(self) -> None:
        self.webhooks = SqlWebhooks(self._write, self._read)
        self.admin = SqlAdmin(self._write, self._read)

    def _write(
        self, operation: Callable[[Connection], T], *, hurry: bool = True
    ) -> asyncio.Future[T]:
        raise NotImplementedError

    async def _read(self, question: Callable[[Connection], T]) -> T:
        raise NotImplementedError

    async def _rows(self, sql: str, *values: Any) -> list[Any]:
        return await self._read(lambda connection: connection.execute(sql, values).fetchall())

    # accounts and keys

    def create_account(
        self, account: AccountRow, grant_micros: dict[TokenType, int]
    ) -> asyncio.Future[bool]:
        def operation(connection: Connection) -> bool:
            added = connection.execute(
                f"INSERT INTO account ({_ACCOUNT_COLUMNS}) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                msgspec.structs.astuple(account),
            )
            if added.rowcount == 0:
                return False
            for currency in TOKEN_TYPES:
                sql_money.open_balance(connection, account.id, currency)
            for currency, amount in grant_micros.items():
                sql_money.transfer(
                    connection, ledger.grant(currency, account.id, amount, account.created_ms)
                )
            return True

        return self._write(operation)

    async def account(self, account_id: str) -> AccountRow | None:
        return await self._one_account("id = ?", account_id)

    async def account_by_username(self, username: str) -> AccountRow | None:
        return await self._one_account("lower(username) = lower(?)", username)

    async def account_by_address(self, address: str) -> AccountRow | None:
        return await self._one_account("address <> '' AND lower(address) = lower(?)", address)

    async def key_by_hash(self, key_hash: bytes) -> KeyRow | None:
        return await self._read(lambda connection: sql_keys.by_hash(connection, key_hash))

    async def _one_account(self, condition: str, value: Any) -> AccountRow | None:
        rows = await self._rows(f"SELECT {_ACCOUNT_COLUMNS} FROM account WHERE {condition}", value)
        for row in rows:
            return AccountRow(
                id=row[0], username=row[1], address=row[2], email=row[3], created_ms=row[4]
            )
        return None

    def add_key(self, key: KeyRow, *, most: int | None = None) -> asyncio.Future[bool]:
        return self._write(lambda connection: sql_keys.add(connection, key, most))

    async def keys(self, account_id: str) -> list[KeyRow]:
        return await self._read(lambda connection: sql_keys.of_account(connection, account_id))

    def revoke_key(self, account_id: str, key_id: str, at_ms: int) -> asyncio.Future[bytes | None]:
        return self._write(
            lambda connection: sql_keys.revoke(connection, account_id, key_id, at_ms)
        )

    def balances(self, account_id: str) -> asyncio.Future[dict[TokenType, Balance]]:
        def operation(connection: Connection) -> dict[TokenType, Balance]:
            rows = connection.execute(
                "SELECT currency, posted_micros, held_micros FROM balance WHERE account_id = ?",
                (account_id,),
            )
            found = {row[0]: Balance(posted_micros=row[1], held_micros=row[2]) for row in rows}
            return {token: found[token] for token in TOKEN_TYPES if token in found}

        return self._write(operation)

    def grant(
        self, account_id: str, currency: TokenType, amount_micros: int, at_ms: int
    ) -> asyncio.Future[Balance]:
        def operation(connection: Connection) -> Balance:
            entry = ledger.grant(currency, account_id, amount_micros, at_ms)
            sql_money.transfer(connection, entry)
            return sql_money.balance(connection, account_id, currency)

        return self._write(operation)

    def refund(self, project_id: str, job_id: str | None, at_ms: int) -> asyncio.Future[Refunded]:
        return self._write(
            lambda connection: sql_money.refund(connection, project_id, job_id, at_ms)
        )

    # sessions and history: what each operation does is told in `sql_accounts`

    def add_session(self, session: SessionRow, at_ms: int) -> asyncio.Future[None]:
        return self._write(lambda connection: sql_accounts.add_session(connection, session, at_ms))

    async def session(self, session_id: str) -> SessionRow | None:
        return await self._read(lambda connection: sql_accounts.session(connection, session_id))

    def rotate_session(self, rotation: Rotation) -> asyncio.Future[str | None]:
        return self._write(lambda connection: sql_accounts.rotate_session(connection, rotation))

    def extend_session(self, session_id: str, expires_ms: int) -> asyncio.Future[None]:
        return self._write(
            lambda connection: sql_accounts.extend_session(connection, session_id, expires_ms)
        )

    def end_session(self, session_id: str) -> asyncio.Future[None]:
        return self._write(lambda connection: sql_accounts.end_session(connection, session_id))

    async def history(self, account_id: str, limit: int, offset: int) -> list[HistoryRow]:
        return await self._read(
            lambda connection: sql_money.history(connection, account_id, limit, offset)
        )

    # projects: what each operation does is told in `sql_changes` and `sql_projects`

    def submit(self, project: ProjectRow) -> asyncio.Future[Submitted]:
        return self._write(Submit(project))

    def acquire(
        self, acquisitions: Sequence[Acquisition], at_ms: int
    ) -> asyncio.Future[list[bool]]:
        return self._write(Acquire(acquisitions, at_ms))

    def start(self, job_id: str, attempt: int, at_ms: int) -> asyncio.Future[None]:
        return self._write(Start(job_id, attempt, at_ms), hurry=False)  # nobody waits for it

    def requeue(
        self, job_id: str, attempt: int, failures: int, reason: str, at_ms: int
    ) -> asyncio.Future[bool]:
        return self._write(Requeue(job_id, attempt, failures, reason, at_ms))

    def end_job(self, end: JobEnd) -> asyncio.Future[Ended]:
        return self._write(EndJob(end))

    def cancel(
        self, project_id: str, reason: str, at_ms: int, *, claimed: bool, message: str = ""
    ) -> asyncio.Future[Ended]:
        return self._write(Cancel(project_id, reason, at_ms, claimed=claimed, message=message))

    def claim(self, project_ids: Sequence[str]) -> asyncio.Future[None]:
        rows = [(project_id,) for project_id in project_ids]

        def operation(connection: Connection) -> None:
            connection.executemany("UPDATE project SET claimed = 1 WHERE id = ?", rows)

        return self._write(operation)

    def remove_results(self, project_id: str, job_id: str | None) -> asyncio.Future[int]:
        return self._write(
            lambda connection: sql_projects.remove_results(connection, project_id, job_id)
        )

    def prune(self, before_ms: int) -> asyncio.Future[int]:
        return self._write(lambda connection: sql_projects.prune(connection, before_ms))

    async def events(self, project_id: str, after: int, most: int = 1_000) -> list[EventRow]:
        return await self._read(
            lambda connection: sql_events.read(connection, project_id, after, most)
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

    async def open_projects(self) -> AsyncIterator[list[ProjectRow]]:
        numbers = await self._read(sql_projects.open_numbers)
        for start in range(0, len(numbers), OPEN_AT_ONCE):
            some = numbers[start : start + OPEN_AT_ONCE]
            yield await self._read(partial(sql_projects.numbered, numbers=some))

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

    # workers: what each operation does is told in `sql_workers`

    def note_workers(self, workers: Sequence[WorkerRow]) -> asyncio.Future[None]:
        return self._write(lambda connection: sql_workers.note(connection, workers))

    def forget_workers(self, before_ms: int) -> asyncio.Future[None]:
        return self._write(lambda connection: sql_workers.forget(connection, before_ms))

    async def workers(self, since_ms: int) -> list[WorkerRow]:
        return await self._read(lambda connection: sql_workers.seen_since(connection, since_ms))

    async def recent_projects(
        self, account_id: str, since_ms: int, limit: int, app_source: str | None
    ) -> list[ProjectRow]:
        condition = (
            "account_id = ? AND ended_ms >= ? AND EXISTS"
            " (SELECT 1 FROM job WHERE project = number AND state = 'completed' AND removed = 0)"
        )
        values: list[Any] = [account_id, since_ms]
        if app_source is not None:
            condition += f" AND {self.app_source} = ?"
            values.append(app_source)
        return await self._projects(f"{condition} ORDER BY ended_ms DESC LIMIT ?", *values, limit)

    async def ended_projects(
        self, account_id: str, limit: int, before: str | None, *, formats: Sequence[str] = ()
    ) -> list[ProjectRow]:
        condition = (
            "account_id = ? AND ended_ms IS NOT NULL"
            " AND EXISTS (SELECT 1 FROM job WHERE project = number AND removed = 0)"
        )
        values: list[Any] = [account_id]
        if formats:
            condition += f" AND output_format IN ({', '.join('?' * len(formats))})"
            values += formats
        if before is not None:
            condition += " AND (ended_ms, id) < (SELECT ended_ms, id FROM project WHERE id = ?)"
            values.append(before)
        condition += " ORDER BY ended_ms DESC, id DESC LIMIT ?"
        return await self._projects(condition, *values, limit)

    async def _projects(self, condition: str, *values: Any) -> list[ProjectRow]:
        return await self._read(
            lambda connection: sql_projects.select(connection, condition, values)
        )
