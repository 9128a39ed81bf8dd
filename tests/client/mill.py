"""A worker that renders whatever it is given at once: always the same file of each kind."""

import asyncio
import struct
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dreamgrid.protocol.renders import AudioRender, ImageRender
from dreamgrid.protocol.worker import Assign
from tests.support.grid import Grid
from tests.support.wire import Worker, finished

PICTURE = "pattern-v1"
VIDEO = "wan_v2.2-14b-fp8_t2v_lightx2v"
VIDEO_OF_IMAGE = "wan_v2.2-14b-fp8_i2v_lightx2v"
MUSIC = "dreamlet-music-v1"
SPEECH = "dreamlet-voice-v1"
ALL = (PICTURE, VIDEO, VIDEO_OF_IMAGE, MUSIC, SPEECH)

MP4 = b"\0\0\0\x18ftypmp42" + bytes(2000)
MP3 = b"ID3\x04\0\0\0\0\0\0" + bytes(2000)


def png(width: int = 8, height: int = 8) -> bytes:
    """A black picture."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes((width + 1) * height))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def file_of(job: Assign) -> bytes:
    """What it makes of a job."""
    if isinstance(job.render, ImageRender):
        return png()
    return MP3 if isinstance(job.render, AudioRender) else MP4


@asynccontextmanager
async def working(
    grid: Grid, models: tuple[str, ...] = ALL, *, held: asyncio.Event | None = None
) -> AsyncIterator[list[Assign]]:
    """Such a worker, and the jobs that it was given; `held` keeps results back until it is set."""
    worker = await grid.worker("mill", models=models, slots=4)
    async with rendering(worker, held=held) as jobs:
        yield jobs
    await worker.leave()


@asynccontextmanager
async def rendering(
    worker: Worker, *, held: asyncio.Event | None = None
) -> AsyncIterator[list[Assign]]:
    """Lets a connected worker render; the jobs that it was given."""
    jobs: list[Assign] = []
    task = asyncio.create_task(_work(worker, jobs, held))
    try:
        yield jobs
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _work(worker: Worker, jobs: list[Assign], held: asyncio.Event | None) -> None:
    renders = set()
    while True:
        while worker._read == len(worker.received):
            worker._came.clear()
            await worker._came.wait()
        message = worker.received[worker._read]
        worker._read += 1
        if isinstance(message, Assign):
            jobs.append(message)
            renders.add(asyncio.create_task(_render(worker, message, held)))


async def _render(worker: Worker, job: Assign, held: asyncio.Event | None) -> None:
    await worker.start(job)
    await worker.progress(job, 1)
    if held is not None:
        await held.wait()
    data = file_of(job)
    await worker.upload(job, data)
    await worker.send(finished(job.job_id, job.attempt, data, seed=job.render.seed))
