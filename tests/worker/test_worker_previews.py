"""Previews beside a render: one upload at a time, the newest waits, errors are skipped."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from dreamgrid.errors import NotAllowed
from dreamgrid.protocol.worker import Upload
from dreamgrid.worker.previews import PreviewUploads
from dreamgrid.worker.transfers import Files
from tests.worker.server_room import ServerRoom, config_of


@asynccontextmanager
async def uploading(
    room: ServerRoom, uploaded: asyncio.Queue[bytes]
) -> AsyncIterator[PreviewUploads]:
    upload = Upload(url=f"{room.url}files/p", content_type="image/jpeg", max_bytes=100)
    async with aiohttp.ClientSession() as session:
        uploads = PreviewUploads(
            Files(session, config_of(room.url, Path())),
            upload,
            lambda: uploaded.put_nowait(room.files["p"]),
        )
        task = asyncio.create_task(uploads.run())
        try:
            yield uploads
        finally:
            task.cancel()
            await asyncio.wait({task})


async def test_the_newest_preview_waits_while_one_is_on_its_way() -> None:
    uploaded: asyncio.Queue[bytes] = asyncio.Queue()
    async with ServerRoom().open() as room, uploading(room, uploaded) as uploads:
        room.held["p"] = asyncio.Event()
        uploads.offer(b"1")
        await room.arrival("PUT p")
        for preview in (b"2", b"3", b"4"):
            uploads.offer(preview)
        assert uploaded.empty()
        room.held["p"].set()
        assert [await uploaded.get(), await uploaded.get()] == [b"1", b"4"]
        uploads.offer(b"5")
        assert await uploaded.get() == b"5"


async def test_a_preview_that_does_not_get_through_is_skipped_not_repeated() -> None:
    uploaded: asyncio.Queue[bytes] = asyncio.Queue()
    async with ServerRoom().open() as room, uploading(room, uploaded) as uploads:
        room.answers["p"] = [503, 403, 500]
        for preview in (b"1", b"2", b"3"):
            uploads.offer(preview)
            await room.arrival("PUT p")
        uploads.offer(b"4")
        assert await uploaded.get() == b"4"
        assert room.requests["PUT p"] == 4


async def test_a_preview_that_is_too_large_never_leaves_the_worker() -> None:
    async with ServerRoom().open() as room, aiohttp.ClientSession() as session:
        upload = Upload(url=f"{room.url}files/p", content_type="image/jpeg", max_bytes=100)
        files = Files(session, config_of(room.url, Path()))
        with pytest.raises(NotAllowed, match="it has 101 bytes, at most 100 are taken"):
            await files.put_preview(upload, bytes(101))
        await files.put_preview(upload, bytes(100))
        assert room.requests["PUT p"] == 1
