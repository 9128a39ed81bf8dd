"""A worker that does what a test tells it, over the real worker socket."""

import asyncio
import hashlib
import struct
import uuid
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from dreamgrid.protocol import codec
from dreamgrid.protocol.params import Network
from dreamgrid.protocol.worker import (
    WORKER_PATH,
    WORKER_PROTOCOL,
    Assign,
    Cancel,
    Failed,
    Finished,
    Heartbeat,
    Hello,
    Objection,
    Progress,
    Settled,
    Started,
    Welcome,
    WorkerMessage,
)

WITHIN_S = 60.0


def png(shade: int) -> bytes:
    """A picture of one grey pixel."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    pixel = zlib.compress(bytes((0, shade)))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixel) + chunk(b"IEND", b"")
    )


JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00\xff\xd9"
"""The shape of a JPEG file; good enough for a preview that nobody decodes."""


@dataclass(eq=False)
class Job:
    """An assignment in the hands of a test."""

    worker: "ScriptedWorker"
    assign: Assign

    async def start(self) -> None:
        await self._say(Started(job_id=self.assign.job_id, attempt=self.assign.attempt))

    async def step(self, step: int, *, preview: bytes | None = None) -> None:
        if preview is not None:
            assert self.assign.preview is not None
            await self.worker.put(
                self.assign.preview.url, self.assign.preview.content_type, preview
            )
        await self._say(
            Progress(
                job_id=self.assign.job_id,
                attempt=self.assign.attempt,
                step=step,
                step_count=self.assign.render.steps,
                preview_ready=preview is not None,
            )
        )

    async def give_last_frame(self, picture: bytes) -> None:
        assert self.assign.last_frame is not None
        await self.worker.put(
            self.assign.last_frame.url, self.assign.last_frame.content_type, picture
        )

    async def finish(self, picture: bytes, *, sensitive: tuple[Objection, ...] = ()) -> None:
        output = self.assign.output
        if self.assign.deliver_sensitive or not sensitive:
            await self.worker.put(output.url, output.content_type, picture)
        await self._say(
            Finished(
                job_id=self.assign.job_id,
                attempt=self.assign.attempt,
                seed=self.assign.render.seed,
                steps=self.assign.render.steps,
                sha256=hashlib.sha256(picture).hexdigest(),
                size_bytes=len(picture),
                render_s=0.1,
                sensitive=sensitive,
            )
        )

    async def render(self, picture: bytes, *, sensitive: tuple[Objection, ...] = ()) -> None:
        """The whole life of a job that goes well."""
        await self.start()
        await self.step(self.assign.render.steps)
        await self.finish(picture, sensitive=sensitive)

    async def fail(self, message: str, *, retryable: bool = False) -> None:
        await self._say(
            Failed(
                job_id=self.assign.job_id,
                attempt=self.assign.attempt,
                error="generation_failed",
                message=message,
                retryable=retryable,
            )
        )

    async def input(self, role: str) -> bytes:
        """The bytes of an input, fetched as a worker does."""
        url = next(one.url for one in self.assign.inputs if one.role == role)
        async with self.worker.http.get(url) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.read()

    async def _say(self, message: WorkerMessage) -> None:
        await self.worker.say(message)


class ScriptedWorker:
    """One connection of a worker; assignments and cancels wait in queues."""

    def __init__(
        self, http: aiohttp.ClientSession, socket: aiohttp.ClientWebSocketResponse
    ) -> None:
        self.http = http
        self._socket = socket
        self._jobs: asyncio.Queue[Job] = asyncio.Queue()
        self._cancels: asyncio.Queue[str] = asyncio.Queue()
        self.settled: asyncio.Queue[Settled] = asyncio.Queue()
        self._beat = asyncio.create_task(self._heartbeat())
        self._reader = asyncio.create_task(self._read())

    async def job(self) -> Job:
        """The next assignment."""
        async with asyncio.timeout(WITHIN_S):
            return await self._jobs.get()

    async def jobs(self, count: int) -> list[Job]:
        """That many assignments, in the order of their index in the project's seeds."""
        return [await self.job() for _ in range(count)]

    async def canceled(self) -> str:
        """The id of the next job that the server wants stopped."""
        async with asyncio.timeout(WITHIN_S):
            return await self._cancels.get()

    async def say(self, message: WorkerMessage) -> None:
        await self._socket.send_bytes(codec.encode_worker(message))

    async def put(self, url: str, content_type: str, body: bytes) -> None:
        async with self.http.put(url, data=body, headers={"Content-Type": content_type}) as answer:
            assert answer.status < 300, await answer.text()

    async def _read(self) -> None:
        async for frame in self._socket:
            match codec.decode_from_server(frame.data):
                case Assign() as assign:
                    self._jobs.put_nowait(Job(self, assign))
                case Cancel(job_id=job_id):
                    self._cancels.put_nowait(job_id)
                case Settled() as settled:
                    self.settled.put_nowait(settled)

    async def _heartbeat(self) -> None:
        while True:
            await asyncio.sleep(5)
            await self.say(Heartbeat())

    async def close(self) -> None:
        self._beat.cancel()
        await asyncio.gather(self._beat, return_exceptions=True)
        await self._socket.close()
        await self._reader


@asynccontextmanager
async def scripted_worker(
    url: str,
    key: str,
    *,
    slots: int = 8,
    network: Network = "fast",
    models: tuple[str, ...] = ("pattern-v1",),
    name: str = "scripted",
) -> AsyncIterator[ScriptedWorker]:
    """Connects a worker to the server at `url`."""
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(url + WORKER_PATH, headers={"api-key": key}) as socket,
    ):
        hello = Hello(
            protocol=WORKER_PROTOCOL,
            worker_id=str(uuid.uuid4()).upper(),
            name=name,
            version="test",
            models=models,
            slots=slots,
            network=network,
        )
        await socket.send_bytes(codec.encode_worker(hello))
        frame = await socket.receive(timeout=WITHIN_S)
        assert isinstance(codec.decode_from_server(frame.data), Welcome)
        worker = ScriptedWorker(http, socket)
        try:
            yield worker
        finally:
            await worker.close()
