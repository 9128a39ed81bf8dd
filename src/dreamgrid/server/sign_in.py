"""Who may sign up and in, how often, and what they get."""

import re

from dreamgrid.errors import InvalidRequest, NotAllowed, UsernameTaken
from dreamgrid.protocol.rest_account import (
    USERNAME_PATTERN,
    LoginRequest,
    SignupRequest,
    Tokens,
    WaysIn,
)
from dreamgrid.server.accounts import Accounts
from dreamgrid.server.auth import Account
from dreamgrid.server.clock import Clock
from dreamgrid.server.config import ServerConfig
from dreamgrid.server.sessions import Sessions
from dreamgrid.server.throttle import Throttle
from dreamgrid.server.wallet import Wallets, why_not

NONCES_PER_MINUTE = 120
"""From one address; a login needs one."""

_USERNAME = re.compile(USERNAME_PATTERN)
_USERNAME_RULE = (
    "a username has 2 to 40 letters, digits, dots, dashes and underscores, and begins with a "
    "letter or digit"
)


class SignIn:
    """Sign-up and login by wallet. Callers are network addresses, for the limits.

    Each try counts before anything is awaited, so that many at once are no way around a limit, and
    is taken back when it succeeds.
    """

    def __init__(
        self, config: ServerConfig, accounts: Accounts, sessions: Sessions, clock: Clock
    ) -> None:
        self._config = config
        self._accounts = accounts
        self._sessions = sessions
        self._wallets = Wallets(clock)
        self._nonces = Throttle("requests", limit=NONCES_PER_MINUTE, period_s=60, clock=clock)
        self._guesses = Throttle(
            "failed sign-ins", limit=config.guesses_per_minute, period_s=60, clock=clock
        )
        self._signups = Throttle(
            "new accounts", limit=config.signups_per_hour, period_s=3600, clock=clock
        )

    def close(self) -> None:
        """Ends the threads that check signatures."""
        self._wallets.close()

    def ways_in(self, *, from_here: bool) -> WaysIn:
        """How people come in.

        Args:
            from_here: Whether a program or page of this machine asks.
        """
        missing = why_not()
        if missing is not None:
            return WaysIn(password=False, sign_up=False, reason=missing)
        try:
            self._check_welcome(from_here)
        except NotAllowed as refused:
            return WaysIn(password=True, sign_up=False, reason=str(refused))
        return WaysIn(password=True, sign_up=True)

    def nonce(self, caller: str, address: str) -> str:
        """A text for a wallet to sign; it need not have an account.

        Raises:
            TooManyRequests: The caller asked too often.
        """
        self._nonces.use(caller)
        return self._wallets.nonces.issue(address)

    async def sign_up(
        self, caller: str, request: SignupRequest, *, from_here: bool
    ) -> tuple[Account, Tokens]:
        """Makes an account with its starting grant, and signs it in.

        Args:
            caller: Who asks.
            request: With what.
            from_here: Whether a program or page of this machine asks.

        Raises:
            NotAllowed: This grid takes no strangers, or the signature is wrong.
            InvalidRequest: The name has another form than names have.
            UsernameTaken: The name, or the wallet, belongs to an account.
            TooManyRequests: The caller made too many accounts, or guessed too often.
        """
        self._check_welcome(from_here)
        self._signups.check(caller)
        await self.check_username(request.username)
        self._guesses.use(caller)
        await self._wallets.check_signup(request)
        self._guesses.undo(caller)
        self._signups.use(caller)
        account = await self._accounts.create(
            request.username, request.wallet_address, request.email
        )
        if account is None:
            self._signups.undo(caller)
            raise UsernameTaken(f"the username {request.username} is already taken")
        return account, await self._sessions.begin(account)

    async def log_in(self, caller: str, request: LoginRequest) -> tuple[Account, Tokens]:
        """Signs an account in. A wrong password makes another wallet, so guesses count per caller.

        Raises:
            NotAllowed: No account has this wallet, or the signature is wrong.
            TooManyRequests: The caller guessed too often.
        """
        self._guesses.use(caller)
        await self._wallets.check_login(request)
        account = await self._accounts.by_address(request.wallet_address)
        if account is None:
            raise NotAllowed("wrong username or password")
        self._guesses.undo(caller)
        return account, await self._sessions.begin(account)

    def _check_welcome(self, from_here: bool) -> None:
        if not self._config.signup_open:
            raise NotAllowed("sign-up is closed on this grid: ask its owner for an API key")
        if self._config.signup is None and not from_here:
            raise NotAllowed(
                "nobody from elsewhere can make an account on a private grid: ask its owner to "
                "open sign-up, or for an API key"
            )

    async def check_username(self, username: str) -> None:
        """Raises when nobody can sign up with this name.

        Raises:
            InvalidRequest: It has another form than names have.
            UsernameTaken: Somebody has it, in any case.
        """
        if not _USERNAME.fullmatch(username):
            raise InvalidRequest(_USERNAME_RULE)
        if not await self._accounts.is_free(username):
            raise UsernameTaken(f"the username {username} is already taken")
