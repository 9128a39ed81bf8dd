"""Media in a folder of this server, which serves it itself through signed links."""

import asyncio
import errno
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, TypeVarTuple

from aiohttp import web

from dreamgrid.errors import NotAllowed, NotFound, ServerUnavailable
from dreamgrid.protocol.rest_files import Link, LinkQuery, Stored
from dreamgrid.server.blobs.base import Arrivals, BlobInfo, Usage
from dreamgrid.server.blobs.folder import Folder, load_secret
from dreamgrid.server.blobs.links import PATH, Grant, Links
from dreamgrid.server.blobs.media_types import HEAD_BYTES, by_extension, sniff
from dreamgrid.server.blobs.serving import file_response
from dreamgrid.server.clock import Clock, system_clock
from dreamgrid.server.endpoint import Endpoints
from dreamgrid.server.http import Refused

T = TypeVar("T")
Args = TypeVarTuple("Args")

WRITE_BYTES = 256 * 1024
"""How much of an upload is collected before a thread writes it; most previews and results fit, so
that one visit to a thread stores them."""

SECRET_FILE = "blob-secret"
UPLOAD_LIMIT_S = 15 * 60.0
"""A slower upload is given up."""

_ANY = ("*/*",)
_GIVEN = {
    206: "The part that was asked for.",
    304: "Unchanged since the `ETag` that was sent.",
    416: "The range lies outside the file; the message says how long it is.",
}
_REFUSED = {
    408: "The upload took too long.",
    413: "The file is larger than the link allows.",
    507: "The server's disk is full.",
}
_NO_ROOM = "the server has no room left for this file; try again later"
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class LocalBlobs:
    """The `Blobs` contract on a local folder.

    Args:
        data_dir: Holds `blobs/` and the secret that signs links.
        clock: Time by which links expire.
        upload_limit_s: Longest time that one upload may take.
        secrets: Sign links, the newest first. Empty: the secret in the data folder does.

    Attributes:
        arrivals: Is asked about each upload and told after it. At first all are welcome.

    Raises:
        ConfigError: The folder cannot be written, or the secret is damaged.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        clock: Clock = system_clock,
        upload_limit_s: float = UPLOAD_LIMIT_S,
        secrets: tuple[bytes, ...] = (),
    ) -> None:
        self._folder = Folder(data_dir / "blobs")
        self._folder.be_known()
        self._links = Links(secrets or (load_secret(data_dir / SECRET_FILE),), clock)
        self._clock = clock
        self._upload_limit_s = upload_limit_s
        self.arrivals: Arrivals = _Welcome()
        # One system call: quicker than a visit to a thread.
        self.size_at_once: Callable[[str], int | None] | None = self._folder.size

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
        return self._links.upload(
            key,
            content_type=content_type,
            max_bytes=max_bytes,
            expires_s=expires_s,
            durable=durable,
            origin=origin,
        )

    def get_url(
        self, key: str, *, expires_s: float, origin: str, content_type: str | None = None
    ) -> str:
        return self._links.download(
            key, content_type=content_type, expires_s=expires_s, origin=origin
        )

    async def stat(self, key: str) -> BlobInfo | None:
        size_bytes = self._folder.size(key)
        if size_bytes is None:
            return None
        kind = by_extension(key) or sniff(self._folder.head(key, HEAD_BYTES) or b"")
        return BlobInfo(size_bytes=size_bytes, content_type=kind)

    async def read(self, key: str, *, max_bytes: int) -> bytes:
        head = await _in_thread(self._folder.head, key, max_bytes)
        if head is None:
            raise NotFound(f"there is no file {key}")
        return head

    async def write(self, key: str, data: bytes) -> None:
        self.arrivals.begin(key, len(data))
        incoming, kept = self._folder.begin(), False
        try:
            self.arrivals.check(key)
            await _in_thread(incoming.commit, data, self._folder.path(key), True)
            kept = True
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise ServerUnavailable(_NO_ROOM) from None
        finally:
            self.arrivals.end(key, len(data), len(data) if kept else None)
            if not kept:
                await asyncio.shield(_in_thread(incoming.abort))

    async def delete(self, key: str) -> bool:
        return await _in_thread(self._folder.remove, key)

    async def delete_prefix(self, prefix: str) -> int:
        return await _in_thread(self._folder.remove_below, prefix)

    async def expire(self, older_than_s: float, *, keep: Callable[[str], bool]) -> int:
        return await _in_thread(self._folder.remove_older, self._clock() - older_than_s, keep)

    async def usage(self) -> Usage:
        return await _in_thread(self._folder.usage)

    def routes(self) -> Endpoints:
        """Where the links lead."""
        api = Endpoints("Stored files", "Where signed links lead. No credential, but a signature.")
        path = f"{PATH}{{key:(?s:.+)}}"

        @api.get(path, errors=(NotAllowed, NotFound), content_types=_ANY, also=_GIVEN)
        async def fetch_file(
            path: Link, query: LinkQuery, request: web.Request
        ) -> web.StreamResponse:
            """The bytes of a file, or with `Range` a part of them.

            Its type is the one that the file has, never one that its uploader claimed.
            """
            del query  # signed as it stands in the address
            return await self._give(request, path.key)

        @api.put(path, errors=(NotAllowed,), receives=_ANY, also=_REFUSED)
        async def store_file(path: Link, query: LinkQuery, request: web.Request) -> Stored:
            """Takes a file, whole or not at all; the same link again replaces it."""
            del query
            return Stored(size_bytes=await self._take(request, path.key))

        return api

    async def _give(self, request: web.Request, key: str) -> web.StreamResponse:
        grant = self._links.check(request.method, key, request.query)
        opened = await _in_thread(self._folder.open, key)
        if opened is None:
            raise NotFound("there is no such file (any more)")
        return await _in_thread(file_response, request, opened, key, grant.content_type)

    async def _take(self, request: web.Request, key: str) -> int:
        """Stores an upload; its length in bytes."""
        grant = self._links.check(request.method, key, request.query)
        _check_headers(request, grant)
        if request.content_length is not None and request.content_length > grant.max_bytes:
            raise _too_long(grant.max_bytes)
        try:
            async with asyncio.timeout(self._upload_limit_s):
                size_bytes = await self._receive(request, key, grant)
        except TimeoutError:
            raise Refused(
                408, f"the upload took longer than {self._upload_limit_s:g} seconds"
            ) from None
        except (ConnectionError, web.RequestPayloadError):
            raise Refused(400, "the upload broke off; nothing was kept: send it again") from None
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise Refused(507, _NO_ROOM) from None
        if size_bytes is None:
            raise _too_long(grant.max_bytes)
        return size_bytes

    async def _receive(self, request: web.Request, key: str, grant: Grant) -> int | None:
        """Stores the body of a request.

        Returns:
            Its length in bytes, or None when it was longer than allowed and nothing was kept.
        """
        length = request.content_length
        expected_bytes = grant.max_bytes if length is None else length
        self.arrivals.begin(key, expected_bytes)
        incoming = self._folder.begin()
        collected = bytearray()
        size_bytes = 0
        kept = False
        try:
            async for chunk in request.content.iter_any():
                size_bytes += len(chunk)
                if size_bytes > grant.max_bytes:
                    return None
                collected += chunk
                if len(collected) >= WRITE_BYTES:
                    await _in_thread(incoming.append, bytes(collected))
                    collected.clear()
            path = self._folder.path(key)
            self.arrivals.check(key)
            await _in_thread(incoming.commit, bytes(collected), path, grant.durable)
            kept = True
        finally:
            self.arrivals.end(key, expected_bytes, size_bytes if kept else None)
            if not kept:  # shielded: when this request is cancelled, its leftovers still go
                await asyncio.shield(_in_thread(incoming.abort))
        return size_bytes


class _Welcome:
    def begin(self, key: str, size_bytes: int) -> None:
        del key, size_bytes

    def check(self, key: str) -> None:
        del key

    def end(self, key: str, size_bytes: int, stored_bytes: int | None) -> None:
        del key, size_bytes, stored_bytes


async def _in_thread(function: Callable[[*Args], T], *args: *Args) -> T:
    return await asyncio.get_running_loop().run_in_executor(None, function, *args)


def _check_headers(request: web.Request, grant: Grant) -> None:
    pinned = grant.content_type
    if pinned is not None and request.content_type.lower() != pinned.lower():
        raise NotAllowed(
            f"this link takes {pinned} only: send it as Content-Type "
            f"(yours was {request.content_type[:80]})"
        )
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise NotAllowed("uploads are stored as they are: send no Content-Encoding")


def _too_long(max_bytes: int) -> Refused:
    return Refused(413, f"the file is too large: this link takes at most {max_bytes} bytes")
