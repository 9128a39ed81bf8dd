"""The list of recent jobs, and what records of projects hold."""

from typing import Any

import msgspec
import pytest

from tests.support.grid import Grid
from tests.support.wire import App, Worker

DAY_MS = 24 * 60 * 60 * 1000


async def rendered(grid: Grid, app: App, worker: Worker, **fields: Any) -> str:
    """A project of one picture, a second later than what was before."""
    grid.clock.advance(1)
    project = await app.request(**fields)
    await worker.finish(await worker.assigned())
    await app.wait_state("jobCompleted", jobID=project)
    return project


def now_ms(grid: Grid) -> int:
    return int(grid.clock() * 1000)


async def test_recent_jobs_come_newest_first_with_their_projects(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    first = await rendered(grid, app, worker, appSource="one")
    second = await rendered(grid, app, worker, appSource="two")
    jobs = (await grid.data("/v1/jobs/list?role=artist&state=completed&mediaOnly=true"))["jobs"]
    assert [job["parentRequest"]["id"] for job in jobs] == [second, first]
    assert jobs[1]["parentRequest"] == {
        "id": first,
        "model": {"id": "pattern-v1", "name": "Test pattern", "type": "image"},
        "appSource": "one",
    }
    assert jobs[1]["status"] == "jobCompleted"
    assert jobs[0]["endTime"] == now_ms(grid)
    assert jobs[0]["endTime"] > jobs[1]["endTime"]


async def test_recent_jobs_are_chosen_by_time_label_and_number(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    first = await rendered(grid, app, worker, appSource="one")
    between = now_ms(grid) + 1
    second = await rendered(grid, app, worker)

    async def ids(query: str) -> list[str]:
        found = await grid.data(f"/v1/jobs/list?{query}")
        return [job["parentRequest"]["id"] for job in found["jobs"]]

    assert await ids(f"since={between}") == [second]
    assert await ids(f"since={between}.5") == [second]
    assert await ids("appSource=one") == [first]
    assert await ids("appSource=none") == []
    assert await ids("limit=1") == [second]
    grid.clock.advance(8 * DAY_MS / 1000)
    assert await ids("limit=100") == []


async def test_jobs_of_others_are_not_listed(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    await rendered(grid, app, worker)
    bob = await grid.account("bob")
    assert (await grid.data("/v1/jobs/list", key=bob))["jobs"] == []
    mine = (await grid.data("/v1/account/me"))["walletAddress"]
    assert len((await grid.data(f"/v1/jobs/list?address={mine.lower()}"))["jobs"]) == 1
    status, body = await grid.get(f"/v1/jobs/list?address={mine}", key=bob)
    assert (status, body["status"]) == (403, "error")


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "role=worker", "state=all"])
async def test_a_wrong_list_is_refused(grid: Grid, query: str) -> None:
    status, body = await grid.get(f"/v1/jobs/list?{query}")
    assert (status, body["status"]) == (400, "error")
    assert query.partition("=")[0] in body["message"]


async def test_the_list_goes_back_seven_days_by_the_clock_of_the_client(grid: Grid) -> None:
    week = now_ms(grid) - 7 * DAY_MS
    assert (await grid.get(f"/v1/jobs/list?since={week - 5_000}"))[0] == 200
    status, body = await grid.get(f"/v1/jobs/list?since={week - DAY_MS}")
    assert (status, "seven days" in body["message"]) == (400, True)


async def test_a_record_has_every_field_that_clients_read(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await rendered(grid, app, worker, appSource="shop", tokenType="spark")
    record = await grid.record(project)
    assert record["artist"]["username"] == "local"
    assert record["artist"]["address"].startswith("0x")
    assert record["appSource"] == "shop"
    assert record["model"] == {
        "id": "pattern-v1",
        "name": "Test pattern",
        "type": "image",
        "SID": 1002,
    }
    expected = record["costEstimate"]["quote"]["project"]["costInToken"]
    assert float(expected) == float(record["costActual"]["costInToken"]) > 0
    (job,) = record["completedWorkerJobs"]
    assert isinstance(record["SID"], int)
    assert isinstance(job["SID"], str)
    assert job["worker"]["name"] == job["worker"]["username"] == "w1"
    assert (record["hasGuideImage"], record["denoiseStrength"]) == (False, "0")
    assert (record["txId"], job["txId"], job["network"]) == ("", "", "fast")
    live = await grid.live(project)
    assert set(live) == set(record)
    assert msgspec.json.encode(live["artist"]) == msgspec.json.encode(record["artist"])


async def test_a_parameter_that_is_there_twice_is_refused(grid: Grid) -> None:
    status, body = await grid.get("/v1/jobs/list?limit=1&limit=2&other=1&other=2")
    assert (status, "'limit'" in body["message"]) == (400, True)
