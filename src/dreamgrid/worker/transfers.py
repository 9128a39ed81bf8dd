"""Files over HTTP: inputs down, results and previews up, bounded and tried again where it helps."""

import asyncio
import io
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import aiohttp
from yarl import URL

from dreamgrid.errors import ConnectionFailed, NotAllowed, UnreadableMedia
from dreamgrid.protocol.worker import Upload
from dreamgrid.worker.config import WorkerConfig

PIECE_BYTES = 64 * 1024
T = TypeVar("T")

_log = logging.getLogger(__name__)


class Files:
    """Moves files to and from presigned URLs. Sends no credential: the URL is one."""

    def __init__(self, session: aiohttp.ClientSession, config: WorkerConfig) -> None:
        self._session = session
        self._base = URL(config.base_url + "/")
        self._attempts = config.transfer_attempts
        self._retry_s = config.transfer_retry_s
        self._timeout = aiohttp.ClientTimeout(total=config.transfer_timeout_s)
        self._preview_timeout = aiohttp.ClientTimeout(total=config.preview_timeout_s)

    async def get(self, url: str, *, max_bytes: int) -> bytes:
        """Downloads a file.

        Raises:
            UnreadableMedia: It is longer than `max_bytes`.
            NotAllowed: The store refused (4xx).
            ConnectionFailed: It did not get through in all tries.
        """
        return await self._persistently(lambda: self._get_once(url, max_bytes))

    async def put(self, upload: Upload, data: bytes) -> None:
        """Uploads a result.

        Raises:
            NotAllowed: It is longer than the server takes, or the store refused (4xx).
            ConnectionFailed: It did not get through in all tries.
        """
        if len(data) > upload.max_bytes:
            raise NotAllowed(f"it has {len(data)} bytes, at most {upload.max_bytes} are taken")
        await self._persistently(lambda: self._put_once(upload, data, self._timeout))

    async def put_preview(self, upload: Upload, data: bytes) -> None:
        """Uploads a preview, trying once: the next one is better than this one late.

        Raises:
            NotAllowed: It is longer than the server takes, or the store refused (4xx).
            ConnectionFailed: It did not get through.
        """
        if len(data) > upload.max_bytes:
            raise NotAllowed(f"it has {len(data)} bytes, at most {upload.max_bytes} are taken")
        try:
            await self._put_once(upload, data, self._preview_timeout)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise ConnectionFailed(_reason(error)) from error

    async def _persistently(self, once: Callable[[], Awaitable[T]]) -> T:
        """Tries again after 5xx, connection errors and timeouts, never after a refusal."""
        delay_s = self._retry_s
        for attempt in range(1, self._attempts + 1):
            try:
                return await once()
            except (ConnectionFailed, aiohttp.ClientError, OSError, TimeoutError) as error:
                reason = _reason(error)
                if attempt == self._attempts:
                    raise ConnectionFailed(reason) from error
                _log.info(
                    "transfer try %d of %d: %s; again in %g s",
                    attempt,
                    self._attempts,
                    reason,
                    delay_s,
                )
            await asyncio.sleep(delay_s)
            delay_s *= 2
        raise AssertionError("the last try returns or raises")

    async def _get_once(self, url: str, max_bytes: int) -> bytes:
        # What is stored is what counts: no decompression on the way, so that the limit holds.
        async with self._session.get(
            self._absolute(url), timeout=self._timeout, headers={"Accept-Encoding": "identity"}
        ) as response:
            _check(response)
            too_large = UnreadableMedia(f"it has more than {max_bytes} bytes")
            if (response.content_length or 0) > max_bytes:
                raise too_large
            data = bytearray()
            async for piece in response.content.iter_chunked(PIECE_BYTES):
                data += piece
                if len(data) > max_bytes:
                    raise too_large
            return bytes(data)

    async def _put_once(self, upload: Upload, data: bytes, limits: aiohttp.ClientTimeout) -> None:
        async with self._session.put(
            self._absolute(upload.url),
            data=io.BytesIO(data),  # a file is sent in pieces; bytes would block the loop
            headers={"Content-Type": upload.content_type},
            timeout=limits,
            allow_redirects=False,  # a presigned PUT is signed for this address
        ) as response:
            _check(response)

    def _absolute(self, url: str) -> URL:
        # encoded: a signature covers the exact spelling of its URL.
        target = URL(url, encoded=True)
        return target if target.absolute else self._base.join(target)


def _check(response: aiohttp.ClientResponse) -> None:
    if response.status >= 500:
        raise ConnectionFailed(f"the store answered {response.status}")
    if response.status not in (200, 201, 204):
        raise NotAllowed(f"the store refused it with {response.status}")


def _reason(error: Exception) -> str:
    """What went wrong, without the URL: it is a credential."""
    if isinstance(error, ConnectionFailed):
        return str(error)
    if isinstance(error, TimeoutError):
        return "the store did not answer in time"
    return f"the store could not be reached ({type(error).__name__})"
