"""A whole grid whose media lie in a real S3-compatible store, and what becomes of it without."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dreamgrid.errors import ConfigError
from dreamgrid.protocol.socket import CLOSE_RESTART
from dreamgrid.protocol.worker import Assign, RunningJob, Settled
from dreamgrid.server import open_projects, readiness, rendering
from dreamgrid.server.blobs import s3_bucket
from dreamgrid.server.blobs.base import BlobInfo
from dreamgrid.server.blobs.s3 import S3Blobs
from dreamgrid.server.blobs.s3_settings import S3Settings, parse
from tests.server.conftest import MakeGrid
from tests.server.routes.test_media_routes import VIDEO_MODEL
from tests.support import real_servers
from tests.support.grid import Grid
from tests.support.real_servers import S3Server
from tests.support.wire import PNG, Worker, finished, new_id


class Stoppable:
    """A store that can go away and come back at the same address, with what it held."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = real_servers.free_port()
        self._running = ExitStack()
        self.server = self.start()

    def start(self) -> S3Server:
        return self._running.enter_context(real_servers.rclone(self._folder, port=self._port))

    def stop(self) -> None:
        self._running.close()


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stoppable]:
    monkeypatch.setattr(s3_bucket, "RETRY_S", 0.01)
    found = Stoppable(tmp_path / "s3")
    yield found
    found.stop()


@pytest.fixture
async def grid(make_grid: MakeGrid, bucket: Stoppable) -> AsyncIterator[Grid]:
    """A running server on that store."""
    settings = parse(bucket.server.address("grid"), bucket.server.environment)
    async with make_grid(blobs=settings, max_result_bytes=1_000, max_image_bytes=500) as grid:
        yield grid


async def put(grid: Grid, url: str, data: bytes, content_type: str = "image/png") -> int:
    async with grid.http.put(url, data=data, headers={"Content-Type": content_type}) as response:
        return response.status


async def charged(grid: Grid) -> float:
    """What the account has paid so far; what is only held does not count."""
    spark = await grid.spark()
    return round(1000 - float(spark["net"]) - float(spark["debit"]), 6)


async def rendered(grid: Grid, data: bytes = PNG) -> tuple[str, Worker, Assign]:
    """A job whose result lies in the store; the server was not told yet."""
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    job = await worker.assigned()
    assert await put(grid, job.output.url, data) == 200
    return project, worker, job


async def test_workers_put_and_apps_get_without_the_server(grid: Grid, bucket: Stoppable) -> None:
    project, worker, job = await rendered(grid)
    assert job.output.url.startswith(bucket.server.endpoint)
    await worker.send(finished(job.job_id, 1, PNG))
    await worker.expect_settled(job)
    (done,) = (await grid.record(project))["completedWorkerJobs"]
    url = await grid.data(
        f"/v1/image/downloadUrl?jobId={project}&imageId={done['imgID']}&type=complete"
    )
    assert url["downloadUrl"].startswith(bucket.server.endpoint)
    async with grid.http.get(url["downloadUrl"]) as response:
        assert await response.read() == PNG
        assert response.content_type == "image/png"


async def test_a_result_that_is_too_large_is_not_charged(grid: Grid) -> None:
    large = b"\x89PNG\r\n\x1a\n" + b"x" * 1_000
    project, worker, job = await rendered(grid, large)
    await worker.send(finished(job.job_id, 1, large))
    await worker.expect(Settled)
    again = await worker.assigned()
    assert (again.job_id, again.attempt) == (job.job_id, 2)
    assert await charged(grid) == 0
    assert (await grid.live(project))["status"] != "completed"


async def test_a_worker_cannot_fill_the_room_of_its_customer(
    make_grid: MakeGrid, bucket: Stoppable
) -> None:
    """What is refused is removed, and takes no room."""
    settings = parse(bucket.server.address("small"), bucket.server.environment)
    limits = {"max_result_bytes": 500, "max_image_bytes": 500, "max_kept_bytes": 600}
    async with make_grid(blobs=settings, **limits) as grid:
        app, worker = await grid.app(), await grid.worker(models=(VIDEO_MODEL,))
        project = await app.request(modelID=VIDEO_MODEL, width=512, height=512)
        for large in ("the result", "the last frame"):
            job = await worker.assigned()
            data = b"x" * (501 if large == "the result" else 10)
            frame = b"x" * (501 if large == "the last frame" else 10)
            assert job.last_frame is not None
            assert await put(grid, job.output.url, data, "video/mp4") == 200
            assert await put(grid, job.last_frame.url, frame) == 200
            await worker.send(finished(job.job_id, job.attempt, data))
            await worker.expect(Settled)
            again = await app.wait_for("jobRetry", jobID=project)
            assert f"{large} has 501 bytes" in str(again)
            assert await stored(settings) == 0
        job = await worker.assigned()
        assert await put(grid, job.output.url, b"fits", "video/mp4") == 200
        await worker.send(finished(job.job_id, job.attempt, b"fits"))
        await app.wait_state("jobCompleted", jobID=project)
        another = await app.request(modelID=VIDEO_MODEL, width=512, height=512)
        await app.wait_state("queued", jobID=another)


async def stored(settings: S3Settings) -> int:
    """How many files there are."""
    blobs = S3Blobs(settings)
    await blobs.open()
    try:
        return (await blobs.usage()).count
    finally:
        await blobs.close()


async def test_an_input_that_is_too_large_is_refused(grid: Grid) -> None:
    app = await grid.app()
    await grid.worker()
    project = new_id()
    link = await grid.data(f"/v1/image/uploadUrl?jobId={project}&type=startingImage")
    assert await put(grid, link["uploadUrl"], b"x" * 501) == 200
    await app.request(project, hasStartingImage=True)
    refused = await app.wait_for("jobError")
    assert "at most 500" in refused["error_message"]


async def test_nothing_is_charged_while_the_store_is_away_and_all_is_delivered_after(
    grid: Grid, bucket: Stoppable
) -> None:
    project, worker, job = await rendered(grid)
    bucket.stop()
    await worker.send(finished(job.job_id, 1, PNG))
    assert await worker.closed() == CLOSE_RESTART
    await grid.without_workers()
    assert await charged(grid) == 0
    bucket.start()
    held = RunningJob(job_id=job.job_id, attempt=1)
    back = await grid.worker(worker_id=worker.hello.worker_id, running=(held,))
    await back.send(finished(job.job_id, 1, PNG))
    assert (await back.expect(Settled)).accepted
    assert await charged(grid) > 0
    assert (await grid.record(project))["status"] == "completed"


async def test_a_store_that_answers_slowly_costs_no_worker_its_lease(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, worker, job = await rendered(grid)

    async def never(self: S3Blobs, key: str) -> BlobInfo | None:
        return await asyncio.Future()

    with monkeypatch.context() as slow:
        slow.setattr(S3Blobs, "stat", never)
        slow.setattr(rendering, "LOOKS_FOR", 0.001)
        await worker.send(finished(job.job_id, 1, PNG))
        assert await worker.closed() == CLOSE_RESTART
        await grid.without_workers()
    held = RunningJob(job_id=job.job_id, attempt=1)
    back = await grid.worker(worker_id=worker.hello.worker_id, running=(held,))
    await back.send(finished(job.job_id, 1, PNG))
    assert (await back.expect(Settled)).accepted


@pytest.mark.parametrize("how", ["away", "hanging"])
async def test_an_app_can_connect_without_the_store_and_hears_of_its_videos(
    grid: Grid, bucket: Stoppable, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    asked = 0

    async def never(self: S3Blobs, key: str) -> BlobInfo | None:
        nonlocal asked
        asked += 1
        return await asyncio.Future()

    app, worker = await grid.app(), await grid.worker(models=(VIDEO_MODEL,))
    project = await app.request(modelID=VIDEO_MODEL, width=512, height=512)
    job = await worker.assigned()
    await app.drop()
    await grid.without_apps()
    assert await put(grid, job.output.url, b"film", "video/mp4") == 200
    await worker.send(finished(job.job_id, 1, b"film"))
    await worker.expect_settled(job)
    if how == "away":
        bucket.stop()
    else:
        monkeypatch.setattr(S3Blobs, "stat", never)
        monkeypatch.setattr(open_projects, "LAST_FRAME_WITHIN_S", 0.01)
    _, sync = await grid.get("/api/v1/artist/projects/sync")
    assert [one["id"] for one in sync["unclaimedCompletedProjects"]] == [project]
    back = await grid.app()
    await back.wait_state("jobCompleted", jobID=project)
    assert asked == (how == "hanging"), "nobody asks again and again what takes too long"


async def test_a_project_with_inputs_is_refused_clearly_while_the_store_is_away(
    grid: Grid, bucket: Stoppable
) -> None:
    app = await grid.app()
    await grid.worker()
    bucket.stop()
    await app.request(hasStartingImage=True)
    refused = await app.wait_for("jobError")
    assert "media store does not answer" in refused["error_message"]


async def test_a_server_whose_media_store_is_away_is_not_ready(
    grid: Grid, bucket: Stoppable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "GOOD_FOR_S", 0.0)
    assert (await grid.get("/readyz", key=""))[0] == 200
    bucket.stop()
    status, said = await grid.get("/readyz", key="")
    assert (status, said["message"]) == (503, "not ready: the media store does not answer")
    bucket.start()
    assert (await grid.get("/readyz", key=""))[0] == 200


async def test_a_store_that_cannot_be_used_stops_the_start_and_says_why(
    bucket: Stoppable,
) -> None:
    address, keys = bucket.server.address(), bucket.server.environment
    wrong = {**keys, "AWS_SECRET_ACCESS_KEY": "something else"}
    for settings, says in (
        (parse(address, wrong), "refuses these keys"),
        (parse(address.replace(real_servers.BUCKET, "elsewhere"), keys), "does not exist"),
        (parse("s3://media?endpoint=http://127.0.0.1:9", keys), "cannot be reached"),
    ):
        blobs = S3Blobs(settings)
        with pytest.raises(ConfigError, match=says):
            await blobs.open()
        await blobs.close()


async def test_what_is_removed_while_the_store_is_away_can_be_removed_again(
    grid: Grid, bucket: Stoppable, tmp_path: Path
) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    await worker.finish(await worker.assigned(), data=PNG)
    await app.wait_state("jobCompleted", jobID=project)
    path = f"/v1/projects/{project}"
    bucket.stop()
    assert (await grid.call("DELETE", path))[0] == 503
    bucket.start()
    assert (await grid.get(path))[0] == 200
    assert (await grid.call("DELETE", path))[0] == 200
    left = [one for one in (tmp_path / "s3").rglob(f"{project}/*") if one.is_file()]
    assert left == []
    assert (await grid.get(path))[0] == 404


async def test_the_studio_may_load_from_where_the_links_lead(grid: Grid, bucket: Stoppable) -> None:
    async with grid.http.get(grid.url, headers={"Accept": "text/html"}) as answer:
        policy = answer.headers["Content-Security-Policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    place = bucket.server.endpoint.rstrip("/")
    for kind in ("img-src", "media-src", "connect-src"):
        assert place in rules[kind].split(), kind
    assert rules["script-src"] == "'self'"
