"""What the content filter objects to: withheld and free, or delivered with a label."""

from decimal import Decimal
from typing import Any

import msgspec

from dreamgrid.protocol.worker import Assign, Finished, Released
from tests.server.conftest import MakeGrid
from tests.support.grid import Grid
from tests.support.wire import PNG, App, Worker, finished


def objecting(job: Assign) -> Finished:
    return msgspec.structs.replace(finished(job.job_id, job.attempt, PNG), sensitive=("image",))


async def net(grid: Grid) -> Decimal:
    return Decimal((await grid.spark())["net"])


async def withheld(app: App, worker: Worker, **fields: Any) -> tuple[str, Assign]:
    """A project whose only picture the content filter objects to."""
    project = await app.request(**fields)
    job = await worker.assigned()
    await worker.upload(job)
    await worker.send(objecting(job))
    await worker.expect_settled(job)
    return project, job


async def test_what_the_filter_objects_to_is_withheld_and_costs_nothing(grid: Grid) -> None:
    before = await net(grid)
    app, worker = await grid.app(), await grid.worker()
    project, job = await withheld(app, worker)
    result = await app.wait_for("jobResult")
    assert result["triggeredNSFWFilter"] is True
    assert result["nsfwDetected"] is False
    assert result["nsfwSources"] == ["image"]
    assert result["resultUrl"] is None
    await app.wait_state("jobCompleted", jobID=project)
    assert await net(grid) == before
    record = await grid.record(project)
    (made,) = record["completedWorkerJobs"]
    assert (made["status"], made["triggeredNSFWFilter"]) == ("jobCompleted", True)
    assert record["costActual"]["costInToken"] == "0.000000"
    for role in ("complete", "preview"):
        asked = f"/v1/image/downloadUrl?jobId={project}&imageId={job.job_id}&type={role}"
        status, body = await grid.get(asked)
        assert status == 404
        assert "withheld" in body["message"]


async def test_a_withheld_picture_is_nowhere_on_the_server(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request(previews=2)
    job = await worker.assigned()
    await worker.upload_preview(job)
    await worker.upload(job)
    await worker.send(objecting(job))
    await worker.expect_settled(job)
    await app.wait_state("jobCompleted", jobID=project)
    assert [file for file in grid.config.data_dir.rglob("*") if job.job_id in file.name] == []


async def test_a_grid_may_leave_apps_no_choice(make_grid: MakeGrid) -> None:
    async with make_grid(filter_always=True) as grid:
        app, worker = await grid.app(), await grid.worker()
        refused = await app.request(disableSafety=True)
        error = await app.wait_for("jobError", jobID=refused)
        assert "always on" in error["error_message"]
        await app.request(disableSafety=False)
        job = await worker.assigned()
        assert not job.deliver_sensitive


async def test_an_app_that_wants_it_anyway_gets_it_with_a_label(grid: Grid) -> None:
    before = await net(grid)
    app, worker = await grid.app(), await grid.worker()
    project = await app.request(disableSafety=True)
    job = await worker.assigned()
    assert job.deliver_sensitive
    await worker.upload(job)
    await worker.send(objecting(job))
    await worker.expect_settled(job)
    result = await app.wait_for("jobResult")
    assert result["triggeredNSFWFilter"] is False
    assert (result["nsfwDetected"], result["nsfwSources"]) == (True, ["image"])
    async with grid.http.get(result["resultUrl"]) as answer:
        assert await answer.read() == PNG
    assert await net(grid) < before
    (made,) = (await grid.record(project))["completedWorkerJobs"]
    assert (made["triggeredNSFWFilter"], made["nsfwDetected"]) == (False, True)


async def test_withheld_stays_withheld_after_a_restart(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project, job = await withheld(app, worker)
    await grid.restart()
    status, _ = await grid.get(
        f"/v1/image/downloadUrl?jobId={project}&imageId={job.job_id}&type=complete"
    )
    assert status == 404
    (made,) = (await grid.record(project))["completedWorkerJobs"]
    assert made["triggeredNSFWFilter"] is True


async def test_what_earlier_attempts_left_of_a_withheld_picture_is_gone_too(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    await app.request(previews=2)
    job = await worker.assigned()
    await worker.upload_preview(job)
    await worker.progress(job, 1, preview_ready=True)
    await app.wait_for("jobProgress", hasImage=True)
    await worker.send(Released(job_id=job.job_id, attempt=job.attempt))
    again = await worker.assigned()
    assert again.attempt == 2
    await worker.upload(again)
    await worker.send(objecting(again))
    await worker.expect_settled(again)
    assert [file for file in grid.config.data_dir.rglob("*") if job.job_id in file.name] == []
