"""`GET /v1/explain/{id}`: for the owner of a project, and for administrators."""

import msgspec
import pytest

from dreamgrid.protocol.worker import Assign
from dreamgrid.server import upkeep
from tests.server.conftest import MakeGrid
from tests.support.grid import Grid
from tests.support.wire import PNG, App, Worker, finished

NOBODYS = "00000000-0000-4000-8000-000000000000"


async def test_a_project_that_waits_for_a_worker_says_for_which(grid: Grid) -> None:
    app = await grid.app()
    project = await app.request()
    await app.wait_state("queued", jobID=project)
    told = await grid.data(f"/v1/explain/{project.lower()}")
    assert (told["state"], told["reason"]) == ("waiting", "worker_away")
    assert told["missing"]["model"] == "pattern-v1"
    assert told["queuePosition"] == 1
    assert told["start"] is None


async def test_a_project_is_explained_from_its_assignment_to_its_end(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker(name="studio")
    project = await app.request()
    job = await worker.assigned()
    told = await grid.data(f"/v1/explain/{project}")
    assert (told["state"], told["reason"]) == ("waiting", "model_loading")
    assert told["message"] == "studio has it, and gets pattern-v1 ready"
    await worker.start(job)
    await app.wait_state("jobStarted", jobID=project)
    assert (await grid.data(f"/v1/explain/{project}"))["state"] == "rendering"
    await worker.finish(job)
    await app.wait_state("jobCompleted", jobID=project)
    for wanted in (project, job.job_id):
        told = await grid.data(f"/v1/explain/{wanted}")
        assert (told["projectId"], told["state"]) == (project, "ended")
        (one,) = told["jobs"]
        assert (one["jobId"], one["worker"], one["attempt"]) == (job.job_id, "studio", 1)
        assert one["whyThere"]["idleWorkers"] == 1
        assert one["whyThere"]["deliveryRate"] == 1.0


async def render(grid: Grid, app: App, worker: Worker, job: Assign, took_s: float) -> None:
    """Lets a job take so long, by the grid's clock."""
    await worker.start(job)
    await app.wait_state("jobStarted", imgID=job.job_id)
    grid.clock.advance(took_s)
    await worker.upload(job)
    report = finished(job.job_id, job.attempt, PNG)
    await worker.send(msgspec.structs.replace(report, render_s=took_s))
    await worker.expect_settled(job)


async def test_starts_are_foretold_with_an_interval_and_it_is_counted_how_they_come_out(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "POSITIONS_EVERY_S", 0.01)
    app, worker = await grid.app(), await grid.worker(name="studio")
    await app.request()
    await render(grid, app, worker, await worker.assigned(), 20.0)

    await app.request()
    job = await worker.assigned()
    waiting = await app.request()
    await app.wait_until(
        lambda frame: frame.has({"jobID": waiting}) and "estimatedStartSeconds" in frame.payload,
        "an expected start",
    )
    told = await grid.data(f"/v1/explain/{waiting}")
    start = told["start"]
    assert 0 <= start["earliestSeconds"] < start["seconds"] < start["latestSeconds"]
    assert told["calibration"] == {"starts": 0, "within": 0}

    await render(grid, app, worker, job, 20.0)
    await worker.assigned()
    calibration = (await grid.data(f"/v1/explain/{waiting}"))["calibration"]
    assert calibration == {"starts": 1, "within": 1}


async def test_only_its_owner_may_ask(grid: Grid) -> None:
    bobs = await grid.account("bob")
    eves = await grid.account("eve")
    app = await grid.app(key=bobs)
    project = await app.request()
    await app.wait_state("queued", jobID=project)
    assert (await grid.get(f"/v1/explain/{project}", key=bobs))[0] == 200
    assert (await grid.get(f"/v1/explain/{project}", key=eves))[0] == 404
    assert (await grid.get(f"/v1/explain/{project}", key=""))[0] == 401
    assert (await grid.get(f"/v1/explain/{NOBODYS}"))[0] == 404
    assert (await grid.get("/v1/explain/yesterday"))[0] == 400


async def test_administrators_may_ask_about_anybodys(make_grid: MakeGrid) -> None:
    async with make_grid(admins=("Root",)) as grid:
        root, bobs = await grid.account("root"), await grid.account("bob")
        app = await grid.app(key=bobs)
        project = await app.request()
        await app.wait_state("queued", jobID=project)
        assert (await grid.data(f"/v1/explain/{project}", key=root))["projectId"] == project
