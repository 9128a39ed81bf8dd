"""Waiting projects are told why they wait, and when they will start."""

import asyncio
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import msgspec
import pytest

from dreamgrid.server import queue_notices, start_times, upkeep
from dreamgrid.server.forecasts import Forecasts
from dreamgrid.server.live import LiveJob, LiveProject
from dreamgrid.server.measures import Measures, QueueSeen
from dreamgrid.server.queue_notices import QueueNotices
from dreamgrid.server.speeds import Speeds
from dreamgrid.server.standings import Offer, Seen
from dreamgrid.server.waiting import WaitingJobs
from dreamgrid.server.workers import WorkerSession
from dreamgrid.states import JobEvent
from tests.server.conftest import MakeGrid
from tests.support.grid import Grid
from tests.support.live import live_project, worker
from tests.support.wire import App, finished

WANTS_REASONS = {"socketEventSubscriptions": '{"projectQueue":true}'}


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "POSITIONS_EVERY_S", 0.01)


def reason(frame: Any) -> str | None:
    told = frame["waitingReason"]
    if told is None:
        return None
    assert 1 <= len(told["message"]) <= 600
    return str(told["reason"])


async def wait_reason(app: App, word: str, **fields: Any) -> Any:
    """The next `queued` with this reason."""
    return await app.wait_until(
        lambda frame: frame.short == "queued" and frame.has(fields) and reason(frame) == word,
        f"queued for {word}",
    )


async def test_a_project_is_told_that_no_worker_is_there(grid: Grid) -> None:
    app = await grid.app()
    project = await app.request(numberOfImages=2)
    queued = await wait_reason(app, "no_workers", jobID=project)
    assert queued["queueStatus"] == "no-workers"
    assert "estimatedStartSeconds" not in queued.payload
    assert [entry["jobIndex"] for entry in queued["jobWaitingReasons"]] == [0, 1]
    assert {entry["waitingReason"]["reason"] for entry in queued["jobWaitingReasons"]} == {
        "no_workers"
    }


async def test_the_reason_changes_when_a_worker_comes_and_is_busy(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    await app.request()
    await worker.assigned()
    project = await app.request()
    await wait_reason(app, "queued", jobID=project)
    await worker.leave()
    await wait_reason(app, "no_workers", jobID=project)
    await grid.worker(models=("pattern-v1",), name="other", slots=1)
    await app.wait_state("initiatingModel", jobID=project)


async def test_the_first_place_that_is_told_beside_a_flood_is_the_true_one(grid: Grid) -> None:
    flood, worker = await grid.app(), await grid.worker()
    await flood.request()
    await worker.assigned()
    for _ in range(20):
        await flood.wait_state("queued", jobID=await flood.request())
    bob = await grid.app("bobs", key=await grid.account("bob"))
    project = await bob.request()
    first = await bob.wait_state("queued", jobID=project)
    assert first["queuePosition"] == 1  # the flood has just been served
    assert (await flood.wait_state("queued", jobID=await flood.request()))["queuePosition"] == 22


async def explained(grid: Grid, project: str) -> dict[str, Any]:
    """What `explain` answers for a project."""
    status, told = await grid.get(f"/v1/explain/{project}")
    assert status == 200
    assert isinstance(told["data"], dict)
    return told["data"]


@pytest.mark.parametrize(
    ("seen", "word", "state", "waits_for"),
    [
        ("busy", "queued", "waiting", "no_free_slot"),
        ("held back", "no_workers", "waiting", "workers_paused"),
        ("away", "no_workers", "waiting", "worker_away"),
        ("unknown", "no_workers", "impossible", None),
    ],
)
async def test_the_wire_and_explain_say_the_same(
    grid: Grid, seen: str, word: str, state: str, waits_for: str | None
) -> None:
    app, worker = await grid.app(**WANTS_REASONS), await grid.worker()
    await app.request()
    await worker.assigned()
    project = await app.request(workers=["w1"])
    if seen == "held back":
        order = {"worker": worker.hello.worker_id, "action": "pause"}
        assert (await grid.call("POST", "/v1/admin/workers", json=order))[0] == 200
    elif seen != "busy":
        await worker.leave()
    if seen == "unknown":
        await grid.without_workers()
        grid.clock.advance(grid.config.worker_known_s + 1)

    def told(frame: Any) -> bool:
        reason = frame["waitingReason"] if frame.has({"jobID": project}) else None
        return reason is not None and (reason["state"], reason.get("waitsFor")) == (
            state,
            waits_for,
        )

    queued = await app.wait_until(lambda frame: frame.short == "queued" and told(frame), seen)
    assert reason(queued) == word
    assert queued["queueStatus"] == ("no-workers" if word == "no_workers" else "waiting")
    await app.wait_until(lambda frame: frame.type == "projectQueue" and told(frame), "the event")
    found = await explained(grid, project)
    assert (found["state"], found.get("reason")) == (state, waits_for)
    assert found["message"] == queued["waitingReason"]["message"]
    record = (await grid.live(project))["waitingReason"]
    assert (record["state"], record.get("waitsFor")) == (state, waits_for)


async def test_an_account_at_its_limit_is_told_so(make_grid: MakeGrid) -> None:
    async with make_grid(max_running_jobs=1) as grid:
        app, worker = await grid.app(), await grid.worker(slots=4)
        first = await app.request()
        job = await worker.assigned()
        second = await app.request()
        queued = await wait_reason(app, "concurrency_limit", jobID=second)
        assert (
            "as many jobs of your account as one account may have here (1)"
            in queued["waitingReason"]["message"]
        )
        assert queued["queueStatus"] == "waiting"
        await worker.finish(job)
        await app.wait_state("jobCompleted", jobID=first)
        assert (await worker.assigned()).project_id == second


async def test_the_limit_of_one_account_is_not_that_of_another(make_grid: MakeGrid) -> None:
    async with make_grid(max_running_jobs=1) as grid:
        key = await grid.account("ada")
        app, other, worker = await grid.app(), await grid.app(key=key), await grid.worker(slots=9)
        await app.request(numberOfImages=3)
        await worker.assigned()
        hers = await other.request(numberOfImages=3)
        assert (await worker.assigned()).project_id == hers
        await worker.fence()


async def test_records_tell_why_a_project_waits(grid: Grid) -> None:
    app = await grid.app()
    project = await app.request()
    await app.wait_state("queued")
    record = await grid.live(project)
    assert record["waitingReason"]["reason"] == "no_workers"
    assert [entry["jobIndex"] for entry in record["jobWaitingReasons"]] == [0]
    back = await grid.socket(appId="app-1")
    (recovered,) = (await back.wait_for("authenticated"))["activeProjects"]
    assert recovered["waitingReason"]["reason"] == "no_workers"
    worker = await grid.worker()
    await worker.finish(await worker.assigned())
    await back.wait_state("jobCompleted")
    record = await grid.live(project)
    assert (record["waitingReason"], record["jobWaitingReasons"]) == (None, [])


# ── the event of its own ─────────────────────────────────────────────────────────────────────────


async def test_who_asked_for_it_is_told_reasons_while_other_renders_run(grid: Grid) -> None:
    app, worker = await grid.app(**WANTS_REASONS), await grid.worker()
    project = await app.request(numberOfImages=2)
    job = await worker.assigned()
    told = await app.wait_until(
        lambda frame: frame.type == "projectQueue" and len(frame["jobWaitingReasons"]) == 1,
        "projectQueue with one job",
    )
    assert (told["jobID"], reason(told)) == (project, "queued")
    assert told["jobWaitingReasons"][0]["jobIndex"] == 1
    await worker.finish(job)
    await worker.assigned()
    await app.wait_for("projectQueue", jobID=project, waitingReason=None, jobWaitingReasons=[])


async def test_who_did_not_ask_is_told_only_in_queued(grid: Grid) -> None:
    app, curious = await grid.app(), await grid.app("app-2", **WANTS_REASONS)
    await app.request()
    await app.wait_state("queued")
    project = await curious.request()
    await curious.wait_for("projectQueue", jobID=project)
    await app.fence()
    assert not [frame for frame in app.frames if frame.type == "projectQueue"]


async def test_reasons_can_be_asked_for_later_and_no_more(grid: Grid) -> None:
    app = await grid.app()
    await app.send("setSocketEventSubscriptions", {"subscribe": "projectQueue"})
    await app.fence()
    await app.wait_for("projectQueue", jobID=await app.request())
    await app.send("setSocketEventSubscriptions", {"unsubscribe": "projectQueue"})
    await app.fence()
    seen = len(app.frames)
    worker = await grid.worker()
    await worker.assigned()
    await app.fence()
    assert not [frame for frame in app.frames[seen:] if frame.type == "projectQueue"]


# ── when it starts ───────────────────────────────────────────────────────────────────────────────


async def test_the_start_is_foretold_from_how_long_renders_took(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    await app.request()
    job = await worker.assigned()
    await worker.start(job)
    await app.wait_state("jobStarted")
    grid.clock.advance(12)
    await worker.upload(job)
    report = finished(job.job_id, job.attempt, b"\x89PNG\r\n\x1a\n" + b"a small picture")
    await worker.send(msgspec.structs.replace(report, render_s=10.0))
    await worker.expect_settled(job)
    await app.request()
    await worker.start(await worker.assigned())
    await app.wait_state("jobStarted")
    waits = await app.request()
    queued = await app.wait_until(
        lambda frame: frame.has({"jobID": waits}) and "estimatedStartSeconds" in frame.payload,
        "estimate",
    )
    assert 9.0 <= queued["estimatedStartSeconds"] <= 10.0
    between = queued["earliestStartSeconds"], queued["latestStartSeconds"]
    assert 0 <= between[0] < queued["estimatedStartSeconds"] < between[1]
    grid.clock.advance(30)
    late = await app.wait_until(
        lambda frame: frame.has({"jobID": waits}) and frame.short == "queued", "queued"
    )
    assert late["estimatedStartSeconds"] == 0


async def test_others_are_served_while_a_long_queue_is_looked_at(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_notices, "SLICE", 2)
    app, loop = await grid.app(), asyncio.get_running_loop()
    for _ in range(6):
        await app.request()
        await app.wait_state("queued")
    turns, at_place, walked = 0, dict[int, int](), loop.create_future()
    look = QueueNotices._look

    def noting(self: QueueNotices, project: LiveProject, place: int, *rest: Any) -> None:
        look(self, project, place, *rest)
        if place == 1 or at_place:
            at_place[place] = turns
        if len(at_place) == 6 and not walked.done():
            walked.set_result(dict(at_place))

    def turn() -> None:
        nonlocal turns
        turns += 1
        if not walked.done():
            loop.call_soon(turn)

    monkeypatch.setattr(QueueNotices, "_look", noting)
    turn()
    seen = await walked
    assert seen[1] == seen[2] < seen[3] == seen[4] < seen[5] == seen[6]


def _notices(
    waiting: WaitingJobs,
    projects: dict[str, LiveProject],
    told: list[tuple[str, int]],
    able: list[WorkerSession],
    speeds: Speeds,
) -> QueueNotices:
    """Notices of these projects; `told` gets their places as they are told. `able` may change."""

    def seen(project: LiveProject, place: int, offer: Offer) -> Seen:
        return Seen(
            offer=offer, connected=lambda one: None, max_running=5, position=place, now_ms=0
        )

    def tell_place(project: LiveProject, place: int, word: str, offer: Offer) -> None:
        project.told_position, project.told_at_s = place, 1_000.0
        project.told_reason = word
        project.told_starts_at_s = project.starts_at_s
        told.append((project.id, place))

    def tell_reason(project: LiveProject, word: str, offer: Offer) -> None:
        project.noticed_reason = word

    open_projects = SimpleNamespace(
        offer=lambda project: Offer(able=tuple(able)),
        seen=seen,
        project=projects.get,
        tell_place=tell_place,
        tell_reason=tell_reason,
    )
    rendering = SimpleNamespace(
        scheduler=SimpleNamespace(waiting=waiting),
        speeds=speeds,
        forecasts=Forecasts(),
        measures=Measures(),
    )
    workers = SimpleNamespace(all=lambda: able)
    made, config = cast(Any, QueueNotices), SimpleNamespace(queue_notice_s=60.0)
    return cast(QueueNotices, made(config, rendering, workers, open_projects, lambda: 1_000.0))


def _line_of(waiting: WaitingJobs, count: int) -> dict[str, LiveProject]:
    """Projects of one account that wait, in their order."""
    projects = [live_project("ADA", "m1") for _ in range(count)]
    for project in projects:
        (job,) = project.jobs
        job.__class__ = _CountedJob
        waiting.add(job)
    return {project.id: project for project in projects}


async def test_a_queue_that_nobody_serves_is_looked_through_when_something_happens() -> None:
    waiting, told = WaitingJobs(), list[tuple[str, int]]()
    projects, able = _line_of(waiting, 40), list[WorkerSession]()
    notices = _notices(waiting, projects, told, able, Speeds())

    async def looks() -> int:
        told.clear()
        before = _CountedJob.looks
        await notices.notify()
        return _CountedJob.looks - before

    everybody = await looks()
    assert [place for _, place in told] == list(range(1, 41))
    assert await looks() < everybody / 10
    assert told == []
    first, second, *_ = projects.values()
    first.canceling = True
    waiting.note(first.jobs[0])
    await looks()
    assert told[0] == (second.id, 1)
    assert len(told) == 39
    able.append(worker("m1", holds=1))
    await looks()
    assert len(told) == 39
    assert await looks() > everybody / 2  # whoever is served may start any time


async def test_what_is_counted_of_a_quiet_queue_stays_true() -> None:
    waiting, told = WaitingJobs(), list[tuple[str, int]]()
    projects = _line_of(waiting, 3)
    notices = _notices(waiting, projects, told, [], Speeds())
    for _ in range(2):
        await notices.notify()
        assert notices._measures.queue.jobs == {("fast", "m1"): 3}
        assert notices._measures.queue.projects == {"impossible None": 3}
        assert notices._measures.queue.oldest_ms == min(
            project.created_ms for project in projects.values()
        )
    for project in projects.values():
        project.canceling = True
    await notices.notify()
    assert notices._measures.queue == QueueSeen()


async def test_far_back_a_place_is_told_when_it_has_moved_by_a_part_of_itself() -> None:
    waiting, told = WaitingJobs(), list[tuple[str, int]]()
    projects = _line_of(waiting, 300)
    notices = _notices(waiting, projects, told, [worker("m1", holds=1)], Speeds())
    await notices.notify()
    told.clear()
    for project in list(projects.values())[:3]:
        waiting.take(project.jobs[0], now_ms=5)
        project.jobs[0].move(JobEvent.ASSIGN)
    await notices.notify()
    places = {place for _, place in told}
    assert {1, 2, 46} <= places  # 3, 4 and 49 before
    assert not [place for place in places if place > 150]


class _CountedJob(LiveJob, eq=False, kw_only=True):
    """Counts how often anybody looks at anything of such a job."""

    looks: ClassVar[int] = 0

    def __getattribute__(self, name: str) -> Any:
        _CountedJob.looks += 1
        return super().__getattribute__(name)


@pytest.mark.parametrize(
    ("jobs_each", "accounts"),
    [(1, 1), (150, 1), (150, 4)],
    ids=["small projects", "large projects", "large projects of several accounts"],
)
def test_at_once_no_more_is_done_than_for_a_few_jobs_however_many_wait(
    monkeypatch: pytest.MonkeyPatch, jobs_each: int, accounts: int
) -> None:
    monkeypatch.setattr(queue_notices, "SLICE", 10)
    monkeypatch.setattr(queue_notices, "WALK_SLICE", 10)
    monkeypatch.setattr(queue_notices, "REST_S", 0)
    monkeypatch.setattr(start_times, "SLICE", 10)
    waiting, speeds, projects = WaitingJobs(), Speeds(), dict[str, LiveProject]()
    for model in ("m1", "m2"):
        speeds.observe("w1", model, work_s=5.0, took_s=4.0)
        for number in range(600 // jobs_each):
            project = live_project(f"ADA {number % accounts}", model, jobs=jobs_each)
            projects[project.id] = project
            for job in project.jobs:
                job.price_micros = 1_000_000
                job.__class__ = _CountedJob
                waiting.add(job)
    told: list[tuple[str, int]] = []
    turn = _notices(waiting, projects, told, [worker("m1", "m2")], speeds).notify()
    most = 0
    while True:
        before = _CountedJob.looks
        try:
            turn.send(None)  # until it lets somebody else do something
        except StopIteration:
            break
        most = max(most, _CountedJob.looks - before)
    assert len(told) == 2 * (600 // jobs_each)
    assert all(project.starts_at_s is not None for project in projects.values())
    # Of the queue, of why each waits, and of a project that is told.
    assert most <= 10 * 20 + 10 * 5 + 6 * jobs_each
