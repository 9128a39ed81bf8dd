"""A whole server in this process, on a port of its own, with raw apps and workers around it."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from dreamgrid.protocol.worker import WORKER_PATH, Hello
from dreamgrid.server import app as server_app
from dreamgrid.server.accounts import Accounts
from dreamgrid.server.app import ServerReady, run_server
from dreamgrid.server.app_sockets import AppSession, AppSockets
from dreamgrid.server.bus.memory import MemoryBus
from dreamgrid.server.config import NO_LIMIT, ServerConfig
from dreamgrid.server.rendering import Rendering
from dreamgrid.server.store.sqlite import SqliteStore
from dreamgrid.server.workers import Workers, WorkerSession
from tests.support.faulty_store import FaultyStore
from tests.support.known import remember_workers
from tests.support.wire import PATIENCE_S, App, Worker, hello_of, welcomed

LEASE_S = 30.0


class ManualClock:
    """Time that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now_s = time.time()

    def __call__(self) -> float:
        return self.now_s

    def advance(self, seconds: float) -> None:
        self.now_s += seconds


class Grid:
    """A server over a data folder. `async with` starts and stops it; `restart` does both.

    It remembers a worker that was here before and offered `known_models`, so that projects for
    these may wait.
    """

    def __init__(
        self, data_dir: Path, *, known_models: tuple[str, ...] = ("pattern-v1",), **settings: Any
    ) -> None:
        # The clock stands still, so what is used of a rate never comes back.
        free: dict[str, Any] = {
            "requests": NO_LIMIT,
            "stranger_requests": NO_LIMIT,
            "messages": NO_LIMIT,
        }
        # One account is app and worker here, and would get back at once what it pays.
        free |= {"worker_share_permille": 0, "port": 0}
        self.config = ServerConfig(
            data_dir=data_dir, lease_s=LEASE_S, heartbeat_s=5.0, **free | settings
        )
        self.clock = ManualClock()
        self._known_models = known_models
        self.http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE_S))
        self.url = ""
        self.key = ""
        self.stores: list[FaultyStore] = []
        self._stop = asyncio.Event()
        self._tick = asyncio.Event()
        self._worker_left = asyncio.Event()
        self._workers: Workers | None = None
        self._app_left = asyncio.Event()
        self._apps: AppSockets | None = None
        self._server: asyncio.Task[None] | None = None
        self._peers: list[App | Worker] = []

    async def __aenter__(self) -> "Grid":
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self.stop()
        finally:
            for peer in self._peers:
                await peer.leave()
            await self.http.close()

    @property
    def store(self) -> FaultyStore:
        """The store of the server that runs now."""
        return self.stores[-1]

    # ── the server ───────────────────────────────────────────────────────────────────────────────

    async def start(self) -> None:
        """Starts the server; on the same port as before, if there was one."""
        if self._known_models:
            await remember_workers(self.config.data_dir, self._known_models, seen_s=self.clock())
            self._known_models = ()
        ready: asyncio.Future[ServerReady] = asyncio.get_running_loop().create_future()
        self._stop = asyncio.Event()
        self._server = asyncio.create_task(
            run_server(self.config, stop=self._stop, on_ready=ready.set_result, clock=self.clock)
        )
        either: set[asyncio.Future[Any]] = {self._server, ready}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if self._server.done():
            self._server.result()
        told = ready.result()
        self.url, self.key = told.url, told.api_key
        self.config = replace(self.config, port=int(told.url.rpartition(":")[2]))

    async def stop(self) -> None:
        """Stops the server as a signal would."""
        self._stop.set()
        if self._server is not None:
            async with asyncio.timeout(PATIENCE_S):
                await self._server
            self._server = None

    async def restart(self) -> None:
        """Stops the server and starts it again over the same folder."""
        await self.stop()
        await self.start()

    async def ticked(self) -> None:
        """Returns when leases have been looked at, at the time that the clock shows now."""
        for _ in range(2):  # the first may have begun before
            self._tick.clear()
            async with asyncio.timeout(PATIENCE_S):
                await self._tick.wait()

    async def ticked_until(self, condition: Callable[[], bool]) -> None:
        """Returns at the first tick at which something is true."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                await self.ticked()

    async def ended(self) -> None:
        """Returns, or raises, when the server has ended by itself."""
        assert self._server is not None
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.wait([self._server])
        self._server.result()

    async def account(self, username: str, *, grant_micros: int | None = None) -> str:
        """Makes an account beside the running server; returns a key of it."""
        config = self.config
        if grant_micros is not None:
            config = replace(config, starting_grant_micros=grant_micros)
        store = SqliteStore(config.data_dir / "dreamgrid.sqlite")
        await store.open()
        accounts = Accounts(config, store, MemoryBus(), self.clock)
        made = await accounts.create(username)
        assert made is not None, f"{username} exists"
        info = await accounts.create_key(made, "test")
        await store.close()
        assert info.key is not None
        return info.key

    # ── its peers ────────────────────────────────────────────────────────────────────────────────

    async def socket(self, key: str | None = None, **query: str) -> App:
        """A raw app socket; nothing was waited for."""
        given = {"clientName": "test", "clientType": "artist", "forceWorkerId": "fast"} | query
        ws = await self.http.ws_connect(
            f"{self.url}/?{urlencode(given)}",
            headers={"api-key": self.key if key is None else key},
            max_msg_size=0,
        )
        app = App(ws)
        self._peers.append(app)
        return app

    async def app(self, app_id: str = "app-1", *, key: str | None = None, **query: str) -> App:
        """A connected app that was greeted."""
        app = await self.socket(key, appId=app_id, **query)
        await app.wait_for("balanceUpdate")
        return app

    async def worker_socket(self, hello: Hello, *, key: str | None = None) -> Worker:
        """A worker that has said hello; nothing was waited for."""
        ws = await self.http.ws_connect(
            f"{self.url}{WORKER_PATH}", headers={"api-key": self.key if key is None else key}
        )
        worker = Worker(ws, self.http, hello)
        self._peers.append(worker)
        await worker.send(hello)
        return worker

    async def worker(self, name: str = "w1", *, key: str | None = None, **hello: Any) -> Worker:
        """A connected worker that was welcomed."""
        return await welcomed(await self.worker_socket(hello_of(name, **hello), key=key))

    @property
    def sessions(self) -> tuple[WorkerSession, ...]:
        """What the server knows of its workers now."""
        return self._workers.all() if self._workers is not None else ()

    async def without_workers(self) -> None:
        """Returns when the server has noticed that all workers are gone."""
        async with asyncio.timeout(PATIENCE_S):
            while self._workers is not None and self._workers.all():
                self._worker_left.clear()
                await self._worker_left.wait()

    async def without_apps(self) -> None:
        """Returns when the server has noticed that all apps are gone."""
        async with asyncio.timeout(PATIENCE_S):
            while self._apps is not None and self._apps._sessions:
                self._app_left.clear()
                await self._app_left.wait()

    # ── HTTP ─────────────────────────────────────────────────────────────────────────────────────

    async def call(
        self, method: str, path: str, *, key: str | None = None, **options: Any
    ) -> tuple[int, Any]:
        """An API call: status and JSON body. `key=""`: without a credential."""
        key = self.key if key is None else key
        headers = options.pop("headers", {}) | ({"api-key": key} if key else {})
        url = path if path.startswith("http") else f"{self.url}{path}"
        async with self.http.request(method, url, headers=headers, **options) as answer:
            assert answer.content_type == "application/json", await answer.text()
            return answer.status, await answer.json()

    async def get(self, path: str, *, key: str | None = None) -> tuple[int, Any]:
        return await self.call("GET", path, key=key)

    async def data(self, path: str, *, key: str | None = None) -> Any:
        """The `data` of a REST answer that must succeed."""
        status, body = await self.get(path, key=key)
        assert (status, body["status"]) == (200, "success"), body
        return body["data"]

    async def spark(self, key: str | None = None) -> dict[str, str]:
        """The spark balance as the API shows it."""
        balance = await self.data("/v4/account/balance", key=key)
        assert isinstance(balance["spark"], dict)
        return balance["spark"]

    async def record(self, project_id: str, *, key: str | None = None) -> dict[str, Any]:
        """The record of a finished project."""
        found = await self.data(f"/v1/projects/{project_id}", key=key)
        assert isinstance(found["project"], dict)
        return found["project"]

    async def live(self, project_id: str, *, key: str | None = None) -> dict[str, Any]:
        """A project in any state."""
        found = await self.data(f"/v2/projects/{project_id}", key=key)
        assert isinstance(found["project"], dict)
        return found["project"]

    def tap(self, patch: pytest.MonkeyPatch) -> None:
        """Makes the server use stores that a test can hold and break, and tell what it notices."""

        def make(path: Path) -> FaultyStore:
            self.stores.append(FaultyStore(path))
            return self.store

        def expire_leases(rendering: Rendering) -> None:
            original_expire(rendering)
            self._tick.set()

        def remove(workers: Workers, session: WorkerSession) -> None:
            original_remove(workers, session)
            self._worker_left.set()

        def add(workers: Workers, session: WorkerSession) -> WorkerSession | None:
            self._workers = workers
            return original_add(workers, session)

        def leave(apps: AppSockets, session: AppSession, *, orderly: bool) -> None:
            original_leave(apps, session, orderly=orderly)
            self._app_left.set()

        async def enter(apps: AppSockets, session: AppSession) -> None:
            self._apps = apps
            await original_enter(apps, session)

        original_enter, original_leave = AppSockets._enter, AppSockets._leave
        original_expire = Rendering.expire_leases
        original_remove, original_add = Workers.remove, Workers.add
        patch.setattr(server_app, "SqliteStore", make)
        patch.setattr(Rendering, "expire_leases", expire_leases)
        patch.setattr(Workers, "remove", remove)
        patch.setattr(Workers, "add", add)
        patch.setattr(AppSockets, "_enter", enter)
        patch.setattr(AppSockets, "_leave", leave)
