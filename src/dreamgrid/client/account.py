"""`client.account`: who we are, what we have, and the keys that may spend it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal
from urllib.parse import quote

from dreamgrid.client.credential import Tokens
from dreamgrid.client.current_account import Balance, CurrentAccount, balance_of, decimal
from dreamgrid.client.http import Http
from dreamgrid.client.session import Session
from dreamgrid.client.signing import Wallet, wallet_of
from dreamgrid.errors import AuthenticationFailed, InvalidRequest, UsernameTaken
from dreamgrid.protocol import rest, rest_account, wallet
from dreamgrid.protocol.params import Network, TokenType
from dreamgrid.protocol.scopes import Scope

__all__ = ["Account", "ApiKey", "Balance", "Keys", "Me", "Reward", "Transaction", "Transactions"]

_KEYS = "/v1/account/keys"
_GRANTS = "/v1/admin/grants"

MIN_PASSWORD_CHARS = 8
"""Shortest password of a new account. Older accounts may have shorter ones."""


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
class ApiKey:
    """A key of the account.

    Attributes:
        id: What `revoke()` takes.
        name: Given at its creation.
        prefix: Its first characters, to recognize it by.
        created_at: When it was made, in UTC.
        scope: What it may do.
        max_per_day: Most of each currency that it may spend on a day in UTC. None: no cap.
        max_total: Most of each currency that it may ever spend. None: no cap.
        key: The secret itself. Only there when the key was just created; it is not shown again.
    """

    id: str
    name: str
    prefix: str
    created_at: datetime
    scope: Scope = "all"
    max_per_day: Decimal | None = None
    max_total: Decimal | None = None
    key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Transaction:
    """One line of the account's history.

    Attributes:
        id: What it was for: a project's id, or the name of a grant.
        at: When, in UTC.
        kind: Received (`credit`) or paid (`debit`).
        amount: How much; never negative.
        token_type: In which currency.
        description: What people read.
    """

    id: str
    at: datetime
    kind: Literal["credit", "debit"]
    amount: Decimal
    token_type: str
    description: str


@dataclass(frozen=True, kw_only=True)
class Transactions:
    """A page of the account's history, newest first.

    Attributes:
        entries: The lines.
        next: The `offset` of the following page.
    """

    entries: tuple[Transaction, ...]
    next: int


@dataclass(frozen=True, kw_only=True)
class Reward:
    """Something that the grid gives away.

    Attributes:
        id: What `claim_rewards()` takes.
        title: What people read.
        amount: How much.
        token_type: In which currency.
        claimable: Whether it can be claimed now.
        reason: Why not, in a word. Empty: it can be, or nobody says.
    """

    id: str
    title: str
    amount: Decimal
    token_type: str
    claimable: bool
    reason: str


class Keys:
    """`client.account.keys`: API keys."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def list(self) -> tuple[ApiKey, ...]:
        """All keys that are valid, without their secrets."""
        answer = await self._http.rest("GET", _KEYS, rest.KeyList)
        return tuple(_key(info) for info in answer.keys)

    async def create(
        self,
        name: str = "",
        *,
        scope: Scope = "all",
        max_per_day: Decimal | int | None = None,
        max_total: Decimal | int | None = None,
    ) -> ApiKey:
        """Makes a key. `key` of the result is the secret: it is shown this once.

        Args:
            name: To recognize it by.
            scope: What it may do: `all`, `render` (submit projects, and look), `work` (run a
                worker) or `read` (look).
            max_per_day: Most of each currency that it may spend on a day in UTC. None: no cap.
            max_total: Most of each currency that it may ever spend. None: no cap.
        """
        wish = rest.NewKey(
            name=name,
            scope=scope,
            max_per_day=None if max_per_day is None else Decimal(max_per_day),
            max_total=None if max_total is None else Decimal(max_total),
        )
        return _key(await self._http.rest("POST", _KEYS, rest.KeyInfo, body=wish))

    async def revoke(self, key_id: str) -> None:
        """Makes a key invalid at once.

        Raises:
            NotFound: The account has no key of that id.
        """
        await self._http.rest("DELETE", f"{_KEYS}/{quote(key_id, safe='')}", Any)


class Account:
    """`client.account`: the account behind the key, or of whoever has logged in."""

    def __init__(self, http: Http, session: Session, *, app_id: str, testnet: bool) -> None:
        self._http = http
        self._session = session
        self._app_id = app_id
        self._testnet = testnet
        self.keys = Keys(http)

    # ── signing in ───────────────────────────────────────────────────────────────────────────────

    async def login(self, username: str, password: str, *, remember_me: bool = False) -> Tokens:
        """Signs in with name and password, instead of an API key. Needs the extra `wallet`.

        The password does not leave this process: it makes a private key, which signs a number.

        Args:
            username: The account's name; its case does not matter.
            password: Its password.
            remember_me: Ask for a long session.

        Returns:
            The session, for `set_tokens()` in another process. It renews itself while in use.

        Raises:
            AuthenticationFailed: Name or password is wrong.
            NotAllowed: The server wants API keys.
            ConfigError: The extra is not installed.
        """
        who = await self.get_wallet(username, password)
        typed = wallet.authentication(
            who.address, await self.get_nonce(who.address), testnet=self._testnet
        )
        wish = rest_account.LoginRequest(
            wallet_address=who.address, signature=who.sign(typed), remember_me=remember_me
        )
        return await self._begin("login", wish)

    async def create(
        self,
        username: str,
        password: str,
        *,
        email: str,
        subscribe: bool = False,
        remember_me: bool = False,
    ) -> Tokens:
        """Opens an account and signs in to it. Needs the extra `wallet`.

        Args:
            username: A name that nobody has yet.
            password: Nobody can restore it: name and password are the account's key.
            email: Where the operator can write to.
            subscribe: Ask for the operator's news.
            remember_me: Ask for a long session.

        Raises:
            InvalidRequest: The password is too short.
            UsernameTaken: Somebody has that name.
            NotAllowed: This grid is closed to strangers.
            ConfigError: The extra is not installed.
        """
        if len(password) < MIN_PASSWORD_CHARS:
            raise InvalidRequest(
                f"a password has at least {MIN_PASSWORD_CHARS} characters: name and password are "
                "the account's key, and nothing else guards it"
            )
        who = await self.get_wallet(username, password)
        nonce = await self.get_nonce(who.address)
        typed = wallet.signup(
            app_id=self._app_id,
            username=username,
            email=email,
            subscribe=int(subscribe),
            address=who.address,
            nonce=nonce,
            testnet=self._testnet,
        )
        wish = rest_account.SignupRequest(
            app_id=self._app_id,
            username=username,
            email=email,
            subscribe=int(subscribe),
            wallet_address=who.address,
            signature=who.sign(typed),
            remember_me=remember_me,
        )
        return await self._begin("create", wish)

    async def set_tokens(self, tokens: Tokens | tuple[str, str]) -> Me:
        """Goes on with a session that `login()` began, in this process or another.

        Raises:
            AuthenticationFailed: The session has ended.
        """
        self._http.credential.tokens = Tokens(*tokens)
        await self._session.restart()
        return await self.me()

    async def logout(self) -> None:
        """Ends the session at the server, and the connection here. Projects go on."""
        try:
            if self._http.credential.tokens is not None:
                await self._http.rest("POST", "/v1/account/logout", Any)
        except AuthenticationFailed:
            pass  # it has ended already
        finally:
            self._http.credential.tokens = None
            await self._session.restart()

    async def get_wallet(self, username: str, password: str) -> Wallet:
        """The key pair that name and password stand for. Asks nobody. Needs the extra `wallet`."""
        return wallet_of(username, password)

    async def get_nonce(self, wallet_address: str) -> str:
        """A text to sign, good once and for a few minutes."""
        wish = rest_account.NonceRequest(wallet_address=wallet_address)
        path = "/v1/account/nonce"
        return (await self._http.rest("POST", path, rest_account.Nonce, body=wish)).nonce

    async def sign_in_link(self) -> rest_account.SignInLink:
        """An address that opens the studio, signed in: good once, for ten minutes.

        Raises:
            NotAllowed: The server runs on another machine, or behind a proxy.
        """
        path = "/v1/account/sign-in-links"
        return await self._http.rest("POST", path, rest_account.SignInLink)

    async def validate_username(self, username: str) -> bool:
        """Whether a name is free."""
        wish = rest_account.UsernameRequest(username=username)
        try:
            await self._http.rest("POST", "/v1/account/username/validate", Any, body=wish)
        except UsernameTaken:
            return False
        return True

    # ── who we are, and what we have ─────────────────────────────────────────────────────────────

    @property
    def current_account(self) -> CurrentAccount:
        """Who we are and what we have, as last heard; asks nobody."""
        return self._session.current_account

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
        found = balance_of(await self._http.rest("GET", "/v4/account/balance", rest.Balances))
        self._session.learn(found)
        return found

    async def transactions(self, *, limit: int = 20, offset: int = 0) -> Transactions:
        """What the account received and paid, newest first.

        Args:
            limit: Most lines, up to 100.
            offset: How many of the newest to leave out; `next` of the page before.
        """
        query = {"status": "completed", "limit": str(limit), "offset": str(offset)}
        address = self.current_account.wallet_address
        if address:
            query["address"] = address
        path = "/v1/transactions/list"
        answer = await self._http.rest("GET", path, rest_account.TransactionList, query=query)
        entries = tuple(_transaction(one) for one in answer.transactions)
        return Transactions(entries=entries, next=answer.next)

    async def wallet_balance(self) -> dict[str, Decimal]:
        """What lies on a blockchain, by currency; a grid of your own has none."""
        path = "/v2/wallet/balance"
        query = {"walletAddress": (await self.me()).wallet_address}
        answer = await self._http.rest("GET", path, rest_account.WalletBalance, query=query)
        found = {"sogni": answer.sogni, "spark": answer.spark, "ether": answer.ether}
        return {name: decimal(text, "a balance") for name, text in found.items()}

    async def rewards(self) -> tuple[Reward, ...]:
        """What the grid gives away; a grid of your own gives nothing."""
        answer = await self._http.rest("GET", "/v4/account/rewards", rest_account.RewardList)
        return tuple(_reward(one) for one in answer.rewards)

    async def claim_rewards(self, reward_ids: Iterable[str]) -> None:
        """Takes rewards that can be claimed."""
        wish = rest_account.ClaimRequest(claims=tuple(reward_ids))
        await self._http.rest("POST", "/v3/account/reward/claim", Any, body=wish)

    async def switch_network(self, network: Network) -> Network:
        """Changes the worker pool of projects that name none.

        Returns:
            The network that the server has now for this client; the old one, if it will not change.

        Raises:
            ConnectionFailed: The server did not confirm it.
        """
        return await self._session.switch_network(network)

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
        return balance_of(await self._http.rest("POST", _GRANTS, rest.Balances, body=wish))

    async def _begin(
        self, how: str, wish: rest_account.LoginRequest | rest_account.SignupRequest
    ) -> Tokens:
        """Begins a session, and ends the connection of whoever was here before."""
        path = f"/v1/account/{how}"
        answer = await self._http.rest("POST", path, rest_account.Tokens, body=wish)
        tokens = Tokens(answer.token, answer.refresh_token)
        self._http.credential.tokens = tokens
        await self._session.restart()
        return tokens


def _transaction(one: rest_account.Transaction) -> Transaction:
    return Transaction(
        id=one.id,
        at=datetime.fromtimestamp(one.end_time / 1000, UTC),
        kind="debit" if one.type == "debit" else "credit",
        amount=Decimal(str(one.amount)),
        token_type=one.token_type,
        description=one.description,
    )


def _reward(one: rest_account.RewardEntry) -> Reward:
    return Reward(
        id=one.id,
        title=one.title or one.description,
        amount=decimal(one.amount, "a reward"),
        token_type=one.token_type,
        claimable=bool(one.can_claim) and not one.claimed,
        reason=one.cant_claim_reason or "",
    )


def _key(info: rest.KeyInfo) -> ApiKey:
    return ApiKey(
        id=info.id,
        name=info.name,
        prefix=info.prefix,
        created_at=datetime.fromtimestamp(info.create_time / 1000, UTC),
        scope=info.scope,
        max_per_day=None if info.max_per_day is None else decimal(info.max_per_day, "a cap"),
        max_total=None if info.max_total is None else decimal(info.max_total, "a cap"),
        key=info.key,
    )
