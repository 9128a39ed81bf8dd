"""The life of the socket: connect, wait to be let in, read, and come back after a drop.

    IDLE ──ready()──▶ CONNECTING ──authenticated──▶ OPEN
                         ▲   │                        │
                         │   └─ first try failed ─▶ IDLE (the caller gets the error)
                         └── dropped: 1 s, 2 s, 4 s ... 15 s, +-20 % ──┘
    any ──close code 4000..4999 or aclose()──▶ CLOSED (final)

Nothing here knows what the messages mean. A drop is no news for a project: it goes on at the
server, and whoever listens compares notes after `on_open`.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp

from dreamgrid.client.http import Http
from dreamgrid.client.signal import Signal
from dreamgrid.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    DreamgridError,
    NotAllowed,
    ProtocolError,
    ServerUnavailable,
)
from dreamgrid.protocol.codec import MAX_SERVER_MESSAGE_BYTES, Envelope, open_envelope
from dreamgrid.protocol.socket import CLOSE_AUTHENTICATION, CLOSE_REPLACED, Authenticated

_log = logging.getLogger("dreamgrid.client")

_HANDSHAKE_S = 10.0
_READY_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """How long to wait before the next try.

    Attributes:
        first_s: After the first failure; doubles with each further one.
        limit_s: Never longer than this.
        jitter: Spread as a fraction, so that a thousand clients do not come back as one.
    """

    first_s: float = 1.0
    limit_s: float = 15.0
    jitter: float = 0.2

    def delay_s(self, failures: int) -> float:
        """Seconds to wait after `failures` failures in a row, 1 or more."""
        base_s = min(self.first_s * 2.0 ** min(failures - 1, 30), self.limit_s)
        return base_s * random.uniform(1 - self.jitter, 1 + self.jitter)  # noqa: S311


class Connection:
    """One socket to one server, kept open once it was needed.

    Args:
        http: Dials for us.
        query: Parameters of the upgrade, as the wire contract names them.
        on_open: Called with each `authenticated`, the first frame of a connection.
        on_message: Called with each later envelope, in order. Must not block.
        on_lost: Called with the reason when an open connection was lost; it comes back.
        on_closed: Called once when the connection ends for good, with the reason.
        backoff: Waits between tries.
    """

    def __init__(
        self,
        http: Http,
        *,
        query: dict[str, str],
        on_open: Callable[[Envelope], None],
        on_message: Callable[[Envelope], None],
        on_lost: Callable[[DreamgridError], None],
        on_closed: Callable[[DreamgridError], None],
        backoff: Backoff | None = None,
    ) -> None:
        self._http = http
        self._query = query
        self._on_open = on_open
        self._on_message = on_message
        self._on_lost = on_lost
        self._on_closed = on_closed
        self.backoff = backoff or Backoff()
        self._task: asyncio.Task[None] | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._changed = Signal()
        self._ever_open = False
        self._failure: DreamgridError | None = None
        self._closed: DreamgridError | None = None

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent right now."""
        return self._socket is not None

    @property
    def is_trying(self) -> bool:
        """Whether it is being opened, for the first time or again."""
        return self._task is not None and not self._task.done() and self._socket is None

    async def ready(self) -> None:
        """Waits until messages can be sent, connecting first if need be.

        Raises:
            AuthenticationFailed: The key was refused.
            ConnectionFailed: The first try found no server, or a lost one did not come back in
                30 s.
        """
        if self._socket is not None:
            return
        if self._closed is None and not self._ever_open:
            self._failure = None
        self._check_hope()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="dreamgrid-connection")
        try:
            async with asyncio.timeout(_READY_S):
                while self._socket is None:
                    await self._changed.wait()
                    self._check_hope()
        except TimeoutError:
            raise self._failure or ConnectionFailed(
                f"no connection to {self._http.endpoint.url} for {_READY_S:.0f} s; still trying"
            ) from None

    def _check_hope(self) -> None:
        if self._closed is not None:
            raise self._closed
        if self._failure is not None and not self._ever_open:
            raise self._failure

    async def send(self, frame: bytes) -> bool:
        """Sends one frame. False: there is no connection now, so nothing was sent."""
        if self._socket is None:
            return False
        try:
            await self._socket.send_frame(frame, aiohttp.WSMsgType.TEXT)
        except (aiohttp.ClientError, OSError):
            return False  # the reader notices as well and reconnects
        return True

    async def aclose(self) -> None:
        """Ends the connection for good."""
        if self._closed is None:
            self._closed = ConnectionFailed("this client is closed")
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._changed.fire()

    async def restart(self) -> None:
        """Ends the connection and forgets why; the next `ready()` makes a new one."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        self._ever_open = False
        self._failure = self._closed = None

    async def _run(self) -> None:
        failures = 0
        try:
            while self._closed is None:
                try:
                    await self._one_connection()
                    failures = 0
                    self._failure = ConnectionFailed(f"lost {self._http.endpoint.url}.")
                    self._on_lost(self._failure)
                except (ConnectionFailed, ServerUnavailable) as error:
                    self._failure = error
                    self._changed.fire()
                    if not self._ever_open:
                        return  # whoever asked was told; the next ready() tries again
                except ProtocolError as error:
                    if not self._ever_open:
                        raise  # the wrong address; once it was right, a proxy may be under repair
                    self._failure = error
                    self._changed.fire()
                failures += 1
                delay_s = self.backoff.delay_s(failures)
                _log.info("%s Next try in %.1f s.", self._failure, delay_s)
                await asyncio.sleep(delay_s)
        except DreamgridError as error:
            self._end(error)
        except Exception as error:  # a bug of ours must not leave anybody waiting for ever
            _log.exception("the connection task died")
            self._end(DreamgridError(f"the connection task died: {error!r}"))

    def _end(self, error: DreamgridError) -> None:
        self._closed = error
        self._changed.fire()
        self._on_closed(error)

    async def _one_connection(self) -> None:
        """One socket from dialing to its end; returns when it was lost after having been open."""
        socket = await self._http.open_socket(self._query)
        try:
            first = await self._handshake(socket)
            self._socket = socket
            self._ever_open = True
            self._failure = None
            self._on_open(first)
            self._changed.fire()
            # Not `async for`: that swallows the last message, which says why it is over.
            while (message := await socket.receive()).type not in _OVER:
                if message.type in {aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT}:
                    self._read(message.data)
                else:
                    _check_size(message, self._http.endpoint.url)
        finally:
            self._socket = None
            await socket.close()
        _check_close(socket.close_code, self._http.endpoint.url, _words_of(message))

    async def _handshake(self, socket: aiohttp.ClientWebSocketResponse) -> Envelope:
        """Waits for `authenticated`, which is the first frame of every connection."""
        url = self._http.endpoint.url
        try:
            message = await socket.receive(_HANDSHAKE_S)
        except TimeoutError:
            raise ConnectionFailed(f"{url} opened the socket but said nothing") from None
        if message.type in {aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT}:
            first = open_envelope(message.data)
            if first.type == Authenticated.message_type:
                return first
            raise ProtocolError(f"{url} began with '{first.type}': this is no dreamgrid server")
        _check_size(message, url)
        _check_close(socket.close_code, url, _words_of(message))
        raise ConnectionFailed(f"{url} closed the socket at once (code {socket.close_code})")

    def _read(self, frame: bytes | str) -> None:
        try:
            self._on_message(open_envelope(frame))
        except ProtocolError as error:
            # One bad frame costs that frame: projects are compared with the server's record later.
            _log.warning("ignored a frame: %s", error)


_OVER = frozenset({aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED})
"""What the last message of a connection is."""


def _check_size(message: aiohttp.WSMessage, url: str) -> None:
    """Raises ConnectionFailed if we hung up because the message is too large to be read."""
    error = message.data
    if (
        isinstance(error, aiohttp.WebSocketError)
        and error.code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
    ):
        raise ConnectionFailed(
            f"{url} sent a message of more than the {MAX_SERVER_MESSAGE_BYTES // 2**20} MiB allowed"
        )


def _words_of(message: aiohttp.WSMessage) -> str:
    """What a server said when it closed a connection; empty for nothing."""
    return str(message.extra or "") if message.type is aiohttp.WSMsgType.CLOSE else ""


def _check_close(code: int | None, url: str, said: str) -> None:
    """Raises for the close codes after which nobody reconnects (README 3.6 of the contract).

    All of 4000..4999 are final. Unlike the published SDKs we come back after 1000 too: it is what a
    proxy says at the end of its patience, and our projects are still running.
    """
    if code == CLOSE_AUTHENTICATION:
        raise AuthenticationFailed(
            f"{url} refused the API key; check it (DREAMGRID_API_KEY), or ask whoever runs the "
            "grid for one ('dreamgrid keys create')"
        )
    if code == CLOSE_REPLACED:
        raise NotAllowed("another connection with the same app_id took over from this client")
    if code is not None and 4000 <= code <= 4999:
        why = said or f"code {code}"
        raise NotAllowed(f"{url} closed the connection for good: {why}")
