"""What takes too long: renders that never end, and jobs that nobody takes."""

import json
from pathlib import Path

import pytest

from dreamgrid.errors import ConfigError
from dreamgrid.protocol.worker import Cancel, Heartbeat, Settled
from dreamgrid.server.catalog import Catalog
from dreamgrid.server.config import ServerConfig
from dreamgrid.server.run_limits import RunLimits
from dreamgrid.server.speeds import Speeds
from tests.server.conftest import MakeGrid
from tests.support.grid import LEASE_S, Grid
from tests.support.live import live_project
from tests.support.wire import PNG, finished

LONGEST_S = 20.0
assert LONGEST_S < LEASE_S, "so that no worker counts as silent here"


async def test_a_worker_that_lives_but_never_ends_loses_its_job_to_another(
    make_grid: MakeGrid,
) -> None:
    async with make_grid(min_run_s=1.0, max_run_s=LONGEST_S) as grid:
        app, stuck = await grid.app(), await grid.worker("stuck")
        project = await app.request()
        job = await stuck.assigned()
        await stuck.start(job)
        await stuck.fence()
        grid.clock.advance(LONGEST_S - 1)
        await stuck.send(Heartbeat())
        await grid.ticked()
        assert "jobRetry" not in app.told(project)
        good = await grid.worker("good")
        grid.clock.advance(2)
        await stuck.send(Heartbeat())

        told = await stuck.expect(Cancel)
        assert (told.job_id, told.attempt) == (job.job_id, 1)
        again = await good.assigned()
        assert (again.job_id, again.attempt) == (job.job_id, 2)
        retry = next(frame for frame in app.about(project) if frame.type == "jobRetry")
        assert (retry["error"], retry["isFromWorker"]) == ("jobTimedOut", False)
        assert f"{LONGEST_S:.0f} s" in retry["error_message"]

        await stuck.upload_late(job)
        await stuck.send(finished(job.job_id, 1, PNG))
        assert not (await stuck.expect(Settled)).accepted
        await good.finish(again)
        await app.wait_state("jobCompleted", jobID=project)


async def test_a_worker_that_never_begins_loses_its_job_too(make_grid: MakeGrid) -> None:
    async with make_grid(min_run_s=1.0, max_run_s=LONGEST_S) as grid:
        app, stuck = await grid.app(), await grid.worker("stuck")
        project = await app.request()
        job = await stuck.assigned()
        good = await grid.worker("good")  # before the first could be given it once more
        grid.clock.advance(LONGEST_S + 1)
        assert (await good.assigned()).job_id == job.job_id
        retry = next(frame for frame in app.about(project) if frame.type == "jobRetry")
        assert "to begin" in retry["error_message"]


async def test_a_job_that_no_worker_ever_ends_fails_with_the_reason_and_costs_nothing(
    make_grid: MakeGrid,
) -> None:
    async with make_grid(min_run_s=1.0, max_run_s=LONGEST_S) as grid:
        app, stuck = await grid.app(), await grid.worker("stuck")
        project = await app.request()
        for attempt in (1, 2, 3):
            assert (await stuck.assigned()).attempt == attempt
            grid.clock.advance(LONGEST_S + 1)
            await stuck.send(Heartbeat())
            await stuck.expect(Cancel)
        end = await app.wait_until(lambda f: f.type == "jobError" and "imgID" not in f.payload, "")
        assert (end["error"], end["isFromWorker"]) == ("jobTimedOut", False)
        assert (await grid.record(project))["reason"] == "jobTimedOut"
        assert (await grid.spark())["net"] == "1000.000000"


async def test_a_render_may_take_a_multiple_of_what_was_measured(make_grid: MakeGrid) -> None:
    async with make_grid(run_factor=4.0, min_run_s=1.0, max_run_s=LONGEST_S) as grid:
        app, worker = await grid.app(), await grid.worker()
        await app.request()
        job = await worker.assigned()
        await worker.start(job)
        await worker.fence()
        grid.clock.advance(0.4)  # the report says 0.1 s, as it may of so much
        await worker.finish(job)
        await app.wait_for("jobResult")

        project = await app.request()
        job = await worker.assigned()
        await worker.start(job)
        await worker.fence()
        grid.clock.advance(1.5)
        await app.wait_state("jobStarted", jobID=project)
        await grid.ticked()
        retry = await app.wait_for("jobRetry", jobID=project)
        assert "1 s after" in retry["error_message"]


def limits(speeds: Speeds, **settings: float) -> RunLimits:
    config = ServerConfig(data_dir=None, **settings)  # type: ignore[arg-type]
    return RunLimits(config, Catalog.load(()), speeds)


def test_a_slow_worker_is_measured_by_itself() -> None:
    (job,) = live_project(model="m").jobs
    job.price_micros, job.worker_id = 1_000_000, "slow"
    speeds = Speeds()
    bounds = limits(speeds, run_factor=10, min_run_s=60, max_run_s=3_600)
    assert bounds.run_s(job) == 3_600  # nothing is known
    for _ in range(50):
        speeds.observe("fast", "m", work_s=5.0, took_s=20.0)
    assert bounds.run_s(job) == pytest.approx(200.0)
    speeds.observe("slow", "m", work_s=5.0, took_s=80.0)
    assert bounds.run_s(job) == pytest.approx(800.0)
    job.worker_id = "fast"
    assert bounds.run_s(job) == pytest.approx(200.0)
    assert limits(speeds, min_run_s=300).run_s(job) == 300
    assert limits(speeds, min_run_s=60, max_run_s=100).run_s(job) == 100


def test_a_tier_may_say_how_long_its_renders_may_take(tmp_path: Path) -> None:
    file = tmp_path / "m.json"
    size = {"width": 64, "height": 64, "min": 1, "max": 64, "maxPixels": 64**2}
    spec = {"id": "m", "name": "M", "SID": 7, "tier": "t", "media": "image", "size": size}
    steps = {"min": 1, "max": 9, "default": 4}
    tier = {"type": "image", "benchmark": {"sec": 1}, "steps": steps, "maxRunSeconds": 900}
    file.write_text(json.dumps({"models": [spec], "tiers": {"t": tier}}))
    config = ServerConfig(data_dir=tmp_path, max_run_s=100)
    bounds = RunLimits(config, Catalog.load([file]), Speeds())
    assert bounds.longest_s(live_project(model="m").jobs[0]) == 900
    assert bounds.longest_s(live_project(model="another").jobs[0]) == 100


@pytest.mark.parametrize(
    "wrong", [{"run_factor": 0.5}, {"min_run_s": 0}, {"max_run_s": 1}, {"max_queue_s": -1}]
)
def test_limits_that_make_no_sense_are_refused(tmp_path: Path, wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        ServerConfig(data_dir=tmp_path, **wrong).validate()  # type: ignore[arg-type]


# ── jobs that nobody takes ───────────────────────────────────────────────────────────────────────


async def test_what_waited_for_too_long_fails_with_the_reason_and_costs_nothing(
    make_grid: MakeGrid,
) -> None:
    async with make_grid(max_queue_s=60.0) as grid:
        app = await grid.app()
        old = await app.request(numberOfImages=2)
        await app.wait_state("queued", jobID=old)
        grid.clock.advance(40)
        young = await app.request()
        await app.wait_state("queued", jobID=young)
        grid.clock.advance(21)
        end = await app.wait_until(lambda f: f.type == "jobError" and "imgID" not in f.payload, "")
        assert (end["jobID"], end["error"], end["isFromWorker"]) == (old, "queueTimedOut", False)
        assert "60 s" in end["error_message"]
        assert (await grid.record(old))["reason"] == "queueTimedOut"
        worker = await grid.worker()
        job = await worker.assigned()
        assert job.project_id == young
        await worker.finish(job)
        await app.wait_state("jobCompleted", jobID=young)
        assert app.told(old)[-3:] == ["jobError"] * 3


async def test_what_was_delivered_in_time_stays_delivered(make_grid: MakeGrid) -> None:
    async with make_grid(max_queue_s=60.0) as grid:
        app, worker = await grid.app(), await grid.worker()
        project = await app.request(numberOfImages=2)
        await worker.finish(await worker.assigned())
        await worker.assigned()  # on a worker nothing waits
        grid.clock.advance(25)
        await worker.drop()
        await grid.without_workers()
        grid.clock.advance(59)  # the lease ends, and the job waits from now on
        await app.wait_for("jobRetry")
        await grid.ticked()
        assert app.told(project)[-1] != "jobCompleted"
        grid.clock.advance(61)
        await app.wait_state("jobCompleted", jobID=project)
        assert app.told(project)[-2:] == ["jobError", "jobCompleted"]


async def test_without_such_a_limit_a_project_waits_as_long_as_it_takes(grid: Grid) -> None:
    app = await grid.app()
    project = await app.request()
    await app.wait_state("queued", jobID=project)
    grid.clock.advance(5 * 24 * 60 * 60)
    await grid.ticked()
    worker = await grid.worker()
    assert (await worker.assigned()).project_id == project
