"""Accounts, their keys and balances: the service behind authentication."""

import os
import uuid
from decimal import Decimal
from pathlib import Path

from dreamgrid.errors import ConfigError, InvalidRequest, NotAllowed, NotFound
from dreamgrid.protocol import codec
from dreamgrid.protocol.params import TOKEN_TYPES, TokenType
from dreamgrid.protocol.rest import KeyInfo, NewKey
from dreamgrid.protocol.scopes import Scope
from dreamgrid.protocol.socket import BalanceUpdate
from dreamgrid.server import auth, ledger
from dreamgrid.server.auth import Account
from dreamgrid.server.bus.base import Bus, account_subject, key_subject
from dreamgrid.server.clock import Clock, milliseconds
from dreamgrid.server.config import MICROS, ServerConfig
from dreamgrid.server.store.base import AccountRow, Balance, KeyRow, Store

LOCAL_ACCOUNT = "local"
"""The account that a fresh server makes for the person who started it."""

_LEAST_GRANT = Decimal(1) / MICROS
_LARGEST_GRANT = 1_000_000_000
_MAX_CACHED_KEYS = 10_000
_MAX_CACHED_BALANCES = 100_000


class Accounts:
    """Looks accounts up, mints keys, and tells apps their balance."""

    def __init__(self, config: ServerConfig, store: Store, bus: Bus, clock: Clock) -> None:
        self._config = config
        self._store = store
        self._bus = bus
        self._clock = clock
        self._by_key_hash: dict[bytes, Account] = {}
        self._revocations = 0
        self._balances: dict[str, dict[TokenType, Balance]] = {}

    async def authenticate(self, credential: str) -> Account | None:
        """The account behind an API key; None when there is none or the key was revoked."""
        key_hash = auth.hash_key(credential)
        cached = self._by_key_hash.get(key_hash)
        if cached is not None:
            return cached
        revocations = self._revocations
        key = await self._store.key_by_hash(key_hash)
        row = await self._store.account(key.account_id) if key is not None else None
        if revocations != self._revocations:  # perhaps this one, while it was looked up
            return await self.authenticate(credential)
        if row is None:
            return None
        account = auth.account_of(row, key)
        if len(self._by_key_hash) >= _MAX_CACHED_KEYS:
            self._by_key_hash.clear()
        self._by_key_hash[key_hash] = account
        return account

    async def create(self, username: str, address: str = "", email: str = "") -> Account | None:
        """A new account with the starting grant; None when name or address is taken."""
        row = AccountRow(
            id=str(uuid.uuid4()).upper(),
            username=username,
            address=address,
            email=email,
            created_ms=milliseconds(self._clock),
        )
        amount = self._config.starting_grant_micros
        grants: dict[TokenType, int] = dict.fromkeys(TOKEN_TYPES, amount) if amount else {}
        if not await self._store.create_account(row, grants):
            return None
        return auth.account_of(row)

    async def by_address(self, address: str) -> Account | None:
        """The account of a wallet."""
        row = await self._store.account_by_address(address)
        return auth.account_of(row) if row else None

    async def is_free(self, username: str) -> bool:
        """Whether nobody has this name, in any case."""
        return await self._store.account_by_username(username) is None

    async def email(self, account: Account) -> str:
        """The email address that the account was made with; empty when there was none."""
        row = await self._store.account(account.id)
        return row.email if row is not None else ""

    async def create_key(
        self,
        account: Account,
        name: str,
        *,
        scope: Scope = "all",
        max_per_day: Decimal | None = None,
        max_total: Decimal | None = None,
    ) -> KeyInfo:
        """A new key; the only answer that ever holds the secret. Caps are in tokens.

        Raises:
            InvalidRequest: A cap is no amount.
            NotAllowed: The account has as many as it may have, or asks with a capped key.
        """
        account.require_uncapped()
        most = self._config.max_keys
        wish = NewKey(name=name, scope=scope, max_per_day=max_per_day, max_total=max_total)
        made = await self._add_key(account, wish, auth.new_key(), most=most)
        if made is None:
            raise NotAllowed(
                f"you have {most} keys, the most that this server keeps for one account; revoke "
                "one first: `dreamgrid keys list` shows them"
            )
        return made

    async def _add_key(
        self, account: Account, wish: NewKey, secret: auth.NewSecret, *, most: int | None = None
    ) -> KeyInfo | None:
        row = KeyRow(
            id=str(uuid.uuid4()).upper(),
            account_id=account.id,
            name=wish.name,
            prefix=secret.prefix,
            hash=secret.hash,
            created_ms=milliseconds(self._clock),
            scope=wish.scope,
            max_per_day_micros=_cap(wish.max_per_day),
            max_total_micros=_cap(wish.max_total),
        )
        if not await self._store.add_key(row, most=most):
            return None
        return _told(row, secret.key)

    async def keys(self, account: Account) -> tuple[KeyInfo, ...]:
        """The account's keys, without their secrets."""
        rows = await self._store.keys(account.id)
        return tuple(map(_told, rows))

    async def revoke_key(self, account: Account, key_id: str) -> None:
        """Makes a key useless from now on, and closes the sockets that it opened.

        Raises:
            NotFound: The account has no such key.
        """
        key_hash = await self._store.revoke_key(
            account.id, key_id.upper(), milliseconds(self._clock)
        )
        if key_hash is None:
            raise NotFound(f"you have no key {key_id}; see `dreamgrid keys list`")
        self._revocations += 1
        self._by_key_hash.pop(key_hash, None)
        self._bus.publish(key_subject(key_hash), b"")

    async def local_key(self, path: Path) -> tuple[Account, str]:
        """The account and key of the person who started this server; made on the first start.

        Args:
            path: Where the key is kept for that person's own programs, readable by nobody else.
        """
        row = await self._store.account_by_username(LOCAL_ACCOUNT)
        if row is None:
            account = await self.create(LOCAL_ACCOUNT)
            assert account is not None, "nobody else can have taken the name meanwhile"
        else:
            account = auth.account_of(row)
        kept = _read_private(path)
        if kept is not None and await self._store.key_by_hash(auth.hash_key(kept)):
            return account, kept
        secret = auth.new_key()
        await self._add_key(account, NewKey(name="local"), secret)
        _write_private(path, secret.key)
        return account, secret.key

    async def balance(self, account_id: str) -> BalanceUpdate:
        """The account's balances as apps see them, fresh from the store."""
        if len(self._balances) >= _MAX_CACHED_BALANCES:
            self._balances.clear()
        # The store answers in the order of its writes, so no newer balance is overwritten here.
        self._balances[account_id] = await self._store.balances(account_id)
        return ledger.balance_update(self._balances[account_id])

    def note_balance(self, account_id: str, currency: TokenType, balance: Balance) -> None:
        """Takes over a balance that a write returned and tells the account's open sockets."""
        known = self._balances.get(account_id)
        if known is None:
            return  # nobody of this account has connected; the first who does reads the store
        known[currency] = balance
        subject = account_subject(account_id)
        if self._bus.listening(subject):
            self._bus.publish(subject, codec.encode(ledger.balance_update(known)), key=subject)


def grant_micros(tokens: Decimal) -> int:
    """The amount of a grant in micro-units.

    Raises:
        InvalidRequest: It is not one that can be given.
    """
    if not tokens.is_finite() or not _LEAST_GRANT <= tokens <= _LARGEST_GRANT:
        raise InvalidRequest(f"an amount is a number from {_LEAST_GRANT:f} to {_LARGEST_GRANT}")
    return int(tokens * MICROS)


def _cap(tokens: Decimal | None) -> int | None:
    """A spending cap in micro-units.

    Raises:
        InvalidRequest: It is no amount.
    """
    if tokens is None:
        return None
    if not tokens.is_finite() or not 0 <= tokens <= _LARGEST_GRANT:
        raise InvalidRequest(f"a spending cap is a number from 0 to {_LARGEST_GRANT}")
    return int(tokens * MICROS)


def _told(row: KeyRow, secret: str | None = None) -> KeyInfo:
    """A key as its owner sees it."""
    caps = (row.max_per_day_micros, row.max_total_micros)
    per_day, total = (None if cap is None else ledger.decimal(cap) for cap in caps)
    return KeyInfo(
        id=row.id,
        name=row.name,
        prefix=row.prefix,
        create_time=row.created_ms,
        key=secret,
        scope=row.scope,
        max_per_day=per_day,
        max_total=total,
    )


def _read_private(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error


def _write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner may read."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(text + "\n")
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error
