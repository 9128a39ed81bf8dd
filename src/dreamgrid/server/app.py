"""Builds the server and owns everything in it; the only file that picks backends."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web

from dreamgrid.protocol.socket import CLOSE_RESTART
from dreamgrid.server import listening, tokens, upkeep, whereabouts
from dreamgrid.server.accounts import LOCAL_ACCOUNT, Accounts
from dreamgrid.server.addresses import Connections, Networks
from dreamgrid.server.app_sockets import AppSockets
from dreamgrid.server.application import MAX_BODY_BYTES, application
from dreamgrid.server.auth import Account
from dreamgrid.server.blobs.base import Blobs
from dreamgrid.server.blobs.local import SECRET_FILE, LocalBlobs
from dreamgrid.server.blobs.s3 import S3Blobs
from dreamgrid.server.bus.base import Bus
from dreamgrid.server.bus.memory import MemoryBus
from dreamgrid.server.catalog import Catalog
from dreamgrid.server.certificate import Certificate
from dreamgrid.server.clock import Clock, milliseconds, system_clock
from dreamgrid.server.config import LOOPBACK, ServerConfig
from dreamgrid.server.delivered_files import DeliveredFiles
from dreamgrid.server.earlier_prices import keep_quotes
from dreamgrid.server.event_feed import EventFeeds
from dreamgrid.server.folder_lock import held
from dreamgrid.server.key_ring import load_ring
from dreamgrid.server.known_workers import KnownWorkers
from dreamgrid.server.limits import Limits
from dreamgrid.server.open_projects import OpenProjects
from dreamgrid.server.projects import Projects
from dreamgrid.server.queue_notices import QueueNotices
from dreamgrid.server.recovery import Recovery
from dreamgrid.server.refusals import Runner
from dreamgrid.server.rendering import Rendering
from dreamgrid.server.rules import Rules
from dreamgrid.server.services import Services
from dreamgrid.server.sessions import Sessions
from dreamgrid.server.sign_in import SignIn
from dreamgrid.server.sign_in_links import SignInLinks, address
from dreamgrid.server.store.base import Store
from dreamgrid.server.store.choice import postgres_store
from dreamgrid.server.store.sqlite import SqliteStore
from dreamgrid.server.tokens import TokenSigner
from dreamgrid.server.uploads import Uploads
from dreamgrid.server.webhook_sender import WebhookSender
from dreamgrid.server.webhooks import Webhooks
from dreamgrid.server.worker_sockets import WorkerSockets
from dreamgrid.server.workers import Workers

LOCAL_KEY_FILE = "local-key"
TOKEN_SECRET_FILE = "token-secret"
_HERE = ("127.0.0.1", "::1")
"""Addresses of this machine, as a peer has them."""

CLOSE_WITHIN_S = 2.0
"""How long connections may take to close when the server stops."""

SILENT_S = 75.0
"""How long a connection may stay open with no request on it, or none that is whole."""

_log = logging.getLogger("dreamgrid.server")


@dataclass(frozen=True, kw_only=True)
class ServerReady:
    """A server that is ready to serve.

    Attributes:
        url: Its address.
        api_key: The key of the person who started it.
        account: The name of that account.
        studio_url: Opens the studio in a browser of this machine, signed in to that account; good
            once. None: nobody can sign in here, because a library is missing or this machine's own
            programs cannot reach the server.
        tick: Looks at leases and queue positions now instead of in a second or two: for those who
            brought a clock and have moved it.
    """

    url: str
    api_key: str
    account: str
    studio_url: str | None
    tick: Callable[[], Awaitable[None]]


async def run_server(
    config: ServerConfig,
    *,
    stop: asyncio.Event,
    on_ready: Callable[[ServerReady], None],
    clock: Clock = system_clock,
    open_store: Callable[[Path], SqliteStore] | None = None,
) -> None:
    """Serves until `stop` is set, then ends every connection and returns.

    Args:
        config: Its settings.
        stop: Set by the caller to end the server.
        on_ready: Called once, when requests are answered.
        clock: Time; tests bring their own.
        open_store: Makes the store of a file; tests bring one that fails. None: `SqliteStore`.

    Raises:
        ConfigError: A setting is wrong, the port is in use, the folder cannot be written or
            another server uses it (`FolderInUse`).
    """
    config.validate()
    with held(config.data_dir):
        whereabouts.check(config)
        await _serve(config, stop, on_ready, clock, open_store or SqliteStore)


async def _serve(
    config: ServerConfig,
    stop: asyncio.Event,
    on_ready: Callable[[ServerReady], None],
    clock: Clock,
    open_store: Callable[[Path], SqliteStore],
) -> None:
    models = Catalog.load(config.catalog_files, network_permille=config.network_permille)
    keep_quotes(config.data_dir, models, milliseconds(clock))
    async with AsyncExitStack() as stack:
        tls = await stack.enter_async_context(_tls(config))
        blobs = await stack.enter_async_context(_media(config, clock))
        if config.node is not None:
            await _serve_as_node(config, stop, on_ready, clock, models, blobs, tls)
            return
        store: Store
        if config.store is None:
            store = open_store(config.data_dir / whereabouts.DATABASE)
        else:
            store = postgres_store(config.store)
        await store.open()
        whereabouts.note(config)
        stack.push_async_callback(store.close)
        parts = assembled(config, models, store, blobs, MemoryBus(), clock)
        services, apps, workers = await stack.enter_async_context(parts)
        listen = partial(listening.listen, config, tls)
        async with _serving(services, apps, workers, listen) as ready:
            on_ready(ready)
            await stop.wait()


async def _serve_as_node(
    config: ServerConfig,
    stop: asyncio.Event,
    on_ready: Callable[[ServerReady], None],
    clock: Clock,
    models: Catalog,
    blobs: Blobs,
    tls: ssl.SSLContext | None,
) -> None:
    """Serves as one of several nodes: coordinates when it is its turn, and relays else."""
    from dreamgrid.server.nodes.gateway import Gateway  # noqa: PLC0415
    from dreamgrid.server.nodes.node import (  # noqa: PLC0415 (needs psycopg)
        Coordinating,
        NodeParts,
        run_node,
    )

    assert config.store is not None, "validated"
    assert config.node is not None, "validated"
    own, (host, port) = config.node, config.node.host_and_port
    whereabouts.note(config)
    with (
        closing(listening.door(config)) as door,
        closing(listening.Spare(host, port, "--node")) as private,
    ):
        url = listening.url_of(config, door.getsockname()[1])

        async def listen(runner: web.AppRunner) -> str:
            await web.SockSite(runner, door.dup(), ssl_context=tls).start()
            await private.listen(runner)
            return url

        @asynccontextmanager
        async def coordinate(store: Store, secret: str) -> AsyncIterator[Coordinating]:
            known = replace(config, node=replace(own, relay_secret=secret))
            parts = assembled(known, models, store, blobs, MemoryBus(), clock)
            try:
                async with (
                    parts as (services, apps, workers),
                    _serving(services, apps, workers, listen) as ready,
                ):
                    sessions = services.sessions
                    yield Coordinating(
                        local_key=ready.api_key,
                        take_secrets=lambda: sessions.sign_with(_token_secrets(known, clock)),
                    )
            finally:
                if not stop.is_set():  # it relays again, and may coordinate again
                    private.take()

        def say_ready(api_key: str) -> None:
            on_ready(
                ServerReady(
                    url=url, api_key=api_key, account=LOCAL_ACCOUNT, studio_url=None, tick=_no_tick
                )
            )

        parts = NodeParts(
            store=config.store,
            node=own,
            door=door,
            tls=tls,
            token_secret=config.data_dir / TOKEN_SECRET_FILE,
            local_key=config.data_dir / LOCAL_KEY_FILE,
            gateway=lambda secret: Gateway(secret, own.address, config.proxies, MAX_BODY_BYTES),
            runner=partial(_runner, config),
            coordinate=coordinate,
            ready=say_ready,
        )
        await run_node(parts, stop)


async def _no_tick() -> None:
    """Nodes tick by themselves."""


def _runner(config: ServerConfig, app: web.Application) -> Runner:
    return Runner(
        app,
        Connections(config.max_connections, Networks((*_HERE, *config.trusted_proxies))),
        uncounted_port=config.node.host_and_port[1] if config.node is not None else 0,
        access_log=None,
        handle_signals=False,
        shutdown_timeout=CLOSE_WITHIN_S / 2,  # aiohttp waits for it twice
        keepalive_timeout=SILENT_S,
    )


@asynccontextmanager
async def _serving(
    services: Services,
    apps: AppSockets,
    workers: WorkerSockets,
    listen: Callable[[web.AppRunner], Awaitable[str]],
) -> AsyncIterator[ServerReady]:
    """Answers requests while the block runs, then ends every connection."""
    config = services.config
    runner = _runner(config, application(services, apps, workers))
    await runner.setup()
    try:
        url = await listen(runner)
        local, key = await services.accounts.local_key(config.data_dir / LOCAL_KEY_FILE)
        async with asyncio.TaskGroup() as group:
            loops = group.create_task(_upkeep(services, workers), name="upkeep")
            _log.info("serving at %s", url)
            yield ServerReady(
                url=url,
                api_key=key,
                account=local.username,
                studio_url=_studio_url(services, url, local),
                tick=lambda: upkeep.tick(services, workers),
            )
            services.projects.stop_accepting()
            apps.close_all(CLOSE_RESTART, "the server is stopping; connect again in a moment")
            workers.close_all(CLOSE_RESTART, "the server is stopping")
            services.feeds.close_all()
            loops.cancel()
    finally:
        await runner.cleanup()


def _studio_url(services: Services, url: str, local: Account) -> str | None:
    if not tokens.can_sign() or urlsplit(url).hostname not in LOOPBACK:
        return None
    return address(url, services.sign_in_links.make(local))


async def _upkeep(services: Services, workers: WorkerSockets) -> None:
    async with asyncio.TaskGroup() as group:
        upkeep.start(group, services, workers)


@asynccontextmanager
async def _tls(config: ServerConfig) -> AsyncIterator[ssl.SSLContext | None]:
    """How the server speaks TLS itself, if it does; renewed certificates are taken meanwhile."""
    if config.tls is None:
        yield None
        return
    certificate = Certificate(config.tls.certificate, config.tls.key)
    following = asyncio.create_task(certificate.follow(), name="certificate")
    try:
        yield certificate.context
    finally:
        following.cancel()


@asynccontextmanager
async def _media(config: ServerConfig, clock: Clock) -> AsyncIterator[Blobs]:
    """Where inputs and results are kept."""
    if config.blobs is None:
        secrets = load_ring(
            config.data_dir / SECRET_FILE,
            named=config.blob_secret_files,
            good_for_s=max(config.render_url_s, config.upload_url_s, config.download_url_s),
            clock=clock,
        )
        yield LocalBlobs(config.data_dir, clock=clock, secrets=secrets)
        return
    blobs = S3Blobs(config.blobs, clock=clock)
    try:
        await blobs.open()
        yield blobs
    finally:
        await blobs.close()


@asynccontextmanager
async def assembled(
    config: ServerConfig, models: Catalog, store: Store, blobs: Blobs, bus: Bus, clock: Clock
) -> AsyncIterator[tuple[Services, AppSockets, WorkerSockets]]:
    """Every part of a server over open backends; takes up what the last run left open."""
    accounts = Accounts(config, store, bus, clock)
    sessions = _sessions(config, store, bus, clock)
    workers = Workers()
    known_workers = KnownWorkers(config.worker_known_s, store, workers, clock)
    rules = Rules(store.admin)
    await rules.load()
    open_projects = OpenProjects(config, blobs, bus, workers, clock, rules, known_workers)
    uploads = _uploads(config, blobs, open_projects, clock)
    rendering = Rendering(
        config=config,
        catalog=models,
        store=store,
        blobs=blobs,
        delivered=DeliveredFiles(config, blobs, uploads.kept),
        accounts=accounts,
        workers=workers,
        open_projects=open_projects,
        clock=clock,
    )
    queue = QueueNotices(config, rendering, workers, open_projects, clock)
    owner = Projects(
        config=config,
        catalog=models,
        store=store,
        blobs=blobs,
        accounts=accounts,
        open_projects=open_projects,
        known_workers=known_workers,
        rendering=rendering,
        queue=queue,
        kept=uploads.kept,
        clock=clock,
    )
    services = Services(
        config=config,
        catalog=models,
        blobs=blobs,
        bus=bus,
        store=store,
        accounts=accounts,
        projects=owner,
        recovery=Recovery(store, open_projects, owner, queue, clock),
        rendering=rendering,
        queue=queue,
        workers=workers,
        known_workers=known_workers,
        sessions=sessions,
        sign_in=SignIn(config, accounts, sessions, clock),
        sign_in_links=SignInLinks(clock),
        limits=Limits(config, clock),
        uploads=uploads,
        feeds=EventFeeds(store, bus),
        rules=rules,
        open_projects=open_projects,
        webhooks=Webhooks(config, store.webhooks, clock),
        webhook_sender=WebhookSender(config, store, open_projects, clock),
        clock=clock,
    )
    apps = AppSockets(services)
    workers.changed = apps.models_changed
    await known_workers.load()
    await owner.load()
    try:
        yield services, apps, WorkerSockets(services)
    finally:
        open_projects.stop()
        services.sign_in.close()


def _uploads(
    config: ServerConfig, blobs: Blobs, open_projects: OpenProjects, clock: Clock
) -> Uploads:
    """The account of what is uploaded; local files pass through this server and are noted."""
    uploads = Uploads(config, blobs, open_projects, clock)
    if isinstance(blobs, LocalBlobs):
        blobs.arrivals = uploads
    return uploads


def _sessions(config: ServerConfig, store: Store, bus: Bus, clock: Clock) -> Sessions:
    """Sign-ins, whose tokens outlive the server because its secret does."""
    signer = TokenSigner(_token_secrets(config, clock), clock)
    return Sessions(config, store, bus, signer, clock)


def _token_secrets(config: ServerConfig, clock: Clock) -> tuple[bytes, ...]:
    return load_ring(
        config.data_dir / TOKEN_SECRET_FILE,
        named=config.token_secret_files,
        good_for_s=max(config.refresh_token_s, config.access_token_s),
        clock=clock,
    )
