"""However the network fails, a project is rendered once and charged once."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from urllib.parse import urlsplit

import dreamgrid
from dreamgrid.client.connection import Backoff
from tests.client.mill import PICTURE, png, working
from tests.support.grid import Grid


class Cutter:
    """Stands between a client and a server, and cuts everything off after so many pieces.

    After that one time it lets everything through.
    """

    def __init__(self, server_url: str) -> None:
        self._server = urlsplit(server_url)
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = ""
        self.left: int | None = None
        self.cuts = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Cutter"]:
        listening = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            listening.close()
            self._cut()
            if self._tasks:
                await asyncio.wait(self._tasks)

    def _cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection(self._server.hostname, self._server.port)
        self._writers |= {writer, there[1]}
        for source, sink in ((reader, there[1]), (there[0], writer)):
            task = asyncio.create_task(self._carry(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(64 * 1024):
                if self.left is not None:
                    self.left -= 1
                    if self.left < 0:
                        self.left = None
                        self.cuts += 1
                        self._cut()
                        return
                sink.write(data)
                await sink.drain()
        sink.transport.abort()


async def create(client: dreamgrid.AsyncClient, number: str) -> dreamgrid.Project[dreamgrid.Result]:
    """As a stubborn app would: again and again under one id."""
    while True:
        try:
            return await client.projects.create(
                model=PICTURE, prompt="x", starting_image=png(), strength=0.5, project_id=number
            )
        except dreamgrid.ConnectionFailed:
            continue


async def test_a_connection_cut_anywhere_renders_and_charges_once(house: Grid) -> None:
    async with Cutter(house.url).running() as cutter, working(house) as jobs:
        price: Decimal | None = None
        for pieces in range(24):
            async with dreamgrid.AsyncClient(cutter.url, house.key) as client:
                client._tracker._tick_s = 0.02
                client._tracker.connection.backoff = Backoff(first_s=0.005, limit_s=0.02)
                before = await client.account.balance()
                number = str(uuid.uuid4()).upper()
                cutter.left = pieces
                project = await create(client, number)
                (image,) = await project.wait(timeout_s=45)
                cutter.left = None
                assert await image.read() == png(), pieces
                assert sum(job.project_id == number for job in jobs) == 1, pieces
                paid = before.spark - (await client.account.balance()).spark
                price = price or paid
                assert paid == price > 0, pieces
    assert cutter.cuts > 12
