"""The worker's line to the server: dial, say hello, talk, and dial again, for ever.

Only three answers end it, because a new try could not help or would do harm: a wrong key, a newer
connection of the same worker, another protocol. Everything else is a matter of time.
"""

import asyncio
import contextlib
import errno
import logging
import random
from collections.abc import AsyncIterator, Callable
from typing import NoReturn

import aiohttp
import msgspec
from aiohttp import ClientWebSocketResponse, WSMessage, WSMsgType

from dreamgrid.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    DreamgridError,
    NotAllowed,
    ProtocolError,
    WorkerReplaced,
)
from dreamgrid.protocol import codec
from dreamgrid.protocol.socket import (
    CLOSE_AUTHENTICATION,
    CLOSE_NOT_ALLOWED,
    CLOSE_PROTOCOL,
    CLOSE_REPLACED,
)
from dreamgrid.protocol.worker import (
    AnyServerMessage,
    Failed,
    Heartbeat,
    Hello,
    Welcome,
    WorkerMessage,
)
from dreamgrid.worker.config import WorkerConfig
from dreamgrid.worker.outbox import Outbox
from dreamgrid.worker.tasks import task_group

CLOSE_WITHIN_S = 0.5
"""How long to wait for the server's half of the closing handshake."""

LEAST_HEARTBEAT_S = 0.02
"""A server that asks for more heartbeats than this is not taken at its word."""

_log = logging.getLogger(__name__)


class _Head(msgspec.Struct):
    """What can be read of a message from a newer server."""

    type: str
    job_id: str = ""
    attempt: int = 0


class Connection:
    """Keeps one connection to the server; `run` ends only by an error or by being canceled.

    Args:
        session: Used to dial; not closed here.
        config: Where to dial, with which key, how patiently.
        outbox: What to send; the connection is its only reader.
        hello: Makes the first message of each connection.
        kept: Says which models are in memory.
        on_welcome: Called at the beginning of each connection, before anything else is sent.
        on_message: Called with each further message.
        on_lost: Called with the reason and the seconds until the next try.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        config: WorkerConfig,
        outbox: Outbox,
        *,
        hello: Callable[[], Hello],
        kept: Callable[[], tuple[str, ...]],
        on_welcome: Callable[[Welcome], None],
        on_message: Callable[[AnyServerMessage], None],
        on_lost: Callable[[str, float], None],
    ) -> None:
        self._session = session
        self._config = config
        self._outbox = outbox
        self._hello = hello
        self._kept = kept
        self._on_welcome = on_welcome
        self._on_message = on_message
        self._on_lost = on_lost
        self._delay_s = config.reconnect_min_s

    async def run(self) -> NoReturn:
        """Connects and talks until something ends it for good.

        Raises:
            AuthenticationFailed: The server does not know the key.
            NotAllowed: The key may not run a worker.
            WorkerReplaced: Another process connected with this worker's id.
            ProtocolError: The server speaks another protocol; its reason says what to do.
        """
        while True:
            try:
                await self._talk()
            except ConnectionFailed as lost:
                # Jitter keeps the workers of a restarted server from coming back all at once.
                delay_s = self._delay_s * random.uniform(0.5, 1.0)  # noqa: S311  no secret
                self._delay_s = min(self._delay_s * 2, self._config.reconnect_max_s)
                self._on_lost(str(lost), delay_s)
                await asyncio.sleep(delay_s)

    async def _talk(self) -> NoReturn:
        """One connection, from the upgrade to its end; every end is an error."""
        async with self._dialed() as socket:
            welcome = await self._welcome(socket)
            self._delay_s = self._config.reconnect_min_s
            self._outbox.begin_connection()
            self._on_welcome(welcome)
            async with task_group() as tasks:
                tasks.create_task(self._write(socket), name="write")
                tasks.create_task(self._beat(welcome.heartbeat_s), name="heartbeat")
                while True:
                    self._take(await self._frame(socket))
        raise AssertionError("a connection ends by an error")

    @contextlib.asynccontextmanager
    async def _dialed(self) -> AsyncIterator[ClientWebSocketResponse]:
        config = self._config
        try:
            async with asyncio.timeout(config.connect_timeout_s):
                socket = await self._session.ws_connect(
                    config.socket_url,
                    headers={"api-key": config.api_key},
                    heartbeat=config.ping_s,
                    max_msg_size=codec.MAX_WORKER_MESSAGE_BYTES,
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_WITHIN_S),
                )
        except aiohttp.WSServerHandshakeError as error:
            raise ConnectionFailed(
                f"{config.base_url} answered {error.status} instead of opening the worker socket; "
                "is it a dreamgrid server?"
            ) from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            reason = _reason(error, config) or f"no answer in {config.connect_timeout_s:g} s"
            raise ConnectionFailed(f"cannot reach {config.base_url}: {reason}") from error
        try:
            yield socket
        finally:
            await socket.close()

    async def _welcome(self, socket: ClientWebSocketResponse) -> Welcome:
        """Says hello and waits for the answer."""
        # A server that has already closed says why in a frame that is still to be read.
        with contextlib.suppress(ConnectionError):
            await self._send(socket, self._hello())
        try:
            async with asyncio.timeout(self._config.connect_timeout_s):
                frame = await self._frame(socket)
        except TimeoutError:
            raise ConnectionFailed("the server did not welcome this worker in time") from None
        try:
            message = codec.decode_from_server(frame)
        except ProtocolError as error:
            raise ConnectionFailed(f"the server's first message was no welcome: {error}") from error
        if not isinstance(message, Welcome):
            raise ConnectionFailed("the server's first message was no welcome")
        return message

    async def _frame(self, socket: ClientWebSocketResponse) -> bytes | str:
        """The next message; raises what the end of the connection means."""
        frame = await socket.receive()
        if frame.type in (WSMsgType.TEXT, WSMsgType.BINARY):
            data: bytes | str = frame.data
            return data
        raise _end(socket, frame)

    def _take(self, data: bytes | str) -> None:
        try:
            message = codec.decode_from_server(data)
        except ProtocolError as error:
            self._take_unknown(data, error)
        else:
            self._on_message(message)

    def _take_unknown(self, data: bytes | str, error: ProtocolError) -> None:
        """Answers an assignment that cannot be read, so that nobody waits for it.

        Other unknown messages are left alone: a newer server may know more of them.
        """
        try:
            head = msgspec.json.decode(data, type=_Head)
        except (msgspec.MsgspecError, UnicodeError):
            raise ConnectionFailed("the server sent something that is no message") from None
        _log.warning("not understood: %s", error, extra={"message_type": head.type})
        if head.type == "assign" and head.job_id:
            self._outbox.post(
                Failed(
                    job_id=head.job_id,
                    attempt=head.attempt,
                    error="generation_failed",
                    message="the worker's software does not understand this job; it may be too old",
                )
            )

    async def _write(self, socket: ClientWebSocketResponse) -> None:
        """Sends what the outbox holds. When the socket is slow, the outbox keeps the newest."""
        while True:
            message = await self._outbox.next()
            try:
                await self._send(socket, message)
            except ConnectionError:
                return  # the reading side knows why, by the close code

    async def _send(self, socket: ClientWebSocketResponse, message: WorkerMessage) -> None:
        await socket.send_frame(codec.encode_worker(message), WSMsgType.TEXT)

    async def _beat(self, every_s: float) -> None:
        while True:
            await asyncio.sleep(max(every_s, LEAST_HEARTBEAT_S))
            self._outbox.post(Heartbeat(kept=self._kept()))


def _reason(error: Exception, config: WorkerConfig) -> str:
    """Why there is no connection, in the words of a person; "" for no answer."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "there is no host of that name"
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError():
            return f"no TLS that can be trusted: {error}; SSL_CERT_FILE names an issuer of your own"
        case aiohttp.ClientConnectorError(os_error=OSError(errno=errno.ECONNREFUSED)):
            return "nobody listens there"
        case aiohttp.ClientConnectorError(os_error=OSError(strerror=str() as words)):
            return words
        case aiohttp.ServerDisconnectedError() if config.socket_url.startswith("ws:"):
            return "it hung up without an answer; write https:// if it speaks TLS"
    return str(error)


def _end(socket: ClientWebSocketResponse, frame: WSMessage) -> DreamgridError:
    """What the end of a connection means."""
    code = socket.close_code
    reason = frame.extra if frame.type is WSMsgType.CLOSE else None
    if code == CLOSE_AUTHENTICATION:
        return AuthenticationFailed(reason or "the server does not accept this worker's key")
    if code == CLOSE_REPLACED:
        return WorkerReplaced(
            "another worker connected with the same id and took over; give each worker a data "
            "folder of its own"
        )
    if code == CLOSE_NOT_ALLOWED:
        return NotAllowed(reason or "this key may not run a worker: it needs the scope 'work'")
    if code == CLOSE_PROTOCOL:
        return ProtocolError(reason or "the server speaks another version of the worker protocol")
    said = f": {reason}" if reason else ""
    return ConnectionFailed(f"the connection to the server ended with code {code}{said}")
