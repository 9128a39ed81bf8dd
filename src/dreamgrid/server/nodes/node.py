"""One node of a grid, from start to stop: it relays until it coordinates, and may relay again.

The database decides who coordinates. Messages over NATS only say that it is time to look, so that a
handover takes no tick; without NATS it takes one.
"""

import asyncio
import contextlib
import logging
import secrets
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from aiohttp import web

from dreamgrid.errors import ConfigError, ServerUnavailable
from dreamgrid.server.blobs.folder import write_secret
from dreamgrid.server.bus.base import COORDINATOR_SUBJECT
from dreamgrid.server.bus.choice import BusBetweenNodes, bus_between_nodes
from dreamgrid.server.config import NodeSettings
from dreamgrid.server.key_ring import Shared, keep, share
from dreamgrid.server.nodes.gateway import Gateway
from dreamgrid.server.nodes.lease import Beats, Lease
from dreamgrid.server.store.base import Store
from dreamgrid.server.store.postgres import PostgresStore

T = TypeVar("T")

_log = logging.getLogger("dreamgrid.nodes")

SECRETS_LOOK_S = 5.0
"""How often the coordinator looks whether the secrets that sign were exchanged."""


@dataclass(frozen=True, kw_only=True)
class Coordinating:
    """A coordinator that serves.

    Attributes:
        local_key: The key of whoever started the grid.
        take_secrets: Takes the secrets that sign from their files again.
    """

    local_key: str
    take_secrets: Callable[[], None]


Coordinate = Callable[[Store, str], AbstractAsyncContextManager[Coordinating]]
"""Serves as the coordinator while the block runs: takes its store and the secret of the nodes."""


@dataclass(frozen=True, kw_only=True)
class NodeParts:
    """What a node is made of.

    Attributes:
        store: Address of the database.
        node: Its own settings.
        door: Where apps and workers connect; stays open, whoever serves there.
        tls: How TLS is spoken there. None: it is not.
        token_secret: File of the secret that signs sign-ins; all nodes get the same one.
        local_key: File of the key of whoever started the grid; likewise.
        gateway: Makes the part that relays, given the secret of the nodes.
        runner: Serves an application at the public door.
        coordinate: Serves as the coordinator.
        ready: Called once, with that key, when requests are answered.
    """

    store: str
    node: NodeSettings
    door: socket.socket
    tls: ssl.SSLContext | None
    token_secret: Path
    local_key: Path
    gateway: Callable[[str], Gateway]
    runner: Callable[[web.Application], web.AppRunner]
    coordinate: Coordinate
    ready: Callable[[str], None]


async def run_node(parts: NodeParts, stop: asyncio.Event) -> None:
    """Serves until `stop` is set.

    Raises:
        ConfigError: The database cannot be reached at the start, or a setting is wrong.
    """
    await Node(parts, stop).run()


class Node:
    """See the module's text."""

    def __init__(self, parts: NodeParts, stop: asyncio.Event) -> None:
        self._parts = parts
        self._stop = stop
        self._said = False
        self._gateway: Gateway | None = None
        self._coordinator = ""
        self._lease = Lease(parts.store, self._seen)
        self._secret = ""
        self._bus: BusBetweenNodes | None = None

    async def run(self) -> None:
        """Relays and coordinates in turn."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._lease.close)
            await self._meet()
            if self._bus is not None:
                await self._bus.open()
                stack.push_async_callback(self._bus.close)
                self._bus.subscribe(COORDINATOR_SUBJECT, lambda frame, key: self._lease.look_now())
            while not self._stop.is_set():
                await self._turn()

    async def _meet(self) -> None:
        """Learns what all nodes share."""
        parts = self._parts
        try:
            await self._take_secrets()
            self._secret = await self._lease.ask(
                lambda nodes: nodes.secret("relay-secret", lambda: secrets.token_hex(32))
            )
            grid = await self._lease.ask(
                lambda nodes: nodes.secret("bus-name", lambda: secrets.token_hex(8))
            )
        except psycopg.Error as error:
            raise ConfigError(f"the database cannot be opened: {str(error).strip()}") from None
        if parts.node.bus is not None:
            self._bus = bus_between_nodes(parts.node.bus, grid)

    async def _turn(self) -> None:
        """Relays until this node coordinates, and coordinates until it stops or is replaced."""
        async with self._relaying() as leave_door:
            store = await _unless(self._stop, self._lease.won())
            if store is None:
                return
            lost = asyncio.Event()
            beats = Beats(self._parts.store, store, lost)
            beats.start()
            try:
                await self._coordinate(store, beats, lost, leave_door)
            except* (psycopg.Error, ServerUnavailable) as group:  # a task group, once it serves
                _log.error("this node could not take over, and tries again: %s", _first(group))
            finally:
                await beats.stop()
                await store.close()
                self._tell()

    async def _coordinate(
        self,
        store: PostgresStore,
        beats: Beats,
        lost: asyncio.Event,
        leave_door: Callable[[], Awaitable[None]],
    ) -> None:
        await self._take_local_key()
        ring = await self._take_secrets()
        async with self._parts.coordinate(store, self._secret) as serving:
            local_key = serving.local_key
            await self._lease.ask(lambda nodes: nodes.keep_secret("local-key", local_key))
            beats.serve(self._parts.node.address)
            self._coordinates(self._parts.node.address)
            self._say_ready(local_key)
            self._tell()
            await leave_door()
            async with asyncio.TaskGroup() as group:
                following = group.create_task(self._follow_secrets(ring, serving.take_secrets))
                await _unless(self._stop, lost.wait())
                following.cancel()
            if lost.is_set():
                _log.error("this node coordinates no longer: it relays to the one that does")

    async def _take_secrets(self) -> Shared:
        """Puts what signs sign-ins, which all nodes share, into the folder; the first brings it."""
        file = self._parts.token_secret
        ring = await self._lease.ask(lambda nodes: nodes.secrets(file.name))
        if file.name not in ring:
            ring = await self._lease.ask(
                lambda nodes: nodes.change_secrets(file.name, lambda known: known or share(file))
            )
        keep(file, ring)
        return ring

    async def _follow_secrets(self, ring: Shared, take: Callable[[], None]) -> None:
        """Takes secrets that were exchanged; while it cannot, the ones of before go on."""
        while True:
            await asyncio.sleep(SECRETS_LOOK_S)
            try:
                shared = await self._take_secrets()
                if shared != ring:
                    take()
                    ring = shared
                    _log.warning("sign-ins are signed with a new secret from now on")
            except psycopg.Error:
                pass  # away; the beats say so
            except (ConfigError, OSError) as error:
                _log.error("new secrets cannot be taken, which is tried again: %s", error)

    @asynccontextmanager
    async def _relaying(self) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        """A gateway at the public door; the given function leaves the door to somebody else.

        Whoever came before that is served to the end: also those who waited for a coordinator.
        """
        gateway = self._parts.gateway(self._secret)
        async with gateway.application() as app:
            runner = self._parts.runner(app)
            await runner.setup()
            site = web.SockSite(runner, self._parts.door.dup(), ssl_context=self._parts.tls)
            await site.start()
            self._gateway = gateway
            if self._coordinator:
                gateway.point(self._coordinator)
            try:
                yield site.stop
            finally:
                self._gateway = None
                gateway.close()
                await runner.cleanup()

    async def _seen(self, node: str) -> None:
        """A coordinator serves there."""
        self._coordinates(node)
        if not self._said:
            await self._take_local_key()
            self._say_ready(self._parts.local_key.read_text(encoding="ascii").strip())

    def _coordinates(self, node: str) -> None:
        self._coordinator = node
        if self._gateway is not None:
            self._gateway.point(node)

    def _say_ready(self, local_key: str) -> None:
        if not self._said:
            self._said = True
            self._parts.ready(local_key)

    async def _take_local_key(self) -> None:
        """Puts the key that all nodes share where this machine's programs look for it."""

        def own() -> str:
            with contextlib.suppress(FileNotFoundError):
                return self._parts.local_key.read_text(encoding="ascii").strip()
            return ""

        known = await self._lease.ask(lambda nodes: nodes.secret("local-key", own))
        if known and known != own():
            write_secret(self._parts.local_key, f"{known}\n".encode())

    def _tell(self) -> None:
        """The others need not wait for their next look."""
        if self._bus is not None:
            self._bus.publish(COORDINATOR_SUBJECT, b"")


def _first(error: BaseException) -> BaseException:
    """The first error of a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _unless(stop: asyncio.Event, wanted: Coroutine[Any, Any, T]) -> T | None:
    """What somebody waits for, unless `stop` is set before; then None."""
    task, stopping = asyncio.create_task(wanted), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((task, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        if not task.done():
            task.cancel()
        await asyncio.gather(task, stopping, return_exceptions=True)
    return None if task.cancelled() else task.result()
