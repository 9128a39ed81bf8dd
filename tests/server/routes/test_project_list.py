"""The list of all projects of an account, as a gallery wants it."""

from typing import Any

from tests.support.grid import Grid
from tests.support.wire import App, Worker


async def rendered(grid: Grid, app: App, worker: Worker, **fields: Any) -> str:
    """A project of one picture, a second later than what was before."""
    grid.clock.advance(1)
    project = await app.request(**fields)
    await worker.finish(await worker.assigned())
    await app.wait_state("jobCompleted", jobID=project)
    return project


async def pages(grid: Grid, limit: int) -> list[list[str]]:
    """The ids of every page, as somebody who follows `next` sees them."""
    found, query = [], f"limit={limit}"
    while True:
        page = await grid.data(f"/v1/projects?{query}")
        found.append([record["id"] for record in page["projects"]])
        if page["next"] is None:
            return found
        query = f"limit={limit}&before={page['next']}"


async def test_projects_come_newest_first_and_those_that_run_before_all(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    ended = [await rendered(grid, app, worker) for _ in range(3)]
    await worker.leave()
    running = await app.request()
    await app.wait_state("queued", jobID=running)
    assert await pages(grid, 10) == [[running, *ended[::-1]]]
    page = await grid.data("/v1/projects")
    assert [record["status"] for record in page["projects"]] == ["queued"] + 3 * ["completed"]
    assert page["mediaKeptS"] == grid.config.media_kept_s


async def test_pages_follow_each_other_without_gaps_even_within_one_moment(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    made = []
    for _ in range(5):
        made.append(await app.request())
        await worker.finish(await worker.assigned())
        await app.wait_state("jobCompleted", jobID=made[-1])
    found = await pages(grid, 2)
    assert [len(page) for page in found] == [2, 2, 1]
    assert sorted(project for page in found for project in page) == sorted(made)


async def test_results_have_links_as_long_as_their_files_are_kept(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    await rendered(grid, app, worker)
    (record,) = (await grid.data("/v1/projects"))["projects"]
    async with grid.http.get(record["completedWorkerJobs"][0]["resultUrl"]) as answer:
        assert (answer.status, answer.content_type) == (200, "image/png")
    grid.clock.advance(grid.config.media_kept_s + 1)
    for record in (await grid.data("/v1/projects"))["projects"]:
        assert record["completedWorkerJobs"][0]["resultUrl"] is None


async def test_everybody_sees_their_own_projects_only(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await rendered(grid, app, worker)
    bob = await grid.account("bob")
    assert (await grid.data("/v1/projects", key=bob))["projects"] == []
    beyond = await grid.data(f"/v1/projects?before={project}", key=bob)
    assert beyond["projects"] == []


async def test_a_wrong_page_is_refused(grid: Grid) -> None:
    for query in ("limit=0", "limit=101", "before=x"):
        assert (await grid.get(f"/v1/projects?{query}"))[0] == 400
