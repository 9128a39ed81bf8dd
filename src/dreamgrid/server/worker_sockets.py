"""The socket of workers: hello, then assignments out and reports in, until it closes."""

import asyncio
import logging
from functools import partial

import aiohttp
from aiohttp import WSCloseCode, WSMsgType, web

from dreamgrid.errors import ProtocolError, ServerUnavailable
from dreamgrid.protocol import codec, socket
from dreamgrid.protocol.worker import (
    WORKER_PATH,
    WORKER_PROTOCOL,
    AnyWorkerMessage,
    Draining,
    Failed,
    Finished,
    Heartbeat,
    Hello,
    Progress,
    Released,
    ServerMessage,
    Started,
    Welcome,
)
from dreamgrid.server import conversation, short_way
from dreamgrid.server.auth import Account
from dreamgrid.server.bus.base import ban_subject
from dreamgrid.server.claims import note_claims
from dreamgrid.server.endpoint import Endpoints
from dreamgrid.server.outbox import Outbox, close_reason
from dreamgrid.server.services import Services
from dreamgrid.server.short_way import ShortWay, socket_with
from dreamgrid.server.trials import trials_of
from dreamgrid.server.workers import WorkerSession

HELLO_WITHIN_S = 10.0
MAX_REASON_CHARS = 120
_log = logging.getLogger("dreamgrid.workers")


MOST_SLOTS = 1024
"""Jobs that one worker can hold at a time, whatever it says."""


class WorkerSockets:
    """All connected workers."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._clock = services.clock
        if short_way.NO_SHORT_WAY is not None:
            _log.warning(
                "reports of workers cost more than they need to, with aiohttp %s: %s",
                aiohttp.__version__,
                short_way.NO_SHORT_WAY,
            )

    def routes(self) -> Endpoints:
        """Where workers connect."""
        api = Endpoints("Workers", "Where workers dial in; docs/worker-protocol.md tells the rest.")

        @api.get(
            WORKER_PATH,
            status=101,
            content_types=(),
            also={400: "This is no WebSocket upgrade."},
        )
        async def worker_socket(request: web.Request) -> web.StreamResponse:
            """The WebSocket of a worker. A wrong credential is told by close code 4021."""
            return await self.handle(request)

        return api

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Runs one connection from the upgrade to its end."""
        way = ShortWay()
        ws = socket_with(way, max_bytes=codec.MAX_WORKER_MESSAGE_BYTES)
        await ws.prepare(request)
        return await conversation.hold(ws, self._converse(request, ws, way))

    async def _converse(
        self, request: web.Request, ws: web.WebSocketResponse, way: ShortWay
    ) -> None:
        credential, account = await conversation.authenticated(self._services, request, "work")
        if request.transport is None:
            return  # it went away while its key was looked up
        outbox = Outbox(ws, request.transport, WSMsgType.TEXT)
        end = partial(outbox.close, socket.CLOSE_AUTHENTICATION)
        banned = ban_subject("account", account.id)
        with (
            conversation.ended_with_credential(self._services, credential, end),
            conversation.ended_by_ban(self._services, outbox.close, banned),
        ):
            await self._serve(request, ws, way, account, outbox)

    async def _serve(
        self,
        request: web.Request,
        ws: web.WebSocketResponse,
        way: ShortWay,
        account: Account,
        outbox: Outbox,
    ) -> None:
        try:
            hello = await _hello(ws)
        except ProtocolError as error:
            await ws.close(code=socket.CLOSE_PROTOCOL, message=close_reason(str(error)))
            return
        way.dealt_with()
        session = self._session(request, account, hello, outbox)
        session.known_as = await self._services.known_workers.names(session)
        if request.transport is None:
            return  # it went away right after its hello
        known = self._services.workers.get(session.id) is not None
        with self._services.limits.connection("workers", account, replaces=known):
            await self._work(ws, way, session, hello, outbox)

    async def _work(
        self,
        ws: web.WebSocketResponse,
        way: ShortWay,
        session: WorkerSession,
        hello: Hello,
        outbox: Outbox,
    ) -> None:
        sender = asyncio.create_task(outbox.run(), name="worker-sender")
        try:
            self._join(session, hello)
            await self._listen(ws, way, session)
        finally:
            way.take = None
            if self._services.workers.get(session.id) is session:
                self._services.known_workers.left(session)
            self._services.workers.remove(session)
            vanished = ws.close_code in (None, WSCloseCode.ABNORMAL_CLOSURE)
            self._services.rendering.worker_left(session, abruptly=vanished)
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)
            _log.info("worker left: %s", session.name)

    def _session(
        self, request: web.Request, account: Account, hello: Hello, outbox: Outbox
    ) -> WorkerSession:
        def send(message: ServerMessage) -> None:
            outbox.put(codec.encode_worker(message))

        catalog = self._services.catalog
        models = catalog.offered_by(frozenset(hello.models))
        slots = max(1, min(hello.slots, MOST_SLOTS))
        slots_of = {model: hello.slots_of.get(catalog.served_id(model), 0) for model in models}
        return WorkerSession(
            # Scoped by account, so that nobody can take over another owner's worker.
            id=f"{account.id}/{hello.worker_id[:64]}",
            name=hello.name[:64],
            account_id=account.id,
            owner=account.username,
            models=models,
            slots=slots,
            slots_of={
                model: min(most, MOST_SLOTS) for model, most in slots_of.items() if most > slots
            },
            network=hello.network,
            origin=self._services.origin(request),
            send=send,
            close=outbox.close,
            seen_at_s=self._clock(),
        )

    def _join(self, session: WorkerSession, hello: Hello) -> None:
        config = self._services.config
        session.held_back = self._services.rules.reason("worker", session.id) is not None
        rendering = self._services.rendering
        note_claims(session, hello.speeds, rendering.speeds, self._services.catalog)
        replaced = self._services.workers.add(session)
        self._services.known_workers.joined(session)
        if replaced is not None:
            rendering.worker_left(replaced, abruptly=True)
            replaced.close(socket.CLOSE_REPLACED, "a newer connection of this worker took over")
        session.send(
            Welcome(
                lease_s=config.lease_s,
                heartbeat_s=config.heartbeat_s,
                unknown_models=tuple(sorted(set(hello.models) - session.models)),
                trials=trials_of(self._services.catalog, session.models, config),
            )
        )
        _log.info("worker joined: %s with %s", session.name, ", ".join(sorted(session.models)))
        rendering.worker_joined(session, hello.running)

    async def _listen(
        self, ws: web.WebSocketResponse, way: ShortWay, session: WorkerSession
    ) -> None:
        way.take = partial(self._take, session)
        async for frame in ws:
            if frame.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                continue
            way.raise_failure()
            session.seen_at_s = self._clock()
            wait_s = self._services.limits.worker_message(session.id, len(frame.data))
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            try:
                message = codec.decode_from_worker(frame.data)
            except ProtocolError as error:
                await ws.close(code=socket.CLOSE_PROTOCOL, message=close_reason(str(error)))
                return
            if isinstance(message, Finished):
                try:
                    await self._services.rendering.finished(session, message)
                except ServerUnavailable as error:
                    # It keeps the outcome, and tells it again when it comes back.
                    await ws.close(code=socket.CLOSE_RESTART, message=close_reason(str(error)))
                    return
            elif not self._apply(session, message):
                reason = b"hello may only be the first message"
                await ws.close(code=socket.CLOSE_PROTOCOL, message=reason)
                return
            way.dealt_with()
        way.raise_failure()

    def _take(self, session: WorkerSession, data: bytes) -> bool:
        """Deals with a message as soon as it is read, if it is one that nobody has to wait for."""
        try:
            message = codec.decode_from_worker(data)
        except ProtocolError:
            return False  # it is refused on the usual way
        if isinstance(message, Hello):
            return False
        if isinstance(message, Finished) and not self._services.rendering.is_delivered(
            session, message
        ):
            return False  # its files have to be waited for
        if not self._services.limits.may_send(session.id, len(data)):
            return False
        session.seen_at_s = self._clock()
        return self._apply(session, message)

    def _apply(self, session: WorkerSession, message: AnyWorkerMessage) -> bool:
        """Does what a message says; False when it may not come here.

        Of a result it must be known already that it is there.
        """
        rendering = self._services.rendering
        match message:
            case Progress():  # as nearly all are
                rendering.progressed(session, message)
            case Started():
                rendering.started(session, message)
            case Finished():
                rendering.delivered(session, message)
            case Failed():
                rendering.failed(session, message)
            case Released():
                rendering.released(session, message)
            case Heartbeat():
                # What it never rendered it might only say to get jobs before others.
                session.kept = frozenset(message.kept) & session.rendered
                if message.speeds:
                    catalog = self._services.catalog
                    note_claims(session, message.speeds, rendering.speeds, catalog)
            case Draining():
                self._services.workers.note_draining(session, one_line(message.reason))
        return not isinstance(message, Hello)

    def close_silent(self) -> None:
        """Ends connections that no message came from for a whole lease; called by upkeep."""
        oldest_s = self._clock() - self._services.config.lease_s
        for session in self._services.workers.all():
            if session.seen_at_s < oldest_s:
                session.close(socket.CLOSE_RESTART, "nothing was heard from you for a whole lease")
                self._services.workers.remove(session)
                self._services.rendering.worker_left(session, abruptly=True)

    def close_all(self, code: int, reason: str) -> None:
        """Ends every connection, as before a restart."""
        for session in self._services.workers.all():
            session.close(code, reason)


def one_line(said: str) -> str:
    """What a worker says for people to read, short and without anything that moves a cursor."""
    return "".join(letter for letter in said[:MAX_REASON_CHARS] if letter.isprintable())


async def _hello(ws: web.WebSocketResponse) -> Hello:
    """The first message of a worker.

    Raises:
        ProtocolError: It is something else, or did not come in time.
    """
    try:
        frame = await ws.receive(timeout=HELLO_WITHIN_S)
    except TimeoutError:
        raise ProtocolError("no hello came") from None
    if frame.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
        raise ProtocolError("the connection closed before hello")
    message = codec.decode_from_worker(frame.data)
    if not isinstance(message, Hello):
        raise ProtocolError("the first message must be hello")
    if message.protocol != WORKER_PROTOCOL:
        raise ProtocolError(
            f"this server speaks worker protocol {WORKER_PROTOCOL}, you speak {message.protocol}: "
            "install the same version of dreamgrid on both"
        )
    return message
