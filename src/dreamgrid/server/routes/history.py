"""What an account received and paid."""

import zlib

from dreamgrid.protocol.rest_account import (
    EARNED,
    GRANTED,
    PAID,
    REFUNDED,
    Transaction,
    TransactionList,
    TransactionQuery,
)
from dreamgrid.server import ledger
from dreamgrid.server.auth import Account
from dreamgrid.server.config import MICROS
from dreamgrid.server.endpoint import Endpoints
from dreamgrid.server.services import Services
from dreamgrid.server.store.base import HistoryRow

MAX_PAGE = 100


def routes(services: Services) -> Endpoints:
    """The statement."""
    api = Endpoints("History", "What you received and paid.")

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

    return api


_LINES = {
    ledger.POST: PAID,
    ledger.GRANT: GRANTED,
    ledger.REFUND: REFUNDED,
    ledger.EARNING: EARNED,
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
        payment_model=line.of(row.currency),
    )
