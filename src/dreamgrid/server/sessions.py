"""Sign-ins: the tokens of an account, renewed by rotation, ended by logout."""

import asyncio
import uuid
from collections.abc import Sequence

from dreamgrid.errors import AuthenticationFailed
from dreamgrid.protocol.rest_account import Tokens
from dreamgrid.server.auth import Account, account_of
from dreamgrid.server.bus.base import Bus, session_subject
from dreamgrid.server.clock import Clock, milliseconds
from dreamgrid.server.config import ServerConfig
from dreamgrid.server.store.base import Rotation, SessionRow, Store
from dreamgrid.server.tokens import Claims, TokenSigner

GRACE_MS = 2 * 60 * 1000
"""How long the refresh token before the last one stays good: several processes may share it."""

COOKIE_S = 24 * 60 * 60
"""How long a browser session lasts without a visit, unless it is to be remembered."""

ANSWER_FIRST_S = 0.25
"""How long the answer to a logout gets to arrive before the sockets of the session close."""

_MAX_CACHED = 10_000
_ENDED = "this session has ended; sign in again"


class Sessions:
    """Begins, renews and ends sign-ins."""

    def __init__(
        self, config: ServerConfig, store: Store, bus: Bus, signer: TokenSigner, clock: Clock
    ) -> None:
        self._bus = bus
        self._config = config
        self._store = store
        self._signer = signer
        self._clock = clock
        self._accounts: dict[str, Account] = {}
        self._ends = 0

    def sign_with(self, secrets: Sequence[bytes]) -> None:
        """Takes other secrets from now on. See `TokenSigner`."""
        self._signer.sign_with(secrets)

    async def begin(self, account: Account) -> Tokens:
        """A new sign-in.

        Raises:
            ServerUnavailable: The library for tokens is not installed, or nothing can be stored.
        """
        session_id, token_id = _new_id(), _new_id()
        tokens = self._tokens(account, session_id, token_id)
        now_ms = milliseconds(self._clock)
        row = SessionRow(
            id=session_id,
            account_id=account.id,
            token_id=token_id,
            expires_ms=now_ms + self._config.refresh_token_s * 1000,
        )
        await self._store.add_session(row, now_ms)
        return tokens

    async def refresh(self, refresh_token: str) -> Tokens:
        """Exchanges a refresh token for new tokens.

        Raises:
            AuthenticationFailed: It is not valid, was exchanged before, or its session has ended.
        """
        claims = self._signer.read_refresh(refresh_token)
        if claims is None:
            raise AuthenticationFailed(_ENDED)
        now_ms = milliseconds(self._clock)
        rotation = Rotation(
            session_id=claims.session_id,
            presented=claims.token_id,
            fresh=_new_id(),
            at_ms=now_ms,
            grace_ms=GRACE_MS,
            expires_ms=now_ms + self._config.refresh_token_s * 1000,
        )
        token_id = await self._store.rotate_session(rotation)
        account = await self._account(claims) if token_id is not None else None
        if token_id is None or account is None:
            raise AuthenticationFailed(_ENDED)
        return self._tokens(account, claims.session_id, token_id)

    async def authenticate(self, token: str) -> Account | None:
        """The account behind an access token; None when it is not valid (any more)."""
        claims = self._signer.read_access(token)
        return None if claims is None else await self._account(claims)

    async def end(self, token: str) -> None:
        """Ends the session of an access token: none of its tokens, and no socket, lives on.

        The sockets close a moment later: a published SDK whose socket closes before it has the
        answer to its logout takes the logout for failed.
        """
        claims = self._signer.read_access(token)
        if claims is not None:
            await self._store.end_session(claims.session_id)
            self._accounts.pop(claims.session_id, None)
            self._ends += 1
            asyncio.get_running_loop().call_later(
                ANSWER_FIRST_S, self._bus.publish, session_subject(claims.session_id), b""
            )

    def session_of(self, token: str) -> str | None:
        """The sign-in that an access token belongs to; None when it is not valid."""
        claims = self._signer.read_access(token)
        return claims.session_id if claims is not None else None

    # ── browsers ─────────────────────────────────────────────────────────────────────────────────

    def cookie(self, account: Account, token: str, *, remember: bool) -> tuple[str, int]:
        """What a browser keeps in place of `token`, and for how many seconds it is good.

        Browsers never ask for a new token, so theirs lasts as long as the session.
        """
        claims = self._signer.read_access(token)
        assert claims is not None, "the token was made a moment ago"
        lifetime_s = self._config.refresh_token_s if remember else COOKIE_S
        return self._signer.access(account, claims.session_id, lifetime_s), lifetime_s

    async def renewed_cookie(self, account: Account, token: str) -> tuple[str, int] | None:
        """A fresh cookie for a browser whose old one is past half of its life; None before that."""
        claims = self._signer.read_access(token)
        if claims is None:
            return None
        lifetime_s = claims.expires_s - claims.issued_s
        if self._clock() < claims.expires_s - lifetime_s / 2:
            return None
        expires_ms = milliseconds(self._clock) + lifetime_s * 1000
        await self._store.extend_session(claims.session_id, expires_ms)
        return self._signer.access(account, claims.session_id, lifetime_s), lifetime_s

    # ── parts ────────────────────────────────────────────────────────────────────────────────────

    def _tokens(self, account: Account, session_id: str, token_id: str) -> Tokens:
        config, sign = self._config, self._signer
        return Tokens(
            token=sign.access(account, session_id, config.access_token_s),
            refresh_token=sign.refresh(account.id, session_id, token_id, config.refresh_token_s),
            username=account.username,
        )

    async def _account(self, claims: Claims) -> Account | None:
        """Whose session it is, if it has not ended."""
        cached = self._accounts.get(claims.session_id)
        if cached is not None:
            return cached
        ends = self._ends
        session = await self._store.session(claims.session_id)
        row = await self._store.account(claims.account_id) if session is not None else None
        if row is None:
            return None
        account = account_of(row)
        if len(self._accounts) >= _MAX_CACHED:
            self._accounts.clear()
        if ends == self._ends:  # else it may have ended while it was looked up
            self._accounts[claims.session_id] = account
        return account


def _new_id() -> str:
    return str(uuid.uuid4()).upper()
