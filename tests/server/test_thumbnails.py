"""Lists show small versions of pictures; what cannot be made smaller is shown as it is."""

import asyncio
import io
import struct
import zlib
from typing import Any

import pytest
from PIL import Image

from dreamgrid.errors import NotFound
from dreamgrid.server import thumbnails
from dreamgrid.server.blobs.base import Blobs
from dreamgrid.server.thumbnails import Thumbnails, smaller
from tests.server.test_removals import remove
from tests.support.grid import Grid


def picture(width: int, height: int, kind: str = "PNG", mode: str = "RGB") -> bytes:
    made = io.BytesIO()
    Image.effect_noise((width, height), 40).convert(mode).save(made, kind)
    return made.getvalue()


def opened(data: bytes | None) -> Image.Image:
    assert data is not None
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_picture_keeps_its_shape_and_gets_light(kind: str) -> None:
    data = picture(1200, 600, kind)
    small = smaller(data)
    assert small is not None
    assert (opened(small).format, opened(small).size) == ("WEBP", (512, 256))
    assert len(small) < len(data)


def test_what_shines_through_still_does() -> None:
    glass = Image.new("RGBA", (800, 800), (200, 30, 30, 90))
    made = io.BytesIO()
    glass.save(made, "PNG")
    red = opened(smaller(made.getvalue())).getpixel((100, 100))
    assert isinstance(red, tuple)
    assert red[3] == pytest.approx(90, abs=3)
    assert opened(smaller(picture(800, 800, mode="L"))).mode == "RGB"


def bomb() -> bytes:
    """A few bytes that say they are a picture of 40,000 x 40,000."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        tail = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + tail

    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(1_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(picture(512, 300), id="small already"),
        pytest.param(picture(900, 900)[:2_000], id="cut off"),
        pytest.param(b"<svg onload='alert(1)'/>", id="no picture"),
        pytest.param(picture(900, 900, "GIF"), id="a kind that no worker delivers"),
        pytest.param(bomb(), id="more pixels than anybody needs"),
    ],
)
def test_what_cannot_be_made_smaller_is_left_alone(data: bytes) -> None:
    assert smaller(data) is None


class CountingBlobs:
    """A store of one picture that counts how often it is read."""

    reads = 0

    async def read(self, key: str, *, max_bytes: int) -> bytes:
        self.reads += 1
        await asyncio.sleep(0)
        if key == "gone":
            raise NotFound("gone")
        return picture(600, 600)[:max_bytes]


async def test_many_who_look_at_once_cost_one_look_and_what_is_old_is_made_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store: Any = CountingBlobs()
    blobs: Blobs = store
    made = Thumbnails(blobs)
    all_same = await asyncio.gather(*(made.of("a") for _ in range(5)))
    assert (store.reads, len(set(all_same))) == (1, 1)
    assert await made.of("a") == all_same[0]
    with pytest.raises(NotFound):
        await made.of("gone")
    assert store.reads == 2
    first = all_same[0]
    assert first is not None
    monkeypatch.setattr(thumbnails, "_KEPT_BYTES", len(first) + 1)  # room for one
    await made.of("b")
    await made.of("a")
    assert store.reads == 4


async def test_whoever_made_a_picture_sees_it_small_until_it_is_deleted(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request(numberOfImages=2)
    made = io.BytesIO()
    Image.linear_gradient("L").resize((1024, 768)).save(made, "PNG")
    large, small = made.getvalue(), picture(64, 64)
    for data in (large, small):
        await worker.finish(await worker.assigned(), data)
    await app.wait_state("jobCompleted", jobID=project)
    page = await grid.data("/v1/projects")
    paths = {
        job["jobIndex"]: f"/v1/projects/{project}/jobs/{job['imgID']}"
        for job in page["projects"][0]["completedWorkerJobs"]
    }
    headers = {"api-key": grid.key}
    found = {}
    for path in paths.values():
        where = f"{grid.url}{path}/thumbnail"
        async with grid.http.get(where, headers=headers, allow_redirects=False) as answer:
            found[path] = (answer.status, await answer.read(), answer.headers)
    status, data, told = next(one for one in found.values() if one[0] == 200)
    assert (status, opened(data).size, told["Content-Type"]) == (200, (512, 384), "image/webp")
    assert told["Cache-Control"].startswith("private")
    (link,) = (told["Location"] for status, _, told in found.values() if status == 302)
    async with grid.http.get(link) as answer:
        assert await answer.read() == small
    path = next(path for path, one in found.items() if one[0] == 200)
    assert await remove(grid, path) == 200
    assert (await grid.get(f"{path}/thumbnail"))[0] == 404
