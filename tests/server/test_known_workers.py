"""Projects for models that nobody offers are refused; where a worker is only away, they wait."""

from typing import Any

from tests.server.conftest import MakeGrid
from tests.support.grid import Grid
from tests.support.wire import App

NOT_SERVED = 4104
WEEK_S = 7 * 24 * 3600


async def refusal(app: App, **fields: Any) -> str:
    """Why the server refuses a project that no worker can render."""
    project = await app.request(**fields)
    frame = await app.wait_for("jobError", jobID=project)
    assert frame["error"] == NOT_SERVED
    assert app.told(project) == ["jobError"]
    return str(frame["error_message"])


async def test_a_model_that_nobody_ever_offered_is_refused_at_once(make_grid: MakeGrid) -> None:
    async with make_grid(known_models=()) as grid:
        app = await grid.app()
        before = await grid.spark()
        said = await refusal(app)
        assert "dreamgrid work --model pattern-v1" in said
        assert await grid.spark() == before


async def test_the_refusal_names_the_models_that_have_a_worker(make_grid: MakeGrid) -> None:
    async with make_grid(known_models=()) as grid:
        app = await grid.app()
        await grid.worker(models=("dreamlet-v1",))
        assert "dreamlet-v1" in await refusal(app)
        assert "dreamlet-v1" not in await refusal(app, network="relaxed")


async def test_each_network_has_workers_of_its_own(make_grid: MakeGrid) -> None:
    async with make_grid(known_models=()) as grid:
        app = await grid.app()
        await grid.worker(network="relaxed")
        assert "network fast" in await refusal(app)
        project = await app.request(network="relaxed")
        await app.wait_state("initiatingModel", jobID=project)


async def test_a_model_can_be_asked_for_as_soon_as_its_worker_came(make_grid: MakeGrid) -> None:
    async with make_grid(known_models=()) as grid:
        app = await grid.app()
        await refusal(app)
        worker = await grid.worker()
        project = await app.request()
        assert (await worker.assigned()).project_id == project


async def test_a_worker_that_left_is_waited_for(make_grid: MakeGrid) -> None:
    async with make_grid(known_models=()) as grid:
        app, worker = await grid.app(), await grid.worker()
        await worker.leave()
        await grid.without_workers()
        project = await app.request()
        assert (await app.wait_state("queued", jobID=project))["queueStatus"] == "no-workers"


async def test_a_restarted_server_still_knows_who_was_here(make_grid: MakeGrid) -> None:
    async with make_grid(known_models=()) as grid:
        await grid.worker()
        await grid.restart()
        app = await grid.app()
        project = await app.request()
        assert (await app.wait_state("queued", jobID=project))["queueStatus"] == "no-workers"


async def test_a_worker_that_does_not_come_back_is_forgotten(make_grid: MakeGrid) -> None:
    async with make_grid(known_models=()) as grid:
        worker = await grid.worker()
        await worker.leave()
        await grid.without_workers()
        grid.clock.advance(WEEK_S - 1)
        app = await grid.app()
        await app.wait_state("queued", jobID=await app.request())
        grid.clock.advance(2)
        await refusal(app)
        await grid.restart()
        await refusal(await grid.app("other"))


async def test_a_worker_is_known_from_when_it_was_last_here(make_grid: MakeGrid) -> None:
    async with make_grid(known_models=(), worker_known_s=100) as grid:
        worker = await grid.worker()
        grid.clock.advance(20)
        await worker.leave()
        await grid.without_workers()
        grid.clock.advance(99)
        await grid.restart()
        app = await grid.app()
        await app.wait_state("queued", jobID=await app.request())


async def test_what_waits_is_not_refused_when_its_worker_is_forgotten(grid: Grid) -> None:
    app = await grid.app()
    project = await app.request()
    await app.wait_state("queued", jobID=project)
    grid.clock.advance(WEEK_S + 1)
    await grid.restart()
    worker = await grid.worker()
    assert (await worker.assigned()).project_id == project
