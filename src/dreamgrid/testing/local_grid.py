"""A server in this process, an SDK client for it, and scripted workers around it."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

from dreamgrid.client.aio import AsyncClient
from dreamgrid.errors import ConfigError, InvalidRequest
from dreamgrid.protocol.params import Network
from dreamgrid.server.app import ServerReady, run_server
from dreamgrid.server.catalog import Catalog, check_network
from dreamgrid.server.config import MICROS, NO_LIMIT, ServerConfig
from dreamgrid.testing.behaviour import Behaviour, Does
from dreamgrid.testing.clock import ManualClock
from dreamgrid.testing.disk import Disk
from dreamgrid.testing.faults import Faults
from dreamgrid.testing.network import BadNetwork
from dreamgrid.testing.worker import ScriptedWorker

MEMORY = Path("/dev/shm")  # noqa: S108 (where there is one; a temporary folder of our own in it)
"""Where nothing waits for a disk."""

_BACK_AFTER_S = 0.05


@asynccontextmanager
async def grid(
    *,
    balance: Decimal | int = 1_000,
    catalog_files: tuple[Path, ...] = (),
    faults: Faults | None = None,
    port: int = 0,
) -> AsyncIterator["Grid"]:
    """A grid of its own for one test; nothing of it is left behind.

    Args:
        balance: What the account has of each currency.
        catalog_files: JSON files with models, added to the built-in ones.
        faults: What goes wrong on the network and at the server; `grid.network.faults` changes it
            later. Workers that are cut off come back by themselves, and so does a server that was
            killed. None: nothing goes wrong.
        port: Where to listen. 0: at a free port.
    """
    in_memory = MEMORY if os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="dreamgrid-", dir=in_memory) as folder:
        config = ServerConfig(
            data_dir=Path(folder),
            port=0 if faults else port,
            catalog_files=catalog_files,
            starting_grant_micros=int(balance * MICROS),
            # The clock stands still, so what is used of a rate would never come back.
            requests=NO_LIMIT,
            stranger_requests=NO_LIMIT,
            messages=NO_LIMIT,
            worker_messages=NO_LIMIT,
            # Apps and workers are one account here, which would get back at once what it pays.
            worker_share_permille=0,
        )
        async with aiohttp.ClientSession() as http:
            one = Grid(config, http)
            try:
                if faults is not None:
                    await one.through(BadNetwork(faults, http), port)
                await one.start()
                yield one
            finally:
                await one.close()


class Grid:
    """A running grid.

    Attributes:
        clock: What the server and the workers go by; `advance` moves it.
        url: Address of the server.
        key: API key of its account.
        workers: Those that were made.
        network: What is between the server and all others, if it was given faults.
    """

    def __init__(self, config: ServerConfig, http: aiohttp.ClientSession) -> None:
        self.clock = ManualClock()
        self.url = ""
        self.key = ""
        self.workers: list[ScriptedWorker] = []
        self.network: BadNetwork | None = None
        self._config = config
        self._http = http
        self._stop = asyncio.Event()
        self._ready: ServerReady | None = None
        self._server: asyncio.Task[None] | None = None
        self._client: AsyncClient | None = None
        self._numbers = count(1)
        self._bringing_back: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()
        self._disk = Disk(self._faults, self._die)
        self._rising: asyncio.Task[None] | None = None

    def _faults(self) -> Faults:
        return Faults() if self.network is None else self.network.faults

    async def through(self, network: BadNetwork, port: int) -> None:
        """Puts a network before the server, which has not started yet."""
        await network.start(port)
        self.network = network
        network.kill = self._die
        self._config = replace(self._config, public_url=network.url)
        self._bringing_back = asyncio.create_task(self._bring_back(), name="dreamgrid.testing")

    async def _bring_back(self) -> None:
        while True:
            await asyncio.sleep(_BACK_AFTER_S)
            await self._bring_back_now()

    async def _bring_back_now(self) -> None:
        """Connects workers again that the network has cut off."""
        async with self._one_at_a_time:
            for worker in self.workers:
                if worker.cut_off and self._disk.serving:
                    with suppress(OSError, aiohttp.ClientError):  # not yet
                        await self.reconnect(worker)

    @property
    def client(self) -> AsyncClient:
        """A client of the grid's account, closed with the grid. Make more with `url` and `key`."""
        if self._client is None:
            self._client = AsyncClient(self.url, self.key)
        return self._client

    async def worker(
        self,
        behaviour: Behaviour | Does = "finish",
        *,
        models: tuple[str, ...] | None = None,
        name: str | None = None,
        slots: int = 1,
        network: Network = "fast",
    ) -> ScriptedWorker:
        """A worker that has joined.

        Args:
            behaviour: What it does with its jobs; a word alone is a behaviour without numbers.
            models: Catalogue ids that it serves. None: all that this grid knows.
            name: As apps see it. None: made up.
            slots: How many jobs it holds at once.
            network: The pool it belongs to.

        Raises:
            UnknownModel: This grid has no such model.
            InvalidRequest: No worker can do that, there is no such network, or it has no slot.
        """
        catalog = Catalog.load(self._config.catalog_files)
        if models is None:
            models = tuple(model.id for model in catalog.models())
        for model_id in models:
            catalog.model(model_id)
        if slots < 1:
            raise InvalidRequest("a worker has 1 slot or more")
        worker = ScriptedWorker(
            self._http,
            self.clock,
            name=name or f"worker-{next(self._numbers)}",
            models=models,
            slots=slots,
            network=check_network(network),
            behaviour=Behaviour(does=behaviour) if isinstance(behaviour, str) else behaviour,
        )
        self.workers.append(worker)
        await self._risen()
        await worker.connect(self.url, self.key)
        return worker

    async def reconnect(self, worker: ScriptedWorker) -> None:
        """Brings back a worker that has left, crashed or fallen silent; it reports what it has."""
        await worker.leave()
        await worker.connect(self.url, self.key)

    async def advance(self, seconds: float) -> None:
        """Lets time pass: renders go on, leases end, workers that live say so.

        Returns when the server has looked at what that means. What follows from it travels over
        real sockets: wait for it as your app would.
        """
        await self._risen()
        left = seconds
        while left > 0:
            step = min(left, self._config.heartbeat_s)
            left -= step
            self.clock.move(step)
            await asyncio.gather(*(worker.beat() for worker in self.workers))
            assert self._ready is not None, "the grid is closed"
            await self._ready.tick()

    # ── the server ───────────────────────────────────────────────────────────────────────────────

    async def restart(self) -> None:
        """Stops the server and starts it again: same address, same data. Workers come back."""
        await self.stop()
        await self.start()
        for worker in self.workers:
            await self.reconnect(worker)

    async def kill(self) -> None:
        """Kills the server in this moment and starts it again, with what it had stored.

        Whatever was on its way to it or from it is lost, and so is what it had only in mind.
        Workers come back, with what they hold.

        Raises:
            ConfigError: The grid was made without `faults`; `Faults()` has none, and will do.
        """
        if self.network is None:
            raise ConfigError("make the grid with faults=Faults() to kill its server")
        await self._risen()
        self._die()
        await self._risen()
        await self._bring_back_now()

    def _die(self) -> None:
        if self.network is None or not self._disk.serving:
            return
        self._disk.die()
        self.network.cut_all()
        self._rising = asyncio.create_task(self._rise(), name="dreamgrid.testing rises")

    async def _rise(self) -> None:
        await self._end()
        await self.start()

    async def _risen(self) -> None:
        """Returns when no server is on its way to come back."""
        if self._rising is not None:
            await self._rising

    async def start(self) -> None:
        """Starts the server after `stop`."""
        ready: asyncio.Future[ServerReady] = asyncio.get_running_loop().create_future()
        self._stop = asyncio.Event()
        running = run_server(
            self._config,
            stop=self._stop,
            on_ready=ready.set_result,
            clock=self.clock,
            open_store=self._disk.open,
        )
        self._server = asyncio.create_task(running, name="dreamgrid.testing server")
        either: set[asyncio.Future[Any]] = {self._server, ready}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if self._server.done():
            self._server.result()
        self._ready = ready.result()
        self.url, self.key = self._ready.url, self._ready.api_key
        if self.network is None:
            self._config = replace(self._config, port=int(self.url.rpartition(":")[2]))
        else:
            self.network.target, self.url = self.url, self.network.url
        self._disk.serving = True

    async def stop(self) -> None:
        """Stops the server as a signal would; clients see a lost connection and come back."""
        await self._risen()
        self._disk.serving = False
        await self._end()

    async def _end(self) -> None:
        self._stop.set()
        server, self._server = self._server, None
        if server is not None:
            await server

    async def close(self) -> None:
        """Ends everything."""
        if self._bringing_back is not None:
            self._bringing_back.cancel()
        for worker in self.workers:
            await worker.leave()
        if self._client is not None:
            await self._client.aclose()
        await self.stop()
        if self.network is not None:
            await self.network.close()
