"""The rules of money. Pure: entries in, entries out; the store writes them.

Amounts are integers in micro-units of one currency (`spark` or `sogni`). An account pays for a job
in two phases: `hold` reserves the price of a whole project when it is submitted, `post` moves the
price of one job when it is delivered, `void` gives the price of one job back. Funds are checked at
the hold, so a post can never overdraw. The house passes a share of each post on to the owner of the
worker that delivered (`earning`), and takes a post back by another entry (`refund`). Grants come
from the mint, which always owes, so that all balances of a currency add up to zero.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from dreamgrid.protocol.params import TOKEN_TYPES, TokenType
from dreamgrid.protocol.socket import BalanceUpdate, TokenBalance
from dreamgrid.server.config import MICROS
from dreamgrid.server.store.base import Balance

GRANT = "grant"
HOLD = "hold"
POST = "post"
VOID = "void"
EARNING = "earning"
REFUND = "refund"

MINT = "mint"
"""Where granted money comes from."""

HOUSE = "house"
"""Who is paid for delivered jobs. It owes when it has refunded what it had passed on."""


class Transfer(NamedTuple):
    """One immutable entry. Payer and payee are account ids, or `MINT` or `HOUSE`.

    Attributes:
        reverses: Number of the post that a refund takes back.
    """

    kind: str
    currency: TokenType
    payer: str
    payee: str
    amount_micros: int
    project_id: str | None
    job_id: str | None
    at_ms: int
    reverses: int | None = None


def grant(currency: TokenType, account_id: str, amount_micros: int, at_ms: int) -> Transfer:
    """New money for an account."""
    return Transfer(GRANT, currency, MINT, account_id, amount_micros, None, None, at_ms)


def hold(
    currency: TokenType, account_id: str, amount_micros: int, project_id: str, at_ms: int
) -> Transfer:
    """Reserves the price of a whole project."""
    return Transfer(HOLD, currency, account_id, HOUSE, amount_micros, project_id, None, at_ms)


def post(
    currency: TokenType,
    account_id: str,
    amount_micros: int,
    project_id: str,
    job_id: str,
    at_ms: int,
) -> Transfer:
    """Charges a delivered job out of its project's hold."""
    return Transfer(POST, currency, account_id, HOUSE, amount_micros, project_id, job_id, at_ms)


def void(
    currency: TokenType,
    account_id: str,
    amount_micros: int,
    project_id: str,
    job_id: str,
    at_ms: int,
) -> Transfer:
    """Gives back what was held for a job that was not delivered."""
    return Transfer(VOID, currency, account_id, HOUSE, amount_micros, project_id, job_id, at_ms)


def earning(
    currency: TokenType,
    account_id: str,
    amount_micros: int,
    project_id: str,
    job_id: str,
    at_ms: int,
) -> Transfer:
    """Passes a part of a post on to the owner of the worker that delivered."""
    return Transfer(EARNING, currency, HOUSE, account_id, amount_micros, project_id, job_id, at_ms)


def refund(
    currency: TokenType,
    account_id: str,
    amount_micros: int,
    project_id: str,
    job_id: str,
    at_ms: int,
    reverses: int,
) -> Transfer:
    """Takes a post back."""
    return Transfer(
        REFUND, currency, HOUSE, account_id, amount_micros, project_id, job_id, at_ms, reverses
    )


def share(price_micros: int, permille: int) -> int:
    """What a worker's owner earns of a price; rounded down, so that the house never adds to it."""
    return price_micros * permille // 1_000


def decimal(micros: int) -> str:
    """An amount as the wire writes it: a decimal string with six places."""
    sign = "-" if micros < 0 else ""
    whole, part = divmod(abs(micros), MICROS)
    return f"{sign}{whole}.{part:06d}"


def balance_update(balances: Mapping[TokenType, Balance]) -> BalanceUpdate:
    """Both balances of an account as its apps see them. `debit` is what open projects hold."""
    spark, sogni = (_token_balance(balances.get(token, Balance())) for token in TOKEN_TYPES)
    return BalanceUpdate(spark=spark, sogni=sogni)


@lru_cache(maxsize=1024)  # of two currencies only one changes at a time
def _token_balance(balance: Balance) -> TokenBalance:
    return TokenBalance(
        settled=decimal(balance.posted_micros),
        credit="0",
        debit=decimal(balance.held_micros),
        net=decimal(balance.free_micros),
        premium_credit="0",
        relaxed_unclaimed="0",
        fast_unclaimed="0",
    )
