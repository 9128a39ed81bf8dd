"""What one caller may take up of the server, so that there is room for the others.

Requests beyond a limit are answered with a wait. Messages on a socket are never refused or dropped:
a socket that sends too fast is read more slowly. `docs/limits.md` tells people.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from dreamgrid.errors import TooManyRequests
from dreamgrid.server.auth import Account
from dreamgrid.server.clock import Clock
from dreamgrid.server.config import ServerConfig
from dreamgrid.server.rates import Buckets

Peers = Literal["apps", "workers", "streams"]

BYTES_PER_TOKEN = 16 * 1024
"""A message counts once, and once more for each of these."""

MAX_FORMS_BYTES = 256 * 1024 * 1024
"""Most that forms of one account may take in memory while they arrive."""

MAX_PAUSE_S = 10.0
"""Longest time for which a socket is not read; its pings wait too."""

_RETRY_CONNECTION_S = 15.0
_RETRY_FORM_S = 15.0


class Limits:
    """Counts what callers take up."""

    def __init__(self, config: ServerConfig, clock: Clock) -> None:
        self._most: dict[Peers, int] = {
            "apps": config.max_apps,
            "workers": config.max_workers,
            "streams": config.max_streams,
        }
        self._connected: Counter[tuple[Peers, str]] = Counter()
        self._forms_bytes: Counter[str] = Counter()
        self._requests = Buckets(config.requests, clock)
        self._strangers = Buckets(config.stranger_requests, clock)
        self._messages = Buckets(config.messages, clock)
        self._worker_messages = Buckets(config.worker_messages, clock)

    def request(self, account: Account | None, address: str) -> None:
        """Counts an HTTP request, or the opening of a socket.

        Args:
            account: Who asks; None: nobody knows.
            address: Where from.

        Raises:
            TooManyRequests: They ask too fast; says for how long to wait.
        """
        if account is not None:
            wait_s = self._requests.take(account.id)
            whose = "your account"
        else:
            wait_s = self._strangers.take(address)
            whose = "your address without a credential"
        if wait_s > 0:
            raise TooManyRequests(
                f"too many requests from {whose}; try again in {wait_s:.1f} s",
                retry_after_s=wait_s,
            )

    def message(self, account: Account, size_bytes: int) -> float:
        """Counts a message of one of the account's apps; the seconds to wait before the next."""
        return min(MAX_PAUSE_S, self._messages.borrow(account.id, _tokens_of(size_bytes)))

    def worker_message(self, worker_id: str, size_bytes: int) -> float:
        """Counts a message of a worker; the seconds to wait before the next."""
        return min(MAX_PAUSE_S, self._worker_messages.borrow(worker_id, _tokens_of(size_bytes)))

    def app_may_send(self, account: Account, size_bytes: int) -> bool:
        """Counts a message of an app if nobody need wait; else it is yet to be counted."""
        return self._messages.takes(account.id, _tokens_of(size_bytes))

    def may_send(self, worker_id: str, size_bytes: int) -> bool:
        """Counts a message of a worker if it need not wait; else it is yet to be counted."""
        return self._worker_messages.takes(worker_id, _tokens_of(size_bytes))

    @contextmanager
    def connection(
        self, kind: Peers, account: Account, *, replaces: bool = False
    ) -> Iterator[None]:
        """Counts a connection while the block runs.

        Args:
            kind: Each kind is counted apart.
            account: Whose.
            replaces: It takes the place of another one, which is about to close.

        Raises:
            TooManyRequests: The account has as many as it may have.
        """
        key = (kind, account.id)
        if self._connected[key] - replaces >= self._most[kind] > 0:
            raise TooManyRequests(
                f"your account has {self._most[kind]} {kind} open, the most that this server "
                "takes; close some of them",
                retry_after_s=_RETRY_CONNECTION_S,
            )
        self._connected[key] += 1
        try:
            yield
        finally:
            self._connected[key] -= 1
            if not self._connected[key]:
                del self._connected[key]

    @contextmanager
    def form(self, account: Account) -> Iterator[Callable[[int], None]]:
        """Counts what a form takes in memory while the block runs; call it with bytes to come.

        Raises:
            TooManyRequests: By that call: forms of the account take as much as they may.
        """
        form_bytes = 0

        def arrive(size_bytes: int) -> None:
            nonlocal form_bytes
            if self._forms_bytes[account.id] + size_bytes > MAX_FORMS_BYTES:
                raise TooManyRequests(
                    f"forms of your account that arrive at once have more than {MAX_FORMS_BYTES} "
                    "bytes, the most that this server takes; send fewer at a time",
                    retry_after_s=_RETRY_FORM_S,
                )
            self._forms_bytes[account.id] += size_bytes
            form_bytes += size_bytes

        try:
            yield arrive
        finally:
            self._forms_bytes[account.id] -= form_bytes
            if not self._forms_bytes[account.id]:
                del self._forms_bytes[account.id]


def _tokens_of(size_bytes: int) -> float:
    return 1 + size_bytes // BYTES_PER_TOKEN
