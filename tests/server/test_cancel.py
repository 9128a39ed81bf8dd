"""Canceling, at every moment of a project's life."""

import asyncio
from typing import Any

import pytest

from dreamgrid.protocol.worker import Cancel, Settled
from tests.support.grid import Grid
from tests.support.wire import CANCELED, PATIENCE_S, PNG, finished, new_id

CONFIRMED = "artistCancelConfirmation"


async def test_a_project_is_canceled_while_it_is_queued(grid: Grid) -> None:
    """The trace of `socket.md` 9.2."""
    app = await grid.app()
    project = await app.request(numberOfImages=2)
    await app.wait_state("queued")
    assert (await grid.spark())["debit"] != "0.000000"
    await app.cancel(project)
    await app.fence()
    assert app.told(project) == ["queued", CONFIRMED]
    assert [frame.type for frame in app.frames].count("balanceUpdate") == 3
    spark = await grid.spark()
    assert (spark["net"], spark["debit"]) == ("1000.000000", "0.000000")
    record = await grid.record(project)
    assert (record["status"], record["reason"]) == ("cancelled", "artistCanceled")
    assert (await grid.live(project))["status"] == "canceled"
    worker = await grid.worker()
    await worker.fence()


async def test_a_project_is_canceled_while_it_is_rendered(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    job = await worker.assigned()
    await worker.start(job)
    await worker.progress(job, 1)
    await app.wait_for("jobProgress")
    await app.cancel(project)
    told = await worker.expect(Cancel)
    assert (told.job_id, told.attempt) == (job.job_id, 1)

    await worker.progress(job, 2)
    await worker.upload_late(job)
    await worker.send(finished(job.job_id, 1, PNG))
    assert not (await worker.expect(Settled)).accepted
    await app.fence()
    assert app.told(project)[-1] == CONFIRMED
    assert (await grid.spark())["net"] == "1000.000000"
    record = await grid.record(project)
    assert record["completedWorkerJobs"][0]["reason"] == "artistCanceled"
    assert record["costActual"]["costInToken"] == "0.000000"


async def test_a_canceled_project_frees_its_worker_at_once(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    first, second = await app.request(), await app.request()
    assert (await worker.assigned()).project_id == first
    await app.cancel(first)
    await worker.expect(Cancel)
    job = await worker.assigned()
    assert job.project_id == second
    await worker.finish(job)
    await app.wait_state("jobCompleted", jobID=second)


async def test_what_was_delivered_before_a_cancel_is_paid_and_stays(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request(numberOfImages=3)
    job = await worker.assigned()
    held = float((await grid.spark())["debit"])
    await worker.finish(job)
    result = await app.wait_for("jobResult")
    await worker.assigned()
    await app.cancel(project)
    await worker.expect(Cancel)
    spark = await grid.spark()
    assert float(spark["net"]) == pytest.approx(1000 - held / 3, abs=1e-9)
    assert float(spark["debit"]) == 0
    record = await grid.record(project)
    assert record["status"] == "cancelled"
    assert [one["status"] for one in record["completedWorkerJobs"]] == [
        "jobCompleted",
        "jobError",
        "jobError",
    ]
    async with grid.http.get(result["resultUrl"]) as answer:
        assert await answer.read() == PNG


async def test_canceling_twice_is_confirmed_twice_and_gives_back_once(grid: Grid) -> None:
    app = await grid.app()
    project = await app.request()
    await app.wait_state("queued")
    await app.cancel(project)
    await app.cancel(project)
    assert (await grid.spark())["net"] == "1000.000000"


async def test_an_app_hears_at_once_that_another_app_of_the_account_canceled_its_project(
    grid: Grid,
) -> None:
    owner, other = await grid.app("owner"), await grid.app("other")
    project = await owner.request()
    await owner.wait_state("queued")
    await other.cancel(project)
    assert (await owner.wait_for("jobError", jobID=project))["error"] == "artistCanceled"
    assert other.told(project) == [CONFIRMED]
    assert (await grid.record(project))["status"] == "cancelled"
    assert (await grid.spark())["net"] == "1000.000000"


async def test_an_app_that_was_away_learns_that_another_app_canceled_its_project(
    grid: Grid,
) -> None:
    owner, other = await grid.app("owner"), await grid.app("other")
    project = await owner.request()
    await owner.wait_state("queued")
    await owner.leave()
    await other.cancel(project)
    back = await grid.app("owner")
    assert (await back.wait_for("jobError", jobID=project))["error"] == "artistCanceled"


async def test_a_cancel_is_read_in_any_case(grid: Grid) -> None:
    app = await grid.app()
    project = await app.request()
    await app.wait_state("queued")
    await app.cancel(project.lower())
    assert (await grid.record(project))["status"] == "cancelled"


async def test_canceling_what_has_ended_changes_nothing(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    await worker.finish(await worker.assigned())
    await app.wait_state("jobCompleted")
    paid = await grid.spark()
    await app.cancel(project)
    assert (await grid.record(project))["status"] == "completed"
    assert await grid.spark() == paid


async def test_canceling_what_never_was_is_confirmed(grid: Grid) -> None:
    """Otherwise a client would wait two minutes for the answer."""
    app = await grid.app()
    await app.cancel(new_id())
    await app.cancel("no id at all")


async def test_a_project_may_be_canceled_before_it_was_even_accepted(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    await grid.store.hold()
    project = await app.request()
    await app.send("jobError", {"jobID": project, **CANCELED})
    await worker.fence()
    grid.store.release()
    await app.wait_for(CONFIRMED, jobID=project, didCancel=True)
    await app.fence()
    assert app.told(project)[-1] == CONFIRMED
    assert (await grid.spark())["net"] == "1000.000000"
    assert (await grid.record(project))["status"] == "cancelled"
    await worker.fence()


async def test_a_worker_that_comes_while_a_cancel_is_stored_gets_nothing(grid: Grid) -> None:
    app = await grid.app()
    project, other = await app.request(), await app.request()
    await app.wait_state("queued", jobID=other)
    await grid.store.hold()
    await app.send("jobError", {"jobID": project, **CANCELED})
    await app.send("changeNetwork", "fast")  # read only after the cancel, which now waits
    worker = await grid.worker()
    await worker.fence()
    grid.store.release()
    await app.wait_for(CONFIRMED, jobID=project, didCancel=True)
    job = await worker.assigned()
    assert job.project_id == other
    await worker.finish(job)
    await app.wait_state("jobCompleted", jobID=other)
    assert app.told(project) == ["queued", CONFIRMED]


async def test_an_assignment_that_crosses_a_cancel_comes_to_nothing(grid: Grid) -> None:
    app = await grid.app()
    project = await app.request()
    await app.wait_state("queued")
    await grid.store.hold()
    worker = await grid.worker()
    await worker.fence()
    (session,) = grid.sessions
    assert session.jobs
    await app.send("jobError", {"jobID": project, **CANCELED})
    await grid.ticked_until(lambda: not session.jobs)
    grid.store.release()
    await app.wait_for(CONFIRMED, jobID=project, didCancel=True)
    await app.fence()
    assert app.told(project) == ["queued", CONFIRMED]
    await worker.fence()  # it never heard of the job
    other = await app.request()
    assert (await worker.assigned()).project_id == other


async def test_a_project_that_completes_while_its_cancel_is_stored_is_completed(
    grid: Grid,
) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    job = await worker.assigned()
    await worker.upload(job)
    await grid.store.hold()
    await worker.send(finished(job.job_id, 1, PNG))
    await worker.send(finished("a fence", 1, PNG))
    assert (await worker.expect(Settled)).job_id == "a fence"
    await app.send("jobError", {"jobID": project, **CANCELED})
    grid.store.release()
    assert (await worker.expect(Settled)).accepted
    await app.wait_for(CONFIRMED, jobID=project, didCancel=True)
    assert app.told(project)[-3:] == ["jobResult", "jobCompleted", CONFIRMED]
    assert (await grid.record(project))["status"] == "completed"
    assert (await grid.get("/api/v1/artist/projects/active"))[1] == {"projects": []}
    assert (await grid.spark())["debit"] == "0.000000"


async def test_one_of_two_jobs_ends_while_the_cancel_is_stored(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker(slots=2)
    project = await app.request(numberOfImages=2)
    done, running = await worker.assigned(), await worker.assigned()
    held = float((await grid.spark())["debit"])
    await worker.upload(done)
    await grid.store.hold()
    await worker.send(finished(done.job_id, 1, PNG))
    await worker.send(finished("a fence", 1, PNG))
    assert (await worker.expect(Settled)).job_id == "a fence"
    await app.send("jobError", {"jobID": project, **CANCELED})
    canceled = await worker.expect(Cancel)
    assert canceled.job_id == running.job_id
    grid.store.release()
    await app.wait_for(CONFIRMED, jobID=project, didCancel=True)
    await app.fence()
    assert app.told(project)[-1] == CONFIRMED
    record = await grid.record(project)
    assert record["status"] == "cancelled"
    assert sorted(job["status"] for job in record["completedWorkerJobs"]) == [
        "jobCompleted",
        "jobError",
    ]
    spark = await grid.spark()
    assert float(spark["net"]) == pytest.approx(1000 - held / 2, abs=1e-9)
    assert float(spark["debit"]) == 0


async def test_a_retry_that_crosses_a_cancel_comes_to_nothing(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    job = await worker.assigned()
    await grid.store.hold()
    await worker.give_up(job)
    await worker.fence()
    await app.send("jobError", {"jobID": project, **CANCELED})
    await worker.fence()
    grid.store.release()
    await worker.expect_settled(job)
    await app.wait_for(CONFIRMED, jobID=project, didCancel=True)
    await app.fence()
    assert app.told(project)[-1] == CONFIRMED
    assert (await grid.spark())["net"] == "1000.000000"
    await worker.fence()
    other = await app.request()
    assert (await worker.assigned()).project_id == other


async def test_who_comes_back_under_a_cancel_that_is_too_late_hears_of_all_results(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, other, worker = await grid.app(), await grid.app("app-2"), await grid.worker()
    project = await app.request(numberOfImages=2)
    await worker.finish(await worker.assigned())
    job = await worker.assigned()
    await worker.upload(job, PNG)
    await grid.store.hold()
    enters, balances = asyncio.Event(), grid.store.balances
    cancels, cancel = asyncio.Event(), grid.store.cancel

    def noted(account_id: str) -> Any:
        enters.set()
        return balances(account_id)

    def canceled(*project: Any, **how: Any) -> Any:
        cancels.set()
        return cancel(*project, **how)

    monkeypatch.setattr(grid.store, "balances", noted)
    monkeypatch.setattr(grid.store, "cancel", canceled)
    back = await grid.socket(appId="app-1")
    await asyncio.wait_for(enters.wait(), PATIENCE_S)  # the first of three writes that wait
    await worker.send(finished(job.job_id, job.attempt, PNG))
    await worker.fence()
    await other.send("jobError", {"jobID": project, **CANCELED})
    await asyncio.wait_for(cancels.wait(), PATIENCE_S)
    grid.store.release()
    await back.wait_state("jobCompleted", jobID=project)
    assert back.frames[0]["activeProjects"] == []
    results = [frame["imgID"] for frame in back.about(project) if frame.type == "jobResult"]
    assert len(set(results)) == 2
    assert back.told(project)[-1] == "jobCompleted"


async def test_a_cancel_that_cannot_be_stored_says_so_and_the_project_goes_on(grid: Grid) -> None:
    app = await grid.app()
    project = await app.request()
    await app.wait_state("queued")
    grid.store.break_down()
    await app.send("jobError", {"jobID": project, **CANCELED})
    answer = await app.wait_for(CONFIRMED, jobID=project)
    assert answer["didCancel"] is False
    assert answer["error_message"]
    grid.store.recover()
    worker = await grid.worker()
    await worker.finish(await worker.assigned())
    await app.wait_state("jobCompleted", jobID=project)


async def test_a_render_survives_a_cancel_that_cannot_be_stored(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    await worker.assigned()
    grid.store.break_down()
    await app.send("jobError", {"jobID": project, **CANCELED})
    assert (await app.wait_for(CONFIRMED, jobID=project))["didCancel"] is False
    grid.store.recover()
    await app.cancel(project)
    assert (await grid.spark())["net"] == "1000.000000"


async def test_a_cancel_of_a_request_that_was_not_stored_either_leaves_nothing(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    grid.store.break_down()
    project = await app.request()
    await app.send("jobError", {"jobID": project, **CANCELED})
    await app.wait_for("jobError", jobID=project)
    await app.wait_for(CONFIRMED, jobID=project)
    grid.store.recover()
    other = await app.request()
    job = await worker.assigned()
    assert job.project_id == other
    await worker.finish(job)
    await app.wait_state("jobCompleted", jobID=other)
    await grid.ticked()
    await worker.fence()


async def test_an_app_that_comes_during_a_cancel_that_fails_is_told_what_it_missed(
    grid: Grid,
) -> None:
    app, worker = await grid.app(), await grid.worker(slots=2)
    project = await app.request(numberOfImages=2)
    done, lost = await worker.assigned(), await worker.assigned()
    await worker.finish(done)
    grid.store.fail_cancels = True
    await grid.store.hold()
    await app.send("jobError", {"jobID": project, **CANCELED})
    assert (await worker.expect(Cancel)).job_id == lost.job_id
    await app.drop()
    back = await grid.socket(appId="app-1")
    grid.store.release()
    await back.wait_for("jobResult", imgID=done.job_id)
    await worker.finish(await worker.assigned())
    await back.wait_state("jobCompleted", jobID=project)
    assert back.told(project).count("jobResult") == 2


async def test_a_retry_that_crosses_a_cancel_that_fails_goes_on(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    job = await worker.assigned()
    grid.store.fail_cancels = True
    await grid.store.hold()
    await worker.give_up(job)
    await worker.fence()
    await app.send("jobError", {"jobID": project, **CANCELED})
    await worker.fence()
    grid.store.release()
    await worker.expect_settled(job)
    assert (await app.wait_for(CONFIRMED, jobID=project))["didCancel"] is False
    again = await worker.assigned()
    assert (again.job_id, again.attempt) == (job.job_id, 2)
    await worker.finish(again)
    await app.wait_state("jobCompleted", jobID=project)
    told = app.told(project)
    assert told.index("jobRetry") < told.index("queued", 1), "it waits, and nobody said why"


async def test_a_cancel_goes_through_even_if_whoever_asked_is_gone(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    await worker.assigned()
    assert grid._apps is not None
    (session,) = grid._apps._sessions.values()
    await grid.store.hold()
    asking = asyncio.create_task(grid._apps._services.projects.cancel(session.app, project))
    await worker.expect(Cancel)
    asking.cancel()
    await asyncio.wait([asking])
    grid.store.release()
    assert (await grid.spark())["net"] == "1000.000000"
    assert (await grid.record(project))["status"] == "cancelled"
    other = await app.request()
    assert (await worker.assigned()).project_id == other


async def test_whoever_cancels_too_hears_whether_the_first_cancel_was_stored(grid: Grid) -> None:
    app, other, worker = await grid.app(), await grid.app("app-2"), await grid.worker()
    project = await app.request()
    await worker.assigned()
    grid.store.fail_cancels = True
    await grid.store.hold()
    await app.send("jobError", {"jobID": project, **CANCELED})
    await worker.expect(Cancel)
    await other.send("jobError", {"jobID": project, **CANCELED})
    await other.send("changeNetwork", "relaxed")  # is read after the cancel was dealt with
    grid.store.release()
    assert (await app.wait_for(CONFIRMED, jobID=project))["didCancel"] is False
    assert (await other.wait_for(CONFIRMED, jobID=project))["didCancel"] is False
