"""`client.account`: who we are, what we have, and the keys that may spend it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from dreamgrid.client.estimates import decimal
from dreamgrid.client.http import Http
from dreamgrid.protocol import rest
from dreamgrid.protocol.params import TokenType

_KEYS = "/v1/account/keys"
_GRANTS = "/v1/admin/grants"


@dataclass(frozen=True, kw_only=True)
class Me:
    """The account behind the key.

    Attributes:
        username: Its unique name.
        email: Empty when there is none.
        wallet_address: Empty when there is none.
    """

    username: str
    email: str
    wallet_address: str


@dataclass(frozen=True, kw_only=True)
class Balance:
    """What the account can spend now.

    Attributes:
        spark: Amount in spark.
        sogni: Amount in sogni.
    """

    spark: Decimal
    sogni: Decimal


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """A key of the account.

    Attributes:
        id: What `revoke()` takes.
        name: Given at its creation.
        prefix: Its first characters, to recognize it by.
        created_at: When it was made, in UTC.
        key: The secret itself. Only there when the key was just created; it is not shown again.
    """

    id: str
    name: str
    prefix: str
    created_at: datetime
    key: str | None = field(default=None, repr=False)


class Keys:
    """`client.account.keys`: API keys."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def list(self) -> tuple[ApiKey, ...]:
        """All keys that are valid, without their secrets."""
        answer = await self._http.rest("GET", _KEYS, rest.KeyList)
        return tuple(_key(info) for info in answer.keys)

    async def create(self, name: str = "") -> ApiKey:
        """Makes a key. `key` of the result is the secret: it is shown this once."""
        return _key(await self._http.rest("POST", _KEYS, rest.KeyInfo, body=rest.NewKey(name=name)))

    async def revoke(self, key_id: str) -> None:
        """Makes a key invalid at once.

        Raises:
            NotFound: The account has no key of that id.
        """
        await self._http.rest("DELETE", f"{_KEYS}/{quote(key_id, safe='')}", Any)


class Account:
    """`client.account`: the account behind the key."""

    def __init__(self, http: Http) -> None:
        self._http = http
        self.keys = Keys(http)

    async def me(self) -> Me:
        """Name and addresses of the account."""
        answer = await self._http.rest("GET", "/v1/account/me", rest.Me)
        return Me(
            username=answer.username,
            email=answer.current_email,
            wallet_address=answer.wallet_address,
        )

    async def balance(self) -> Balance:
        """What the account can spend now."""
        return _balance(await self._http.rest("GET", "/v4/account/balance", rest.Balances))

    async def grant(
        self, username: str, amount: Decimal | int, *, token: TokenType = "spark"
    ) -> Balance:
        """Gives an account more to spend. Only the owner of the grid can, with the local key.

        Returns:
            What that account can spend now.

        Raises:
            NotAllowed: We are not the owner.
            NotFound: Nobody has this name.
        """
        wish = rest.Grant(username=username, amount=Decimal(amount), token_type=token)
        return _balance(await self._http.rest("POST", _GRANTS, rest.Balances, body=wish))


def _balance(answer: rest.Balances) -> Balance:
    return Balance(
        spark=decimal(answer.spark.net, "a balance"),
        sogni=decimal(answer.sogni.net, "a balance"),
    )


def _key(info: rest.KeyInfo) -> ApiKey:
    return ApiKey(
        id=info.id,
        name=info.name,
        prefix=info.prefix,
        created_at=datetime.fromtimestamp(info.create_time / 1000, UTC),
        key=info.key,
    )
