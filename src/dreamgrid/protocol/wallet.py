"""What a wallet signs to sign up or in: EIP-712 typed data. Pure.

No password leaves the client: name and password make a private key, and the key signs a nonce of
the server. Source: `README.md` 2.2 of the wire contract.
"""

import hashlib
from typing import Any, NamedTuple

_SALT = b"sogni-salt-value"
_ITERATIONS = 10_000
_VERIFYING_CONTRACT = "0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC"

_Field = tuple[str, str]
_AUTHENTICATION: tuple[_Field, ...] = (("address", "walletAddress"), ("string", "nonce"))
_SIGNUP: tuple[_Field, ...] = (
    ("string", "appid"),
    ("string", "username"),
    ("string", "email"),
    ("uint256", "subscribe"),
    ("address", "walletAddress"),
    ("string", "nonce"),
)


class TypedData(NamedTuple):
    """One message to sign, in the three parts that signing libraries take."""

    domain: dict[str, Any]
    types: dict[str, list[dict[str, str]]]
    message: dict[str, Any]


def private_key(username: str, password: str) -> bytes:
    """The key that stands for a name and a password, 32 bytes; the name's case does not matter."""
    secret = (username.lower() + password).encode()
    return hashlib.pbkdf2_hmac("sha256", secret, _SALT, _ITERATIONS, dklen=32)


def authentication(address: str, nonce: str, *, testnet: bool) -> TypedData:
    """What is signed to sign in."""
    message = {"walletAddress": address, "nonce": nonce}
    return _typed("Authentication", _AUTHENTICATION, message, testnet=testnet)


def signup(
    *,
    app_id: str,
    username: str,
    email: str,
    subscribe: int,
    address: str,
    nonce: str,
    testnet: bool,
) -> TypedData:
    """What is signed to sign up; every value as the client typed it."""
    message = {
        "appid": app_id,
        "username": username,
        "email": email,
        "subscribe": subscribe,
        "walletAddress": address,
        "nonce": nonce,
    }
    return _typed("Signup", _SIGNUP, message, testnet=testnet)


def _typed(
    name: str, fields: tuple[_Field, ...], message: dict[str, Any], *, testnet: bool
) -> TypedData:
    domain = {
        "name": "Sogni-testnet" if testnet else "Sogni AI",
        "version": "1",
        "chainId": 84532 if testnet else 8453,
        "verifyingContract": _VERIFYING_CONTRACT,
    }
    types = {name: [{"name": field, "type": kind} for kind, field in fields]}
    return TypedData(domain, types, message)
