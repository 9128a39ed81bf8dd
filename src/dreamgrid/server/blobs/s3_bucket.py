"""One bucket of an S3-compatible store: its links, and calls that are made with them.

Calls are tried again while the store does not answer. Signatures carry the time, and stores refuse
those of another one; so what their answers say about the time sets this machine's clock right.
"""

import asyncio
import email.utils
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from io import BufferedReader, BytesIO
from pathlib import Path

import aiohttp
from yarl import URL

from dreamgrid.errors import ServerUnavailable
from dreamgrid.server.blobs.s3_settings import S3Settings
from dreamgrid.server.blobs.sigv4 import Presigner
from dreamgrid.server.clock import Clock

TRIES = 3
RETRY_S = 0.2
CALL_S = 5.0
"""How long the store may take to answer one call once."""

MAX_ANSWER_BYTES = 4 * 1024 * 1024
"""Longest answer that is read; a list of a thousand objects has a tenth of it."""

SILENT_S = 60.0
"""How long the store may say nothing while it is sent a file, or looks at it."""

_TIMEOUT = aiohttp.ClientTimeout(total=CALL_S)
_FILE_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=CALL_S, sock_read=SILENT_S)

_CALL_EXPIRES_S = 300.0
_SKEW_S = 5.0
"""A difference of the clocks that is worth setting right."""

Parameters = tuple[tuple[str, str], ...]

_log = logging.getLogger("dreamgrid.blobs")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the store said.

    Attributes:
        status: HTTP status.
        headers: Of any spelling.
        body: The bytes, as many as were wanted.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class Bucket:
    """See the module's text.

    Args:
        settings: Where it is.
        clock: This machine's time.
    """

    def __init__(self, settings: S3Settings, clock: Clock) -> None:
        self._settings = settings
        self._presigner = Presigner(settings.credentials, settings.region)
        self._here = _Place.of(settings.endpoint, settings)
        self._public = _Place.of(settings.public, settings)
        self._clock = clock
        self._behind_s = 0.0  # how much the store's clock is ahead of ours
        self._session: aiohttp.ClientSession | None = None

    def open(self) -> None:
        """Begins to speak to the store; to be called in a running loop."""
        # What is stored is what counts: nothing is decompressed on the way.
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),  # each call is signed for itself
        )

    async def close(self) -> None:
        """Hangs up."""
        if self._session is not None:
            await self._session.close()

    def link(
        self,
        method: str,
        name: str,
        *,
        expires_s: float,
        content_type: str | None = None,
        parameters: Parameters = (),
    ) -> str:
        """A URL for apps and workers that allows one method on one object."""
        return self._url(self._public, method, name, expires_s, content_type, parameters)

    async def call(
        self,
        method: str,
        name: str = "",
        *,
        parameters: Parameters = (),
        data: bytes | Path | None = None,
        headers: Mapping[str, str] | None = None,
        most_bytes: int = MAX_ANSWER_BYTES,
    ) -> Answer:
        """Asks the store; an empty name means the bucket itself. `data` may be a file to send.

        Raises:
            ServerUnavailable: The store does not answer, not even when asked again.
        """
        delay_s = RETRY_S
        for attempt in range(1, TRIES + 1):
            behind_s = self._behind_s
            url = self._url(self._here, method, name, _CALL_EXPIRES_S, None, parameters)
            try:
                answer = await self._once(method, url, data, headers, most_bytes)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                reason = str(error) or type(error).__name__
            else:
                self._learn_time(answer)
                refused = answer.status == 403 and self._behind_s != behind_s
                if answer.status < 500 and answer.status != 429 and not refused:
                    return answer
                reason = f"it answered {answer.status}"
            if attempt < TRIES:
                _log.info("media store, try %d of %d: %s", attempt, TRIES, reason)
                await asyncio.sleep(delay_s)
                delay_s *= 2
        raise ServerUnavailable(
            f"the media store does not answer ({reason}); try again in a moment"
        )

    async def _once(
        self,
        method: str,
        url: str,
        data: bytes | Path | None,
        headers: Mapping[str, str] | None,
        most_bytes: int,
    ) -> Answer:
        assert self._session is not None, "open() comes first"
        if isinstance(data, Path):
            with data.open("rb") as file:
                return await self._request(method, url, file, headers, most_bytes, _FILE_TIMEOUT)
        sent = None if data is None else BytesIO(data)  # long ones are read in parts
        return await self._request(method, url, sent, headers, most_bytes, _TIMEOUT)

    async def _request(
        self,
        method: str,
        url: str,
        data: BytesIO | BufferedReader | None,
        headers: Mapping[str, str] | None,
        most_bytes: int,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 -- it is aiohttp that waits
    ) -> Answer:
        assert self._session is not None
        async with self._session.request(
            method,
            URL(url, encoded=True),
            data=data,
            headers=headers,
            timeout=timeout,
            # What aiohttp adds by itself would be stored with an object.
            skip_auto_headers=["Content-Type", "User-Agent"],
            allow_redirects=False,
        ) as response:
            body = b""
            while len(body) < most_bytes:
                more = await response.content.read(most_bytes - len(body))
                if not more:
                    break
                body += more
            return Answer(status=response.status, headers=response.headers, body=body)

    def _url(
        self,
        place: "_Place",
        method: str,
        name: str,
        expires_s: float,
        content_type: str | None,
        parameters: Parameters,
    ) -> str:
        path = place.path + name
        query = self._presigner.query(
            method,
            place.host,
            path,
            at_s=self._clock() + self._behind_s,
            expires_s=expires_s,
            content_type=content_type,
            parameters=parameters,
        )
        return f"{place.base}{path}?{query}"

    def _learn_time(self, answer: Answer) -> None:
        told = answer.headers.get("Date")
        if told is None:
            return
        try:
            at_s = _seconds(told)
        except ValueError:
            return
        behind_s = at_s - self._clock()
        if abs(behind_s - self._behind_s) > _SKEW_S:
            _log.warning("the media store's clock is %+.0f s from ours; links follow it", behind_s)
            self._behind_s = behind_s


@lru_cache(maxsize=4)
def _seconds(date: str) -> float:
    """Seconds since 1970 of a date as HTTP writes it; all answers of a second have the same."""
    return email.utils.parsedate_to_datetime(date).timestamp()


@dataclass(frozen=True, kw_only=True)
class _Place:
    """One address of the bucket.

    Attributes:
        base: Scheme, host and port.
        host: As the Host header carries it.
        path: What the path of an object begins with.
    """

    base: str
    host: str
    path: str

    @classmethod
    def of(cls, endpoint: str, settings: S3Settings) -> "_Place":
        url = URL(endpoint)
        host = str(url.raw_host) if url.is_default_port() else url.raw_authority
        path = f"/{settings.bucket}/"
        if settings.style == "virtual":
            host, path = f"{settings.bucket}.{host}", "/"
        return cls(base=f"{url.scheme}://{host}", host=host, path=path)
