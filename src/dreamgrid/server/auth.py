"""Who is asking: API keys to accounts. Keys are random, so a plain hash is safe to store."""

import hashlib
import secrets
from dataclasses import dataclass

from dreamgrid.server.store.base import AccountRow

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
    """

    id: str
    username: str
    address: str = ""


def account_of(row: AccountRow) -> Account:
    """An account as it was stored."""
    address = row.address or "0x" + hashlib.sha256(row.id.encode()).hexdigest()[:40]
    return Account(id=row.id, username=row.username, address=address)


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
