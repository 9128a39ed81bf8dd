"""A server that stops, starts again, or is killed: nothing that it accepted is lost."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dreamgrid.errors import ConfigError
from dreamgrid.protocol import codec
from dreamgrid.protocol.worker import Cancel, Draining, Heartbeat, RunningJob, Settled
from dreamgrid.server import app as server_app
from tests.server.conftest import MakeGrid
from tests.support.grid import LEASE_S, Grid
from tests.support.known import remember_workers
from tests.support.wire import PATIENCE_S, PNG, Worker, finished, new_id

ROOT = Path(__file__).parents[2]


def comes_back(worker: Worker, *jobs: RunningJob) -> dict[str, Any]:
    """The hello of a worker that was connected before the restart."""
    return {"name": "w1", "worker_id": worker.hello.worker_id, "running": jobs}


# ── a restart in the middle ──────────────────────────────────────────────────────────────────────


async def test_a_project_goes_on_after_a_restart_with_the_same_worker(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request(numberOfImages=2, seed=3)
    job = await worker.assigned()
    await worker.start(job)
    await worker.progress(job, 2)
    await app.wait_for("jobProgress")
    held = await grid.spark()
    await grid.restart()

    held_job = RunningJob(job_id=job.job_id, attempt=1)
    back_worker = await grid.worker(**comes_back(worker, held_job))
    back = await grid.app()
    await back.fence()
    assert [one["id"] for one in back.frames[0]["activeProjects"]] == [project]
    assert back.told(project) == ["jobStarted"]
    assert await grid.spark() == held
    await back_worker.progress(job, 3)
    await back_worker.finish(job)
    second = await back_worker.assigned()
    assert second.render.prompt == "a cat"
    await back_worker.finish(second)
    await back.wait_state("jobCompleted", jobID=project)
    assert back.told(project) == [
        "jobStarted",
        "jobProgress 3/4",
        "jobResult",
        "initiatingModel",
        "jobResult",
        "jobCompleted",
    ]
    assert (await grid.record(project))["status"] == "completed"
    assert (await grid.spark())["debit"] == "0.000000"


async def test_after_a_restart_a_job_waits_a_lease_for_its_worker_and_then_moves_on(
    grid: Grid,
) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    job = await worker.assigned()
    await grid.restart()
    other = await grid.worker("other")
    await other.fence()
    grid.clock.advance(LEASE_S - 1)
    await other.send(Heartbeat())
    await grid.ticked()
    await other.fence()
    grid.clock.advance(2)
    again = await other.assigned()
    assert (again.job_id, again.attempt) == (job.job_id, 2)

    back = await grid.worker(**comes_back(worker, RunningJob(job_id=job.job_id, attempt=1)))
    await back.expect(Cancel)
    await back.send(finished(job.job_id, 1, PNG))
    assert not (await back.expect(Settled)).accepted
    await other.finish(again)
    back_app = await grid.app()
    await back_app.wait_state("jobCompleted", jobID=project)


async def test_a_waiting_project_waits_on_after_a_restart(grid: Grid) -> None:
    app = await grid.app()
    first, second = await app.request(), await app.request()
    await app.wait_state("queued", jobID=second)
    await grid.restart()
    back = await grid.app()
    await back.wait_state("queued", jobID=first)
    await back.wait_state("queued", jobID=second)
    worker = await grid.worker(slots=2)
    assert {(await worker.assigned()).project_id for _ in range(2)} == {first, second}


async def test_a_finished_project_is_remembered_after_a_restart(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker("w1")
    project = await app.request()
    job = await worker.assigned()
    await worker.finish(job)
    await app.wait_state("jobCompleted")
    before = await grid.record(project), await grid.spark()
    await grid.restart()
    after = await grid.record(project), await grid.spark()
    assert after == before
    asked = f"/v1/image/downloadUrl?jobId={project}&imageId={job.job_id}&type=complete"
    async with grid.http.get((await grid.data(asked))["downloadUrl"]) as picture:
        assert await picture.read() == PNG


async def test_what_ended_while_the_app_was_away_waits_through_a_restart(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    job = await worker.assigned()
    await app.leave()
    await grid.without_apps()
    await worker.finish(job)
    await grid.restart()
    back = await grid.app()
    await back.wait_state("jobCompleted", jobID=project)


async def test_attempts_are_counted_through_restarts(grid: Grid) -> None:
    app = await grid.app()
    project = await app.request()
    for attempt in (1, 2, 3):
        worker = await grid.worker()
        job = await worker.assigned()
        assert job.attempt == attempt
        await worker.send(Draining())  # else it may be given the next attempt before the restart
        await worker.fail(job)
        await grid.restart()
    back = await grid.app()
    await back.fence()
    record = await grid.record(project)
    assert (record["status"], record["reason"]) == ("errored", "genfailure")


async def test_a_failed_first_job_does_not_fail_the_project_after_a_restart(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker(slots=2)
    project = await app.request(numberOfImages=2)
    bad, good = await worker.assigned(), await worker.assigned()
    await worker.fail(bad, retryable=False)
    await grid.restart()
    back = await grid.worker(**comes_back(worker, RunningJob(job_id=good.job_id, attempt=1)))
    app = await grid.app()
    await back.finish(good)
    await app.wait_state("jobCompleted", jobID=project)
    assert (await grid.record(project))["status"] == "completed"
    assert app.told(project) == ["initiatingModel", "jobError", "jobResult", "jobCompleted"][
        ::1
    ] or (app.told(project)[-2:] == ["jobResult", "jobCompleted"])


# ── stopping ─────────────────────────────────────────────────────────────────────────────────────


async def test_stopping_closes_every_socket_with_1001_and_waits_for_nothing_else(
    make_grid: MakeGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_app, "CLOSE_WITHIN_S", 20 * PATIENCE_S)  # `stop` fails long before
    async with make_grid() as grid:
        apps = [await grid.app(f"app-{number}") for number in range(5)]
        worker = await grid.worker()
        await grid.stop()
        assert [await app.closed() for app in apps] == [1001] * 5
        assert await worker.closed() == 1001


async def test_an_app_that_does_not_read_cannot_hold_up_the_end(grid: Grid) -> None:
    """It asks for megabytes, reads none of them, and answers no closing handshake."""
    host, port = grid.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    handshake = [
        "GET /?appId=deaf HTTP/1.1",
        f"Host: {host}:{port}",
        f"api-key: {grid.key}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    ]
    writer.write("\r\n".join([*handshake, "", ""]).encode())
    await reader.readuntil(b"\r\n\r\n")
    switches = {f"event-{number}": True for number in range(3_000)}
    writer.write(
        masked(codec.encode_raw("setSocketEventSubscriptions", {"subscriptions": switches}))
    )
    for _ in range(300):  # each is answered with all switches
        writer.write(masked(codec.encode_raw("setSocketEventSubscriptions", {})))
    await writer.drain()
    talker = await grid.app("app-2")
    await talker.fence()
    await grid.stop()
    assert await talker.closed() == 1001
    writer.transport.abort()


def masked(payload: bytes) -> bytes:
    """A text frame as clients must send it, under a mask that changes nothing."""
    return b"\x81\xff" + len(payload).to_bytes(8, "big") + bytes(4) + payload


async def test_a_stopping_server_finishes_what_it_began_to_store(grid: Grid) -> None:
    app = await grid.app()
    await grid.store.hold()
    project = await app.request()
    await app.fence()
    stopping = asyncio.create_task(grid.stop())
    await app.closed()
    grid.store.release()
    await stopping
    await grid.start()
    back = await grid.app()
    await back.wait_state("queued", jobID=project)


async def test_a_server_can_be_started_again_at_once_on_its_port(grid: Grid) -> None:
    first = grid.url
    await grid.app()
    await grid.restart()
    assert grid.url == first
    await (await grid.app()).fence()


async def test_a_port_in_use_is_a_clear_error(grid: Grid, make_grid: MakeGrid) -> None:
    other = make_grid()
    other.config = type(other.config)(
        data_dir=grid.config.data_dir.parent / "other", port=grid.config.port
    )
    with pytest.raises(ConfigError, match=f"port {grid.config.port}"):
        await other.start()
    await other.http.close()


@pytest.mark.parametrize("folder", ["a file", "a file/below"])
async def test_a_folder_that_cannot_be_used_is_a_clear_error(
    tmp_path: Path, make_grid: MakeGrid, folder: str
) -> None:
    (tmp_path / "a file").write_text("I am in the way")
    grid = make_grid(known_models=())
    grid.config = type(grid.config)(data_dir=tmp_path / folder, port=0)
    with pytest.raises(ConfigError, match="a file"):
        await grid.start()
    await grid.http.close()


# ── a kill ───────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def killable(folder: Path) -> AsyncIterator[dict[str, str]]:
    """A server in a process of its own; it is killed when the block is left."""
    server = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.serve",
        str(folder),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert server.stdout is not None
    try:
        async with asyncio.timeout(60):
            yield json.loads(await server.stdout.readline())
    finally:
        server.kill()
        await server.wait()


async def test_whatever_a_server_told_its_apps_survives_a_kill(make_grid: MakeGrid) -> None:
    grid = make_grid()
    await remember_workers(grid.config.data_dir, ["pattern-v1"], seen_s=grid.clock())
    async with killable(grid.config.data_dir) as ready:
        grid.url, grid.key = ready["url"], ready["api_key"]
        grid.config = replace(grid.config, port=int(grid.url.rpartition(":")[2]))
        app, worker = await grid.app(), await grid.worker(slots=4)
        done = await app.request(numberOfImages=2)
        jobs = [await worker.assigned() for _ in range(2)]
        for job in jobs:
            await worker.finish(job)
        await app.wait_state("jobCompleted", jobID=done)
        canceled = await app.request(network="relaxed")
        await app.wait_state("queued", jobID=canceled)
        await app.cancel(canceled)
        running = await app.request()
        held = await worker.assigned()
        flood = [new_id() for _ in range(60)]
        for project in flood:
            await app.request(project, network="relaxed")
        await app.wait_state("queued", jobID=flood[40])
    await app.closed()
    told = {frame["jobID"] for frame in app.frames if frame.type == "jobState"}

    async with grid:
        assert (await grid.record(done))["status"] == "completed"
        assert (await grid.record(canceled))["status"] == "cancelled"
        _, answer = await grid.get("/api/v1/artist/projects/active")
        active = {one["id"] for one in answer["projects"]}
        assert told - {done, canceled} <= active
        assert active <= {running, *flood}

        held_job = RunningJob(job_id=held.job_id, attempt=1)
        back = await grid.worker(**comes_back(worker, held_job))
        back_app = await grid.app()
        await back.finish(held)
        await back_app.wait_state("jobCompleted", jobID=running)
        for project in active - {running}:
            await back_app.cancel(project)
        spark = await grid.spark()
        records = [await grid.record(project) for project in (done, running)]
        paid = sum(float(record["costActual"]["costInToken"]) for record in records)
        assert float(spark["debit"]) == 0
        assert float(spark["net"]) == pytest.approx(1000 - paid, abs=1e-9)
