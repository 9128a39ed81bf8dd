"""The contract of a media store. `tests/contracts/test_blobs.py` holds every backend to it.

The server signs URLs, and apps and workers put and get the bytes with them; it reads and writes
files itself only for clients that know no links (`server/openai/`). A URL is good for one method,
one key and a limited time. Whatever is uploaded becomes visible whole or not at all; the same key
again replaces the file.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class BlobInfo:
    """A stored file.

    Attributes:
        size_bytes: Its length.
        content_type: Its media type; `application/octet-stream` when nobody knows.
        sha256: Hash of its bytes, 64 hex characters, where the backend keeps one.
    """

    size_bytes: int
    content_type: str
    sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a store holds.

    Attributes:
        count: Files.
        size_bytes: Their lengths together.
        free_bytes: What still fits. None: unknown.
    """

    count: int
    size_bytes: int
    free_bytes: int | None = None


class Arrivals(Protocol):
    """Is asked about uploads and told after them, by stores whose uploads this server receives."""

    def begin(self, key: str, size_bytes: int) -> None:
        """A file of at most this size is about to arrive.

        Raises:
            DreamgridError: It may not come, or not now.
        """
        ...

    def check(self, key: str) -> None:
        """A file that had begun is here, and about to take its place.

        Raises:
            DreamgridError: It comes too late.
        """
        ...

    def end(self, key: str, size_bytes: int, stored_bytes: int | None) -> None:
        """What had begun with `size_bytes` was stored, or given up (None)."""
        ...


class Blobs(Protocol):
    """A media store. Keys are checked by `keys.check_key`; a bad one raises ValueError."""

    def put_url(
        self,
        key: str,
        *,
        content_type: str | None,
        max_bytes: int,
        expires_s: float,
        origin: str,
        durable: bool = True,
    ) -> str:
        """A URL that takes the file by PUT.

        Args:
            key: Where it will lie.
            content_type: The Content-Type that the request must carry. None: any.
            max_bytes: A longer body is refused, where the store can; so whoever uses a file looks
                at its size as well.
            expires_s: How long the URL is good for.
            origin: Scheme, host and port under which this peer reaches the server.
            durable: The file must survive a power cut once the PUT was answered.
        """
        ...

    def get_url(
        self, key: str, *, expires_s: float, origin: str, content_type: str | None = None
    ) -> str:
        """A URL that gives the file by GET, ranges included.

        Args:
            key: Where it lies; it need not be there yet.
            expires_s: How long the URL is good for.
            origin: Scheme, host and port under which this peer reaches the server.
            content_type: Content-Type of the answer. None: that of the key's extension.
        """
        ...

    async def stat(self, key: str) -> BlobInfo | None:
        """Size and type of a file, or None when there is none. Cheap."""
        ...

    @property
    def size_at_once(self) -> Callable[[str], int | None] | None:
        """Tells the length of a file, or None when there is none, without waiting.

        None: this store cannot, and only `stat` tells.
        """
        ...

    async def read(self, key: str, *, max_bytes: int) -> bytes:
        """The first `max_bytes` of a file.

        Raises:
            NotFound: There is none.
        """
        ...

    async def write(self, key: str, data: bytes) -> None:
        """Stores a file that the server itself received.

        Raises:
            TooManyRequests: Its account has too much that no project uses.
            ServerUnavailable: The store has no room for it, or does not answer.
        """
        ...

    async def delete(self, key: str) -> bool:
        """Removes a file; whether there was one."""
        ...

    async def delete_prefix(self, prefix: str) -> int:
        """Removes every file whose key begins with `prefix` and a slash; how many there were."""
        ...

    async def expire(self, older_than_s: float, *, keep: Callable[[str], bool]) -> int:
        """Removes every file that was uploaded longer ago than that; how many there were.

        Args:
            older_than_s: Age in seconds.
            keep: Called with the key of each, from any thread: whether it must stay all the same.
        """
        ...

    async def usage(self) -> Usage:
        """Counts what is stored; slow on a large store."""
        ...
