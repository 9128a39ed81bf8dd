"""Access and refresh tokens: signed, with all that they say. No store, no I/O.

Clients read `exp` of both and `addr` of the access token without checking the signature, so both
are JWTs (`README.md` 2.1 of the wire contract).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from dreamgrid.errors import ServerUnavailable
from dreamgrid.server.auth import Account

ENVIRONMENT = "dreamgrid"
_ALGORITHM = "HS256"
_ACCESS = "access"
_REFRESH = "refresh"
_NO_JWT = (
    "this server cannot sign anybody in, because PyJWT is missing: install it with "
    "pip install -e '.[wallet]' in the clone, or use an API key"
)


@dataclass(frozen=True, kw_only=True)
class Claims:
    """What a valid token says.

    Attributes:
        session_id: The sign-in that it belongs to.
        account_id: Whose.
        token_id: Of a refresh token: which one of its session.
        issued_s: Seconds since 1970.
        expires_s: Seconds since 1970.
    """

    session_id: str
    account_id: str
    token_id: str
    issued_s: int
    expires_s: int


class TokenSigner:
    """Makes and reads tokens.

    Args:
        secrets: Each at least 32 random bytes. The first one signs, all of them are believed.
        clock: Seconds since 1970.
    """

    def __init__(self, secrets: Sequence[bytes], clock: Callable[[], float]) -> None:
        self._secrets = secrets
        self._clock = clock

    def sign_with(self, secrets: Sequence[bytes]) -> None:
        """Takes other secrets from now on."""
        self._secrets = secrets

    def access(self, account: Account, session_id: str, lifetime_s: float) -> str:
        """A token that stands for `account` until it expires or its session ends."""
        claims = {"type": _ACCESS, "addr": account.address, "sub": account.id, "sid": session_id}
        return self._sign(claims, lifetime_s)

    def refresh(self, account_id: str, session_id: str, token_id: str, lifetime_s: float) -> str:
        """A token that can be exchanged for new ones."""
        claims = {"type": _REFRESH, "sub": account_id, "sid": session_id, "jti": token_id}
        return self._sign(claims, lifetime_s)

    def read_access(self, token: str) -> Claims | None:
        """What a valid access token says; None for anything else."""
        return self._read(token, _ACCESS)

    def read_refresh(self, token: str) -> Claims | None:
        """What a valid refresh token says; None for anything else."""
        return self._read(token, _REFRESH)

    def _sign(self, claims: dict[str, Any], lifetime_s: float) -> str:
        now_s = int(self._clock())
        times = {"env": ENVIRONMENT, "iat": now_s, "exp": now_s + int(lifetime_s)}
        token: str = _library().encode({**claims, **times}, self._secrets[0], algorithm=_ALGORITHM)
        return token

    def _read(self, token: str, kind: str) -> Claims | None:
        try:
            library = _library()
        except ServerUnavailable:
            return None
        said = self._said(library, token)
        if said is None or said.get("type") != kind or said["exp"] <= self._clock():
            return None
        return Claims(
            session_id=said["sid"],
            account_id=said["sub"],
            token_id=said.get("jti", ""),
            issued_s=said["iat"],
            expires_s=said["exp"],
        )

    def _said(self, library: ModuleType, token: str) -> dict[str, Any] | None:
        """What a token says that one of the secrets has signed."""
        # Times are checked by the caller, by the server's own clock.
        unchecked = {"verify_exp": False, "verify_iat": False, "require": ["exp", "iat", "sub"]}
        for secret in self._secrets:
            try:
                said: dict[str, Any] = library.decode(
                    token, secret, algorithms=[_ALGORITHM], options=unchecked
                )
            except library.InvalidSignatureError:
                continue
            except library.InvalidTokenError:
                return None
            return said
        return None


def can_sign() -> bool:
    """Whether anybody can sign in on this server."""
    return find_spec("jwt") is not None


def _library() -> ModuleType:
    """PyJWT, loaded when somebody signs in: key-only servers run without it.

    Raises:
        ServerUnavailable: It is not installed.
    """
    try:
        import jwt  # noqa: PLC0415
    except ImportError:
        raise ServerUnavailable(_NO_JWT) from None
    return jwt
