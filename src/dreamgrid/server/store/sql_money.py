"""How money moves in SQL. Runs on the writer's thread, inside the transaction of its cause."""

from collections.abc import Iterable, Sequence
from typing import Any, cast

from dreamgrid.protocol.params import TOKEN_TYPES, TokenType
from dreamgrid.server import ledger
from dreamgrid.server.ledger import Transfer
from dreamgrid.server.store import sql_many
from dreamgrid.server.store.base import Balance, HistoryRow, Refunded
from dreamgrid.server.store.connection import Connection

_INSERT_TRANSFER = (
    f"INSERT INTO transfer ({', '.join(Transfer._fields)})"
    f" VALUES ({', '.join('?' * len(Transfer._fields))})"
)
_INSERT_TRANSFERS = (
    "INSERT INTO transfer (kind, currency, payer, payee, amount_micros, project_id, job_id, at_ms)"
    " VALUES {}"
)
_A_TRANSFER = "(?, ?, ?, ?, ?, ?, nullif(?, ''), ?)"  # to bind NULL costs as much as a column
_BALANCES = (
    "SELECT account_id, currency, posted_micros, held_micros FROM balance WHERE account_id IN ({})"
)
# PostgreSQL takes what stands in VALUES for text where it is not told otherwise.
_MOVE_BALANCES = """
    UPDATE balance
       SET posted_micros = posted_micros + CAST(new.column3 AS BIGINT),
           held_micros = held_micros + CAST(new.column4 AS BIGINT)
      FROM (VALUES {}) AS new
     WHERE account_id = new.column1 AND currency = new.column2
"""
_OPEN_BALANCES = "INSERT INTO balance (account_id, currency, posted_micros, held_micros) VALUES {}"
_CHANGE_BALANCE = (
    "INSERT INTO balance (account_id, currency, posted_micros, held_micros) VALUES (?, ?, ?, 0)"
    " ON CONFLICT (account_id, currency)"
    " DO UPDATE SET posted_micros = balance.posted_micros + excluded.posted_micros"
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


class Books:
    """The ledger as a group of changes sees it: each finds what those before it have moved.

    Args:
        connection: In a transaction in which nobody else moves money before `write`.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._balances: dict[tuple[str, str], tuple[int, int]] = {}
        self._moved: dict[tuple[str, str], tuple[int, int]] = {}
        self._stored: set[tuple[str, str]] = set()
        self._entries: list[tuple[Any, ...]] = []

    def read(self, account_ids: Iterable[str]) -> None:
        """Looks up accounts whose money will move."""
        for found in sql_many.find(self._connection, _BALANCES, account_ids):
            for account_id, currency, posted, held in found:
                self._balances[account_id, currency] = posted, held
        self._stored.update(self._balances)

    def knows(self, account_id: str) -> bool:
        """Whether there is such an account, one that was read."""
        return any((account_id, currency) in self._balances for currency in TOKEN_TYPES)

    def balance(self, account_id: str, currency: TokenType) -> Balance:
        """What an account owns of a currency."""
        posted, held = self._balances.get((account_id, currency), (0, 0))
        return Balance(posted_micros=posted, held_micros=held)

    def hold(self, entry: Transfer) -> Balance | None:
        """Reserves money; the payer's balance afterwards, None when it does not suffice."""
        posted, held = self._balances.get((entry.payer, entry.currency), (0, -1))
        if held < 0 or posted - held < entry.amount_micros:
            return None
        if entry.amount_micros:
            self._move(entry.payer, entry.currency, 0, entry.amount_micros)
            self._record(entry)
        return Balance(posted_micros=posted, held_micros=held + entry.amount_micros)

    def settle(self, entry: Transfer, earning: Transfer | None = None) -> None:
        """Releases a reservation; a post also moves the money, and on to who earned it.

        What the house passes on at once never touches its balance.
        """
        amount = entry.amount_micros
        kept = amount if entry.kind == ledger.POST else 0
        if amount:
            self._move(entry.payer, entry.currency, -kept, -amount)
            self._record(entry)
        if earning is not None:
            self._record(earning)
            self._move(earning.payee, earning.currency, earning.amount_micros, 0)
            kept -= earning.amount_micros
        if kept:
            self._move(entry.payee, entry.currency, kept, 0)

    def write(self) -> None:
        """Stores what was moved: by how much, so that no balance is set to what it was once."""
        sql_many.change(self._connection, _INSERT_TRANSFERS, _A_TRANSFER, self._entries)
        moved: list[tuple[str, str, int, int]] = []
        opened: list[tuple[str, str, int, int]] = []
        for owner, change in self._moved.items():
            (moved if owner in self._stored else opened).append((*owner, *change))
        sql_many.change(self._connection, _MOVE_BALANCES, "(?, ?, ?, ?)", moved)
        sql_many.change(self._connection, _OPEN_BALANCES, "(?, ?, ?, ?)", opened)

    def _move(self, account_id: str, currency: str, posted: int, held: int) -> None:
        owner = account_id, currency
        for sums in (self._balances, self._moved):
            before = sums.get(owner, (0, 0))
            sums[owner] = before[0] + posted, before[1] + held

    def _record(self, entry: Transfer) -> None:
        self._entries.append((*entry[:6], entry.job_id or "", entry.at_ms))


def open_balance(connection: Connection, account_id: str, currency: TokenType) -> None:
    """Gives an account its row, so that holding and releasing always find one."""
    connection.execute(_CHANGE_BALANCE, (account_id, currency, 0))


def balance(connection: Connection, account_id: str, currency: TokenType) -> Balance:
    """What an account owns of a currency."""
    row = connection.execute(_BALANCE, (account_id, currency)).fetchone()
    return Balance(posted_micros=row[0], held_micros=row[1]) if row else Balance()


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
