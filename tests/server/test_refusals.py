"""What is refused: at once, with a reason, at no cost, and with nothing left behind."""

import asyncio
from typing import Any

import pytest

from dreamgrid.server.blobs.base import BlobInfo
from dreamgrid.server.blobs.local import LocalBlobs
from tests.server.conftest import MakeGrid
from tests.support.grid import Grid
from tests.support.wire import PNG, App, Frame, job_request, new_id

INVALID, UNKNOWN_MODEL, MISSING_ASSET, INSUFFICIENT = 4000, 4001, 4002, 4003

WRONG: list[tuple[dict[str, Any], int, str]] = [
    ({"modelID": "no-such-model"}, UNKNOWN_MODEL, "no-such-model"),
    ({"modelID": "pattern-v2"}, UNKNOWN_MODEL, "did you mean pattern-v1"),
    ({"modelID": ""}, UNKNOWN_MODEL, "model"),
    ({"modelID": "x" * 60_000}, UNKNOWN_MODEL, "model"),
    ({"modelID": None}, INVALID, "modelID"),
    ({"modelID": 7}, INVALID, "modelID"),
    ({"width": 1}, INVALID, "width 1"),
    ({"width": 100_000}, INVALID, "width 100000"),
    ({"height": -64}, INVALID, "height -64"),
    ({"height": 0}, INVALID, "height 0"),
    ({"width": None}, INVALID, "width and height"),
    ({"width": "64"}, INVALID, "width"),
    ({"width": 64.5}, INVALID, "width"),
    ({"width": 10**400}, INVALID, "width"),
    ({"width": [64]}, INVALID, "width"),
    ({"steps": 0}, INVALID, "steps 0"),
    ({"steps": -1}, INVALID, "steps -1"),
    ({"steps": 10_000}, INVALID, "steps 10000"),
    ({"steps": 10**30}, INVALID, "steps"),
    ({"steps": True}, INVALID, "steps"),
    ({"seed": 2**32}, INVALID, "seed 4294967296"),
    ({"seed": -2}, INVALID, "seed -2"),
    ({"numberOfImages": 0}, INVALID, "count 0"),
    ({"numberOfImages": -1}, INVALID, "count -1"),
    ({"numberOfImages": 17}, INVALID, "count 17"),
    ({"numberOfImages": 1e18}, INVALID, "count"),
    ({"numberOfImages": "2"}, INVALID, "numberOfImages"),
    ({"outputFormat": "gif"}, INVALID, "gif"),
    ({"outputFormat": "../png"}, INVALID, "png, jpg or webp"),
    ({"sizePreset": "enormous"}, INVALID, "enormous"),
    ({"network": "slow"}, INVALID, "network"),
    ({"tokenType": "gold"}, INVALID, "tokenType"),
    ({"positivePrompt": "x" * 4_001}, INVALID, "4001"),
    ({"negativePrompt": "x" * 60_000}, INVALID, "60000"),
    ({"negativePrompt": "x" * 100_000}, INVALID, "at most 65536"),
    ({"stylePrompt": "x" * 4_001}, INVALID, "4001"),
    ({"positivePrompt": "a\0cat"}, INVALID, "NUL"),
    ({"positivePrompt": 7}, INVALID, "positivePrompt"),
    ({"hasStartingImage": True}, MISSING_ASSET, "startingImage"),
    ({"hasStartingImage": "yes"}, INVALID, "hasStartingImage"),
    ({"hasContextImage1": True}, INVALID, "contextImage1"),
    ({"hasReferenceMask": True}, INVALID, "referenceMask"),
    ({"currentControlNetsJob": [{"name": "canny", "hasImage": True}]}, INVALID, "cnImage"),
    ({"loras": ["some-style"]}, INVALID, "LoRA"),
    ({"keyFrames": []}, INVALID, "keyFrames"),
]


async def refusal(app: App, project: str) -> Frame:
    """The refusal of a project: one error about the project as a whole."""
    error = await app.wait_for("jobError", jobID=project)
    assert error["isFromWorker"] is False
    assert "imgID" not in error.payload
    assert error["error_message"]
    assert len(error["error_message"]) < 1_000
    return error


async def assert_nothing_is_left(grid: Grid, app: App, project: str) -> None:
    """Nobody knows the project, and no money was touched."""
    await app.fence()
    assert app.told(project) == ["jobError"]
    assert (await grid.spark())["net"] == "1000.000000"
    assert (await grid.spark())["debit"] == "0.000000"
    assert (await grid.get(f"/v2/projects/{project}"))[0] == 404
    assert (await grid.get("/api/v1/artist/projects/active"))[1] == {"projects": []}
    assert await grid.store.project(project) is None
    assert [frame.type for frame in app.frames].count("balanceUpdate") == 1


@pytest.mark.parametrize(("fields", "code", "reason"), WRONG, ids=lambda value: str(value)[:40])
async def test_a_wrong_request_is_refused_and_leaves_nothing(
    grid: Grid, fields: dict[str, Any], code: int, reason: str
) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = new_id()
    request = job_request(project, **fields)
    request |= {"keyFrames": fields["keyFrames"]} if "keyFrames" in fields else {}
    await app.send("jobRequest", request)
    error = await refusal(app, project)
    assert (error["error"], reason in error["error_message"]) == (code, True), error
    await assert_nothing_is_left(grid, app, project)
    await worker.fence()


async def test_what_cannot_be_paid_is_refused_and_leaves_nothing(make_grid: MakeGrid) -> None:
    """The trace of `socket.md` 9.5."""
    async with make_grid(starting_grant_micros=5) as grid:
        app = await grid.app()
        project = await app.request()
        error = await refusal(app, project)
        assert error["error"] == INSUFFICIENT
        assert "insufficient" in error["error_message"].lower()
        await app.fence()
        assert app.told(project) == ["jobError"]
        assert (await grid.spark())["net"] == "0.000005"
        assert await grid.store.project(project) is None
        assert (await grid.get(f"/v2/projects/{project}"))[0] == 404


@pytest.mark.parametrize(
    "project", [" ", "nonsense", "../../etc/passwd", "44BABD98", "x" * 10_000, "\0", "ÄÖÜ"]
)
async def test_an_id_must_be_a_uuid(grid: Grid, project: str) -> None:
    app = await grid.app()
    await app.request(project)
    error = await app.wait_for("jobError")
    assert error["error"] == INVALID
    assert "UUID" in error["error_message"]
    assert (await grid.spark())["debit"] == "0.000000"


async def test_a_request_without_an_id_is_answered_with_a_notice(grid: Grid) -> None:
    app = await grid.app()
    nameless: list[Any] = [{}, {"jobID": None}, {"jobID": 5}, {"jobID": ""}, [], "x", 7, None]
    for payload in nameless:
        await app.send("jobRequest", payload)
        assert (await app.wait_for("toastMessage"))["type"] == "error"
    await app.fence()


async def test_only_so_many_projects_may_wait(make_grid: MakeGrid) -> None:
    async with make_grid(max_queued_projects=2) as grid:
        app = await grid.app()
        one, _ = await app.request(), await app.request()
        third = await app.request()
        error = await refusal(app, third)
        assert error["error"] == 429
        assert "2 unfinished projects" in error["error_message"]
        bob = await grid.app(key=await grid.account("bob"))
        await bob.request()
        await bob.wait_state("queued")
        await app.cancel(one)
        await app.request(third)
        await app.wait_state("queued", jobID=third)


async def test_projects_that_come_at_the_same_time_are_counted_too(
    make_grid: MakeGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking, let_go, stat = asyncio.Semaphore(0), asyncio.Event(), LocalBlobs.stat

    async def slow(blobs: LocalBlobs, key: str) -> BlobInfo | None:
        looking.release()
        await let_go.wait()
        return await stat(blobs, key)

    async with make_grid(max_queued_projects=1) as grid:
        apps = [await grid.app("one"), await grid.app("two")]
        projects = [new_id(), new_id()]
        for project in projects:
            asked = f"/v1/image/uploadUrl?imageId=X&jobId={project}&type=startingImage"
            async with grid.http.put((await grid.data(asked))["uploadUrl"], data=PNG) as answer:
                assert answer.status == 200
        monkeypatch.setattr(LocalBlobs, "stat", slow)
        for app, project in zip(apps, projects, strict=True):
            await app.request(project, hasStartingImage=True)
            await looking.acquire()  # it was let in, and its input is looked at
        let_go.set()
        await apps[0].wait_state("queued", jobID=projects[0])
        assert (await refusal(apps[1], projects[1]))["error"] == 429


async def test_an_input_of_another_project_does_not_count(grid: Grid) -> None:
    app = await grid.app()
    asked = f"/v1/image/uploadUrl?imageId=X&jobId={new_id()}&type=startingImage"
    async with grid.http.put((await grid.data(asked))["uploadUrl"], data=PNG) as answer:
        assert answer.status == 200
    project = await app.request(hasStartingImage=True)
    assert (await refusal(app, project))["error"] == MISSING_ASSET
    await assert_nothing_is_left(grid, app, project)


async def test_an_input_of_another_account_does_not_count(grid: Grid) -> None:
    bob = await grid.account("bob")
    app, project = await grid.app(), new_id()
    asked = f"/v1/image/uploadUrl?imageId=X&jobId={project}&type=startingImage"
    async with grid.http.put((await grid.data(asked, key=bob))["uploadUrl"], data=PNG) as answer:
        assert answer.status == 200
    await app.request(project, hasStartingImage=True)
    assert (await refusal(app, project))["error"] == MISSING_ASSET


async def test_a_full_disk_refuses_at_once_and_charges_nothing(grid: Grid) -> None:
    app = await grid.app()
    grid.store.break_down()
    project = await app.request()
    error = await refusal(app, project)
    assert error["error"] == 5006
    grid.store.recover()
    await assert_nothing_is_left(grid, app, project)
    again = await app.request(project)
    await app.wait_state("queued", jobID=again)


async def test_extremes_that_are_allowed_are_accepted(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker(slots=20)
    await app.request(
        numberOfImages=16,
        steps=50,
        seed=2**32 - 1,
        width=2048,
        height=2048,
        positivePrompt="ü" * 4_000,
        previews=10_000,
        strength=0.5,
        vae=None,
        strengthIsEnabled=True,
    )
    await app.wait_state("queued")
    jobs = [await worker.assigned() for _ in range(16)]
    assert jobs[0].render.seed == 2**32 - 1
    assert {job.render.previews for job in jobs} == {50}


@pytest.mark.parametrize("seed", [0, -1, None, 5.0])
async def test_seeds_as_the_sdks_write_them(grid: Grid, seed: float | None) -> None:
    app, worker = await grid.app(), await grid.worker()
    await app.request(seed=seed)
    job = await worker.assigned()
    assert 0 <= job.render.seed < 2**32
    assert seed in (-1, None) or job.render.seed == seed


async def test_the_same_request_in_another_spelling_is_the_same_request(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request(steps=4)
    job = await worker.assigned()
    asked = job_request(project, steps=4)
    await app.send("jobRequest", dict(reversed(asked.items())) | {"canvasIsOn": False})
    await worker.finish(job)
    await app.wait_state("jobCompleted", jobID=project)
    assert not [frame for frame in app.frames if frame.type == "jobError"]


async def test_a_model_with_prompts_of_its_own_length_takes_them(grid: Grid) -> None:
    app = await grid.app()
    await grid.worker(models=("minimax-h3-fl2va-fp8_t2v",))
    wish = {"modelID": "minimax-h3-fl2va-fp8_t2v", "sizePreset": None, "steps": None}
    wish |= {"width": None, "height": None}
    accepted = await app.request(positivePrompt="waves " * 1000, **wish)
    await app.wait_state("queued", jobID=accepted)
    refused = await app.request(positivePrompt="waves " * 1200, **wish)
    error = await app.wait_for("jobError", jobID=refused)
    assert "at most 7000" in error["error_message"]
