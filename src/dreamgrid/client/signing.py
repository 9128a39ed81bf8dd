"""Signs what a server asks somebody with a name and password to sign. Needs the extra `wallet`."""

from dataclasses import dataclass, field
from typing import Any

from dreamgrid.errors import ConfigError
from dreamgrid.protocol import wallet
from dreamgrid.protocol.wallet import TypedData


@dataclass(frozen=True, kw_only=True)
class Wallet:
    """The key pair that a name and a password stand for; nothing is stored anywhere.

    Attributes:
        address: What the server knows the account by.
        private_key: The secret, 32 bytes.
    """

    address: str
    private_key: bytes = field(repr=False)

    def sign(self, typed: TypedData) -> str:
        """The signature of a message, as hex."""
        _, messages = _library()
        signable = messages.encode_typed_data(typed.domain, typed.types, typed.message)
        accounts, _ = _library()
        signed = accounts.sign_message(signable, self.private_key)
        return "0x" + str(signed.signature.hex())


def wallet_of(username: str, password: str) -> Wallet:
    """The wallet of a name and a password. Takes a moment, on purpose.

    Raises:
        ConfigError: The extra is not installed.
    """
    accounts, _ = _library()
    secret = wallet.private_key(username, password)
    return Wallet(address=str(accounts.from_key(secret).address), private_key=secret)


def _library() -> tuple[Any, Any]:
    try:
        from eth_account import Account, messages  # noqa: PLC0415 (an extra, and heavy)
    except ImportError:
        raise ConfigError(
            "signing in with name and password needs the extra: "
            "pip install -e '.[wallet]' in the clone; "
            "API keys work without"
        ) from None
    return Account, messages
