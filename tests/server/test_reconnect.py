"""Apps that come and go: what is replayed, what waits for them, and requests sent twice."""

import asyncio
import base64
import json
from typing import Any

import pytest

from dreamgrid.server import upkeep
from dreamgrid.server.auth import Account
from dreamgrid.server.config import MICROS
from dreamgrid.server.live import LiveProject
from dreamgrid.server.open_projects import HEARD_AFTER_S, OpenProjects
from dreamgrid.server.recovery import Recovery
from dreamgrid.server.store.base import ProjectRow
from tests.server.conftest import MakeGrid
from tests.support.grid import Grid
from tests.support.wire import CANCELED, PNG, App, Frame, finished, job_request, new_id


async def greeting(app: App) -> Frame:
    """The first frame of a connection."""
    await app.fence()
    assert app.frames[0].type == "authenticated"
    return app.frames[0]


# ── in the middle of a project ───────────────────────────────────────────────────────────────────


async def test_an_app_that_comes_back_in_the_middle_is_told_where_its_project_stands(
    grid: Grid,
) -> None:
    """The trace of `socket.md` 9.10."""
    app, worker = await grid.app(), await grid.worker("w1", slots=2)
    project = await app.request(numberOfImages=3, seed=9)
    a, b = await worker.assigned(), await worker.assigned()
    await worker.start(a)
    await worker.progress(a, 1)
    await worker.fence()
    await app.drop()
    await worker.progress(a, 2)
    await worker.finish(b)
    c = await worker.assigned()

    back = await grid.app()
    (active,) = (await greeting(back))["activeProjects"]
    assert (active["id"], active["status"], active["imageCount"]) == (project, "progress", 3)
    assert active["model"]["id"] == "pattern-v1"
    assert json.loads(base64.b64decode(active["clientRequestData"]))["jobID"] == project
    assert [(job["imgID"], job["status"]) for job in active["workerJobs"]] == [
        (a.job_id, "jobProgress"),
        (c.job_id, "initiatingModel"),
    ]
    assert active["workerJobs"][0]["performedSteps"] == 2
    (done,) = active["completedWorkerJobs"]
    assert (done["imgID"], done["status"]) == (b.job_id, "jobCompleted")
    assert (await greeting(back))["unclaimedCompletedProjects"] == []

    replayed = [(frame.short, frame.payload.get("imgID")) for frame in back.about(project)]
    assert replayed == [
        ("jobStarted", a.job_id),
        ("jobProgress 2/4", a.job_id),
        ("jobResult", b.job_id),
        ("initiatingModel", c.job_id),
    ]
    result = next(frame for frame in back.about(project) if frame.type == "jobResult")
    async with grid.http.get(result["resultUrl"]) as picture:
        assert await picture.read() == PNG

    await worker.progress(a, 3)
    await worker.finish(a)
    await worker.finish(c)
    await back.wait_state("jobCompleted", jobID=project)
    assert back.told(project)[4:] == ["jobProgress 3/4", "jobResult", "jobResult", "jobCompleted"]


async def test_progress_of_a_failed_attempt_is_not_replayed(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    job = await worker.assigned()
    await worker.start(job)
    await worker.progress(job, 3)
    await worker.fail(job)
    await worker.start(await worker.assigned())
    await worker.fence()
    await app.drop()
    back = await grid.app()
    await back.fence()
    assert back.told(project) == ["jobStarted"]


async def test_a_waiting_project_is_replayed_with_its_place(grid: Grid) -> None:
    app = await grid.app()
    first, second = await app.request(), await app.request()
    await app.wait_state("queued", jobID=second)
    await app.drop()
    back = await grid.app()
    assert [one["id"] for one in (await greeting(back))["activeProjects"]] == [first, second]
    assert [frame["queuePosition"] for frame in back.about(first) + back.about(second)] == [1, 2]
    await back.cancel(first)


async def test_events_go_to_the_app_that_asked_and_balances_to_all(grid: Grid) -> None:
    app, other = await grid.app("app-1"), await grid.app("app-2")
    worker = await grid.worker()
    project = await app.request()
    await worker.finish(await worker.assigned())
    await app.wait_state("jobCompleted")
    await other.fence()
    assert other.about(project) == []
    nets = [
        [frame["spark"]["net"] for frame in one.frames if frame.type == "balanceUpdate"]
        for one in (app, other)
    ]
    assert nets[0] == nets[1]
    assert len(nets[0]) == 3


async def test_active_projects_are_those_of_the_app(grid: Grid) -> None:
    app = await grid.app("app-1")
    project = await app.request()
    await app.wait_state("queued")
    other = await grid.app("app-2")
    assert (await greeting(other))["activeProjects"] == []
    assert other.about(project) == []
    everywhere = (await grid.get("/api/v1/artist/projects/active"))[1]
    assert everywhere == {"projects": [{"id": project}]}


# ── ended while the app was away ─────────────────────────────────────────────────────────────────


async def ended_while_away(grid: Grid, **fields: Any) -> str:
    """A project of app-1 that completed while the app was not connected; its id."""
    app, worker = await grid.app(), await grid.worker()
    project = await app.request(**fields)
    job = await worker.assigned()
    await app.leave()
    await grid.without_apps()
    await worker.finish(job)
    await worker.leave()
    return project


async def test_what_ended_while_the_app_was_away_is_told_exactly_once(grid: Grid) -> None:
    project = await ended_while_away(grid)
    back = await grid.app()
    (unclaimed,) = (await greeting(back))["unclaimedCompletedProjects"]
    assert (unclaimed["id"], unclaimed["status"]) == (project, "completed")
    assert unclaimed["completedWorkerJobs"][0]["status"] == "jobCompleted"
    assert (await greeting(back))["activeProjects"] == []
    assert back.told(project) == ["jobResult", "jobCompleted"]
    async with grid.http.get(back.about(project)[0]["resultUrl"]) as picture:
        assert await picture.read() == PNG
    await back.leave()
    await grid.without_apps()

    again = await grid.app()
    assert (await greeting(again))["unclaimedCompletedProjects"] == []
    assert again.about(project) == []


async def test_a_failure_while_the_app_was_away_is_told(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    job = await worker.assigned()
    await app.leave()
    await grid.without_apps()
    await worker.fail(job, retryable=False)
    back = await grid.app()
    (unclaimed,) = (await greeting(back))["unclaimedCompletedProjects"]
    assert (unclaimed["status"], unclaimed["reason"]) == ("errored", "genfailure")
    assert back.told(project) == ["jobError", "jobError"]


async def test_what_waits_for_one_app_is_not_told_to_others(grid: Grid) -> None:
    project = await ended_while_away(grid)
    bob = await grid.account("bob")
    for other in (await grid.app("app-2"), await grid.app("app-1", key=bob)):
        assert (await greeting(other))["unclaimedCompletedProjects"] == []
        assert other.about(project) == []
    back = await grid.app("app-1")
    await back.wait_state("jobCompleted", jobID=project)


async def test_what_waits_is_kept_for_an_hour(grid: Grid) -> None:
    project = await ended_while_away(grid)
    grid.clock.advance(59 * 60)
    status, sync = await grid.get("/api/v1/artist/projects/sync?appId=app-1")
    assert status == 200
    assert [one["id"] for one in sync["unclaimedCompletedProjects"]] == [project]
    grid.clock.advance(2 * 60)
    back = await grid.app()
    assert (await greeting(back))["unclaimedCompletedProjects"] == []


async def test_an_end_that_the_app_saw_does_not_wait_for_it(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    await app.request()
    await worker.finish(await worker.assigned())
    await app.wait_state("jobCompleted")
    canceled = await app.request()
    await app.cancel(canceled)
    await app.leave()
    await grid.without_apps()
    back = await grid.app()
    assert (await greeting(back))["unclaimedCompletedProjects"] == []


async def test_an_end_that_was_sent_into_a_dead_network_is_told_again(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    job = await worker.assigned()
    await worker.finish(job)  # the frames are on their way to an app that is gone
    back = await grid.app()  # with the same app id, while the old connection looks alive
    (unclaimed,) = (await greeting(back))["unclaimedCompletedProjects"]
    assert unclaimed["id"] == project
    assert back.told(project) == ["jobResult", "jobCompleted"]


async def test_an_end_counts_as_heard_once_the_connection_has_outlived_it(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    await worker.finish(await worker.assigned())
    await app.wait_state("jobCompleted", jobID=project)
    grid.clock.advance(HEARD_AFTER_S + 1)
    status, sync = 200, {"unclaimedCompletedProjects": [1]}
    async with asyncio.timeout(60):
        while sync["unclaimedCompletedProjects"]:  # until the next turn of upkeep
            status, sync = await grid.get("/api/v1/artist/projects/sync?appId=app-1")
    assert status == 200


async def test_an_app_that_leaves_while_the_end_is_stored_is_told_when_it_is_back(
    grid: Grid,
) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    job = await worker.assigned()
    await worker.upload(job)
    await grid.store.hold()
    await worker.send(finished(job.job_id, 1, PNG))
    await worker.fence()
    await app.leave()
    await grid.without_apps()
    grid.store.release()
    await worker.expect_settled(job)
    back = await grid.app()
    await back.wait_state("jobCompleted", jobID=project)
    assert back.told(project) == ["jobResult", "jobCompleted"]


async def test_an_app_that_comes_while_the_end_is_stored_is_told_once(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    job = await worker.assigned()
    await worker.upload(job)
    await app.leave()
    await grid.without_apps()
    await grid.store.hold()
    await worker.send(finished(job.job_id, 1, PNG))
    await worker.fence()
    back = await grid.socket(appId="app-1")
    grid.store.release()
    await back.wait_state("jobCompleted", jobID=project)
    await back.fence()
    assert back.told(project)[-2:] == ["jobResult", "jobCompleted"]
    assert back.told(project).count("jobCompleted") == 1


async def test_looking_does_not_claim(grid: Grid) -> None:
    project = await ended_while_away(grid)
    for query in ("", "?appId=app-1"):
        _, sync = await grid.get(f"/api/v1/artist/projects/sync{query}")
        assert [one["id"] for one in sync["unclaimedCompletedProjects"]] == [project]
        assert sync["activeProjects"] == []
        assert sync["serverTime"] == int(grid.clock() * 1000)
    _, sync = await grid.get("/api/v1/artist/projects/sync?appId=app-2")
    assert sync["unclaimedCompletedProjects"] == []
    back = await grid.app()
    assert len((await greeting(back))["unclaimedCompletedProjects"]) == 1


async def test_an_end_that_is_claimed_during_a_look_is_not_told_again(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = await ended_while_away(grid)
    back = await grid.app()
    await back.wait_state("jobCompleted", jobID=project)
    looking, go_on = asyncio.Event(), asyncio.Event()
    recall = OpenProjects.recall

    async def slowly(self: OpenProjects, row: ProjectRow) -> LiveProject:
        looking.set()
        await go_on.wait()
        return await recall(self, row)

    monkeypatch.setattr(OpenProjects, "recall", slowly)
    sync = asyncio.create_task(grid.get("/api/v1/artist/projects/sync"))
    await looking.wait()
    await back.leave()
    await grid.without_apps()
    await grid.account("bob")  # stored after the claim
    go_on.set()
    _, told = await sync
    assert told["unclaimedCompletedProjects"] == []


# ── the same request twice ───────────────────────────────────────────────────────────────────────


async def test_the_same_request_twice_has_one_effect(grid: Grid) -> None:
    app = await grid.app()
    project = await app.request(numberOfImages=2)
    await app.wait_state("queued")
    held = await grid.spark()
    await app.request(project, numberOfImages=2)
    await app.wait_state("queued", jobID=project)
    assert await grid.spark() == held
    worker = await grid.worker(slots=5)
    jobs = [await worker.assigned() for _ in range(2)]
    await worker.fence()
    for job in jobs:
        await worker.finish(job)
    await app.wait_state("jobCompleted")
    assert app.told(project).count("jobResult") == 2


async def test_a_request_sent_again_is_answered_with_the_state_of_now(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker(slots=2)
    project = await app.request(numberOfImages=2)
    a, b = await worker.assigned(), await worker.assigned()
    await worker.start(a)
    await worker.progress(a, 2)
    await worker.finish(b)
    await app.wait_for("jobResult")
    seen = len(app.about(project))
    await app.request(project, numberOfImages=2)
    await app.fence()
    assert [(f.short, f["imgID"]) for f in app.about(project)[seen:]] == [
        ("jobStarted", a.job_id),
        ("jobProgress 2/4", a.job_id),
        ("jobResult", b.job_id),
    ]


async def test_a_request_sent_again_before_the_first_is_stored_has_one_effect(grid: Grid) -> None:
    app = await grid.app()
    await grid.store.hold()
    project = await app.request()
    await app.request(project)
    await app.fence()
    assert app.about(project) == []
    grid.store.release()
    await app.wait_state("queued", jobID=project)
    await app.fence()
    assert set(app.told(project)) == {"queued"}
    worker = await grid.worker(slots=3)
    await worker.assigned()
    await worker.fence()


async def test_a_request_sent_again_after_the_end_is_answered_with_the_end(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    await worker.finish(await worker.assigned())
    await app.wait_state("jobCompleted")
    paid = await grid.spark()
    await app.leave()
    back = await grid.app()
    await back.request(project)
    await back.wait_state("jobCompleted", jobID=project)
    await back.fence()
    assert back.told(project) == ["jobResult", "jobCompleted"]
    await worker.fence()
    assert await grid.spark() == paid


async def test_a_request_sent_again_after_a_cancel_is_answered_with_that(grid: Grid) -> None:
    app = await grid.app()
    project = await app.request()
    await app.wait_state("queued")
    await app.cancel(project)
    await app.request(project)
    error = await app.wait_for("jobError", jobID=project)
    assert error["error"] == "artistCanceled"
    assert "imgID" not in error.payload
    assert (await grid.spark())["net"] == "1000.000000"


@pytest.mark.parametrize("when", ["unstored", "waiting", "rendering"])
async def test_another_app_that_sends_the_same_request_is_told_as_much(
    grid: Grid, when: str
) -> None:
    app, other = await grid.app(), await grid.app("app-2")
    if when == "unstored":
        await grid.store.hold()
    project = await app.request(numberOfImages=1)
    worker = await grid.worker() if when == "rendering" else None
    if worker is not None:
        job = await worker.assigned()
        await worker.start(job)
        await app.wait_state("jobStarted", jobID=project)
    elif when == "waiting":
        await app.wait_state("queued", jobID=project)
    else:
        await app.fence()
    await other.request(project, numberOfImages=1)
    await other.fence()
    seen = {"unstored": [], "waiting": ["queued"], "rendering": ["jobStarted"]}[when]
    assert other.told(project) == seen
    grid.store.release()
    if worker is None:
        worker = await grid.worker()
        job = await worker.assigned()
    await worker.finish(job)
    for one in (app, other):
        await one.wait_state("jobCompleted", jobID=project)
        await one.fence()
        assert [word for word in one.told(project) if word in ("jobResult", "jobCompleted")] == [
            "jobResult",
            "jobCompleted",
        ]


async def test_another_app_that_sent_the_same_request_hears_that_it_was_canceled(
    grid: Grid,
) -> None:
    app, other = await grid.app(), await grid.app("app-2")
    project = await app.request()
    await app.wait_state("queued", jobID=project)
    await other.request(project)
    await other.wait_state("queued", jobID=project)
    await app.cancel(project)
    error = await other.wait_for("jobError", jobID=project)
    assert (error["error"], "imgID" in error.payload) == ("artistCanceled", False)


@pytest.mark.parametrize("when", ["waiting", "ended"])
async def test_an_id_cannot_be_used_for_another_request(grid: Grid, when: str) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request(numberOfImages=1, network="fast" if when == "ended" else "relaxed")
    if when == "ended":
        await worker.finish(await worker.assigned())
        await app.wait_state("jobCompleted")
    else:
        await app.wait_state("queued")
    before = await grid.live(project), await grid.spark()
    await app.request(project, numberOfImages=2)
    error = await app.wait_for("jobError", jobID=project)
    assert (error["error"], error["isFromWorker"]) == (4005, False)
    assert "imgID" not in error.payload
    assert (await grid.live(project), await grid.spark()) == before


@pytest.mark.parametrize("when", ["waiting", "ended"])
async def test_an_id_of_another_account_cannot_be_used(grid: Grid, when: str) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request(network="fast" if when == "ended" else "relaxed")
    if when == "ended":
        await worker.finish(await worker.assigned())
        await app.wait_state("jobCompleted")
    else:
        await app.wait_state("queued")
    bob_key = await grid.account("bob")
    bob = await grid.app(key=bob_key)
    await bob.send("jobRequest", job_request(project))
    error = await bob.wait_for("jobError", jobID=project)
    assert error["error"] == 4005
    assert bob.told(project) == ["jobError"]
    assert (await grid.spark(bob_key))["net"] == "1000.000000"
    assert (await grid.get(f"/v2/projects/{project}", key=bob_key))[0] == 404
    assert (await grid.live(project))["status"] in ("queued", "completed")


async def test_a_refused_id_can_be_used_for_a_better_request(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request(steps=9_999)
    await app.wait_for("jobError", jobID=project)
    await app.request(project)
    await worker.finish(await worker.assigned())
    await app.wait_state("jobCompleted", jobID=project)


async def test_insufficient_funds_are_found_although_projects_arrive_together(grid: Grid) -> None:
    key = await grid.account("poor", grant_micros=MICROS // 10_000)  # enough for three pictures
    app = await grid.app(key=key)
    await grid.store.hold()
    projects = [await app.request() for _ in range(5)]
    await app.fence()
    grid.store.release()
    for project in projects[3:]:
        error = await app.wait_for("jobError", jobID=project)
        assert error["error"] == 4003
    for project in projects[:3]:
        assert app.told(project) == ["queued"]
    spark = await grid.spark(key)
    assert float(spark["net"]) >= 0


async def test_a_canceled_request_that_was_never_accepted_stays_refused(grid: Grid) -> None:
    key = await grid.account("poor", grant_micros=1)
    app = await grid.app(key=key)
    await grid.store.hold()
    project = new_id()
    await app.request(project)
    await app.send("jobError", {"jobID": project, **CANCELED})
    grid.store.release()
    await app.wait_for("artistCancelConfirmation", jobID=project, didCancel=True)
    assert app.told(project) == ["jobError", "artistCancelConfirmation"]
    assert app.about(project)[0]["error"] == 4003
    assert (await grid.spark(key))["net"] == "0.000001"


async def test_an_end_that_only_a_replaced_connection_could_have_told_is_told_again(
    make_grid: MakeGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "POSITIONS_EVERY_S", 0.01)
    async with make_grid() as grid:
        project = await ended_while_away(grid)
        reached, opened, looks = asyncio.Event(), asyncio.Event(), 0
        unclaimed = Recovery.unclaimed

        async def slow(
            recovery: Recovery, account: Account, app_id: str | None
        ) -> list[LiveProject]:
            nonlocal looks
            looks += 1
            found = await unclaimed(recovery, account, app_id)
            if looks == 2:  # of the first connection, before it tells of them
                reached.set()
                await opened.wait()
            return found

        monkeypatch.setattr(Recovery, "unclaimed", slow)
        await grid.app()
        await reached.wait()
        newer = await grid.app()
        await newer.wait_state("jobCompleted", jobID=project)
        await newer.drop()
        await grid.without_apps()
        opened.set()
        for _ in range(3):
            grid.clock.advance(HEARD_AFTER_S)
            await grid.ticked()
        (told,) = (await greeting(await grid.app()))["unclaimedCompletedProjects"]
        assert told["id"] == project
