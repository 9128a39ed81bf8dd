"""The one place that speaks HTTP: credential, timeouts, retries, size limits, typed errors."""

import asyncio
import errno
import os
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Literal, TypeVar

import aiohttp
import msgspec
from yarl import URL

from dreamgrid.client.credential import Credential, Tokens
from dreamgrid.client.endpoint import Endpoint
from dreamgrid.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    DreamgridError,
    FilesUnreachable,
    ProtocolError,
    ServerUnavailable,
    TooManyRequests,
)
from dreamgrid.protocol.codec import MAX_SERVER_MESSAGE_BYTES
from dreamgrid.protocol.failures import ErrorBody, error_from
from dreamgrid.protocol.rest import Success
from dreamgrid.protocol.rest_account import RefreshRequest
from dreamgrid.protocol.rest_account import Tokens as SessionTokens

T = TypeVar("T")
Method = Literal["GET", "POST", "PUT", "DELETE"]
Query = Mapping[str, str]

MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""Largest JSON answer that is read; a list of a thousand projects takes a tenth of it."""

_ATTEMPTS = 3
_LONGEST_WAIT_S = 30.0
_CHUNK_BYTES = 64 * 1024
_IDEMPOTENT = frozenset({"GET", "PUT", "DELETE"})

_API = aiohttp.ClientTimeout(total=30, connect=10)
_FILE = aiohttp.ClientTimeout(total=600, connect=10, sock_read=60)
_STREAM = aiohttp.ClientTimeout(total=None, connect=10, sock_read=60)

_error_body = msgspec.json.Decoder(ErrorBody)


class Http:
    """Requests to one server. Opens its connection pool when it is first used.

    Args:
        endpoint: The server and our key.
        user_agent: What we call ourselves.
        sleep: How to wait between attempts; tests pass their own.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        user_agent: str,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.endpoint = endpoint
        self.credential = Credential(endpoint.api_key)
        self._user_agent = user_agent
        self._sleep = sleep
        self._session: aiohttp.ClientSession | None = None
        self._exchanging = asyncio.Lock()

    async def aclose(self) -> None:
        """Closes the connection pool."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def rest(
        self,
        method: Method,
        path: str,
        kind: type[T],
        *,
        query: Query | None = None,
        body: msgspec.Struct | None = None,
    ) -> T:
        """Calls an endpoint of the REST host and unwraps its `data`."""
        answer = await self._api(method, self.endpoint.url, path, query, body)
        return _decode(answer, Success[kind], path).data  # type: ignore[valid-type]

    async def bare(self, path: str, kind: type[T], *, query: Query | None = None) -> T:
        """GETs an endpoint of the socket host, whose answers have no wrapper."""
        return _decode(await self._api("GET", self.endpoint.live_url, path, query), kind, path)

    async def lines(self, path: str, query: Query) -> AsyncGenerator[bytes, None]:
        """GETs a stream of text from the REST host, line by line, for as long as it lasts.

        Raises:
            ConnectionFailed: It broke off, or nothing came for a minute.
        """
        headers = await self._credential()
        url = URL(self.endpoint.url + path)
        async with self._answer("GET", url, _STREAM, headers, query=query) as response:
            try:
                async for line in response.content:
                    yield line
            except ValueError:
                raise ProtocolError(f"{path} sent a line that is too long") from None

    async def upload(self, url: str, data: bytes, content_type: str) -> None:
        """PUTs a file to a signed URL."""
        address = _file_url(url)
        async with self._answer(
            "PUT", address, _FILE, {"Content-Type": content_type}, data=data
        ) as _:
            pass

    async def download(self, url: str, *, max_bytes: int) -> bytes:
        """GETs a whole file from a signed URL."""
        chunks = [chunk async for chunk in self.stream(url, max_bytes=max_bytes)]
        return b"".join(chunks)

    async def stream(
        self, url: str, *, max_bytes: int, on_type: Callable[[str], None] | None = None
    ) -> AsyncGenerator[bytes, None]:
        """GETs a file from a signed URL, piece by piece.

        Args:
            url: Where it is.
            max_bytes: The largest file that is taken.
            on_type: Told the file's media type before the first piece.

        Raises:
            ProtocolError: The file is larger than `max_bytes`.
        """
        address = _file_url(url)
        # A store may redirect to where the bytes are; it never sees our key.
        async with self._answer("GET", address, _FILE, {}, redirects=5) as response:
            if on_type is not None:
                on_type(response.content_type)
            size = 0
            async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
                size += len(chunk)
                if size > max_bytes:
                    raise ProtocolError(f"the file is larger than the {max_bytes} bytes allowed")
                yield chunk

    async def open_socket(self, query: Query) -> aiohttp.ClientWebSocketResponse:
        """Dials the server's WebSocket.

        Raises:
            ConnectionFailed: No answer, or the answer of something that is no dreamgrid server.
            AuthenticationFailed: The credential was refused before the upgrade.
        """
        url = self.endpoint.socket_url
        try:
            return await self._pool().ws_connect(
                url,
                params=query,
                headers=await self._credential(),
                heartbeat=15,
                max_msg_size=MAX_SERVER_MESSAGE_BYTES,
                timeout=aiohttp.ClientWSTimeout(ws_close=2),
            )
        except aiohttp.WSServerHandshakeError as error:
            if error.status in {401, 403}:
                raise AuthenticationFailed(
                    f"{self.endpoint.live_url} refused the API key"
                ) from None
            if error.status >= 500:
                raise ServerUnavailable(
                    f"{self.endpoint.live_url} answered {error.status}"
                ) from None
            raise ConnectionFailed(
                f"{self.endpoint.live_url} answered {error.status}: this is no dreamgrid server"
            ) from None
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _unreachable(URL(url), error) from None

    def _pool(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers={"User-Agent": self._user_agent},
                cookie_jar=aiohttp.DummyCookieJar(),
                requote_redirect_url=False,
                middlewares=(_no_redirected_sockets,),
            )
        return self._session

    async def _credential(self) -> dict[str, str]:
        """The header that says who we are; its token is exchanged first, if it has run out."""
        async with self._exchanging:  # of those who notice at once, one exchanges for all
            tokens = self.credential.tokens
            if tokens is not None and self.credential.run_out:
                try:
                    self.credential.tokens = await self._exchange(tokens)
                except AuthenticationFailed:
                    self.credential.tokens = None
                    raise AuthenticationFailed("the session has ended: log in again") from None
        return self.credential.header()

    async def _exchange(self, tokens: Tokens) -> Tokens:
        path = "/v1/account/refresh-token"
        wish = RefreshRequest(refresh_token=tokens.refresh_token)
        url = URL(self.endpoint.url + path)
        headers, data = {"Content-Type": "application/json"}, msgspec.json.encode(wish)
        async with self._answer("POST", url, _API, headers, data=data) as response:
            raw = await _read_limited(response, MAX_ANSWER_BYTES, path)
        pair = _decode(raw, Success[SessionTokens], path).data
        return Tokens(pair.token, pair.refresh_token)

    async def _api(
        self,
        method: Method,
        host: str,
        path: str,
        query: Query | None,
        body: msgspec.Struct | None = None,
    ) -> bytes:
        headers = await self._credential()
        data = None
        if method == "POST" or body is not None:
            headers["Content-Type"] = "application/json"
            data = b"{}" if body is None else msgspec.json.encode(body)
        url = URL(host + path)
        async with self._answer(method, url, _API, headers, query=query, data=data) as response:
            return await _read_limited(response, MAX_ANSWER_BYTES, path)

    @asynccontextmanager
    async def _answer(
        self,
        method: Method,
        url: URL,
        limits: aiohttp.ClientTimeout,
        headers: dict[str, str],
        *,
        query: Query | None = None,
        data: bytes | None = None,
        redirects: int = 0,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A successful answer; what can be asked again safely is, when the server says "later"."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                async with self._pool().request(
                    method,
                    url,
                    params=query,
                    data=data,
                    headers=headers,
                    timeout=limits,
                    allow_redirects=redirects > 0,
                    max_redirects=max(redirects, 1),
                ) as response:
                    if response.status < 300:
                        yield response
                        return
                    failure = await _failure(response)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                home = URL(self.endpoint.url).origin()
                elsewhere = limits is _FILE and url.origin() != home
                raise _unreachable(url, error, files=elsewhere) from None
            wait_s = _wait_s(failure, attempt)
            if wait_s is None or attempt == _ATTEMPTS or method not in _IDEMPOTENT:
                raise failure
            await self._sleep(wait_s)


async def _no_redirected_sockets(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Upgrades carry our key, and aiohttp would follow a redirect with it to anywhere."""
    response = await handler(request)
    if 300 <= response.status < 400 and "Upgrade" in request.headers:
        raise _redirected(response)
    return response


def _redirected(response: aiohttp.ClientResponse) -> ProtocolError:
    return ProtocolError(
        f"{response.url.origin()} redirects to another address: use that one as the server"
    )


def _wait_s(failure: DreamgridError, attempt: int) -> float | None:
    """Seconds until the same request can work, or None when repeating it is no use."""
    if isinstance(failure, TooManyRequests) and failure.retry_after_s is not None:
        return failure.retry_after_s if failure.retry_after_s <= _LONGEST_WAIT_S else None
    if isinstance(failure, TooManyRequests | ServerUnavailable):
        return 0.5 * 2.0 ** (attempt - 1) * random.uniform(0.8, 1.2)  # noqa: S311 (spreads callers)
    return None


async def _failure(response: aiohttp.ClientResponse) -> DreamgridError:
    raw = await _read_limited(response, MAX_ANSWER_BYTES, response.url.path)
    if 300 <= response.status < 400:
        return _redirected(response)
    try:
        body = _error_body.decode(raw)
    except (msgspec.MsgspecError, UnicodeError):
        body = ErrorBody(message=response.reason or "no reason given", error_code=response.status)
    if body.retry_after is msgspec.UNSET:
        body = msgspec.structs.replace(body, retry_after=_retry_after(response))
    return error_from(response.status, body)


def _retry_after(response: aiohttp.ClientResponse) -> float | msgspec.UnsetType:
    try:
        return max(0.0, float(response.headers["Retry-After"]))
    except (KeyError, ValueError):
        return msgspec.UNSET


async def _read_limited(response: aiohttp.ClientResponse, limit: int, what: str) -> bytes:
    chunks, size = [], 0
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        size += len(chunk)
        if size > limit:
            raise ProtocolError(f"the answer of {what} is larger than {limit} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def _decode(raw: bytes, kind: type[T], path: str) -> T:
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise ProtocolError(f"the answer of {path} is not what it should be: {error}") from None


def _file_url(url: str) -> URL:
    try:
        # Taken as it is: writing it differently would break its signature.
        address = URL(url, encoded=True)
    except ValueError:
        address = URL()
    if address.scheme not in {"http", "https"} or not address.host:
        raise ProtocolError(f"the server gave a file address that is none: {url[:200]!r}")
    return address


def _unreachable(url: URL, error: BaseException, *, files: bool = False) -> ConnectionFailed:
    # Without the query: signed URLs are credentials and do not belong in messages or logs.
    scheme = "https" if url.scheme in {"https", "wss"} else "http"
    where = f"{scheme}://{url.authority}"
    kind = FilesUnreachable if files else ConnectionFailed
    whose = "the files at " if files else ""
    if isinstance(error, TimeoutError):
        return kind(f"{whose}{where} did not answer in time")
    return kind(f"cannot reach {whose}{where}: {_reason(error, scheme)}")


def _reason(error: BaseException, scheme: str) -> str:
    """Why there is no connection, in the words of a person."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "there is no host of that name"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        why = getattr(error.certificate_error, "verify_message", "") or "it is damaged"
        return (
            f"its certificate cannot be trusted: {why}. If you trust its issuer, name the "
            "issuer's certificate in SSL_CERT_FILE"
        )
    if isinstance(error, aiohttp.ClientSSLError):
        return "it does not speak TLS; write http:// if that is meant"
    if isinstance(error, aiohttp.ClientConnectorError):
        code = error.os_error.errno
        return "nobody listens there" if code == errno.ECONNREFUSED else os.strerror(code or 0)
    if isinstance(error, aiohttp.ServerDisconnectedError) and scheme == "http":
        return "it hung up without an answer; write https:// if it speaks TLS"
    return str(error) or type(error).__name__
