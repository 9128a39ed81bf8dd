"""Accounts remove what they made: the files are gone, the money stays where it went."""

import asyncio
from typing import Any

import pytest

from dreamgrid.server.blobs.keys import folders_of_project
from tests.server.conftest import MakeGrid
from tests.server.test_kept_files import SIZE, deliver
from tests.server.test_uploads import link, upload
from tests.support.grid import Grid
from tests.support.wire import PNG, App, Worker, new_id


async def made(
    grid: Grid, app: App, worker: Worker, count: int = 1, **asked: Any
) -> dict[str, Any]:
    """A project of some pictures, all delivered, as its account sees it."""
    project = await app.request(numberOfImages=count, **asked)
    for _ in range(count):
        await worker.finish(await worker.assigned())
    await app.wait_state("jobCompleted", jobID=project)
    return await listed(grid, project)


async def listed(grid: Grid, project: str) -> dict[str, Any]:
    """A project in the list of its account."""
    page = await grid.data("/v1/projects")
    (record,) = [record for record in page["projects"] if record["id"] == project]
    return dict(record)


async def remove(grid: Grid, path: str) -> int:
    """The status of the answer."""
    return (await grid.call("DELETE", path))[0]


def files(grid: Grid, project: str) -> list[str]:
    """What is stored of a project."""
    found = grid.config.data_dir.rglob(f"{project}/*")
    return [str(path) for path in found if path.is_file()]


async def test_a_removed_project_is_gone_with_its_files_and_stays_in_the_books(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    record = await made(grid, app, worker, count=2)
    other = await made(grid, app, worker)
    paid = await grid.data("/v1/account/balance")
    statement = await grid.data("/v1/transactions/list")
    assert len(files(grid, record["id"])) == 2
    assert await remove(grid, f"/v1/projects/{record['id']}") == 200
    assert files(grid, record["id"]) == []
    assert len(files(grid, other["id"])) == 1
    page = await grid.data("/v1/projects")
    assert [one["id"] for one in page["projects"]] == [other["id"]]
    for path in ("/v1/projects", "/v2/projects", "/v1/explain"):
        assert (await grid.get(f"{path}/{record['id']}"))[0] == 404
    assert await grid.data("/v1/account/balance") == paid
    assert await grid.data("/v1/transactions/list") == statement
    assert await remove(grid, f"/v1/projects/{record['id']}") == 404


async def test_one_result_of_several_is_removed_and_the_others_stay(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    record = await made(grid, app, worker, count=2)
    first, second = record["completedWorkerJobs"]
    path = f"/v1/projects/{record['id']}/jobs"
    assert await remove(grid, f"{path}/{first['imgID']}") == 200
    after = await listed(grid, record["id"])
    assert [job.get("resultUrl") is None for job in after["completedWorkerJobs"]] == [True, False]
    link = f"/v1/image/downloadUrl?jobId={record['id']}&imageId={first['imgID']}&type=complete"
    assert (await grid.get(link))[0] == 404
    recent = await grid.data("/v1/jobs/list")
    assert [job["imgID"] for job in recent["jobs"]] == [second["imgID"]]
    assert len(files(grid, record["id"])) == 1
    assert await remove(grid, f"{path}/{first['imgID']}") == 404
    # Without its last result a project has nothing to show.
    assert await remove(grid, f"{path}/{second['imgID']}") == 200
    assert (await grid.data("/v1/projects"))["projects"] == []


async def test_what_has_not_ended_is_canceled_first(grid: Grid) -> None:
    app = await grid.app()
    await grid.worker()
    project = await app.request()
    await app.wait_state("queued", jobID=project)
    assert await remove(grid, f"/v1/projects/{project}") == 400
    assert await listed(grid, project)


async def test_the_room_of_removed_files_is_free_again(make_grid: MakeGrid) -> None:
    async with make_grid(max_kept_bytes=2 * SIZE) as grid:
        app, worker, project = await grid.app(), await grid.worker(), new_id()
        await upload(grid, project)  # as large as a result
        await app.request(project, hasStartingImage=True, strength=0.5)
        await worker.finish(await worker.assigned(), data=PNG)
        await app.wait_state("jobCompleted", jobID=project)
        assert (await app.wait_for("jobError", jobID=await app.request()))["error"] == 429
        assert await remove(grid, f"/v1/projects/{project}") == 200
        assert files(grid, project) == []
        again = await app.request()
        await app.wait_state("queued", jobID=again)


async def canceled_with_input(grid: Grid, app: App) -> str:
    """A project that was canceled before anybody began, and left its input behind; its id."""
    project = new_id()
    await upload(grid, project)
    await app.request(project, hasStartingImage=True, strength=0.5)
    await app.wait_state("queued", jobID=project)
    await app.cancel(project)
    return project


async def test_two_who_remove_the_same_project_free_its_room_once(make_grid: MakeGrid) -> None:
    async with make_grid(max_kept_bytes=2 * SIZE) as grid:
        app, worker = await grid.app(), await grid.worker()
        first = await deliver(grid, app, worker)
        await deliver(grid, app, worker)
        path = f"/v1/projects/{first}"
        statuses = await asyncio.gather(*(remove(grid, path) for _ in range(3)))
        assert sorted(statuses) == [200, 404, 404]
        await deliver(grid, app, worker)
        assert (await app.wait_for("jobError", jobID=await app.request()))["error"] == 429


async def test_what_was_never_counted_frees_no_room(make_grid: MakeGrid) -> None:
    async with make_grid(max_kept_bytes=2 * SIZE) as grid:
        app = await grid.app()
        project = await canceled_with_input(grid, app)
        worker = await grid.worker()
        await deliver(grid, app, worker)
        await deliver(grid, app, worker)
        assert await remove(grid, f"/v1/projects/{project}") == 200
        assert (await app.wait_for("jobError", jobID=await app.request()))["error"] == 429


async def test_the_removed_inputs_of_a_canceled_project_wait_for_no_other(
    make_grid: MakeGrid,
) -> None:
    async with make_grid(max_unclaimed_uploads=1) as grid:
        project = await canceled_with_input(grid, await grid.app())
        assert (await link(grid, new_id()))[0] == 429
        assert await remove(grid, f"/v1/projects/{project}") == 200
        assert files(grid, project) == []
        assert (await link(grid, new_id()))[0] == 200


async def test_the_last_results_take_their_project_and_its_inputs_with_them(grid: Grid) -> None:
    app, worker, project = await grid.app(), await grid.worker(), new_id()
    await upload(grid, project)
    record = await made(
        grid, app, worker, 2, project_id=project, hasStartingImage=True, strength=0.5
    )
    assert len(files(grid, project)) == 3
    jobs = [job["imgID"] for job in record["completedWorkerJobs"]]
    paths = [f"/v1/projects/{project}/jobs/{job}" for job in jobs]
    # At the same time, so each finds the other's result still there when it is asked.
    assert await asyncio.gather(*(remove(grid, path) for path in paths)) == [200, 200]
    assert files(grid, project) == []
    assert (await grid.get(f"/v1/projects/{project}"))[0] == 404


def test_everything_of_a_project_lies_in_folders_of_its_own() -> None:
    assert folders_of_project("A", "P") == ("inputs/A/P", "results/P", "previews/P")


@pytest.mark.parametrize("path", ["/v1/projects/X", "/v1/projects/X/jobs/Y"])
async def test_what_is_no_id_is_refused(grid: Grid, path: str) -> None:
    assert await remove(grid, path) == 400
