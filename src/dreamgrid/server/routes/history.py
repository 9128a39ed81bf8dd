"""What an account received and paid, and answers for what a grid of one's own does not have.

There are no rewards to claim, no leaderboard and no announcements here; clients ask for them all
the same, and take an empty answer well.
"""

import zlib
from typing import Any, NamedTuple

from dreamgrid.protocol.rest_account import (
    Announcements,
    Nothing,
    Rewards,
    Transaction,
    TransactionList,
    TransactionQuery,
    WalletBalance,
)
from dreamgrid.server import ledger
from dreamgrid.server.auth import Account
from dreamgrid.server.config import MICROS
from dreamgrid.server.endpoint import Endpoints
from dreamgrid.server.services import Services
from dreamgrid.server.store.base import HistoryRow

MAX_PAGE = 100


def routes(services: Services) -> Endpoints:
    """Transactions, rewards, wallet balance, leaderboard, announcements and device ids."""
    api = Endpoints("History", "What you received and paid; and what clients of other grids ask.")

    @api.get("/v1/transactions/list")
    async def transactions(account: Account, query: TransactionQuery) -> TransactionList:
        """Your statement: what your account received and paid, newest first.

        Grants, refunds, what your workers earned, and what each of your projects cost in all, from
        its end on.
        """
        limit = min(query.limit, MAX_PAGE)
        rows = await services.store.history(account.id, limit, query.offset)
        found = tuple(_transaction(account, row) for row in rows)
        return TransactionList(next=query.offset + len(found), transactions=found)

    @api.get("/v4/account/rewards")
    async def rewards(account: Account) -> Rewards:
        """Rewards to claim: none here."""
        del account
        return Rewards()

    @api.post("/v3/account/reward/claim", scope="read")
    async def claim_reward(account: Account) -> Nothing:
        """Claims rewards, of which there are none: changes nothing."""
        del account
        return Nothing()

    @api.get("/v2/wallet/balance")
    async def wallet_balance(account: Account) -> WalletBalance:
        """What lies on a blockchain: nothing here."""
        del account
        return WalletBalance()

    @api.get("/v1/leaderboard/")
    async def leaderboard() -> tuple[dict[str, Any], ...]:
        """Who rendered most: not told here."""
        return ()

    @api.get("/v1/announcements/active")
    async def announcements(account: Account) -> Announcements:
        """News of the operator: none here."""
        del account
        return Announcements()

    @api.post("/v1/account/device-id", scope="read")
    async def device_id(account: Account) -> Nothing:
        """Takes the id of a device, and forgets it."""
        del account
        return Nothing()

    return api


class _Line(NamedTuple):
    """How a kind of entry is told."""

    source: str
    description: str
    role: str
    type: str
    spark: str


# Whoever pays or gets something back is an artist; whoever earns is a worker.
_LINES = {
    ledger.POST: _Line("project", "Project", "artist", "debit", "paid_spark"),
    ledger.GRANT: _Line("grant", "Grant", "artist", "credit", "free_spark"),
    ledger.REFUND: _Line("refund", "Refund", "artist", "credit", "paid_spark"),
    ledger.EARNING: _Line("earning", "Earning", "worker", "credit", "paid_spark"),
}


def _transaction(account: Account, row: HistoryRow) -> Transaction:
    line = _LINES[row.kind]
    about = row.job_id or row.project_id or str(row.number)
    name = about if row.kind == ledger.POST else f"{line.source}-{about}"
    return Transaction(
        key=name,
        id=name,
        sid=zlib.crc32(name.encode()),
        address=account.address,
        create_time=row.at_ms,
        update_time=row.at_ms,
        end_time=row.at_ms,
        role=line.role,
        amount=row.amount_micros / MICROS,
        token_type=row.currency,
        description=line.description,
        source=line.source,
        source_sid=about,
        type=line.type,
        payment_model=line.spark if row.currency == "spark" else "sogni",
    )
