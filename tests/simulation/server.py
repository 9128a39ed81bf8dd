"""One run of a server, from its start to its stop or crash; the next one has the same disk."""

import asyncio
import contextlib
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, cast

from aiohttp import web

from dreamgrid.errors import DreamgridError
from dreamgrid.protocol.worker import Hello
from dreamgrid.server import upkeep
from dreamgrid.server.app import assembled
from dreamgrid.server.app_sockets import AppSession, AppSockets
from dreamgrid.server.auth import Account
from dreamgrid.server.bus.memory import MemoryBus
from dreamgrid.server.catalog import Catalog
from dreamgrid.server.config import NO_LIMIT, ServerConfig
from dreamgrid.server.conversation import CLOSE_SURPRISE
from dreamgrid.server.new_projects import App
from dreamgrid.server.outbox import Outbox
from dreamgrid.server.services import Services
from dreamgrid.server.worker_sockets import WorkerSockets
from tests.simulation.disk import Disk, DiskStore
from tests.simulation.lines import Line, ServerOutbox, ServerSocket
from tests.simulation.virtual_time import VirtualLoop

ORIGIN = "http://grid.example"
RESTARTING = 1012
LEASE_S = 30.0
HEARTBEAT_S = 5.0
MIN_RUN_S = 120.0
MAX_RUN_S = 300.0


def settings(folder: Path, *, max_queue_s: float = 0.0) -> ServerConfig:
    """A server whose workers' owners earn a part, so that all kinds of entries occur."""
    return ServerConfig(
        data_dir=folder,
        public_url=ORIGIN,
        lease_s=LEASE_S,
        heartbeat_s=HEARTBEAT_S,
        worker_share_permille=700,
        min_run_s=MIN_RUN_S,
        max_run_s=MAX_RUN_S,
        max_queue_s=max_queue_s,
        requests=NO_LIMIT,
        messages=NO_LIMIT,
        worker_messages=NO_LIMIT,
    )


class Server:
    """The real parts of a server over a disk, with the real socket code above them."""

    def __init__(
        self, config: ServerConfig, models: Catalog, disk: Disk, loop: VirtualLoop
    ) -> None:
        self._config = config
        self._models = models
        self._disk = disk
        self._loop = loop
        self._store = DiskStore(disk)
        self._tasks: set[asyncio.Task[None]] = set()
        self._lines: dict[Line, ServerOutbox] = {}
        self._stack = contextlib.AsyncExitStack()
        self._services: Services | None = None
        self._apps: AppSockets
        self._workers: WorkerSockets
        self.running = False

    @property
    def services(self) -> Services:
        assert self._services is not None, "it has not started"
        return self._services

    async def start(self) -> None:
        parts = assembled(
            self._config,
            self._models,
            self._store,
            self._disk.files,
            MemoryBus(),
            self._loop.clock,
        )
        self._services, self._apps, self._workers = await self._stack.enter_async_context(parts)
        self._task(self._upkeep())
        self.running = True

    async def _upkeep(self) -> None:
        async with asyncio.TaskGroup() as group:
            upkeep.start(group, self.services, self._workers)

    def _task(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._loop.call_exception_handler({"message": "a task died", "exception": error})

    # ── its peers ────────────────────────────────────────────────────────────────────────────────

    def accept_app(self, line: Line, outbox: ServerOutbox, app: App) -> None:
        """An app has connected and its key was found to be good."""
        arrival = next(self._apps._arrivals)
        session = AppSession(arrival, app, cast(Outbox, outbox), {})
        socket = cast(web.WebSocketResponse, ServerSocket(line))
        self._converse(line, outbox, self._apps._serve(session, socket, line.short_way))

    def accept_worker(
        self, line: Line, outbox: ServerOutbox, account: Account, hello: Hello
    ) -> None:
        """A worker has connected and said hello."""
        nobody = cast(web.Request, None)  # it is asked for an address, which the settings tell
        session = self._workers._session(nobody, account, hello, cast(Outbox, outbox))
        socket = cast(web.WebSocketResponse, ServerSocket(line))
        work = self._workers._work(socket, line.short_way, session, hello, cast(Outbox, outbox))
        self._converse(line, outbox, work)

    def _converse(
        self, line: Line, outbox: ServerOutbox, conversation: Coroutine[Any, Any, None]
    ) -> None:
        async def hold() -> None:
            try:
                await conversation
            except DreamgridError:  # as the real one does: such as a full disk
                line.close(CLOSE_SURPRISE)
            finally:
                self._lines.pop(line, None)

        self._lines[line] = outbox
        self._task(hold())

    # ── its end ──────────────────────────────────────────────────────────────────────────────────

    def crash(self) -> None:
        """Ends it between two instructions: nothing more of it is stored or sent."""
        self.running = False
        self._store.writer.dead = True
        for line, outbox in list(self._lines.items()):
            outbox.dead = True
            line.broken = True
            self._loop.call_later(line.chance.uniform(0.0, 2.0), line.peer_notices)
        for task in list(self._tasks):
            task.cancel()
        self._loop.create_task(self._stack.aclose())  # nothing of it reaches the disk any more

    async def stop(self) -> None:
        """Ends it as a signal does."""
        self.running = False
        self.services.projects.stop_accepting()
        self._apps.close_all(RESTARTING, "the server is stopping")
        self._workers.close_all(RESTARTING, "the server is stopping")
        self.services.feeds.close_all()
        await asyncio.sleep(0.5)
        for line in list(self._lines):
            line.close(RESTARTING)
        for task in list(self._tasks):
            task.cancel()
        await self._stack.aclose()
        await self._store.close()
        self._store.writer.dead = True
