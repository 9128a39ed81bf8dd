"""What an account received and paid, and answers for what a grid of one's own does not have.

There are no rewards to claim, no leaderboard and no announcements here; clients ask for them all
the same, and take an empty answer well.
"""

import zlib

from aiohttp import web

from dreamgrid.errors import InvalidRequest
from dreamgrid.protocol.rest_account import Transaction, TransactionList, WalletBalance
from dreamgrid.server.auth import Account
from dreamgrid.server.config import MICROS
from dreamgrid.server.http import answer, require_account
from dreamgrid.server.services import Services
from dreamgrid.server.store.base import HistoryRow

MAX_PAGE = 100
DEFAULT_PAGE = 20


def routes(services: Services) -> list[web.RouteDef]:
    """Transactions, rewards, wallet balance, leaderboard, announcements and device ids."""

    async def transactions(request: web.Request) -> web.Response:
        account = require_account(request)
        limit = min(_whole(request, "limit", DEFAULT_PAGE), MAX_PAGE)
        offset = _whole(request, "offset", 0)
        rows = await services.store.history(account.id, limit, offset)
        found = tuple(_transaction(account, row) for row in rows)
        return answer(TransactionList(next=offset + len(found), transactions=found))

    async def rewards(request: web.Request) -> web.Response:
        require_account(request)
        return answer({"rewards": []})

    async def wallet_balance(request: web.Request) -> web.Response:
        require_account(request)
        return answer(WalletBalance())

    async def leaderboard(_: web.Request) -> web.Response:
        return answer([])

    async def announcements(request: web.Request) -> web.Response:
        require_account(request)
        return answer({"announcements": []})

    async def nothing(request: web.Request) -> web.Response:
        require_account(request)
        return answer({})

    return [
        web.get("/v1/transactions/list", transactions),
        web.get("/v4/account/rewards", rewards),
        web.post("/v3/account/reward/claim", nothing),
        web.get("/v2/wallet/balance", wallet_balance),
        web.get("/v1/leaderboard/", leaderboard),
        web.get("/v1/announcements/active", announcements),
        web.post("/v1/account/device-id", nothing),
    ]


def _transaction(account: Account, row: HistoryRow) -> Transaction:
    paid = row.project_id is not None
    name = row.project_id or f"grant-{row.currency}-{row.at_ms}"
    spark = "paid_spark" if paid else "free_spark"
    return Transaction(
        key=name,
        id=name,
        sid=zlib.crc32(name.encode()),
        address=account.address,
        create_time=row.at_ms,
        update_time=row.at_ms,
        end_time=row.at_ms,
        amount=row.amount_micros / MICROS,
        token_type=row.currency,
        description="Project" if paid else "Grant",
        source="project" if paid else "grant",
        source_sid=name,
        type="debit" if paid else "credit",
        payment_model=spark if row.currency == "spark" else "sogni",
    )


def _whole(request: web.Request, name: str, default: int) -> int:
    """A query parameter that is a number of 0 or more."""
    text = request.query.get(name, "")
    if text in ("", "undefined"):  # what the oldest client writes for a value that it leaves out
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise InvalidRequest(f"{name} {text[:40]!r} is no whole number")
    return int(text)
