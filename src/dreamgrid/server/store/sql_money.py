"""How money moves in SQL. Runs on the writer's thread, inside the transaction of its cause."""

from collections.abc import Sequence
from typing import cast

from dreamgrid.protocol.params import TokenType
from dreamgrid.server import ledger
from dreamgrid.server.ledger import Transfer
from dreamgrid.server.store.base import Balance, HistoryRow, Refunded
from dreamgrid.server.store.connection import Connection

_INSERT_TRANSFER = (
    f"INSERT INTO transfer ({', '.join(Transfer._fields)})"
    f" VALUES ({', '.join('?' * len(Transfer._fields))})"
)
_HOLD = (
    "UPDATE balance SET held_micros = held_micros + ?1"
    " WHERE account_id = ?2 AND currency = ?3 AND posted_micros - held_micros >= ?1"
    " RETURNING posted_micros, held_micros"
)
_CHANGE_BALANCE = (
    "INSERT INTO balance (account_id, currency, posted_micros, held_micros) VALUES (?, ?, ?, 0)"
    " ON CONFLICT (account_id, currency)"
    " DO UPDATE SET posted_micros = balance.posted_micros + excluded.posted_micros"
)
_RELEASE = (
    "UPDATE balance SET posted_micros = posted_micros - ?, held_micros = held_micros - ?"
    " WHERE account_id = ? AND currency = ?"
)
_BALANCE = "SELECT posted_micros, held_micros FROM balance WHERE account_id = ? AND currency = ?"
_REFUNDABLE = """
    SELECT post.id, post.currency, post.payer, post.amount_micros, post.job_id
      FROM transfer AS hold JOIN transfer AS post
        ON post.payer = hold.payer AND post.project_id = hold.project_id AND post.kind = 'post'
     WHERE hold.kind = 'hold' AND hold.project_id = ?1
       AND (CAST(?2 AS TEXT) IS NULL OR post.job_id = ?2)
       AND NOT EXISTS
           (SELECT 1 FROM transfer WHERE kind = 'refund' AND reverses = post.id)
     ORDER BY post.id
"""
# A project's cost is one line, from its end on; those that are forgotten keep theirs.
_HISTORY = """
    SELECT id, at_ms, currency, amount_micros, kind, project_id, job_id FROM transfer
     WHERE (kind = 'earning' OR kind = 'grant' OR kind = 'refund') AND payee = ?1
    UNION ALL
    SELECT max(post.id), coalesce(project.ended_ms, max(post.at_ms)), max(post.currency),
           sum(post.amount_micros), 'post', post.project_id, NULL
      FROM transfer AS post LEFT JOIN project ON project.id = post.project_id
     WHERE post.kind = 'post' AND post.payer = ?1
       AND (project.id IS NULL OR project.ended_ms IS NOT NULL)
     GROUP BY post.project_id, project.ended_ms
     ORDER BY 2 DESC, 1 DESC LIMIT ?2 OFFSET ?3
"""


def open_balance(connection: Connection, account_id: str, currency: TokenType) -> None:
    """Gives an account its row, so that holding and releasing always find one."""
    connection.execute(_CHANGE_BALANCE, (account_id, currency, 0))


def balance(connection: Connection, account_id: str, currency: TokenType) -> Balance:
    """What an account owns of a currency."""
    row = connection.execute(_BALANCE, (account_id, currency)).fetchone()
    return Balance(posted_micros=row[0], held_micros=row[1]) if row else Balance()


def hold(connection: Connection, entry: Transfer) -> Balance | None:
    """Reserves money; the payer's balance afterwards, None when it does not suffice."""
    amount = entry.amount_micros
    row = connection.execute(_HOLD, (amount, entry.payer, entry.currency)).fetchone()
    if row is None:
        return None
    if amount:
        _record(connection, entry)
    return Balance(posted_micros=row[0], held_micros=row[1])


def settle(connection: Connection, entry: Transfer, earning: Transfer | None = None) -> None:
    """Releases a reservation; a post also moves the money, and on to who earned it.

    What the house passes on at once never touches its balance.
    """
    amount = entry.amount_micros
    kept = amount if entry.kind == ledger.POST else 0
    if amount:
        connection.execute(_RELEASE, (kept, amount, entry.payer, entry.currency))
        _record(connection, entry)
    if earning is not None:
        _record(connection, earning)
        passed_on = earning.amount_micros
        connection.execute(_CHANGE_BALANCE, (earning.payee, earning.currency, passed_on))
        kept -= passed_on
    if kept:
        connection.execute(_CHANGE_BALANCE, (entry.payee, entry.currency, kept))


def transfer(connection: Connection, entry: Transfer) -> None:
    """Moves money at once, as a grant does."""
    _record(connection, entry)
    for account_id, amount in (
        (entry.payer, -entry.amount_micros),
        (entry.payee, entry.amount_micros),
    ):
        connection.execute(_CHANGE_BALANCE, (account_id, entry.currency, amount))


def refund(connection: Connection, project_id: str, job_id: str | None, at_ms: int) -> Refunded:
    """Takes back what was charged for a project or one of its jobs, and was not yet."""
    posts: Sequence[tuple[int, TokenType, str, int, str]] = connection.execute(
        _REFUNDABLE, (project_id, job_id)
    ).fetchall()
    for number, currency, payer, amount, refunded_job in posts:
        entry = ledger.refund(currency, payer, amount, project_id, refunded_job, at_ms, number)
        transfer(connection, entry)
    if not posts:
        return Refunded()
    _, currency, payer, _, _ = posts[0]
    return Refunded(
        account_id=payer,
        currency=currency,
        amount_micros=sum(amount for _, _, _, amount, _ in posts),
        jobs=len(posts),
        balance=balance(connection, payer, currency),
    )


def history(connection: Connection, account_id: str, limit: int, offset: int) -> list[HistoryRow]:
    """What an account received and paid, newest first."""
    return [
        HistoryRow(
            number=row[0],
            at_ms=row[1],
            currency=cast(TokenType, row[2]),
            amount_micros=row[3],
            kind=row[4],
            project_id=row[5],
            job_id=row[6],
        )
        for row in connection.execute(_HISTORY, (account_id, limit, offset))
    ]


def _record(connection: Connection, entry: Transfer) -> None:
    connection.execute(_INSERT_TRANSFER, entry)
