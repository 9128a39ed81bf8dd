"""What machines ask a server: is it there, can it take work, and how is it."""

import asyncio
import sys

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dreamgrid.protocol.params import TokenType
from dreamgrid.server import readiness, upkeep
from dreamgrid.server.store.base import Balance
from dreamgrid.server.store.sqlite import SqliteStore
from tests.server.conftest import MakeGrid
from tests.support.grid import Grid
from tests.support.wire import PNG

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def measured(grid: Grid) -> Samples:
    """Every sample that the server tells."""
    bearer = {"Authorization": f"Bearer {grid.key}"}
    async with grid.http.get(f"{grid.url}/metrics", headers=bearer) as answer:
        assert (answer.status, answer.content_type) == (200, "text/plain")
        text = await answer.text()
    return {
        (sample.name.removeprefix("dreamgrid_"), frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(samples: Samples, name: str, **labels: str) -> float:
    """One sample; 0 where there is none."""
    return samples.get((name, frozenset(labels.items())), 0.0)


async def test_every_part_of_a_jobs_life_is_counted(make_grid: MakeGrid) -> None:
    async with make_grid() as grid:
        app, worker = await grid.app(), await grid.worker()
        project = await app.request()
        job = await worker.assigned()
        grid.clock.advance(2)
        await worker.start(job)
        await app.wait_for("jobState", type="jobStarted")
        grid.clock.advance(3)
        await worker.finish(job)
        await app.wait_state("jobCompleted", jobID=project)
        samples = await measured(grid)
    took = {
        stage: (
            of(samples, "stage_seconds_count", stage=stage),
            of(samples, "stage_seconds_sum", stage=stage),
        )
        for stage in ("submit", "wait", "assign", "render", "upload", "settle")
    }
    assert {count for count, _ in took.values()} == {1.0}
    assert took["assign"][1] == pytest.approx(2, abs=0.01)
    assert took["render"][1] + took["upload"][1] == pytest.approx(3, abs=0.01)
    assert of(samples, "jobs_ended_total", model="pattern-v1", state="completed") == 1
    assert of(samples, "model_loads_total", model="pattern-v1") == 1
    assert of(samples, "delivered_bytes_total") == len(PNG)
    assert of(samples, "uploads_total", outcome="stored") == 1
    rendered = of(samples, "render_seconds_total", network="fast", model="pattern-v1")
    assert rendered == took["render"][1]
    assert of(samples, "workers", network="fast", state="active") == 1
    assert of(samples, "slots", network="fast", state="free") == 1
    assert of(samples, "event_loop_lag_seconds_count") >= 0
    assert of(samples, "store_writes_waiting") == of(samples, "unstored_changes") == 0
    assert of(samples, "process_cpu_seconds_total") > 0


async def test_what_waits_is_counted_by_what_it_waits_for(
    make_grid: MakeGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "POSITIONS_EVERY_S", 0.01)
    async with make_grid() as grid:
        app = await grid.app()
        project = await app.request(numberOfImages=2)
        await app.wait_state("queued", jobID=project)
        grid.clock.advance(7)
        async with asyncio.timeout(60):
            while not of(samples := await measured(grid), "waiting_jobs", **_ROOM):
                pass
        assert of(samples, "waiting_jobs", **_ROOM) == 2
        waits = {"standing": "waiting", "reason": "worker_away"}
        assert of(samples, "waiting_projects", **waits) == 1
        assert of(samples, "oldest_wait_seconds") == pytest.approx(7, abs=0.01)


_ROOM = {"network": "fast", "model": "pattern-v1"}


async def test_failures_are_counted_by_words_that_are_known(make_grid: MakeGrid) -> None:
    async with make_grid() as grid:
        app, worker = await grid.app(), await grid.worker()
        await app.request()
        await worker.fail(await worker.assigned())
        await app.wait_for("jobRetry")
        samples = await measured(grid)
    counted = {name: value for name, value in samples.items() if name[0].startswith("attempts_")}
    assert sum(counted.values()) == 1


async def test_metrics_are_for_administrators(make_grid: MakeGrid) -> None:
    async with make_grid() as grid:
        other = await grid.account("ann")
        assert (await grid.get("/metrics", key=other))[0] == 403
        assert (await grid.get("/metrics", key=""))[0] == 401


async def test_without_the_library_the_answer_says_how_to_get_it(
    make_grid: MakeGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with make_grid() as grid:
        monkeypatch.setitem(sys.modules, "prometheus_client", None)
        status, said = await grid.get("/metrics")
    assert (status, ".[metrics]" in said["message"]) == (501, True)


async def test_a_server_is_ready_while_its_database_writes(
    make_grid: MakeGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "GOOD_FOR_S", 0.0)
    async with make_grid() as grid:
        assert await grid.get("/readyz", key="") == (200, {"status": "ready"})
        grid.store.break_down()
        status, said = await grid.get("/readyz", key="")
        assert (status, said["message"]) == (503, "not ready: the database does not answer")
        grid.store.recover()
        assert (await grid.get("/readyz", key=""))[0] == 200
        await grid.store.hold()
        with monkeypatch.context() as patch:
            patch.setattr(readiness, "ANSWER_S", 0.01)
            assert (await grid.get("/readyz", key=""))[0] == 503
            assert of(await measured(grid), "ledger_lag_seconds") > 0
        assert (await grid.get("/healthz", key=""))[0] == 200
        grid.store.release()
        assert (await grid.get("/readyz", key=""))[0] == 200


async def test_many_who_ask_are_one_question(
    make_grid: MakeGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "GOOD_FOR_S", 3_600.0)
    asked: list[str] = []
    balances = SqliteStore.balances

    def counted(store: SqliteStore, account_id: str) -> "asyncio.Future[dict[TokenType, Balance]]":
        asked.append(account_id)
        return balances(store, account_id)

    async with make_grid() as grid:
        monkeypatch.setattr(SqliteStore, "balances", counted)
        answers = await asyncio.gather(*(grid.get("/readyz", key="") for _ in range(20)))
    assert {status for status, _ in answers} == {200}
    assert asked.count("mint") == 1


async def test_a_server_that_stops_is_not_ready() -> None:
    ready = readiness.Readiness(Nobody(), Nobody(), Stopping())  # type: ignore[arg-type]
    assert await ready.missing() == ["the server is stopping"]


class Nobody:
    """Is not asked."""


class Stopping:
    accepting = False
