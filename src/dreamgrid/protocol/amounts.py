"""How people read amounts of money, on every screen and in every message: `0.1 spark`.

Programs read decimal strings; those of the wire have six places (`server/ledger.py`).
"""

from decimal import Decimal


def plain(amount: Decimal | str) -> str:
    """An amount without zeros that say nothing: `0.1`, `1000`."""
    return f"{Decimal(amount).normalize():f}"


def price(amount: Decimal | str, token_type: str) -> str:
    """An amount with its currency: `0.1 spark`."""
    return f"{plain(amount)} {token_type}"
