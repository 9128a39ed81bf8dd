"""Jobs that are interrupted, and jobs that kill their workers: only the second use up attempts."""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dreamgrid.protocol.worker import (
    Assign,
    Cancel,
    Draining,
    Released,
    RunningJob,
    Settled,
    Started,
)
from dreamgrid.server import interruptions
from dreamgrid.server.interruptions import FIRST_REST_S, MAX_INTERRUPTIONS
from tests.server.conftest import MakeGrid
from tests.support.grid import LEASE_S, Grid
from tests.support.wire import App, Worker
from tests.worker.gate import Gate

REASON = "workerDisconnected"


def hang_up(worker: Worker) -> None:
    """Closes a worker's connection as the system does for a process that was killed."""
    transport = worker.ws._writer.transport
    assert transport is not None
    transport.close()


async def vanish(grid: Grid, worker: Worker) -> None:
    """A worker dies at its work; the server has noticed."""
    await worker.fence()
    hang_up(worker)
    await grid.without_workers()


async def ended(app: Any) -> Any:
    return await app.wait_until(lambda f: f.type == "jobError" and "imgID" not in f.payload, "end")


async def test_a_job_that_kills_three_workers_fails_with_the_reason_and_costs_nothing(
    grid: Grid,
) -> None:
    app = await grid.app()
    project = await app.request()
    for attempt in (1, 2, 3):
        victim = await grid.worker(f"victim {attempt}")
        job = await victim.assigned()
        assert job.attempt == attempt
        await victim.start(job)
        await vanish(grid, victim)
        grid.clock.advance(LEASE_S + 1)
    end = await ended(app)
    assert end["error"] == REASON
    assert "the worker went away; 3 attempts at it ended like this" in end["error_message"]
    assert (await grid.record(project))["reason"] == REASON
    assert (await grid.spark())["net"] == "1000.000000"


async def test_a_worker_that_restarts_again_and_again_at_a_job_is_its_victim_too(
    grid: Grid,
) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    for _ in range(3):
        await worker.start(await worker.assigned())
        await vanish(grid, worker)
        worker = await grid.worker(worker_id=worker.hello.worker_id)
    assert (await ended(app))["error"] == REASON
    assert app.told(project).count("jobRetry") == 2


async def test_workers_that_close_their_connection_cost_no_attempt(grid: Grid) -> None:
    app = await grid.app()
    project = await app.request()
    for attempt in range(1, 6):
        worker = await grid.worker(f"w{attempt}")
        job = await worker.assigned()
        assert job.attempt == attempt
        await worker.start(job)
        await worker.fence()
        await worker.leave()
        await grid.without_workers()
        grid.clock.advance(LEASE_S + 1)
    last = await grid.worker("last")
    await last.finish(await last.assigned())
    await app.wait_state("jobCompleted", jobID=project)


async def test_a_worker_that_is_killed_while_it_drains_costs_no_attempt(grid: Grid) -> None:
    app = await grid.app()
    project = await app.request()
    for attempt in range(1, 5):
        worker = await grid.worker(f"w{attempt}")
        await worker.start(await worker.assigned())
        await worker.send(Draining())
        await vanish(grid, worker)
        grid.clock.advance(LEASE_S + 1)
    last = await grid.worker("last")
    await last.finish(await last.assigned())
    await app.wait_state("jobCompleted", jobID=project)


async def test_restarts_of_the_server_cost_no_attempt(grid: Grid) -> None:
    app = await grid.app()
    project = await app.request()
    for attempt in range(1, 5):
        worker = await grid.worker(f"w{attempt}")
        job = await worker.assigned()
        assert job.attempt == attempt
        await worker.start(job)
        await worker.fence()
        await grid.restart()
        grid.clock.advance(LEASE_S + 1)  # its worker does not come back
        await grid.ticked()
    last = await grid.worker("last")
    app = await grid.app()
    await last.finish(await last.assigned())
    await app.wait_state("jobCompleted", jobID=project)


async def test_a_job_that_only_waited_beside_a_render_is_no_suspect(grid: Grid) -> None:
    app = await grid.app()
    project = await app.request(numberOfImages=2)
    culprit = ""
    for _ in range(3):
        worker = await grid.worker(slots=2)
        jobs: list[Assign] = [await worker.assigned(), await worker.assigned()]
        culprit = culprit or jobs[0].job_id
        await worker.start(next(job for job in jobs if job.job_id == culprit))
        await vanish(grid, worker)
        grid.clock.advance(LEASE_S + 1)
    await app.wait_for("jobError", imgID=culprit)
    last = await grid.worker("last")
    job = await last.assigned()
    assert (job.job_id != culprit, job.attempt) == (True, 4)
    await last.finish(job)
    await app.wait_state("jobCompleted", jobID=project)


async def test_of_jobs_that_share_a_pass_none_is_blamed_before_it_kills_a_worker_alone(
    make_grid: MakeGrid,
) -> None:
    async with make_grid(max_attempts=1) as grid:
        app = await grid.app()
        project = await app.request(numberOfImages=2)
        worker = await grid.worker(slots=2)
        jobs = [await worker.assigned(), await worker.assigned()]
        for job in jobs:
            await worker.send(Started(job_id=job.job_id, attempt=1, together=2))
        await vanish(grid, worker)
        worker = await grid.worker(slots=2, worker_id=worker.hello.worker_id)
        again = [await worker.assigned(), await worker.assigned()]
        assert [job.attempt for job in again] == [2, 2]
        culprit = again[0].job_id
        await worker.send(Started(job_id=culprit, attempt=2))
        await vanish(grid, worker)
        worker = await grid.worker(slots=2, worker_id=worker.hello.worker_id)
        await app.wait_for("jobError", imgID=culprit)
        assert (await worker.expect(Settled)).job_id == culprit
        last = await worker.assigned()
        assert (last.job_id, last.attempt) == (again[1].job_id, 3)
        await worker.finish(last)
        await app.wait_state("jobCompleted", jobID=project)


@contextlib.asynccontextmanager
async def deadly_worker(grid: Grid, folder: Path, count: int) -> AsyncIterator[Process]:
    """A real worker with a real engine process; both may kill themselves."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.worker.deadly", grid.url, grid.key, str(folder), str(count),
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def made(app: App, projects: set[str]) -> None:
    """Waits until these are completed."""

    def all_made(_: object = None) -> bool:
        return all("jobCompleted" in app.told(project) for project in projects)

    if not all_made():
        await app.wait_until(all_made, "all pictures")


async def test_after_a_worker_died_in_a_shared_pass_its_jobs_are_rendered_one_by_one(
    make_grid: MakeGrid, tmp_path: Path
) -> None:
    gate = Gate(tmp_path)
    async with make_grid(max_attempts=1) as grid:
        app = await grid.app()
        good = [await app.request(positivePrompt=prompt) for prompt in ("a fox", "the sea")]
        bad = await app.request(positivePrompt="poison")

        async def killed() -> None:
            async with deadly_worker(grid, tmp_path, 3) as worker:
                assert await worker.wait() == -signal.SIGKILL

        first = asyncio.create_task(killed())
        started: set[str] = set()
        while started != {*good, bad}:
            started.add((await app.wait_state("jobStarted"))["jobID"])
        await gate.open()
        await first
        second = asyncio.create_task(killed())
        await app.wait_state("jobStarted", jobID=bad)
        begun = {project for project in good if app.told(project).count("jobStarted") == 2}
        await made(app, begun)  # else their files would be lost with the worker
        await gate.open()
        await second
        async with deadly_worker(grid, tmp_path, 3):  # for what it did not come to before
            assert (await ended(app))["jobID"] == bad
            await made(app, set(good))


async def test_a_worker_that_was_only_cut_off_takes_its_failure_back(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    job = await worker.assigned()
    for attempt in range(1, 5):
        assert job.attempt == attempt
        await worker.start(job)
        await worker.fence()
        await worker.drop()
        await grid.without_workers()
        grid.clock.advance(LEASE_S + 1)
        await app.wait_for("jobRetry", jobID=project)
        held = RunningJob(job_id=job.job_id, attempt=attempt)
        worker = await grid.worker(worker_id=worker.hello.worker_id, running=(held,))
        assert (await worker.expect(Cancel)).attempt == attempt
        job = await worker.assigned()
    await worker.finish(job)
    await app.wait_state("jobCompleted", jobID=project)


async def test_a_job_that_is_interrupted_for_ever_fails_in_the_end(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interruptions, "LONGEST_REST_S", FIRST_REST_S)
    app, worker = await grid.app(), await grid.worker()
    await app.request()
    for attempt in range(1, MAX_INTERRUPTIONS + 1):
        job = await worker.assigned()
        assert job.attempt == attempt
        await worker.send(Released(job_id=job.job_id, attempt=attempt))
        await worker.fence()
        grid.clock.advance(FIRST_REST_S)
    end = await ended(app)
    assert end["error"] == REASON
    assert f"it was interrupted {MAX_INTERRUPTIONS} times" in end["error_message"]
    assert (await grid.spark())["net"] == "1000.000000"


async def test_who_hands_a_job_back_is_asked_again_later_and_later(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker("moody", slots=2)
    project = await app.request()
    job = await worker.assigned()
    await worker.send(Released(job_id=job.job_id, attempt=1))
    for attempt, rest_s in ((2, FIRST_REST_S), (3, 2 * FIRST_REST_S), (4, 4 * FIRST_REST_S)):
        job = await worker.assigned()
        assert (job.project_id, job.attempt) == (project, attempt)
        await worker.send(Released(job_id=job.job_id, attempt=attempt))
        await worker.fence()
        grid.clock.advance(rest_s - 0.1)
        await grid.ticked()
        other = await app.request()  # what it did not hand back comes at once
        in_between = await worker.assigned()
        assert in_between.project_id == other
        told = await grid.data(f"/v1/explain/{project}")
        assert (told["reason"], told["message"][:21]) == ("another_worker", "moody handed it back;")
        await worker.fail(in_between, retryable=False)
        grid.clock.advance(0.1)
    await worker.finish(await worker.assigned())
    await app.wait_state("jobCompleted", jobID=project)


@pytest.mark.parametrize("how", ["handed back", "requeued by an administrator"])
async def test_what_is_taken_from_a_worker_goes_to_another_one(grid: Grid, how: str) -> None:
    app, first = await grid.app(), await grid.worker("first")  # it has the model loaded
    project = await app.request()
    job = await first.assigned()
    second = await grid.worker("second")
    await second.fence()
    if how == "handed back":
        await first.send(Released(job_id=job.job_id, attempt=1))
    else:
        assert (await grid.call("POST", f"/v1/admin/jobs/{job.job_id}/requeue", json={}))[0] == 200
    again = await second.assigned()
    assert (again.job_id, again.attempt) == (job.job_id, 2)
    await second.finish(again)
    await app.wait_state("jobCompleted", jobID=project)
