"""A whole server in this process, reached over a cable that a test can cut."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from dreamgrid.server.app import ServerReady, run_server
from dreamgrid.server.config import ServerConfig
from tests.support.known import remember_workers

_CHUNK_BYTES = 64 * 1024


class Cable:
    """A TCP relay on 127.0.0.1. Cutting it is what an app sees as a lost network."""

    def __init__(self) -> None:
        self._ends: set[asyncio.StreamWriter] = set()
        self._targets: list[str] = []
        self.whole = True

    @property
    def url(self) -> str:
        """Where apps reach the server."""
        return f"http://127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"

    async def lay(self) -> None:
        """Opens the near end, on a free port."""
        self._listener = await asyncio.start_server(self._relay, "127.0.0.1", 0)

    def plug_into(self, *urls: str) -> None:
        """Connects the far end; to several servers in turn, each connection to the next one."""
        self._targets = [url.removeprefix("http://") for url in urls]

    def cut(self) -> None:
        """Ends every connection without a word, and refuses new ones until it is mended."""
        self.whole = False
        for end in self._ends:
            end.transport.abort()

    def mend(self) -> None:
        """Lets connections through again."""
        self.whole = True

    async def take_up(self) -> None:
        """Closes the near end for good."""
        self._listener.close()
        self.cut()
        await self._listener.wait_closed()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.whole:
            writer.transport.abort()
            return
        for _ in range(len(self._targets)):
            self._targets.append(target := self._targets.pop(0))
            host, port = target.split(":")
            try:
                far_reader, far_writer = await asyncio.open_connection(host, int(port))
            except OSError:
                continue
            break
        else:
            writer.transport.abort()
            return
        self._ends |= {writer, far_writer}
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, far_writer))
                group.create_task(_pump(far_reader, writer))
        finally:
            self._ends -= {writer, far_writer}
            for end in (writer, far_writer):
                end.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(_CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.transport.abort()


class ShiftedClock:
    """The machine's clock, ahead by `shift_s` seconds; behind, where that is negative."""

    shift_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.shift_s


@dataclass
class Grid:
    """A running server.

    Attributes:
        clock: What the server takes the time from.
        url: Its address, through the cable.
        direct_url: Its own address.
        key: An API key of the account `local`.
        cable: What lies between apps and it.
    """

    config: ServerConfig
    cable: Cable
    direct_url: str = ""
    key: str = ""
    clock: ShiftedClock = field(default_factory=ShiftedClock)

    @property
    def url(self) -> str:
        return self.cable.url

    async def start(self) -> None:
        """Starts the server; after `stop`, with what it had stored."""
        self._stop = asyncio.Event()
        ready: asyncio.Future[ServerReady] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(
            run_server(self.config, stop=self._stop, on_ready=ready.set_result, clock=self.clock)
        )
        either: tuple[asyncio.Future[Any], ...] = (self._task, ready)
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if self._task.done():
            self._task.result()
        self.direct_url, self.key = ready.result().url, ready.result().api_key
        self.cable.plug_into(self.direct_url)

    async def call(
        self, method: str, path: str, *, key: str | None = None, **options: Any
    ) -> tuple[int, Any]:
        """A request without an SDK: status and JSON body. `key=""`: without a credential."""
        key = self.key if key is None else key
        headers = options.pop("headers", {}) | ({"api-key": key} if key else {})
        async with (
            aiohttp.ClientSession() as http,
            http.request(method, self.direct_url + path, headers=headers, **options) as answer,
        ):
            return answer.status, await answer.json()

    async def stop(self) -> None:
        """Stops the server as `dreamgrid serve` does when it is told to."""
        self._stop.set()
        await self._task


@asynccontextmanager
async def running_grid(data_dir: Path, **settings: Any) -> AsyncIterator[Grid]:
    """A server for one test. It knows workers that are away and served two models."""
    await remember_workers(data_dir, ["pattern-v1", "dreamlet-v1"], seen_s=time.time())
    settings = {"worker_share_permille": 0} | settings  # else the one account pays itself
    cable = Cable()
    await cable.lay()
    grid = Grid(config=ServerConfig(data_dir=data_dir, port=0, **settings), cable=cable)
    await grid.start()
    try:
        yield grid
    finally:
        await grid.stop()
        await cable.take_up()
