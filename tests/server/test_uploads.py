"""Room for inputs that no project uses: how much, for how long, and how it comes back."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from dreamgrid.server import upkeep
from dreamgrid.server.blobs.local import LocalBlobs
from tests.server.conftest import MakeGrid
from tests.support.grid import Grid
from tests.support.wire import PNG, new_id

KIB = 1024
SMALL = {"max_image_bytes": 2 * KIB, "max_media_bytes": 2 * KIB}


async def link(grid: Grid, project: str, role: str = "startingImage", **options: Any) -> Any:
    """Status and body of a request for an upload link."""
    asked = f"/v1/image/uploadUrl?imageId=X&jobId={project}&type={role}"
    return await grid.get(asked, **options)


async def put(grid: Grid, url: str, data: bytes | AsyncIterator[bytes] = PNG) -> int:
    async with grid.http.put(url, data=data) as answer:
        await answer.read()
        return answer.status


async def upload(
    grid: Grid, project: str, data: bytes = PNG, role: str = "startingImage", **options: Any
) -> str:
    """Uploads an input; the link that took it."""
    status, body = await link(grid, project, role, **options)
    assert status == 200, body
    url: str = body["data"]["uploadUrl"]
    assert await put(grid, url, data) == 200
    return url


def stored(grid: Grid) -> list[str]:
    """Roles of all inputs in the media folder."""
    folder = grid.config.data_dir / "blobs" / "inputs"
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


async def test_an_account_has_room_for_only_so_many_unused_inputs(make_grid: MakeGrid) -> None:
    async with make_grid(max_unclaimed_uploads=2) as grid:
        first = new_id()
        await upload(grid, first)
        assert (await link(grid, first, "cnImage"))[0] == 200
        status, body = await link(grid, new_id())
        assert (status, body["errorCode"]) == (429, 429)
        assert 0 < body["retryAfter"] <= grid.config.unclaimed_kept_s
        assert "2 files" in body["message"]
        assert (await link(grid, first, "cnImage"))[0] == 200, "the same once more is not more"
        assert (await link(grid, new_id(), key=await grid.account("bob")))[0] == 200


async def test_an_account_has_room_for_only_so_many_unused_bytes(make_grid: MakeGrid) -> None:
    async with make_grid(max_unclaimed_bytes=3 * KIB, **SMALL) as grid:
        await upload(grid, new_id(), b"x" * (2 * KIB))
        status, body = await link(grid, new_id())
        assert status == 200
        url = body["data"]["uploadUrl"]
        assert await put(grid, url, b"x" * (2 * KIB)) == 429
        assert await put(grid, url, b"x" * KIB) == 200
        assert (await link(grid, new_id()))[0] == 429


async def test_a_file_of_unknown_length_needs_room_for_the_longest(make_grid: MakeGrid) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield PNG

    async with make_grid(max_unclaimed_bytes=3 * KIB, **SMALL) as grid:
        await upload(grid, new_id(), b"x" * (2 * KIB))
        _, body = await link(grid, new_id())
        assert await put(grid, body["data"]["uploadUrl"], chunks()) == 429


async def test_replacing_an_input_needs_no_more_room(make_grid: MakeGrid) -> None:
    async with make_grid(max_unclaimed_bytes=2 * KIB, **SMALL) as grid:
        url = await upload(grid, new_id(), b"x" * (KIB + 1))
        for _ in range(3):
            assert await put(grid, url, b"y" * KIB) == 200


async def test_an_upload_that_breaks_off_gives_its_room_back(make_grid: MakeGrid) -> None:
    async def half() -> AsyncIterator[bytes]:
        yield b"x" * KIB
        raise RuntimeError("the app crashed")

    async with make_grid(max_unclaimed_bytes=2 * KIB, **SMALL) as grid:
        _, body = await link(grid, new_id())
        url = body["data"]["uploadUrl"]
        for _ in range(3):
            with pytest.raises((RuntimeError, aiohttp.ClientError)):
                await put(grid, url, half())
        await grid.ticked()
        assert await put(grid, url, b"x" * (2 * KIB)) == 200


async def test_inputs_of_accepted_projects_take_no_room(make_grid: MakeGrid) -> None:
    async with make_grid(max_unclaimed_uploads=1) as grid:
        app, worker, next_one = await grid.app(), await grid.worker(), new_id()
        for _ in range(3):
            project, next_one = next_one, new_id()
            await upload(grid, project)
            await app.request(project, hasStartingImage=True, strength=0.5)
            job = await worker.assigned()
            assert (await link(grid, next_one))[0] == 200
            await worker.finish(job)
            await app.wait_state("jobCompleted", jobID=project)


async def test_inputs_of_canceled_projects_take_room_again(make_grid: MakeGrid) -> None:
    """Else uploading, asking and canceling would fill the disk for nothing."""
    async with make_grid(max_unclaimed_uploads=1) as grid:
        app, project = await grid.app(), new_id()
        await upload(grid, project)
        await app.request(project, hasStartingImage=True, strength=0.5)
        await app.wait_state("queued")
        await app.cancel(project)
        assert (await link(grid, new_id()))[0] == 429


async def test_unused_inputs_go_after_a_while_and_make_room(
    make_grid: MakeGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "MEDIA_EVERY_S", 0.01)
    async with make_grid(max_unclaimed_uploads=3, starting_grant_micros=0) as grid:
        app, worker = await grid.app(), await grid.worker()
        refused, unsent = new_id(), new_id()
        await upload(grid, refused)
        await app.request(refused, hasStartingImage=True, strength=0.5)
        assert (await app.wait_for("jobError", jobID=refused))["error"] == 4003
        await upload(grid, unsent, role="cnImage")
        rich = await grid.account("rich", grant_micros=1_000_000_000)
        running, other = new_id(), await grid.app(key=rich)
        await upload(grid, running, role="startingImage", key=rich)
        await other.request(running, hasStartingImage=True, strength=0.5)
        job = await worker.assigned()
        assert stored(grid) == ["cnImage", "startingImage", "startingImage"]
        grid.clock.advance(grid.config.unclaimed_kept_s + 1)
        await grid.ticked_until(lambda: stored(grid) == ["startingImage"])
        async with grid.http.get(job.inputs[0].url) as answer:
            assert answer.status == 200, "the running project keeps its own"
        for _ in range(3):
            await upload(grid, new_id())


class Gate:
    """Holds a method of the blobs up until it is opened."""

    def __init__(self, patch: pytest.MonkeyPatch, name: str) -> None:
        self.reached, self._opened = asyncio.Event(), asyncio.Event()
        method = getattr(LocalBlobs, name)

        async def held_up(blobs: LocalBlobs, key: str) -> Any:
            if not key.startswith("inputs/"):
                return await method(blobs, key)
            if name == "stat":
                found = await method(blobs, key)
                await self._wait()
                return found
            await self._wait()
            return await method(blobs, key)

        patch.setattr(LocalBlobs, name, held_up)

    async def _wait(self) -> None:
        self.reached.set()
        await self._opened.wait()

    def open(self) -> None:
        self._opened.set()


async def test_inputs_do_not_go_while_their_project_is_looked_at(
    make_grid: MakeGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "MEDIA_EVERY_S", 0.01)
    async with make_grid() as grid:
        app, late, unused = await grid.app(), new_id(), new_id()
        await upload(grid, late)
        await upload(grid, unused, role="cnImage")
        gate = Gate(monkeypatch, "stat")
        await app.request(late, hasStartingImage=True, strength=0.5)
        await gate.reached.wait()
        grid.clock.advance(grid.config.unclaimed_kept_s + 1)
        await grid.ticked_until(lambda: "cnImage" not in stored(grid))
        gate.open()
        await app.wait_state("queued", jobID=late)
        assert stored(grid) == ["startingImage"]


async def test_a_project_whose_inputs_are_going_in_this_moment_is_refused(
    make_grid: MakeGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "MEDIA_EVERY_S", 0.01)
    async with make_grid() as grid:
        app, late = await grid.app(), new_id()
        await upload(grid, late)
        gate = Gate(monkeypatch, "delete_prefix")
        grid.clock.advance(grid.config.unclaimed_kept_s + 1)
        await gate.reached.wait()
        await app.request(late, hasStartingImage=True, strength=0.5)
        refused = await app.wait_for("jobError", jobID=late)
        assert "was not" in refused["error_message"]
        gate.open()
        await grid.ticked_until(lambda: stored(grid) == [])


async def test_no_link_is_given_for_a_project_that_is_running(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    job = await worker.assigned()
    status, body = await link(grid, project)
    assert (status, body["errorCode"]) == (409, 4005)
    await worker.finish(job)
    await app.wait_state("jobCompleted")


async def test_an_earlier_link_cannot_change_the_inputs_of_a_running_project(grid: Grid) -> None:
    app, worker, project = await grid.app(), await grid.worker(), new_id()
    url = await upload(grid, project, b"before")
    await app.request(project, hasStartingImage=True, strength=0.5)
    job = await worker.assigned()
    assert await put(grid, url, b"after") == 403
    async with grid.http.get(job.inputs[0].url) as answer:
        assert await answer.read() == b"before"


async def test_links_that_were_given_before_a_restart_are_good_afterwards(grid: Grid) -> None:
    project = new_id()
    _, body = await link(grid, project)
    await grid.restart()
    assert await put(grid, body["data"]["uploadUrl"]) == 200
    app, worker = await grid.app(), await grid.worker()
    await app.request(project, hasStartingImage=True, strength=0.5)
    await worker.finish(await worker.assigned())
    await app.wait_state("jobCompleted")
