"""How long renders will still take: told at most once a second, and again in long steps."""

from dreamgrid.protocol.worker import Assign, Progress
from tests.support.grid import Grid
from tests.support.wire import App, Worker


async def step(worker: Worker, job: Assign, number: int, eta_s: float) -> None:
    progress = Progress(
        job_id=job.job_id, attempt=job.attempt, step=number, step_count=9, eta_s=eta_s
    )
    await worker.send(progress)
    await worker.fence()


def told(app: App) -> list[float]:
    return [frame["etaSeconds"] for frame in app.frames if frame.type == "jobETA"]


async def test_an_app_hears_how_long_its_render_will_take(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    job = await worker.assigned()
    await worker.start(job)
    await step(worker, job, 1, 90.0)
    frame = await app.wait_for("jobETA", jobID=project)
    assert (frame["imgID"], frame["etaSeconds"]) == (job.job_id, 90.0)


async def test_it_is_told_at_most_once_a_second(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    await app.request()
    job = await worker.assigned()
    await worker.start(job)
    await step(worker, job, 1, 90.0)
    await step(worker, job, 2, 80.0)
    grid.clock.advance(1.1)
    await step(worker, job, 3, 70.0)
    await app.fence()
    assert told(app) == [90.0, 70.0]


async def test_in_a_long_step_it_is_told_again_and_never_after_the_end(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    job = await worker.assigned()
    await worker.start(job)
    await step(worker, job, 1, 90.0)
    await app.wait_for("jobETA")
    grid.clock.advance(21)
    await worker.fence()  # it lives
    await grid.ticked()
    frame = await app.wait_for("jobETA")
    assert frame["etaSeconds"] == 69.0
    await worker.finish(job)
    await app.wait_state("jobCompleted", jobID=project)
    grid.clock.advance(21)
    await grid.ticked()
    await app.fence()
    assert len(told(app)) == 2


async def test_nobody_is_told_more_time_than_the_render_may_take(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    job = await worker.assigned()
    await worker.start(job)
    await step(worker, job, 1, 7 * 24 * 3600.0)
    frame = await app.wait_for("jobETA", jobID=project)
    assert 7_000.0 <= frame["etaSeconds"] <= 7_200.0
