"""A store that fails for a while, in the middle of everything: nothing is lost or charged twice."""

import asyncio

import pytest

from dreamgrid.protocol.worker import (
    Assign,
    Cancel,
    Released,
    RunningJob,
    ServerMessage,
    Settled,
)
from dreamgrid.server import open_projects
from tests.support.grid import LEASE_S, Grid
from tests.support.wire import CANCELED, PNG, finished


@pytest.fixture(autouse=True)
def _write_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_projects, "_WRITE_AGAIN_S", 0.02)


async def test_a_result_that_cannot_be_stored_yet_is_stored_later(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request(numberOfImages=2)
    job = await worker.assigned()
    await worker.upload(job)
    grid.store.break_down()
    await worker.send(finished(job.job_id, 1, PNG))
    await worker.fence()
    await grid.ticked()
    await app.fence()
    assert "jobResult" not in app.told(project)
    grid.store.recover()
    # The outcome is settled and the next job comes, in either order.
    either = [await worker.expect(ServerMessage), await worker.expect(ServerMessage)]
    (settled,) = (message for message in either if isinstance(message, Settled))
    (second,) = (message for message in either if isinstance(message, Assign))
    assert settled.accepted
    await app.wait_for("jobResult")
    await worker.finish(second)
    await app.wait_state("jobCompleted", jobID=project)
    assert app.told(project).count("jobResult") == 2
    record = await grid.record(project)
    spark = await grid.spark()
    assert float(spark["debit"]) == 0
    paid = float(record["costActual"]["costInToken"])
    assert float(spark["net"]) == pytest.approx(1000 - paid, abs=1e-9)


async def test_both_results_of_a_project_arrive_while_nothing_can_be_stored(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker(slots=2)
    project = await app.request(numberOfImages=2)
    jobs = [await worker.assigned() for _ in range(2)]
    for job in jobs:
        await worker.upload(job)
    grid.store.break_down()
    for job in jobs:
        await worker.send(finished(job.job_id, 1, PNG))
    await worker.fence()
    await grid.ticked()
    grid.store.recover()
    await app.wait_state("jobCompleted", jobID=project)
    assert app.told(project)[-3:] == ["jobResult", "jobResult", "jobCompleted"]
    assert (await grid.record(project))["status"] == "completed"


async def test_a_job_that_cannot_be_given_away_yet_is_given_away_later(grid: Grid) -> None:
    app = await grid.app()
    project = await app.request()
    await app.wait_state("queued")
    grid.store.break_down()
    worker = await grid.worker()
    await grid.ticked()
    await worker.fence()
    assert "initiatingModel" not in app.told(project)
    grid.store.recover()
    job = await worker.assigned()
    assert job.attempt == 1
    await worker.finish(job)
    await app.wait_state("jobCompleted", jobID=project)


async def test_nobody_is_told_that_a_worker_has_a_job_before_that_is_stored(grid: Grid) -> None:
    app = await grid.app()
    project = await app.request()
    await app.wait_state("queued")
    await grid.store.hold()
    worker = await grid.worker()
    await worker.fence()
    told = await grid.data(f"/v1/explain/{project}")
    assert [job["reason"] for job in told["jobs"]] == ["being_stored"]
    await app.request(project)
    await app.fence()
    assert set(app.told(project)) == {"queued"}
    grid.store.release()
    await worker.finish(await worker.assigned())
    await app.wait_state("jobCompleted", jobID=project)


async def test_a_job_that_cannot_be_taken_back_yet_is_taken_back_later(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    job = await worker.assigned()
    grid.store.break_down()
    await worker.give_up(job)
    await grid.ticked()
    await worker.fence()  # nothing is settled before it is stored
    grid.store.recover()
    await worker.expect_settled(job)
    again = await worker.assigned()
    assert (again.job_id, again.attempt) == (job.job_id, 2)
    await worker.finish(again)
    await app.wait_state("jobCompleted", jobID=project)
    assert app.told(project).count("jobRetry") == 1


async def test_a_start_that_cannot_be_stored_yet_changes_nothing_for_the_app(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    job = await worker.assigned()
    grid.store.break_down()
    await worker.start(job)
    await app.wait_state("jobStarted")
    grid.store.recover()
    await worker.finish(job)
    await app.wait_state("jobCompleted", jobID=project)


async def test_a_lease_that_ends_while_nothing_can_be_stored(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker("first")
    project = await app.request()
    job = await worker.assigned()
    await worker.drop()
    await grid.without_workers()
    grid.store.break_down()
    grid.clock.advance(LEASE_S + 1)
    await grid.ticked()
    grid.store.recover()
    other = await grid.worker("second")
    again = await other.assigned()
    assert (again.job_id, again.attempt) == (job.job_id, 2)
    await other.finish(again)
    await app.wait_state("jobCompleted", jobID=project)


async def test_a_job_whose_cancel_failed_is_rendered_anew_and_loses_no_attempt(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    job = await worker.assigned()
    grid.store.break_down()
    await app.send("jobError", {"jobID": project, **CANCELED})
    answer = await app.wait_for("artistCancelConfirmation", jobID=project)
    assert answer["didCancel"] is False
    assert (await worker.expect(Cancel)).job_id == job.job_id
    grid.store.recover()
    again = await worker.assigned()
    assert (again.job_id, again.attempt) == (job.job_id, 2)
    assert (await app.wait_for("jobRetry", jobID=project))["attempt"] == 1
    await worker.finish(again)
    await app.wait_state("jobCompleted", jobID=project)


async def test_a_job_handed_back_while_nothing_can_be_stored(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker("leaves")
    project = await app.request()
    job = await worker.assigned()
    grid.store.break_down()
    await worker.send(Released(job_id=job.job_id, attempt=1))
    await worker.fence()
    await worker.leave()
    await grid.without_workers()
    grid.store.recover()
    other = await grid.worker("other")
    await other.finish(await other.assigned())
    await app.wait_state("jobCompleted", jobID=project)


async def test_stopping_while_nothing_can_be_stored_leaves_nothing_running(
    grid: Grid, caplog: pytest.LogCaptureFixture
) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    job = await worker.assigned()
    await worker.upload(job)
    grid.store.break_down()
    await worker.send(finished(job.job_id, 1, PNG))
    await worker.fence()
    await grid.stop()
    caplog.clear()
    await asyncio.sleep(0.1)  # five times the pause between two tries
    assert len(caplog.records) <= 1

    # The worker was never told that its outcome is stored, so it still has it.
    await grid.start()
    held = RunningJob(job_id=job.job_id, attempt=1)
    back = await grid.worker(worker_id=worker.hello.worker_id, running=(held,))
    app = await grid.app()
    await back.send(finished(job.job_id, 1, PNG))
    assert (await back.expect(Settled)).accepted
    await app.wait_state("jobCompleted", jobID=project)


async def test_reading_goes_on_while_nothing_can_be_stored(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    await worker.finish(await worker.assigned())
    await app.wait_state("jobCompleted")
    grid.store.break_down()
    assert (await grid.record(project))["status"] == "completed"
    assert (await grid.get("/v1/account/me"))[0] == 200
    status, body = await grid.get("/v4/account/balance")
    assert (status, body["errorCode"]) == (503, 5006)
    grid.store.recover()
    assert (await grid.get("/v4/account/balance"))[0] == 200
