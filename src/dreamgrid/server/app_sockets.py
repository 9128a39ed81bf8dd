"""The socket of apps: authenticate, then requests in and frames out, until it closes."""

import asyncio
import itertools
import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from dreamgrid.errors import DreamgridError, ProtocolError
from dreamgrid.protocol import codec, socket, socket_messages
from dreamgrid.protocol.codec import Envelope
from dreamgrid.protocol.job_request import JobRequest, project_id_of
from dreamgrid.protocol.params import NETWORKS, Network
from dreamgrid.server import conversation, frames
from dreamgrid.server.auth import Account
from dreamgrid.server.bus.base import (
    account_subject,
    app_subject,
    ban_subject,
    network_subject,
    queue_subject,
)
from dreamgrid.server.new_projects import App
from dreamgrid.server.outbox import Outbox, close_reason
from dreamgrid.server.services import Services
from dreamgrid.server.short_way import ShortWay, socket_with

PING_EVERY_S = 25.0
SWARM_EVERY_S = 0.5
"""Least time between two announcements of the available models."""

MAX_BAD_FRAMES = 100
CLOSE_POLICY = 1008

WARN_EVERY_S = 10.0
"""Least time between two notices to an app that it sends too fast."""

_log = logging.getLogger("dreamgrid.sockets")


@dataclass(eq=False)
class AppSession:
    """One connected app.

    Attributes:
        arrival: Its number among all connections, in the order in which they were opened.
        bad_frames: How many of its messages could not be read.
        warned_at_s: Clock time at which it was last told that it sends too fast.
    """

    arrival: int
    app: App
    outbox: Outbox
    subscriptions: dict[str, bool]
    unsubscribe: list[Callable[[], None]] = field(default_factory=list)
    bad_frames: int = 0
    warned_at_s: float = 0.0

    def receive(self, frame: bytes, key: str | None = None) -> None:
        """Takes a frame from the bus, unless this app asked not to get its kind."""
        if self.subscriptions and not self.wants(_type_of(frame)):
            return
        self.outbox.put(frame, key)

    def wants(self, event: str) -> bool:
        """Whether the app gets this event: all but a few, unless it says otherwise."""
        if event == socket.SWARM_MODELS and not self.subscriptions.get(
            socket.MODEL_AVAILABILITY, True
        ):
            return False
        return self.subscriptions.get(event, event not in socket.OPT_IN_EVENTS)


def _type_of(frame: bytes) -> str:
    """The message type of a frame that `codec` encoded: the first value of the envelope."""
    start = len(b'{"type":"')
    return frame[start : frame.index(b'"', start)].decode("ascii")


class AppSockets:
    """All connected apps: one live connection per account and app id."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._arrivals = itertools.count()
        self._sessions: dict[tuple[str, str], AppSession] = {}
        self._offered: dict[Network, set[str]] = {network: set() for network in NETWORKS}
        self._announcing: asyncio.TimerHandle | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Runs one connection from the upgrade to its end."""
        way = ShortWay()
        ws = socket_with(way, max_bytes=codec.MAX_CLIENT_MESSAGE_BYTES, ping_every_s=PING_EVERY_S)
        await ws.prepare(request)
        return await conversation.hold(ws, self._converse(request, ws, way))

    async def _converse(
        self, request: web.Request, ws: web.WebSocketResponse, way: ShortWay
    ) -> None:
        arrival = next(self._arrivals)
        credential, account = await conversation.authenticated(self._services, request, "read")
        if request.transport is None:
            return  # it went away while its key was looked up
        blocked = self._services.rules.reason("app", request.query.get("appId", ""))
        if blocked is not None:
            reason = close_reason(f"this app id is blocked on this grid: {blocked}")
            await ws.close(code=socket.CLOSE_BLOCKED, message=reason)
            return
        outbox = Outbox(ws, request.transport, WSMsgType.BINARY)
        app = self._app(request, account)
        session = AppSession(arrival, app, outbox, _subscriptions_of(request))
        known = (account.id, session.app.app_id) in self._sessions
        with (
            self._services.limits.connection("apps", account, replaces=known),
            conversation.ended_with_credential(
                self._services, credential, partial(outbox.close, socket.CLOSE_AUTHENTICATION)
            ),
            conversation.ended_by_ban(
                self._services,
                outbox.close,
                ban_subject("account", account.id),
                ban_subject("app", session.app.app_id),
            ),
        ):
            await self._serve(session, ws, way)

    async def _serve(self, session: AppSession, ws: web.WebSocketResponse, way: ShortWay) -> None:
        sender = asyncio.create_task(session.outbox.run(), name="app-sender")
        try:
            await self._enter(session)
            way.take = partial(self._take, session)
            async for message in ws:
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    way.raise_failure()
                    await self._pace(session, len(message.data))
                    await self._on_frame(session, message.data)
                    way.dealt_with()
            way.raise_failure()
        finally:
            way.take = None
            self._leave(session, orderly=ws.close_code == WSCloseCode.OK)
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)

    def _app(self, request: web.Request, account: Account) -> App:
        return App(
            account=account,
            app_id=request.query.get("appId") or str(uuid.uuid4()).upper(),
            network="fast" if request.query.get("forceWorkerId", "fast") else "relaxed",
            origin=self._services.origin(request),
        )

    async def _enter(self, session: AppSession) -> None:
        """Greets an app and tells it everything that happened while it was away."""
        app, recovery = session.app, self._services.recovery
        key = (app.account.id, app.app_id)
        unclaimed = await recovery.unclaimed(app.account, app.app_id)
        balance = await self._services.accounts.balance(app.account.id)
        # From here to the last subscription nothing awaits, so no frame is missed or doubled.
        other = self._sessions.get(key)
        if other is not None:
            # Not always the other one: what this one waited for may have taken longer.
            older = min(other, session, key=lambda one: one.arrival)
            older.outbox.close(socket.CLOSE_REPLACED, "a newer connection of this app took over")
            if older is session:
                return
            self._leave(other, orderly=False)
        self._sessions[key] = session
        active = self._services.open_projects.active(app.account.id, app.app_id)
        session.outbox.put(
            codec.encode(
                socket.Authenticated(
                    id=str(uuid.uuid4()).upper(),
                    username=app.account.username,
                    address=app.account.address,
                    active_projects=recovery.records(app.account, active),
                    unclaimed_completed_projects=recovery.records(app.account, unclaimed),
                )
            )
        )
        session.outbox.put(codec.encode(balance))
        self._send_swarm(session)
        for frame in recovery.replay_active(app):
            session.outbox.put(frame)
        self._subscribe(session)
        unclaimed = await recovery.unclaimed(app.account, app.app_id)
        if self._sessions.get(key) is session:  # else a newer connection is told
            for frame in recovery.replay_ended(app, unclaimed):
                session.outbox.put(frame)

    def _subscribe(self, session: AppSession) -> None:
        app, bus = session.app, self._services.bus
        subjects = [
            app_subject(app.account.id, app.app_id),
            account_subject(app.account.id),
            network_subject(app.network),
        ]
        if session.wants(socket.ProjectQueue.message_type):
            subjects.append(queue_subject(app.account.id, app.app_id))
        for unsubscribe in session.unsubscribe:
            unsubscribe()
        # Most apps take every kind of frame, so that none has to be looked at.
        receive = session.receive if session.subscriptions else session.outbox.put
        session.unsubscribe = [bus.subscribe(subject, receive) for subject in subjects]

    def _leave(self, session: AppSession, *, orderly: bool) -> None:
        key = (session.app.account.id, session.app.app_id)
        if self._sessions.get(key) is session:
            del self._sessions[key]
            self._services.recovery.app_left(session.app, orderly=orderly)
        for unsubscribe in session.unsubscribe:
            unsubscribe()
        session.unsubscribe = []

    def close_all(self, code: int, reason: str) -> None:
        """Ends every connection, as before a restart."""
        for session in self._sessions.values():
            session.outbox.close(code, reason)

    # ── available models ─────────────────────────────────────────────────────────────────────────

    def models_changed(self) -> None:
        """Announces the models on offer, soon and once for many changes."""
        if self._announcing is None:
            loop = asyncio.get_running_loop()
            self._announcing = loop.call_later(SWARM_EVERY_S, self._announce)

    def _announce(self) -> None:
        self._announcing = None
        for network in NETWORKS:
            swarm = self._swarm(network)
            if swarm:
                frame = codec.encode_raw(socket.SWARM_MODELS, swarm)
                self._services.bus.publish(network_subject(network), frame, key=socket.SWARM_MODELS)

    def _swarm(self, network: Network) -> dict[str, int]:
        """Worker counts; a model that was offered before stays in the list with a count of 0.

        An empty list would make the oldest SDK give up at once.
        """
        counts = self._services.workers.counts(network)
        self._offered[network].update(counts)
        return {model: counts.get(model, 0) for model in sorted(self._offered[network])}

    def _send_swarm(self, session: AppSession) -> None:
        swarm = self._swarm(session.app.network)
        if swarm and session.wants(socket.SWARM_MODELS):
            session.outbox.put(codec.encode_raw(socket.SWARM_MODELS, swarm))

    # ── requests ─────────────────────────────────────────────────────────────────────────────────

    async def _pace(self, session: AppSession, size_bytes: int) -> None:
        """Waits while the account sends faster than it may: all of it is read, only later."""
        wait_s = self._services.limits.message(session.app.account, size_bytes)
        if wait_s <= 0:
            return
        now_s = self._services.clock()
        if now_s - session.warned_at_s >= WARN_EVERY_S:
            session.warned_at_s = now_s
            rate = self._services.config.messages
            session.receive(
                codec.encode(
                    socket.Toast(
                        type="warning",
                        message=f"your account sends more than {rate.per_s:g} messages a second; "
                        "they are read at that rate, and none is lost",
                        retry_after=wait_s,
                    )
                )
            )
        await asyncio.sleep(wait_s)

    def _take(self, session: AppSession, data: bytes) -> bool:
        """Deals with a request as soon as it is read, if it brings no inputs to be looked at."""
        try:
            envelope = codec.open_envelope(data)
            if envelope.type != JobRequest.message_type:
                return False
            request = codec.decode_payload(envelope, JobRequest)
        except ProtocolError:
            return False  # it is refused on the usual way
        account = session.app.account
        if request.key_frames[0].assets():
            return False
        if not self._services.limits.app_may_send(account, len(data)):
            return False
        try:
            account.require("render")
            self._services.projects.submit_at_once(session.app, request, envelope.data)
        except DreamgridError as error:
            session.outbox.put(frames.refused(request.project_id, error))
        return True

    async def _on_frame(self, session: AppSession, data: bytes | str) -> None:
        try:
            envelope = codec.open_envelope(data)
            match envelope.type:
                case socket.JobError.message_type:
                    await self._cancel(session, envelope)
                case JobRequest.message_type:
                    await self._submit(session, envelope)
                case socket.ChatRequest.message_type:
                    chat = codec.decode_payload(envelope, socket.ChatRequest)
                    session.outbox.put(frames.no_chat(chat.chat_id))
                case socket.CHANGE_NETWORK:
                    self._change_network(session, envelope)
                case socket.SET_SUBSCRIPTIONS:
                    self._set_subscriptions(session, envelope)
                case _:
                    _log.debug("ignored a message of type %.40s", envelope.type)
        except ProtocolError as error:
            session.bad_frames += 1
            session.receive(
                codec.encode(socket.Toast(type="error", message=f"message ignored: {error}"[:600]))
            )
            if session.bad_frames >= MAX_BAD_FRAMES:
                session.outbox.close(CLOSE_POLICY, "too many messages that cannot be read")

    async def _submit(self, session: AppSession, envelope: Envelope) -> None:
        try:
            session.app.account.require("render")
            request = codec.decode_payload(envelope, JobRequest)
            await self._services.projects.submit(session.app, request, envelope.data)
        except DreamgridError as error:
            session.outbox.put(frames.refused(project_id_of(envelope), error))

    async def _cancel(self, session: AppSession, envelope: Envelope) -> None:
        cancel = codec.decode_payload(envelope, socket.CancelRequest)
        problem = None
        try:
            session.app.account.require("render")
            await self._services.projects.cancel(session.app, cancel.project_id)
        except DreamgridError as error:
            problem = str(error)
        session.outbox.put(frames.cancel_answer(cancel.project_id, problem))

    def _change_network(self, session: AppSession, envelope: Envelope) -> None:
        wanted = codec.decode_payload(envelope, str)
        for network in NETWORKS:
            if network == wanted:
                session.app = replace(session.app, network=network)
        self._subscribe(session)
        session.outbox.put(codec.encode(socket.ChangeNetwork(network=session.app.network)))
        self._send_swarm(session)

    def _set_subscriptions(self, session: AppSession, envelope: Envelope) -> None:
        change = codec.decode_payload(envelope, socket.SubscriptionChange)
        knew_models = session.wants(socket.SWARM_MODELS)
        session.subscriptions = change.applied_to(session.subscriptions)
        self._subscribe(session)
        switches = socket_messages.switches_in_force(session.subscriptions)
        session.outbox.put(codec.encode(socket.SubscriptionsUpdated(subscriptions=switches)))
        if not knew_models:  # the next change of the models may be hours away
            self._send_swarm(session)


def _subscriptions_of(request: web.Request) -> dict[str, bool]:
    """The event switches of the connect query; anything else than a map of booleans is ignored."""
    try:
        return msgspec.json.decode(
            request.query.get("socketEventSubscriptions", "{}").encode(), type=socket.Switches
        )
    except codec.UNREADABLE:
        return {}
