"""Workers that go away in the middle of a job, come back, or never do."""

from typing import Any

import pytest

from dreamgrid.protocol.worker import (
    Cancel,
    Draining,
    Heartbeat,
    Released,
    RunningJob,
    Settled,
)
from tests.support.grid import LEASE_S, Grid
from tests.support.wire import PNG, Worker, finished


def holding(worker: Worker, *jobs: RunningJob, name: str = "w1") -> dict[str, Any]:
    """What a worker says that comes back with these jobs."""
    return {"name": name, "worker_id": worker.hello.worker_id, "running": jobs}


async def test_a_worker_that_comes_back_with_its_job_goes_on(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    job = await worker.assigned()
    await worker.start(job)
    await worker.fence()
    await worker.drop()
    await grid.without_workers()
    grid.clock.advance(LEASE_S - 1)

    held = RunningJob(job_id=job.job_id, attempt=1)
    back = await grid.worker(**holding(worker, held))
    await back.fence()
    await back.progress(job, 3)
    await back.finish(job)
    await app.wait_state("jobCompleted", jobID=project)
    assert app.told(project) == [
        "queued",
        "initiatingModel",
        "jobStarted",
        "jobProgress 3/4",
        "jobResult",
        "jobCompleted",
    ]


async def test_a_worker_that_never_comes_back_loses_its_job_to_another(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker("first")
    project = await app.request()
    job = await worker.assigned()
    await worker.start(job)
    await worker.fence()
    await worker.drop()
    await grid.without_workers()
    other = await grid.worker("second")
    await other.fence()

    grid.clock.advance(LEASE_S + 1)
    await other.send(Heartbeat())
    again = await other.assigned()
    assert (again.job_id, again.attempt) == (job.job_id, 2)
    await other.finish(again)
    await app.wait_state("jobCompleted", jobID=project)
    assert app.told(project) == [
        "queued",
        "initiatingModel",
        "jobStarted",
        "jobRetry",
        "queued",
        "initiatingModel",
        "jobResult",
        "jobCompleted",
    ]
    retry = next(frame for frame in app.about(project) if frame.type == "jobRetry")
    assert (retry["attempt"], retry["isFromWorker"]) == (1, False)
    assert retry["error"] == "workerDisconnected"
    record = await grid.record(project)
    assert record["completedWorkerJobs"][0]["worker"]["name"] == "second"


async def test_the_late_result_of_a_lost_worker_is_refused(grid: Grid) -> None:
    app, late = await grid.app(), await grid.worker("late")
    project = await app.request()
    job = await late.assigned()
    await late.drop()
    await grid.without_workers()
    grid.clock.advance(LEASE_S + 1)
    other = await grid.worker("other")
    again = await other.assigned()

    held = RunningJob(job_id=job.job_id, attempt=1)
    back = await grid.worker(**holding(late, held, name="late"))
    told = await back.expect(Cancel)
    assert (told.job_id, told.attempt) == (job.job_id, 1)
    await back.upload_late(job, b"the late picture")
    await back.send(finished(job.job_id, 1, b"the late picture"))
    answer = await back.expect(Settled)
    assert (answer.job_id, answer.attempt, answer.accepted) == (job.job_id, 1, False)

    await other.finish(again)
    result = await app.wait_for("jobResult")
    async with grid.http.get(result["resultUrl"]) as picture:
        assert await picture.read() == PNG
    await app.wait_state("jobCompleted", jobID=project)
    assert app.told(project).count("jobResult") == 1


async def test_a_worker_that_restarted_in_the_middle_of_a_job_loses_it_at_once(
    grid: Grid,
) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    job = await worker.assigned()
    await worker.drop()
    await grid.without_workers()
    fresh = await grid.worker(**holding(worker))
    again = await fresh.assigned()
    assert (again.job_id, again.attempt) == (job.job_id, 2)
    await fresh.finish(again)
    await app.wait_state("jobCompleted", jobID=project)
    assert "jobRetry" in app.told(project)


async def test_a_worker_that_comes_back_with_an_older_attempt_must_drop_it(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    job = await worker.assigned()
    await worker.fail(job)
    assert (await worker.assigned()).attempt == 2
    await worker.drop()
    await grid.without_workers()
    back = await grid.worker(**holding(worker, RunningJob(job_id=job.job_id, attempt=1)))
    told = await back.expect(Cancel)
    assert (told.job_id, told.attempt) == (job.job_id, 1)
    third = await back.assigned()
    assert third.attempt == 3
    await back.finish(third)
    await app.wait_state("jobCompleted", jobID=project)


async def test_a_second_connection_of_a_worker_replaces_the_first(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    job = await worker.assigned()
    held = RunningJob(job_id=job.job_id, attempt=1)
    newer = await grid.worker(**holding(worker, held))
    assert await worker.closed() == 4015
    await newer.finish(job)
    await app.wait_state("jobCompleted", jobID=project)
    await app.request()
    await newer.assigned()


async def test_a_job_that_is_lost_too_often_fails_its_project(grid: Grid) -> None:
    app = await grid.app()
    project = await app.request()
    for attempt in (1, 2, 3):
        worker = await grid.worker()
        assert (await worker.assigned()).attempt == attempt
        await worker.drop()
        await grid.without_workers()
        grid.clock.advance(LEASE_S + 1)
    end = await app.wait_until(lambda f: f.type == "jobError" and "imgID" not in f.payload, "end")
    assert end["error"] == "workerDisconnected"
    assert app.told(project)[-2:] == ["jobError", "jobError"]
    assert app.about(project)[-2]["isFromWorker"] is False
    assert (await grid.record(project))["reason"] == "workerDisconnected"
    assert (await grid.spark())["net"] == "1000.000000"


async def test_a_worker_that_is_silent_for_a_lease_is_disconnected(grid: Grid) -> None:
    app, silent = await grid.app(), await grid.worker("silent")
    await app.request()
    job = await silent.assigned()
    grid.clock.advance(LEASE_S + 1)
    assert await silent.closed() == 1001
    other = await grid.worker("other")
    again = await other.assigned()
    assert (again.job_id, again.attempt) == (job.job_id, 2)


async def test_a_heartbeat_keeps_worker_and_jobs(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    job = await worker.assigned()
    for _ in range(5):
        grid.clock.advance(LEASE_S * 0.9)
        await worker.send(Heartbeat())
        await worker.fence()
    await worker.finish(job)
    await app.wait_state("jobCompleted", jobID=project)
    assert "jobRetry" not in app.told(project)


async def test_a_job_that_is_handed_back_uses_up_no_attempt(grid: Grid) -> None:
    app = await grid.app()
    project = await app.request()
    for attempt in (1, 2, 3, 4, 5):
        worker = await grid.worker(f"w{attempt}")
        job = await worker.assigned()
        assert job.attempt == attempt
        await worker.send(Draining())
        await worker.send(Released(job_id=job.job_id, attempt=attempt))
        await worker.fence()
        await worker.leave()
        await grid.without_workers()
    last = await grid.worker("last")
    job = await last.assigned()
    assert job.attempt == 6
    await last.finish(job)
    await app.wait_state("jobCompleted", jobID=project)


async def test_a_draining_worker_finishes_and_gets_nothing_more(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker(slots=2)
    await app.wait_for("swarmModels", **{"pattern-v1": 1})
    first = await app.request()
    job = await worker.assigned()
    await worker.send(Draining())
    await app.wait_for("swarmModels", **{"pattern-v1": 0})
    second = await app.request()
    assert (await app.wait_state("queued", jobID=second))["queueStatus"] == "no-workers"
    await worker.finish(job)
    await app.wait_state("jobCompleted", jobID=first)
    await worker.fence()
    other = await grid.worker("other")
    assert (await other.assigned()).project_id == second


async def test_a_retry_counts_failures_not_assignments(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker("hands back")
    await app.request()
    job = await worker.assigned()
    await worker.send(Draining())
    await worker.send(Released(job_id=job.job_id, attempt=1))
    await app.wait_for("jobRetry")
    other = await grid.worker("fails")
    again = await other.assigned()
    assert again.attempt == 2
    await other.fail(again)
    retry = await app.wait_for("jobRetry")
    assert (retry["attempt"], retry["maxAttempts"], retry["assignment"]) == (1, 3, 2)


async def test_handing_back_what_one_does_not_hold_changes_nothing(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker("holder")
    other = await grid.worker("other", models=())
    project = await app.request()
    job = await worker.assigned()
    for attempt in (0, 1, 2):
        await other.send(Released(job_id=job.job_id, attempt=attempt))
    await other.fence()
    await worker.send(Released(job_id=job.job_id, attempt=2))
    await worker.finish(job)
    await app.wait_state("jobCompleted", jobID=project)
    assert "jobRetry" not in app.told(project)


async def test_a_lost_worker_is_counted_out_of_the_models(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    await app.wait_for("swarmModels", **{"pattern-v1": 1})
    await worker.drop()
    await app.wait_for("swarmModels", **{"pattern-v1": 0})


# ── answers that cross a lost connection ─────────────────────────────────────────────────────────


async def test_a_worker_that_comes_back_while_its_result_is_stored(grid: Grid) -> None:
    """Its job is done: nothing is lost, rendered again, or left in its hands."""
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    job = await worker.assigned()
    await worker.upload(job)
    await grid.store.hold()
    await worker.send(finished(job.job_id, 1, PNG))
    await worker.fence()
    await worker.drop()
    await grid.without_workers()
    held = RunningJob(job_id=job.job_id, attempt=1)
    back = await grid.worker(**holding(worker, held))
    assert (await back.expect(Cancel)).job_id == job.job_id
    grid.store.release()
    await app.wait_state("jobCompleted", jobID=project)
    assert app.told(project) == ["queued", "initiatingModel", "jobResult", "jobCompleted"]
    # Sent again, as a worker does until it is told that the outcome is stored.
    await back.send(finished(job.job_id, 1, PNG))
    assert (await back.expect(Settled)).job_id == job.job_id
    await app.request()
    await back.finish(await back.assigned())


async def test_a_worker_that_leaves_while_its_assignment_is_stored(grid: Grid) -> None:
    app = await grid.app()
    project = await app.request()
    await app.wait_state("queued")
    await grid.store.hold()
    worker = await grid.worker("leaves")
    await worker.fence()
    await worker.drop()
    await grid.without_workers()
    grid.store.release()
    other = await grid.worker("stays")
    job = await other.assigned()
    assert job.attempt == 2
    await other.finish(job)
    await app.wait_state("jobCompleted", jobID=project)
    assert (await grid.record(project))["completedWorkerJobs"][0]["worker"]["name"] == "stays"


async def test_a_worker_that_comes_back_while_its_assignment_is_stored(grid: Grid) -> None:
    app = await grid.app()
    project = await app.request()
    await app.wait_state("queued")
    await grid.store.hold()
    worker = await grid.worker()
    await worker.fence()
    await worker.drop()
    await grid.without_workers()
    back = await grid.worker(**holding(worker))
    await back.fence()
    grid.store.release()
    await back.finish(await back.assigned())
    await app.wait_state("jobCompleted", jobID=project)
    await app.request()
    await back.assigned()


async def test_a_worker_that_comes_back_while_its_job_is_taken_away(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    job = await worker.assigned()
    await worker.drop()
    await grid.without_workers()
    await grid.store.hold()
    grid.clock.advance(LEASE_S + 1)
    await grid.ticked()
    held = RunningJob(job_id=job.job_id, attempt=1)
    back = await grid.worker(**holding(worker, held))
    assert (await back.expect(Cancel)).job_id == job.job_id
    grid.store.release()
    again = await back.assigned()
    assert (again.job_id, again.attempt) == (job.job_id, 2)
    await back.finish(again)
    await app.wait_state("jobCompleted", jobID=project)
    await app.request()
    await back.assigned()


@pytest.mark.parametrize("attempt", [0, 1, 2, 7])
async def test_a_worker_cannot_claim_a_job_that_it_was_not_given(grid: Grid, attempt: int) -> None:
    app, worker = await grid.app(), await grid.worker("holder")
    project = await app.request()
    job = await worker.assigned()
    thief = await grid.worker("thief", running=(RunningJob(job_id=job.job_id, attempt=attempt),))
    assert (await thief.expect(Cancel)).job_id == job.job_id
    await thief.upload(job, b"stolen")
    await thief.send(finished(job.job_id, attempt, b"stolen"))
    assert not (await thief.expect(Settled)).accepted
    await worker.finish(job)
    await app.wait_state("jobCompleted", jobID=project)
