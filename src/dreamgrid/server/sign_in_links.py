"""Links that sign a browser of this machine in, once: how whoever started a grid enters its studio.

The secret stands behind the `#` of an address, which browsers send to nobody; the page reads it and
exchanges it for a cookie.
"""

import hashlib
import secrets

from dreamgrid.errors import NotAllowed
from dreamgrid.server.auth import Account
from dreamgrid.server.clock import Clock

LINK_S = 10 * 60
"""How long a link waits to be opened."""

MAX_LINKS = 100
"""Links that wait at the same time, of all accounts; beyond that the oldest is good no longer."""


class SignInLinks:
    """The links that were made and not used yet; in memory only, and only as hashes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._links: dict[bytes, tuple[Account, float]] = {}

    def make(self, account: Account) -> str:
        """A secret that stands for `account` once, for the next ten minutes."""
        secret = secrets.token_urlsafe(32)
        self._links[_hash(secret)] = (account, self._clock() + LINK_S)
        if len(self._links) > MAX_LINKS:
            del self._links[next(iter(self._links))]
        return secret

    def use(self, secret: str) -> Account:
        """Whose link it is; nobody can use it again.

        Raises:
            NotAllowed: It was used, is too old, or never was.
        """
        account, expires_s = self._links.pop(_hash(secret), (None, 0.0))
        if account is None or expires_s <= self._clock():
            raise NotAllowed(
                "this link was used already or is too old: `dreamgrid studio` makes a fresh one"
            )
        return account


def address(origin: str, secret: str) -> str:
    """The link itself: where a browser exchanges the secret."""
    return f"{origin}/#/welcome/{secret}"


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "backslashreplace")).digest()
