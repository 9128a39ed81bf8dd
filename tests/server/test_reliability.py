"""Workers that fail at everything do not get everything."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamgrid.protocol.failures import WORKER_DISCONNECTED
from dreamgrid.protocol.worker import Assign, Cancel, Failed, Heartbeat, RunningJob, Settled
from dreamgrid.server.reliability import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    LOWEST_RATE,
    MAX_WORKERS,
    PAUSED_AFTER,
    Reliability,
)
from tests.server.conftest import MakeGrid
from tests.support.grid import LEASE_S, Grid
from tests.support.wire import App, Worker


def fail_in_a_row(reliability: Reliability, times: int, *, now_s: float = 0.0) -> float:
    """Fails at so many different jobs; the pause that the last failure brings."""
    pauses = [reliability.failed("w", f"job {number}", now_s) for number in range(times)]
    return pauses[-1]


def test_a_worker_is_paused_after_failures_in_a_row() -> None:
    reliability = Reliability()
    assert fail_in_a_row(reliability, PAUSED_AFTER - 1) == 0
    assert not reliability.paused("w", 0.0)
    assert reliability.failed("w", "one more", 0.0) == FIRST_PAUSE_S
    assert reliability.paused("w", FIRST_PAUSE_S - 1)
    assert not reliability.paused("w", FIRST_PAUSE_S)
    assert not reliability.paused("another", 0.0)


def test_a_delivery_in_between_forgives_all() -> None:
    reliability = Reliability()
    for _ in range(3):
        fail_in_a_row(reliability, PAUSED_AFTER - 1)
        reliability.delivered("w")
    assert not reliability.paused("w", 0.0)


def test_one_job_that_nobody_can_render_pauses_nobody() -> None:
    reliability = Reliability()
    for _ in range(50):
        assert reliability.failed("w", "the same", 0.0) == 0


def test_who_was_only_cut_off_is_not_paused_for_that() -> None:
    reliability = Reliability()
    for n in range(PAUSED_AFTER):
        reliability.failed("w", f"cut {n}", 0.0, WORKER_DISCONNECTED)
    assert reliability.paused("w", 1.0)
    rate = reliability.rate("w")
    reliability.came_back("w")
    assert not reliability.paused("w", 1.0)
    assert reliability.rate("w") == rate < 1.0
    assert fail_in_a_row(reliability, PAUSED_AFTER - 1) == 0


def test_who_also_failed_at_job_after_job_stays_paused() -> None:
    reliability = Reliability()
    assert fail_in_a_row(reliability, PAUSED_AFTER) > 0
    reliability.failed("w", "cut", 0.0, WORKER_DISCONNECTED)
    reliability.came_back("w")
    assert reliability.paused("w", 1.0)
    reliability.came_back("nobody")


def test_pauses_become_longer_and_not_too_long() -> None:
    reliability, now_s, pauses = Reliability(), 0.0, []
    fail_in_a_row(reliability, PAUSED_AFTER)
    for number in range(1_500):
        now_s += LONGEST_PAUSE_S
        pauses.append(reliability.failed("w", f"later {number}", now_s))
    assert pauses[:3] == [2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S, 8 * FIRST_PAUSE_S]
    assert set(pauses[4:]) == {LONGEST_PAUSE_S}


def test_failures_during_a_pause_do_not_make_it_longer() -> None:
    reliability = Reliability()
    fail_in_a_row(reliability, PAUSED_AFTER)
    assert fail_in_a_row(reliability, 20, now_s=1.0) == 0
    assert not reliability.paused("w", FIRST_PAUSE_S)


def test_memory_does_not_grow_with_the_number_of_workers() -> None:
    reliability = Reliability()
    for number in range(MAX_WORKERS + 10):
        reliability.failed(f"w{number}", "job", 0.0)
    assert len(reliability._stories) == MAX_WORKERS


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.floats(0, 5_000)), max_size=60))
def test_a_worker_that_delivers_is_never_paused_for_what_was_before(
    events: list[tuple[bool, int, float]],
) -> None:
    reliability, now_s = Reliability(), 0.0
    for delivers, job, later_s in events:
        now_s += later_s
        if delivers:
            reliability.delivered("w")
            assert not reliability.paused("w", now_s)
        else:
            pause_s = reliability.failed("w", str(job), now_s)
            assert 0 <= pause_s <= LONGEST_PAUSE_S
            assert pause_s == 0 or reliability.paused("w", now_s)


def test_the_delivery_rate_is_the_share_of_the_last_jobs_that_were_delivered() -> None:
    reliability, rates = Reliability(), []
    assert reliability.rate("w") == 1.0
    for number in range(300):
        if number % 4:
            reliability.delivered("w")
        else:
            reliability.failed("w", str(number), 1e9 * number)
        rates.append(reliability.rate("w"))
    assert sum(rates[100:]) / 200 == pytest.approx(0.75, abs=0.05)
    for number in range(1_000):
        reliability.failed("w", f"more {number}", 0.0)
    assert reliability.rate("w") == LOWEST_RATE


# ── in a server ──────────────────────────────────────────────────────────────────────────────────


async def crash_at_everything(app: App, worker: Worker) -> None:
    """Fails at one attempt of several jobs; needs a worker with `PAUSED_AFTER` slots."""
    for _ in range(PAUSED_AFTER):
        await app.request()
    for job in [await worker.assigned() for _ in range(PAUSED_AFTER)]:
        await worker.send(
            Failed(job_id=job.job_id, attempt=1, error="engine_crashed", message="it crashed")
        )


async def test_a_failed_job_goes_to_another_worker(grid: Grid) -> None:
    app, first = await grid.app(), await grid.worker("first", slots=2)
    project = await app.request()
    job = await first.assigned()
    second = await grid.worker("second")
    await first.fail(job)
    again = await second.assigned()
    assert (again.project_id, again.attempt) == (project, 2)
    await first.fence()


async def test_a_failed_job_comes_back_where_there_is_no_other_worker(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    await grid.worker("other", models=("dreamlet-v1",))
    await app.request()
    job = await worker.assigned()
    await worker.fail(job)
    assert (await worker.assigned()).job_id == job.job_id


async def test_a_worker_that_fails_at_everything_is_paused_and_tries_again(grid: Grid) -> None:
    app, bad = await grid.app(), await grid.worker("bad", slots=PAUSED_AFTER)
    await crash_at_everything(app, bad)
    waits = await app.wait_until(
        lambda frame: frame.short == "queued" and frame["queueStatus"] == "no-workers", "no workers"
    )
    assert "failed at job after job, and rests" in waits["waitingReason"]["message"]
    good = await grid.worker("good")
    assert (await good.assigned()).attempt > 1
    await app.wait_for("swarmModels", **{"pattern-v1": 1})
    grid.clock.advance(FIRST_PAUSE_S + 1)
    for worker in (bad, good):
        await worker.send(Heartbeat())
    await app.wait_for("swarmModels", **{"pattern-v1": 2})


async def test_a_new_connection_does_not_end_a_pause(grid: Grid) -> None:
    app, bad = await grid.app(), await grid.worker("bad", slots=PAUSED_AFTER)
    await crash_at_everything(app, bad)
    await app.wait_until(
        lambda frame: frame.short == "queued" and frame["queueStatus"] == "no-workers", "no workers"
    )
    back = await grid.worker("bad", slots=PAUSED_AFTER, worker_id=bad.hello.worker_id)
    await grid.ticked()
    seen = len(back.received)
    await grid.ticked()
    assert not any(isinstance(message, Assign) for message in back.received[:seen])


async def test_a_worker_whose_process_dies_again_and_again_is_paused_and_says_why(
    make_grid: MakeGrid,
) -> None:
    async with make_grid(max_attempts=1) as grid:
        app, worker = await grid.app(), await grid.worker()
        for _ in range(PAUSED_AFTER):
            await app.request()
            await worker.assigned()
            await worker.drop()
            await grid.without_workers()
            worker = await grid.worker(worker_id=worker.hello.worker_id)  # and knows nothing
            await worker.expect(Settled)
        (entry,) = (await grid.data("/v1/admin/workers"))["workers"]
    assert entry["state"] == "resting"
    assert "job after job" in entry["pausedReason"]
    assert "restart" in entry["pausedReason"]


async def test_a_worker_that_its_network_cuts_off_again_and_again_keeps_its_jobs(
    make_grid: MakeGrid,
) -> None:
    async with make_grid(max_attempts=2) as grid:
        app, worker = await grid.app(), await grid.worker()
        project = await app.request()
        for attempt in range(1, PAUSED_AFTER + 2):
            job = await worker.assigned()
            assert job.attempt == attempt
            await worker.start(job)
            await worker.fence()
            worker.ws._writer.transport.close()
            await grid.without_workers()
            grid.clock.advance(LEASE_S + 1)
            await app.wait_for("jobRetry", jobID=project)
            held = RunningJob(job_id=job.job_id, attempt=attempt)
            worker = await grid.worker(worker_id=worker.hello.worker_id, running=(held,))
            await worker.expect(Cancel)
        await worker.finish(await worker.assigned())
        await app.wait_state("jobCompleted", jobID=project)


async def test_one_breakdown_counts_once_however_many_jobs_it_took_along(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker(slots=2 * PAUSED_AFTER)
    for _ in range(2 * PAUSED_AFTER):
        await app.request()
        await worker.assigned()
    await worker.drop()
    await grid.without_workers()
    grid.clock.advance(LEASE_S + 1)
    for _ in range(2 * PAUSED_AFTER):
        await app.wait_for("jobRetry")
    back = await grid.worker(worker_id=worker.hello.worker_id)
    await back.assigned()


@pytest.mark.parametrize("fault", ["the job's", "the size's"])
async def test_what_is_not_its_fault_is_not_held_against_a_worker(
    make_grid: MakeGrid, fault: str
) -> None:
    async with make_grid(max_attempts=1 if fault == "the size's" else 3) as grid:
        app, worker = await grid.app(), await grid.worker()
        for _ in range(2 * PAUSED_AFTER):
            await app.request()
            job = await worker.assigned()
            await worker.fail(job, retryable=fault == "the size's")  # out of memory
        await app.request()
        await worker.assigned()
