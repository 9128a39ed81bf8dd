"""Bodies of the account endpoints of the REST host: signing in, sessions, history.

Paths and meanings as in `rest.md` 1 of the wire contract. Field lengths bound what a stranger may
send before anybody knows who it is.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from dreamgrid.protocol.params import TokenType

WalletAddress = Annotated[str, Meta(pattern=r"^0x[0-9a-fA-F]{40}$")]
Signature = Annotated[str, Meta(pattern=r"^0x[0-9a-fA-F]{130}$")]
_Short = Annotated[str, Meta(max_length=200)]

USERNAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{1,39}$"
"""What a name on a grid looks like."""

# The server says in words what is wrong with a name; this one is for documents.
Username = Annotated[
    str, Meta(max_length=200, extra_json_schema={"pattern": USERNAME_PATTERN, "maxLength": 40})
]
_Email = Annotated[str, Meta(max_length=254)]
_Token = Annotated[str, Meta(max_length=4_096)]

SESSION_COOKIE = "authorization"
"""Name of the cookie that holds a browser's access token."""


class _Body(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of all of them; unknown fields are ignored."""


class WaysIn(_Body, frozen=True, kw_only=True):
    """`GET /v1/account/sign-in`: how people come in from where the request came from.

    Attributes:
        password: By name and password.
        sign_up: With a new account.
        reason: Why one of them is not possible, in words. Empty: both are.
    """

    password: bool
    sign_up: bool
    reason: str = ""


class NonceRequest(_Body, frozen=True, kw_only=True):
    """Body of `POST /v1/account/nonce`."""

    wallet_address: WalletAddress


class Nonce(_Body, frozen=True, kw_only=True):
    """A text to sign, good for one use."""

    nonce: str


class LoginRequest(_Body, frozen=True, kw_only=True):
    """Body of `POST /v1/account/login`: the wallet says who it is, not the name."""

    wallet_address: WalletAddress
    signature: Signature
    remember_me: bool | None = None


class SignInLink(_Body, frozen=True, kw_only=True):
    """An address that signs a browser of the server's machine in, once.

    `expire_time` is in milliseconds since 1970.
    """

    url: str
    expire_time: int


class LinkSecret(_Body, frozen=True, kw_only=True):
    """Body of `POST /v1/account/sign-in-links/use`: what stands behind the link's last slash."""

    secret: _Short


class SignupRequest(_Body, frozen=True, kw_only=True):
    """Body of `POST /v1/account/create`. `subscribe` is 0 or 1 and means a newsletter."""

    app_id: _Short = msgspec.field(name="appid")
    username: Username
    email: _Email
    subscribe: Annotated[int, Meta(ge=0, le=1)] = 0
    wallet_address: WalletAddress
    signature: Signature
    remember_me: bool | None = None


class Tokens(_Body, frozen=True, kw_only=True):
    """Answer of sign-up, login and refresh: two JWTs."""

    token: str
    refresh_token: str
    username: str = ""


class RefreshRequest(_Body, frozen=True, kw_only=True):
    """Body of `POST /v1/account/refresh-token`."""

    refresh_token: _Token


class UsernameRequest(_Body, frozen=True, kw_only=True):
    """Body of `POST /v1/account/username/validate`."""

    username: Username


class KeyPath(_Body, frozen=True, kw_only=True):
    """A key, by its id; the secret itself is never part of an address."""

    key_id: str


class Nothing(_Body, frozen=True, kw_only=True):
    """An answer that says only that it was done."""


class TransactionQuery(_Body, frozen=True, kw_only=True):
    """Which part of the history; newest first.

    Attributes:
        limit: Most lines of the answer; no page is longer than 100.
        offset: How many of the newest to leave out.
    """

    limit: Annotated[int, Meta(ge=0, le=1_000_000)] = 20
    offset: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 0


class Transaction(_Body, frozen=True, kw_only=True):
    """One line of an account's history; times in milliseconds, `amount` always positive.

    `type` says whether it was received (`credit`) or paid (`debit`), `source` for what: `project`,
    `grant`, `refund` or `earning`. `role` is `worker` for what a worker of the account earned,
    else `artist`.
    """

    key: str = msgspec.field(name="_id")
    id: str
    sid: int = msgspec.field(name="SID")
    address: str
    create_time: int
    update_time: int
    end_time: int
    status: str = "completed"
    role: str = "artist"
    client_sid: int = msgspec.field(default=1, name="clientSID")
    address_sid: int = msgspec.field(default=1, name="addressSID")
    amount: float
    token_type: str
    description: str
    source: str
    source_sid: str = msgspec.field(name="sourceSID")
    type: str
    billing_mode: str = "tokens"
    payment_model: str
    subscription_tier: None = None
    subscription_trialing: bool = False
    subscription_throttled: bool = False


class Line(msgspec.Struct, frozen=True):
    """The words of one kind of entry: whoever pays or gets something back is an artist.

    Attributes:
        source: What it is about.
        description: The same for people.
        type: Whether it was received or paid.
        role: As what.
        payment_model: What kind of spark it is.
    """

    source: str
    description: str
    type: Literal["credit", "debit"]
    role: Literal["artist", "worker"] = "artist"
    payment_model: str = "paid_spark"

    def of(self, token_type: TokenType) -> str:
        """The payment model of an amount in that currency."""
        return self.payment_model if token_type == "spark" else token_type


PAID = Line("project", "Project", "debit")
GRANTED = Line("grant", "Grant", "credit", payment_model="free_spark")
REFUNDED = Line("refund", "Refund", "credit")
EARNED = Line("earning", "Earning", "credit", "worker")


class TransactionList(_Body, frozen=True, kw_only=True):
    """`GET /v1/transactions/list`. `next` is the offset of the following page."""

    next: int
    transactions: tuple[Transaction, ...]


class WalletBalance(_Body, frozen=True, kw_only=True):
    """`GET /v2/wallet/balance`: what lies on a blockchain, of which a grid has none."""

    sogni: str = "0"
    spark: str = "0"
    ether: str = "0"


class Rewards(_Body, frozen=True, kw_only=True):
    """`GET /v4/account/rewards`: a grid of one's own gives none."""

    rewards: tuple[dict[str, Any], ...] = ()


class RewardEntry(_Body, frozen=True, kw_only=True):
    """A reward as a client reads it; `claimed` and `can_claim` are 0 or 1, times are seconds."""

    id: str
    title: str = ""
    description: str = ""
    amount: str = "0"
    token_type: str = "spark"
    claimed: int = 0
    can_claim: int = 0
    cant_claim_reason: str | None = None


class RewardList(_Body, frozen=True, kw_only=True):
    """`GET /v4/account/rewards`, as a client reads it."""

    rewards: tuple[RewardEntry, ...] = ()


class ClaimRequest(_Body, frozen=True, kw_only=True):
    """Body of `POST /v3/account/reward/claim`."""

    claims: tuple[str, ...]
    provider: str = "base"


class LeaderEntry(_Body, frozen=True, kw_only=True):
    """One row of `GET /v1/leaderboard/`."""

    rank: int
    username: str
    address: str = ""
    country: str | None = None
    value: float | str = 0
    role: str = ""
