"""Who is asking: API keys to accounts. Keys are random, so a plain hash is safe to store."""

import hashlib
import secrets
from dataclasses import dataclass, replace

from dreamgrid.errors import NotAllowed
from dreamgrid.protocol.scopes import Scope, includes
from dreamgrid.server.store.base import AccountRow, KeyRow

KEY_PREFIX = "dgk_"
_SHOWN_CHARS = len(KEY_PREFIX) + 4


@dataclass(frozen=True, kw_only=True)
class Account:
    """An account as the rest of the server sees it.

    Attributes:
        id: Upper-case UUID.
        username: Unique name.
        address: Wallet address. Accounts without a wallet have one that no key exists for: the
            published SDKs take an account without an address for nobody.
        key_id: The API key that speaks for it. None: a sign-in.
        scope: What that key may do; a sign-in may do everything.
        capped: That key has a cap on what it spends.
    """

    id: str
    username: str
    address: str = ""
    key_id: str | None = None
    scope: Scope = "all"
    capped: bool = False

    def require(self, scope: Scope) -> None:
        """Checks that whoever speaks for the account may do something.

        Raises:
            NotAllowed: Its key has a narrower scope.
        """
        if not includes(self.scope, scope):
            raise NotAllowed(
                f"this key has the scope '{self.scope}' and may not do this: it needs '{scope}'; "
                f"`dreamgrid keys create --scope {scope}` makes such a key"
            )

    def require_uncapped(self) -> None:
        """Checks that whoever speaks for the account may make what spends without its cap.

        Raises:
            NotAllowed: Its key has a spending cap, which would be shed so.
        """
        if self.capped:
            raise NotAllowed(
                "this key has a spending cap, so it makes nothing that spends without it (keys, "
                "sign-in links, grants): use a key without a cap, or sign in"
            )


def account_of(row: AccountRow, key: KeyRow | None = None) -> Account:
    """An account as it was stored, and the key that speaks for it."""
    address = row.address or "0x" + hashlib.sha256(row.id.encode()).hexdigest()[:40]
    account = Account(id=row.id, username=row.username, address=address)
    if key is None:
        return account
    capped = key.max_per_day_micros is not None or key.max_total_micros is not None
    return replace(account, key_id=key.id, scope=key.scope, capped=capped)


@dataclass(frozen=True, kw_only=True)
class NewSecret:
    """A key that was just made. `key` is shown once and never stored; `hash` is stored."""

    key: str
    hash: bytes
    prefix: str


def new_key() -> NewSecret:
    """A fresh API key with 256 random bits."""
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    return NewSecret(key=key, hash=hash_key(key), prefix=key[:_SHOWN_CHARS])


def hash_key(key: str) -> bytes:
    """What is stored of a key: SHA-256, 32 bytes."""
    return hashlib.sha256(key.encode()).digest()


def is_key(credential: str) -> bool:
    """Whether a credential looks like an API key; else it may be an access token."""
    return credential.startswith(KEY_PREFIX)
