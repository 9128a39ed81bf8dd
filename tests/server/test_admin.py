"""What administrators can do, that nobody else can, and the trail that it leaves."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any

import pytest

from dreamgrid.protocol.socket import CLOSE_BLOCKED, CLOSE_NOT_ALLOWED
from dreamgrid.protocol.worker import Cancel, Draining, Welcome
from dreamgrid.server.store.sqlite_audit import audit_file
from tests.server.conftest import MakeGrid
from tests.support.grid import LEASE_S, Grid
from tests.support.wallets import member
from tests.support.wire import PNG, App, Worker, hello_of

Json = dict[str, Any]
EVERYTHING = [
    ("GET", "accounts", None),
    ("PUT", "accounts/local/limits", {}),
    ("POST", "grants", {"username": "local", "amount": "1"}),
    ("POST", "refunds", {"projectId": "P"}),
    ("GET", "projects", None),
    ("GET", "workers", None),
    ("POST", "workers", {"worker": "w1", "action": "pause"}),
    ("POST", "jobs/J/requeue", {}),
    ("POST", "projects/P/cancel", {}),
    ("GET", "bans", None),
    ("POST", "bans", {"kind": "account", "target": "local"}),
    ("GET", "actions", None),
    ("GET", "activity", None),
    ("GET", "health", None),
    ("GET", "audit", None),
]


@pytest.fixture
async def grid(make_grid: MakeGrid) -> AsyncIterator[Grid]:
    async with make_grid(admins=("Root",)) as grid:
        yield grid


async def do(grid: Grid, path: str, body: Json, *, method: str = "POST", key: str = "") -> Json:
    """An action that must succeed."""
    status, answer = await grid.call(method, f"/v1/admin/{path}", key=key or None, json=body)
    assert status < 300, answer
    data = answer["data"]
    assert isinstance(data, dict)
    return data


async def refused(grid: Grid, path: str, body: Json, *, key: str | None = None) -> tuple[int, str]:
    status, answer = await grid.call("POST", f"/v1/admin/{path}", key=key, json=body)
    return status, answer["message"]


async def trail(grid: Grid) -> list[tuple[str, str, str]]:
    """What was done, to whom and why; newest first."""
    rows = (await grid.data("/v1/admin/actions"))["actions"]
    return [(row["action"], row["target"], row.get("reason", "")) for row in rows]


async def test_what_the_grid_did_lately_is_counted_by_the_minute(grid: Grid) -> None:
    grid.clock.advance(61 - grid.clock() % 60)  # so that what follows lies within one minute
    now_ms = round(grid.clock() * 1000) // 60_000 * 60_000
    app, worker = await grid.app(), await grid.worker()
    done = await app.request()
    job = await worker.assigned()
    grid.clock.advance(2)
    await worker.start(job)
    await app.wait_state("jobStarted", jobID=done)
    grid.clock.advance(4)
    await worker.finish(job)
    await app.wait_state("jobCompleted", jobID=done)
    await worker.leave()
    grid.clock.advance(60)
    other = await grid.worker(name="other")
    failed = await app.request()
    await other.fail(await other.assigned(), retryable=False)
    await app.wait_for("jobError", jobID=failed)
    told = await grid.data("/v1/admin/activity")
    assert (told["partS"], told["since"]) == (60, now_ms - 58 * 60_000)
    good, bad = told["parts"]
    assert (good["time"], good["completed"], good["failed"]) == (now_ms, 1, 0)
    assert (good["waitedS"], good["renderedS"]) == (2, 4)
    paid = await grid.spark()
    assert float(good["spark"]) == pytest.approx(1000 - float(paid["settled"]))
    assert (bad["time"], bad["completed"], bad["failed"]) == (now_ms + 60_000, 0, 1)
    assert "waitedS" not in bad
    await other.leave()
    grid.clock.advance(3600)
    assert (await grid.data("/v1/admin/activity"))["parts"] == []
    day = await grid.data("/v1/admin/activity?minutes=1440")
    assert sum(part["completed"] for part in day["parts"]) == 1


async def test_the_server_says_how_it_is_and_proves_its_books(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    await app.request(numberOfImages=2)
    await worker.finish(await worker.assigned())
    held = await worker.assigned()
    waiting = await app.request()
    await app.wait_state("queued", jobID=waiting)
    told = await grid.data("/v1/admin/health")
    assert (told["workers"], told["projects"], told["waiting"]) == (1, 2, 1)
    assert told["since"] == int(grid.clock() * 1000)  # its clock has stood still
    assert (told["media"]["files"], told["media"]["sizeBytes"]) == (1, len(PNG))
    report = await grid.data("/v1/admin/audit")
    assert (report["clean"], report["findings"]) == (True, [])
    assert report["counted"]["job"] == 3
    await worker.finish(held)
    with closing(sqlite3.connect(grid.config.data_dir / "dreamgrid.sqlite")) as books, books:
        books.execute(
            "UPDATE balance SET posted_micros = posted_micros + 5 WHERE account_id = ?", ("mint",)
        )
    report = await grid.data("/v1/admin/audit")
    assert report["clean"] is False
    assert all(one["message"] and one["advice"] for one in report["findings"])


async def test_everybodys_open_projects_are_listed_with_what_they_wait_for(grid: Grid) -> None:
    bob = await grid.account("bob")
    app, others = await grid.app(), await grid.app("app-2", key=bob)
    worker = await grid.worker(slots=1)
    first = await app.request(numberOfImages=2)
    await worker.start(await worker.assigned())
    second = await others.request()
    await others.wait_state("queued", jobID=second)
    found = await grid.data("/v1/admin/projects")
    assert [(one["id"], one["username"]) for one in found["projects"]] == [
        (first, "local"),
        (second, "bob"),
    ]
    running, waiting = found["projects"]
    assert (running["jobs"], running["running"], running["done"]) == (2, 1, 0)
    assert (waiting["modelId"], waiting["running"]) == ("pattern-v1", 0)
    assert "is busy" in waiting["reason"]
    page = await grid.data("/v1/admin/projects?limit=1&offset=1")
    assert ([one["id"] for one in page["projects"]], page["total"]) == ([second], 2)


async def delivered(app: App, worker: Worker) -> tuple[str, str]:
    """A project of one picture, and its job."""
    project = await app.request()
    job = await worker.assigned()
    await worker.finish(job)
    await app.wait_state("jobCompleted", jobID=project)
    return project, job.job_id


# ── who ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("method", "path", "body"), EVERYTHING)
async def test_only_administrators_may(grid: Grid, method: str, path: str, body: Json) -> None:
    bob = await grid.account("bob")
    status, answer = await grid.call(method, f"/v1/admin/{path}", key=bob, json=body)
    assert status == 403
    assert "administrator" in answer["message"]
    assert (await grid.call(method, f"/v1/admin/{path}", key="", json=body))[0] == 401
    assert await trail(grid) == []


async def test_an_account_that_is_named_in_the_settings_may(grid: Grid) -> None:
    root = await grid.account("root")
    await do(grid, "grants", {"username": "local", "amount": "1", "reason": "why not"}, key=root)
    (row,) = (await grid.data("/v1/admin/actions"))["actions"]
    assert row["actor"] == "root"
    assert row["time"] == int(grid.clock() * 1_000)


async def test_a_key_of_an_administrator_that_only_reads_may_not(grid: Grid) -> None:
    _, made = await grid.call("POST", "/v1/account/keys", json={"scope": "read"})
    status, _ = await grid.get("/v1/admin/accounts", key=made["data"]["key"])
    assert status == 403


# ── money ────────────────────────────────────────────────────────────────────────────────────────


async def test_a_grant_is_in_the_trail_with_its_reason(grid: Grid) -> None:
    await grid.account("bob")
    await do(grid, "grants", {"username": "bob", "amount": "5", "reason": "for testing"})
    assert await trail(grid) == [("grant", "bob", "for testing")]
    (row,) = (await grid.data("/v1/admin/actions"))["actions"]
    assert row["detail"] == "5 spark"


async def test_a_refund_gives_back_what_was_charged_once(grid: Grid) -> None:
    bob = await grid.account("bob")
    app, worker = await grid.app(key=bob), await grid.worker()
    project, job = await delivered(app, worker)
    assert (await grid.spark(bob))["net"] != "1000.000000"
    wish = {"projectId": project.lower(), "jobId": job, "reason": "blurry"}
    done = await do(grid, "refunds", wish)
    assert done["jobs"] == 1
    assert (await grid.spark(bob))["net"] == "1000.000000"
    await app.wait_until(
        lambda frame: frame.type == "balanceUpdate" and frame["spark"]["net"] == "1000.000000",
        "balance",
    )
    assert (await do(grid, "refunds", {"projectId": project}))["jobs"] == 0
    assert await trail(grid) == [("refund", project, "blurry")]
    lines = (await grid.data("/v1/transactions/list", key=bob))["transactions"]
    assert (lines[0]["source"], lines[0]["type"]) == ("refund", "credit")
    assert audit_file(grid.config.data_dir / "dreamgrid.sqlite").clean


# ── accounts ─────────────────────────────────────────────────────────────────────────────────────


async def test_accounts_are_listed_with_balance_ban_and_limits(grid: Grid) -> None:
    await grid.account("bob")
    await do(grid, "accounts/BOB/limits", {"maxRunningJobs": 2, "priority": -5}, method="PUT")
    await do(grid, "bans", {"kind": "account", "target": "bob", "reason": "spam"})
    (bob,) = (await grid.data("/v1/admin/accounts?search=BO"))["accounts"]
    assert (bob["username"], bob["spark"], bob["bannedReason"]) == ("bob", "1000.000000", "spam")
    assert bob["limits"] == {"maxRunningJobs": 2, "priority": -5}
    names = [one["username"] for one in (await grid.data("/v1/admin/accounts"))["accounts"]]
    assert names == ["bob", "local"]


async def test_an_account_is_held_to_its_own_limits(grid: Grid) -> None:
    bob = await grid.account("bob")
    limits = {"maxRunningJobs": 1, "maxQueuedProjects": 2}
    await do(grid, "accounts/bob/limits", limits, method="PUT")
    await grid.restart()
    app, worker = await grid.app(key=bob), await grid.worker(slots=4)
    await app.request(numberOfImages=2)
    first = await worker.assigned()
    await worker.fence()
    await app.wait_state("queued", jobID=await app.request())
    answer = await app.wait_for("jobError", jobID=await app.request())
    assert (answer["error"], answer["retryAfter"]) == (429, 5)
    assert "2 unfinished" in answer["error_message"]
    assert len((await grid.data("/v1/admin/workers"))["workers"][0]["jobs"]) == 1
    await do(grid, "accounts/bob/limits", {}, method="PUT")
    assert (await worker.assigned()).job_id != first.job_id


async def test_an_account_that_is_let_wait_is_told_who_lets_it(grid: Grid) -> None:
    bob = await grid.account("bob")
    await grid.worker()
    await do(grid, "accounts/bob/limits", {"maxRunningJobs": 0}, method="PUT")
    app = await grid.app(key=bob)
    queued = await app.wait_state("queued", jobID=await app.request())
    assert (
        "an administrator of this grid lets your account wait"
        in (queued["waitingReason"]["message"])
    )
    await do(grid, "accounts/bob/limits", {"maxQueuedProjects": 0}, method="PUT")
    answer = await app.wait_for("jobError", jobID=await app.request())
    assert answer["error"] == 4004
    assert "lets your account submit no projects" in answer["error_message"]


async def test_who_waits_for_paused_workers_is_told_that_they_are_paused(grid: Grid) -> None:
    worker = await grid.worker(name="studio")
    await do(grid, "workers", {"action": "pause", "worker": "studio"})
    await worker.fence()
    app = await grid.app()
    queued = await app.wait_state("queued", jobID=await app.request())
    assert "an administrator paused it" in queued["waitingReason"]["message"]


async def test_priority_lets_an_account_go_first(grid: Grid) -> None:
    bob, eve = await grid.account("bob"), await grid.account("eve")
    await do(grid, "accounts/eve/limits", {"priority": 10}, method="PUT")
    worker = await grid.worker()
    apps = {"bob": await grid.app("b", key=bob), "eve": await grid.app("e", key=eve)}
    blocker = await grid.app("blocks")
    await blocker.request()
    running = await worker.assigned()
    asked = {}
    for name in ("bob", "eve"):  # bob came first
        asked[name] = await apps[name].request()
        await apps[name].wait_state("queued", jobID=asked[name])
    await worker.finish(running)
    assert (await worker.assigned()).project_id == asked["eve"]


# ── bans ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_banned_account_is_refused_everywhere_and_told_why(grid: Grid) -> None:
    bob = await grid.account("bob")
    app, worker = await grid.app(key=bob), await grid.worker(key=bob)
    await do(grid, "bans", {"kind": "account", "target": "Bob", "reason": "spam"})
    assert await app.closed() == CLOSE_NOT_ALLOWED
    assert await worker.closed() == CLOSE_NOT_ALLOWED
    status, body = await grid.get("/v1/account/me", key=bob)
    assert status == 403
    assert "spam" in body["message"]
    assert await (await grid.socket(bob, appId="again")).closed() == CLOSE_NOT_ALLOWED
    again = await grid.worker_socket(hello_of("w1"), key=bob)
    assert await again.closed() == CLOSE_NOT_ALLOWED
    await grid.restart()
    assert (await grid.get("/v1/account/me", key=bob))[0] == 403
    await do(grid, "bans", {"kind": "account", "target": "bob", "lift": True, "reason": "sorry"})
    assert (await grid.get("/v1/account/me", key=bob))[0] == 200
    assert await trail(grid) == [("unban", "bob", "sorry"), ("ban", "bob", "spam")]


async def test_a_ban_counts_for_sign_ins_too(grid: Grid) -> None:
    token = (await member(grid, "bob"))["token"]
    headers = {"Authorization": token}
    assert (await grid.call("GET", "/v1/account/me", key="", headers=headers))[0] == 200
    await do(grid, "bans", {"kind": "account", "target": "bob"})
    assert (await grid.call("GET", "/v1/account/me", key="", headers=headers))[0] == 403


async def test_a_blocked_app_is_closed_with_4010_and_others_are_not(grid: Grid) -> None:
    bob = await grid.account("bob")
    bad, good = await grid.app("bad", key=bob), await grid.app("good", key=bob)
    await do(grid, "bans", {"kind": "app", "target": "bad", "reason": "broken"})
    assert await bad.closed() == CLOSE_BLOCKED
    assert await (await grid.socket(bob, appId="bad")).closed() == CLOSE_BLOCKED
    await grid.restart()
    assert await (await grid.socket(appId="bad")).closed() == CLOSE_BLOCKED
    await grid.app("good", key=bob)
    (ban,) = (await grid.data("/v1/admin/bans"))["bans"]
    assert (ban["kind"], ban["target"], ban["reason"]) == ("app", "bad", "broken")
    await do(grid, "bans", {"kind": "app", "target": "bad", "lift": True})
    await grid.app("bad", key=bob)
    assert good.frames


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"kind": "account", "target": "local"}, 400),
        ({"kind": "account", "target": "root"}, 400),
        ({"kind": "account", "target": "nobody"}, 404),
        ({"kind": "account", "target": "bob", "lift": True}, 404),
        ({"kind": "app", "target": "x", "lift": True}, 404),
        ({"kind": "worker", "target": "x"}, 400),
    ],
)
async def test_a_ban_that_makes_no_sense_is_refused(grid: Grid, body: Json, status: int) -> None:
    for name in ("bob", "root"):
        await grid.account(name)
    assert (await refused(grid, "bans", body))[0] == status
    assert await trail(grid) == []


# ── workers and jobs ─────────────────────────────────────────────────────────────────────────────


async def test_a_paused_worker_gets_no_jobs_until_it_is_resumed(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker("w1")
    await do(grid, "workers", {"worker": "w1", "action": "pause", "reason": "overheats"})
    project = await app.request()
    await app.wait_state("queued", jobID=project)
    await grid.restart()
    worker = await grid.worker_socket(worker.hello)
    await worker.expect(Welcome)
    await grid.ticked()
    (shown,) = (await grid.data("/v1/admin/workers"))["workers"]
    assert (shown["state"], shown["pausedReason"], shown["jobs"]) == ("paused", "overheats", [])
    await do(grid, "workers", {"worker": "w1", "action": "resume"})
    assert (await worker.assigned()).project_id == project
    assert [one[0] for one in await trail(grid)] == ["resume", "pause"]


async def test_a_worker_that_is_misspelled_is_told_with_the_one_that_was_meant(
    grid: Grid,
) -> None:
    await grid.worker("attic")
    status, told = await refused(grid, "workers", {"worker": "atic", "action": "pause"})
    assert status == 404
    assert "did you mean attic? 'dreamgrid admin workers' lists them" in told


async def test_a_drained_worker_finishes_what_it_has_and_gets_no_more(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker("w1")
    await app.request(numberOfImages=2)
    job = await worker.assigned()
    await do(grid, "workers", {"worker": "w1", "action": "drain"})
    await worker.finish(job)
    await grid.ticked()
    (shown,) = (await grid.data("/v1/admin/workers"))["workers"]
    assert (shown["state"], shown["jobs"]) == ("draining", [])
    await do(grid, "workers", {"worker": "w1", "action": "resume", "reason": "done"})
    assert (await worker.assigned()).attempt == 1
    assert (await trail(grid))[0] == ("resume", "w1", "done")


async def test_a_worker_that_left_to_rest_is_shown_with_its_reason_until_it_is_back(
    grid: Grid,
) -> None:
    worker = await grid.worker("w1")
    await worker.send(Draining(reason="outside its hours \x1b[2J" + "x" * 200))
    await worker.fence()
    shown = await grid.data("/v1/admin/workers")
    (here,) = shown["workers"]
    assert (here["state"], shown.get("away")) == ("draining", None)
    assert here["pausedReason"].startswith("outside its hours [2Jxxx")
    assert len(here["pausedReason"]) == 119, "120 characters, less one that is not printed"
    await worker.leave()
    await grid.without_workers()
    shown = await grid.data("/v1/admin/workers")
    (away,) = shown["away"]
    assert shown["workers"] == []
    assert (away["name"], away["state"], away["slots"]) == ("w1", "away", 0)
    assert away["pausedReason"] == here["pausedReason"]
    back = await grid.worker_socket(worker.hello)
    await back.expect(Welcome)
    assert (await grid.data("/v1/admin/workers")).get("away") is None
    grid.clock.advance(LEASE_S + 1)  # it falls silent, as a machine that has crashed
    await grid.without_workers()
    assert (await grid.data("/v1/admin/workers")).get("away") is None


async def test_a_worker_that_ended_for_good_is_not_shown_as_one_that_rests(grid: Grid) -> None:
    worker = await grid.worker("w1")
    await worker.send(Draining())
    await worker.fence()
    await worker.leave()
    await grid.without_workers()
    assert (await grid.data("/v1/admin/workers")).get("away") is None


async def test_a_worker_that_is_drained_and_paused_is_resumed_from_both(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker("w1")
    for action in ("drain", "pause", "resume"):
        await do(grid, "workers", {"worker": "w1", "action": action})
    await app.request()
    await worker.assigned()


async def test_a_job_is_taken_from_its_worker_and_goes_to_another(grid: Grid) -> None:
    app, stuck = await grid.app(), await grid.worker("stuck")
    project = await app.request()
    job = await stuck.assigned()
    await stuck.start(job)
    await do(grid, "workers", {"worker": "stuck", "action": "pause"})
    other = await grid.worker("other")
    await do(grid, f"jobs/{job.job_id}/requeue", {"reason": "hangs"})
    canceled = await stuck.expect(Cancel)
    assert (canceled.job_id, canceled.attempt) == (job.job_id, job.attempt)
    again = await other.assigned()
    assert (again.job_id, again.attempt) == (job.job_id, 2)
    await other.finish(again)
    await app.wait_state("jobCompleted", jobID=project)
    assert (await trail(grid))[0] == ("requeue", job.job_id, "hangs")


async def test_what_cannot_be_requeued_is_refused(grid: Grid) -> None:
    app = await grid.app()
    project = await app.request()
    await app.wait_state("queued", jobID=project)
    job = (await grid.live(project))["workerJobs"][0]["imgID"]
    assert (await refused(grid, f"jobs/{job}/requeue", {}))[0] == 400
    assert (await refused(grid, "jobs/NOTHING/requeue", {}))[0] == 404
    assert (await refused(grid, "workers", {"worker": "x", "action": "pause"}))[0] == 404
    assert await trail(grid) == []


async def test_a_project_of_anybody_is_canceled_and_its_app_is_told(grid: Grid) -> None:
    bob = await grid.account("bob")
    app, worker = await grid.app(key=bob), await grid.worker()
    project = await app.request()
    job = await worker.assigned()
    await do(grid, f"projects/{project}/cancel", {"reason": "not on this grid"})
    told = await app.wait_for("jobError", jobID=project)
    assert (told["error"], told["error_message"]) == (
        "artistCanceled",
        "the project was canceled by an administrator of this grid: not on this grid",
    )
    assert (await worker.expect(Cancel)).job_id == job.job_id
    assert (await grid.spark(bob))["net"] == "1000.000000"
    assert await trail(grid) == [("cancel", project, "not on this grid")]
    await grid.restart()
    record = await grid.data(f"/v1/projects/{project}", key=bob)
    assert record["project"]["message"] == told["error_message"]
    explained = await grid.data(f"/v1/explain/{project}")
    assert explained["message"] == f"it ended: {told['error_message']}"
    assert (await refused(grid, f"projects/{project}/cancel", {}))[0] == 404
    assert audit_file(grid.config.data_dir / "dreamgrid.sqlite").clean


async def test_the_trail_outlives_a_restart_and_comes_in_pages(grid: Grid) -> None:
    for n in range(5):
        await do(grid, "grants", {"username": "local", "amount": "1", "reason": str(n)})
    await grid.restart()
    pages = [
        (await grid.data(f"/v1/admin/actions?limit=2&offset={offset}"))["actions"]
        for offset in (0, 2, 4)
    ]
    assert [row["reason"] for page in pages for row in page] == ["4", "3", "2", "1", "0"]
