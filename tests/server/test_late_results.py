"""What was delivered stays as it is, however long the links of its worker live."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from dreamgrid.protocol.worker import Assign, Upload
from dreamgrid.server.blobs.keys import last_frame_key, preview_key, rendered_by, result_key
from dreamgrid.server.uploads import Uploads
from tests.support.grid import LEASE_S, Grid
from tests.support.wire import PNG, finished

OTHER = PNG + b" another picture"


async def put(grid: Grid, where: Upload, data: bytes | AsyncIterator[bytes]) -> int:
    headers = {"Content-Type": where.content_type}
    async with grid.http.put(where.url, data=data, headers=headers) as answer:
        await answer.read()
        return answer.status


async def result(grid: Grid, job: Assign) -> bytes:
    """What the app gets."""
    asked = f"/v1/image/downloadUrl?jobId={job.project_id}&imageId={job.job_id}&type=complete"
    url = (await grid.data(asked))["downloadUrl"]
    async with grid.http.get(url) as answer:
        assert answer.status == 200
        return await answer.read()


def files(grid: Grid) -> list[str]:
    """Names of everything that workers have stored."""
    folder = grid.config.data_dir / "blobs" / "results"
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("count", [1, 2])
async def test_a_worker_cannot_replace_what_it_has_delivered(grid: Grid, count: int) -> None:
    """Neither in a project that has ended, nor in one that goes on."""
    app, worker = await grid.app(), await grid.worker()
    await app.request(numberOfImages=count, previews=1)
    job = await worker.assigned()
    assert job.preview is not None
    await worker.finish(job)
    await app.wait_for("jobResult")
    assert await put(grid, job.output, OTHER) == 403
    assert await put(grid, job.preview, b"\xff\xd8\xff") == 403
    assert await result(grid, job) == PNG


async def test_a_result_may_be_sent_again_until_it_is_delivered(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    await app.request()
    job = await worker.assigned()
    assert await put(grid, job.output, OTHER) == 200
    await worker.finish(job)
    await app.wait_for("jobResult")
    assert await result(grid, job) == PNG


async def test_a_file_that_is_on_its_way_at_the_delivery_comes_too_late(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, delivered = asyncio.Event(), asyncio.Event()
    begin = Uploads.begin

    def told(uploads: Uploads, key: str, size_bytes: int) -> None:
        begin(uploads, key, size_bytes)
        begun.set()

    async def slow() -> AsyncIterator[bytes]:
        yield OTHER[:10]
        await delivered.wait()
        yield OTHER[10:]

    app, worker = await grid.app(), await grid.worker()
    await app.request()
    job = await worker.assigned()
    await worker.upload(job)
    monkeypatch.setattr(Uploads, "begin", told)
    late = asyncio.create_task(put(grid, job.output, slow()))
    await begun.wait()
    await worker.send(finished(job.job_id, job.attempt, PNG))
    await worker.expect_settled(job)
    delivered.set()
    assert await late == 403
    assert await result(grid, job) == PNG


async def test_nothing_comes_while_the_end_is_being_stored(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    await app.request()
    job = await worker.assigned()
    await worker.upload(job)
    await grid.store.hold()
    try:
        await worker.send(finished(job.job_id, job.attempt, PNG))
        await worker.fence()
        assert await put(grid, job.output, OTHER) == 403
    finally:
        grid.store.release()
    await worker.expect_settled(job)
    assert await result(grid, job) == PNG


async def test_a_canceled_project_takes_no_results(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    job = await worker.assigned()
    await app.cancel(project)
    assert await put(grid, job.output, PNG) == 403
    assert files(grid) == []


async def test_a_lost_attempt_leaves_nothing(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    job = await worker.assigned()
    await worker.leave()
    await grid.without_workers()
    grid.clock.advance(LEASE_S + 1)
    await app.wait_for("jobRetry", jobID=project)
    assert await put(grid, job.output, PNG) == 403
    again = await (await grid.worker("w2")).assigned()
    assert await put(grid, job.output, PNG) == 403, "another attempt is no excuse"
    assert await put(grid, again.output, PNG) == 200


async def test_a_result_may_come_after_a_restart(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    await app.request()
    job = await worker.assigned()
    await grid.restart()
    assert await put(grid, job.output, PNG) == 200


@pytest.mark.parametrize(
    "key",
    [
        result_key("P", "0199-AB-7C", 12, "png"),
        last_frame_key("P", "0199-AB-7C", 12),
        preview_key("P", "0199-AB-7C", 12),
    ],
)
def test_a_key_tells_which_attempt_made_its_file(key: str) -> None:
    assert rendered_by(key) == ("0199-AB-7C", 12)


def test_an_input_is_of_no_attempt() -> None:
    assert rendered_by("inputs/ACCOUNT/PROJECT/startingImage") is None
