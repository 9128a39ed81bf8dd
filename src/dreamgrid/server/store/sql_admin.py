"""What administrators decided, and the trail of what they did, in SQL."""

import asyncio
from typing import Any

from dreamgrid.protocol.params import TOKEN_TYPES, TokenType
from dreamgrid.server import ledger
from dreamgrid.server.store import sql_money
from dreamgrid.server.store.admin import (
    AccountLimits,
    AccountSummary,
    Action,
    ActivityRow,
    Restriction,
    RestrictionKind,
)
from dreamgrid.server.store.connection import Connection, Read, Write
from dreamgrid.server.store.rows import Balance, Refunded

_ACTION = Action.__struct_fields__
_ACCOUNTS = """
    SELECT account.id, username, created_ms, restriction.reason, max_running_jobs,
           max_queued_projects, coalesce(priority, 0)
      FROM account
      LEFT JOIN restriction ON restriction.kind = 'account' AND target = account.id
      LEFT JOIN account_limits ON account_id = account.id
     WHERE instr(lower(username), lower(?1)) > 0 OR ?1 = ''
     ORDER BY lower(username) LIMIT ?2 OFFSET ?3
"""
_ACTIVITY = """
    SELECT (job.ended_ms - ?1) / ?2,
           sum(CASE WHEN job.state = 'completed' THEN 1 ELSE 0 END),
           sum(CASE WHEN job.state = 'failed' THEN 1 ELSE 0 END),
           CAST(round(avg(CASE WHEN job.state = 'completed'
                               THEN job.started_ms - job.created_ms END)) AS BIGINT),
           CAST(round(avg(CASE WHEN job.state = 'completed'
                               THEN job.ended_ms - job.started_ms END)) AS BIGINT),
           sum(CASE WHEN token_type = 'spark' THEN job.charged_micros ELSE 0 END)
      FROM project JOIN job ON job.project = project.number
     WHERE (project.ended_ms IS NULL OR project.ended_ms >= ?1) AND job.ended_ms >= ?1
     GROUP BY 1 ORDER BY 1
"""


class SqlAdmin:
    """An `AdminStore`; it writes and reads through the store that it belongs to."""

    def __init__(self, write: Write, read: Read) -> None:
        self._write = write
        self._read = read

    def grant(
        self, account_id: str, currency: TokenType, amount_micros: int, action: Action
    ) -> asyncio.Future[Balance]:
        def operation(connection: Connection) -> Balance:
            entry = ledger.grant(currency, account_id, amount_micros, action.at_ms)
            sql_money.transfer(connection, entry)
            _note(connection, action)
            return sql_money.balance(connection, account_id, currency)

        return self._write(operation)

    def refund(
        self, project_id: str, job_id: str | None, action: Action
    ) -> asyncio.Future[Refunded]:
        def operation(connection: Connection) -> Refunded:
            refunded = sql_money.refund(connection, project_id, job_id, action.at_ms)
            if refunded.jobs:
                _note(connection, action)
            return refunded

        return self._write(operation)

    def restrict(self, restriction: Restriction, action: Action) -> asyncio.Future[None]:
        def operation(connection: Connection) -> None:
            connection.execute(
                "INSERT INTO restriction (kind, target, reason, at_ms) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (kind, target) DO UPDATE SET reason = excluded.reason",
                (restriction.kind, restriction.target, restriction.reason, restriction.at_ms),
            )
            _note(connection, action)

        return self._write(operation)

    def lift(self, kind: RestrictionKind, target: str, action: Action) -> asyncio.Future[bool]:
        def operation(connection: Connection) -> bool:
            lifted = connection.execute(
                "DELETE FROM restriction WHERE kind = ? AND target = ?", (kind, target)
            )
            if lifted.rowcount:
                _note(connection, action)
            return lifted.rowcount > 0

        return self._write(operation)

    def set_limits(
        self, account_id: str, limits: AccountLimits, action: Action
    ) -> asyncio.Future[None]:
        def operation(connection: Connection) -> None:
            connection.execute(
                "INSERT INTO account_limits"
                " (account_id, max_running_jobs, max_queued_projects, priority)"
                " VALUES (?, ?, ?, ?) ON CONFLICT (account_id) DO UPDATE SET"
                " max_running_jobs = excluded.max_running_jobs,"
                " max_queued_projects = excluded.max_queued_projects, priority = excluded.priority",
                (account_id, limits.max_running_jobs, limits.max_queued_projects, limits.priority),
            )
            _note(connection, action)

        return self._write(operation)

    def note(self, action: Action) -> asyncio.Future[None]:
        return self._write(lambda connection: _note(connection, action))

    async def restrictions(self) -> list[Restriction]:
        rows = await self._rows("SELECT kind, target, reason, at_ms FROM restriction ORDER BY 4")
        return [
            Restriction(kind=row[0], target=row[1], reason=row[2], at_ms=row[3]) for row in rows
        ]

    async def limits(self) -> dict[str, AccountLimits]:
        rows = await self._rows(
            "SELECT account_id, max_running_jobs, max_queued_projects, priority FROM account_limits"
        )
        return {
            row[0]: AccountLimits(
                max_running_jobs=row[1], max_queued_projects=row[2], priority=row[3]
            )
            for row in rows
        }

    async def actions(self, limit: int, offset: int) -> list[Action]:
        rows = await self._rows(
            f"SELECT {', '.join(_ACTION)} FROM admin_action ORDER BY id DESC LIMIT ? OFFSET ?",
            limit,
            offset,
        )
        return [Action(**dict(zip(_ACTION, row, strict=True))) for row in rows]

    async def activity(self, since_ms: int, part_ms: int) -> list[ActivityRow]:
        rows = await self._rows(_ACTIVITY, since_ms, part_ms)
        names = ActivityRow.__struct_fields__
        return [ActivityRow(**dict(zip(names, row, strict=True))) for row in rows]

    async def accounts(self, search: str, limit: int, offset: int) -> list[AccountSummary]:
        def read(connection: Connection) -> list[AccountSummary]:
            rows = connection.execute(_ACCOUNTS, (search, limit, offset)).fetchall()
            return [_summary(connection, row) for row in rows]

        return await self._read(read)

    async def _rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return await self._read(lambda connection: connection.execute(sql, values).fetchall())


def _summary(connection: Connection, row: tuple[Any, ...]) -> AccountSummary:
    return AccountSummary(
        id=row[0],
        username=row[1],
        created_ms=row[2],
        balances={token: sql_money.balance(connection, row[0], token) for token in TOKEN_TYPES},
        banned_reason=row[3],
        limits=AccountLimits(max_running_jobs=row[4], max_queued_projects=row[5], priority=row[6]),
    )


def _note(connection: Connection, action: Action) -> None:
    connection.execute(
        "INSERT INTO admin_action (at_ms, actor, action, target, detail, reason)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (action.at_ms, action.actor, action.action, action.target, action.detail, action.reason),
    )
