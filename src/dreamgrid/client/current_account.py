"""What is known of the account behind this client, without asking."""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Literal, Protocol

from dreamgrid.errors import ProtocolError
from dreamgrid.protocol import amounts
from dreamgrid.protocol.params import Network
from dreamgrid.protocol.socket import TokenBalance


@dataclass(frozen=True, kw_only=True)
class Balance:
    """What the account can spend now.

    Attributes:
        spark: Amount in spark.
        sogni: Amount in sogni.
    """

    spark: Decimal
    sogni: Decimal

    def __str__(self) -> str:
        return f"{amounts.price(self.spark, 'spark')}, {amounts.price(self.sogni, 'sogni')}"


@dataclass(frozen=True, kw_only=True)
class CurrentAccount:
    """Who we are and what we have, as last heard on the socket. Empty until it was opened.

    Attributes:
        is_authenticated: There is a key or a session; whether the server takes it is another thing.
        network_status: Where the socket stands.
        network: The worker pool of projects that name none.
        username: The account's name. Empty: not told yet.
        wallet_address: Its address. Empty: none, or not told yet.
        balance: What it can spend. None: not told yet.
    """

    is_authenticated: bool
    network_status: Literal["connected", "connecting", "disconnected"]
    network: Network
    username: str
    wallet_address: str
    balance: Balance | None


class _Balances(Protocol):
    """The two balances, as the socket and the HTTP endpoint send them."""

    @property
    def spark(self) -> TokenBalance:
        """In spark."""

    @property
    def sogni(self) -> TokenBalance:
        """In sogni."""


def balance_of(told: _Balances) -> Balance:
    """What can be spent.

    Raises:
        ProtocolError: An amount is no number.
    """
    return Balance(
        spark=decimal(told.spark.net, "a balance"), sogni=decimal(told.sogni.net, "a balance")
    )


def decimal(text: str, what: str) -> Decimal:
    """A number that the server wrote as text.

    Raises:
        ProtocolError: It is no finite number.
    """
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        raise ProtocolError(f"the server sent '{text[:40]}' as {what}")
    return value
