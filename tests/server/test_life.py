"""The life of a project from request to record, over real sockets."""

from typing import Any

import pytest

from dreamgrid.protocol.renders import ImageRender
from dreamgrid.protocol.worker import Assign, Failed, Settled, Started
from dreamgrid.server import upkeep
from tests.server.conftest import MakeGrid
from tests.support.grid import Grid
from tests.support.wire import CANCELED, PNG, App, Worker, finished


async def completed(app: App, worker: Worker, **fields: Any) -> str:
    """A project that was rendered without any trouble; its id."""
    project = await app.request(**fields)
    await worker.finish(await worker.assigned())
    await app.wait_state("jobCompleted", jobID=project)
    return project


# ── success ──────────────────────────────────────────────────────────────────────────────────────


async def test_two_images_with_previews_frame_by_frame(grid: Grid) -> None:
    """The trace of `socket.md` 9.1."""
    app = await grid.app()
    one, two = await grid.worker("w1"), await grid.worker("w2")
    project = await app.request(numberOfImages=2, previews=2)
    a, b = await one.assigned(), await two.assigned()

    await one.start(a)
    await one.progress(a, 1)
    await one.fence()
    await two.start(b)
    await two.fence()
    await one.upload_preview(a)
    await one.progress(a, 2, preview_ready=True)
    await app.wait_for("jobProgress", hasImage=True)
    preview = f"/v1/image/downloadUrl?jobId={project}&imageId={a.job_id}&type=preview"
    url = (await grid.data(preview))["downloadUrl"]
    async with grid.http.get(url) as answer:
        assert await answer.read() == b"\xff\xd8\xff preview"
    await two.progress(b, 4)
    await two.finish(b)
    await one.progress(a, 4)
    await one.finish(a)
    await app.wait_for("balanceUpdate")
    await app.fence()

    def of(job: Assign, frame: str) -> tuple[str, str]:
        return frame, job.job_id

    assert [(frame.short, frame.payload.get("imgID", "")) for frame in app.about(project)] == [
        ("queued", ""),
        of(a, "initiatingModel"),
        of(b, "initiatingModel"),
        of(a, "jobStarted"),
        of(a, "jobProgress 1/4"),
        of(b, "jobStarted"),
        of(a, "jobProgress 2/4"),
        of(b, "jobProgress 4/4"),
        of(b, "jobResult"),
        of(a, "jobProgress 4/4"),
        of(a, "jobResult"),
        ("jobCompleted", ""),
    ]
    told = [frame.type for frame in app.frames if frame.type != "swarmModels"]  # at any time
    assert told[-2:] == [
        "balanceUpdate",
        "socketEventSubscriptionsUpdated",
    ]


async def test_each_frame_of_a_render_says_what_the_contract_wants(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker("the worker")
    project = await app.request(seed=42)
    job = await worker.assigned()
    await worker.start(job)
    await worker.progress(job, 3)
    await worker.finish(job)
    result = await app.wait_for("jobResult")
    await app.wait_state("jobCompleted")

    queued, initiating, started, progress, _, ended = app.about(project)
    named = {"jobID": project, "imgID": job.job_id, "assignment": 1}
    assert queued.payload == {
        "type": "queued",
        "jobID": project,
        "queuePosition": 1,
        "queueStatus": "waiting",
    }
    step = named | {"workerName": "the worker", "jobIndex": 0}
    assert initiating.payload == step | {"type": "initiatingModel"}
    assert started.payload == step | {"type": "jobStarted"}
    assert progress.payload == named | {"step": 3, "stepCount": 4, "hasImage": False}
    assert result.payload == {
        "jobID": project,
        "imgID": job.job_id,
        "performedStepCount": 4,
        "lastSeed": "42",
        "userCanceled": False,
        "triggeredNSFWFilter": False,
        "nsfwDetected": False,
        "nsfwSources": [],
        "resultUrl": result["resultUrl"],
        "lastFrameUrl": None,
        "outputFormat": "png",
        "sha256": finished("", 1, PNG).sha256,
    }
    assert ended.payload == {"type": "jobCompleted", "jobID": project}


async def test_the_result_can_be_fetched_from_the_frames_url_and_from_the_api(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request(outputFormat="webp")
    job = await worker.assigned()
    await worker.finish(job, b"RIFF a webp")
    result = await app.wait_for("jobResult")
    asked = f"/v1/image/downloadUrl?jobId={project}&imageId={job.job_id}&type=complete"
    for url in (result["resultUrl"], (await grid.data(asked))["downloadUrl"]):
        assert url.startswith(grid.url)
        assert url.partition("?")[0].endswith(".webp")
        async with grid.http.get(url) as answer:
            assert (answer.status, answer.content_type) == (200, "image/webp")
            assert await answer.read() == b"RIFF a webp"


async def test_the_record_is_there_when_the_app_hears_of_the_end(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker("w1")
    project = await app.request(seed=5, previews=1)
    job = await worker.assigned()
    assert (await grid.get(f"/v1/projects/{project}"))[0] == 404
    await worker.start(job)
    await worker.finish(job)
    await app.wait_state("jobCompleted", jobID=project)

    record = await grid.record(project)
    assert (record["status"], record["reason"]) == ("completed", "allJobsCompleted")
    assert (record["imageCount"], record["stepCount"], record["previewCount"]) == (1, 4, 1)
    assert (record["model"]["id"], record["network"]) == ("pattern-v1", "fast")
    assert record["workerJobs"] == []
    (done,) = record["completedWorkerJobs"]
    assert (done["id"], done["imgID"], done["jobIndex"]) == (project, job.job_id, 0)
    assert (done["status"], done["reason"]) == ("jobCompleted", "jobCompleted")
    assert (done["performedSteps"], done["seedUsed"]) == (4, 5)
    assert done["worker"]["name"] == "w1"
    assert record["createTime"] <= done["startTime"] <= done["endTime"] == record["endTime"]


async def test_the_live_record_follows_the_project(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request(numberOfImages=2)
    first = await worker.assigned()
    await worker.start(first)
    await worker.fence()
    live = await grid.live(project)
    assert (live["status"], live["finished"]) == ("processing", False)
    assert [job["status"] for job in live["workerJobs"]] == ["jobProgress", "queued"]
    assert live["completedWorkerJobs"] == []
    assert (await grid.get("/api/v1/artist/projects/active"))[1] == {"projects": [{"id": project}]}

    await worker.finish(first)
    live = await grid.live(project)
    assert [job["status"] for job in live["completedWorkerJobs"]] == ["jobCompleted"]
    await worker.finish(await worker.assigned())
    await app.wait_state("jobCompleted")
    live = await grid.live(project)
    assert (live["status"], live["finished"]) == ("completed", True)
    assert (await grid.get("/api/v1/artist/projects/active"))[1] == {"projects": []}


async def test_money_is_held_at_the_request_and_charged_at_the_delivery(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    estimate = "/api/v2/job/estimate/spark/fast/pattern-v1/2/4/0/0/0/64/64"
    quote = (await grid.get(estimate))[1]["quote"]["project"]["costInToken"]
    project = await app.request(numberOfImages=2)
    job = await worker.assigned()
    held = await grid.spark()
    assert float(held["debit"]) == float(quote) > 0
    assert held["settled"] == "1000.000000"

    await worker.finish(job)
    await worker.finish(await worker.assigned())
    await app.wait_state("jobCompleted")
    after = await grid.spark()
    assert float(after["debit"]) == 0
    assert float(after["net"]) == pytest.approx(1000 - float(quote), abs=1e-9)
    record = await grid.record(project)
    assert float(record["costActual"]["costInToken"]) == float(quote)
    told = [frame["spark"]["net"] for frame in app.frames if frame.type == "balanceUpdate"]
    assert told == ["1000.000000", held["net"], held["net"], after["net"]]  # one a picture


async def test_the_other_currency_can_pay(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    await completed(app, worker, tokenType="sogni")
    balance = await grid.data("/v4/account/balance")
    assert float(balance["sogni"]["net"]) < 1000
    assert float(balance["spark"]["net"]) == 1000


async def test_every_render_of_a_project_has_a_seed_of_its_own(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker(slots=3)
    await app.request(numberOfImages=3, seed=11)
    jobs = [await worker.assigned() for _ in range(3)]
    seeds = [job.render.seed for job in jobs]
    assert seeds[0] == 11
    assert len(set(seeds)) == 3
    assert len({job.job_id for job in jobs}) == 3


async def test_the_worker_gets_everything_that_it_needs(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request(
        positivePrompt="a cat",
        stylePrompt="in oil",
        negativePrompt="dogs",
        previews=2,
        outputFormat="jpg",
        width=128,
        height=96,
    )
    job = await worker.assigned()
    assert (job.project_id, job.attempt) == (project, 1)
    assert job.render.prompt == "a cat, in oil"
    assert job.render.negative_prompt == "dogs"
    assert isinstance(job.render, ImageRender)
    assert (job.render.width, job.render.height, job.render.steps) == (128, 96, 4)
    assert job.output.content_type == "image/jpeg"
    assert job.preview is not None
    assert job.inputs == ()


async def test_an_input_picture_reaches_the_worker(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = "0A0A0A0A-0000-4000-8000-000000000001"
    asked = f"/v1/image/uploadUrl?imageId=X&jobId={project}&type=startingImage"
    url = (await grid.data(asked))["uploadUrl"]
    async with grid.http.put(url, data=PNG) as answer:
        assert answer.status == 200
    await app.request(project, hasStartingImage=True, strength=0.3)
    job = await worker.assigned()
    assert isinstance(job.render, ImageRender)
    assert job.render.strength == 0.3
    (given,) = job.inputs
    assert given.role == "startingImage"
    async with grid.http.get(given.url) as answer:
        assert await answer.read() == PNG


async def test_progress_is_told_with_the_steps_that_the_worker_counts(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    job = await worker.assigned()
    for step in range(1, 5):
        await worker.progress(job, step)
    await worker.progress(job, 99)
    await worker.finish(job)
    await app.wait_state("jobCompleted")
    steps = [frame["step"] for frame in app.about(project) if frame.type == "jobProgress"]
    assert steps == [1, 2, 3, 4, 4]


# ── failures ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_failed_attempt_is_followed_by_another_under_the_same_id(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    first = await worker.assigned()
    await worker.start(first)
    await worker.progress(first, 2)
    await worker.fail(first)
    again = await worker.assigned()
    assert (again.job_id, again.attempt) == (first.job_id, 2)
    assert again.render == first.render
    assert again.output.url != first.output.url
    await worker.finish(again)
    await app.wait_state("jobCompleted")
    assert app.told(project) == [
        "queued",
        "initiatingModel",
        "jobStarted",
        "jobProgress 2/4",
        "jobRetry",
        "queued",
        "initiatingModel",
        "jobResult",
        "jobCompleted",
    ]
    retry = next(frame for frame in app.about(project) if frame.type == "jobRetry")
    assert retry.payload == {
        "jobID": project,
        "imgID": first.job_id,
        "jobIndex": 0,
        "attempt": 1,
        "maxAttempts": 3,
        "isFromWorker": True,
        "error": "out_of_memory",
        "error_message": "the picture is too large for this device",
        "assignment": 1,
    }
    assert {frame["imgID"] for frame in app.about(project) if "imgID" in frame.payload} == {
        first.job_id
    }


async def test_a_render_that_fails_too_often_fails_its_project_and_costs_nothing(
    grid: Grid,
) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    for attempt in (1, 2, 3):
        job = await worker.assigned()
        assert job.attempt == attempt
        await worker.fail(job)
    end = await app.wait_until(lambda f: f.type == "jobError" and "imgID" not in f.payload, "end")
    assert app.told(project)[-4:] == ["queued", "initiatingModel", "jobError", "jobError"]
    assert (end["error"], end["isFromWorker"]) == ("genfailure", True)
    assert app.about(project)[-2]["imgID"] == job.job_id
    assert app.about(project)[-2]["error_message"] == "the picture is too large for this device"
    record = await grid.record(project)
    assert (record["status"], record["reason"]) == ("errored", "genfailure")
    assert record["completedWorkerJobs"][0]["status"] == "jobError"
    assert (await grid.live(project))["status"] == "failed"
    assert (await grid.spark())["net"] == "1000.000000"
    assert (await grid.spark())["debit"] == "0.000000"
    await worker.fence()


async def test_a_failure_that_no_other_worker_could_mend_is_final(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    await worker.fail(await worker.assigned(), retryable=False)
    await app.wait_until(lambda f: f.type == "jobError" and "imgID" not in f.payload, "end")
    assert "jobRetry" not in app.told(project)


async def test_apps_are_not_told_novels_about_a_failure(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    await app.request()
    job = await worker.assigned()
    await worker.send(
        Failed(job_id=job.job_id, attempt=1, error="e" * 10_000, message="m" * 100_000)
    )
    retry = await app.wait_for("jobRetry")
    assert len(retry["error"]) <= 64
    assert len(retry["error_message"]) <= 500


async def test_one_of_two_fails_and_the_other_is_charged(grid: Grid) -> None:
    """The trace of `socket.md` 9.3."""
    app, worker = await grid.app(), await grid.worker(slots=2)
    project = await app.request(numberOfImages=2)
    bad, good = await worker.assigned(), await worker.assigned()
    held = float((await grid.spark())["debit"])
    await worker.fail(bad, retryable=False)
    await worker.finish(good)
    await app.wait_state("jobCompleted", jobID=project)
    assert app.told(project)[-3:] == ["jobError", "jobResult", "jobCompleted"]
    record = await grid.record(project)
    assert (record["status"], record["imageCount"]) == ("completed", 2)
    assert [job["status"] for job in record["completedWorkerJobs"]] == ["jobError", "jobCompleted"]
    assert float(record["costActual"]["costInToken"]) == held / 2
    spark = await grid.spark()
    assert float(spark["net"]) == pytest.approx(1000 - held / 2, abs=1e-9)
    assert float(spark["debit"]) == 0


async def test_the_last_job_failing_after_a_delivery_still_completes_the_project(
    grid: Grid,
) -> None:
    app, worker = await grid.app(), await grid.worker(slots=2)
    project = await app.request(numberOfImages=2)
    good, bad = await worker.assigned(), await worker.assigned()
    await worker.finish(good)
    await worker.fail(bad, retryable=False)
    await app.wait_state("jobCompleted", jobID=project)
    assert app.told(project)[-3:] == ["jobResult", "jobError", "jobCompleted"]


async def test_all_fail(grid: Grid) -> None:
    """The trace of `socket.md` 9.4."""
    app, worker = await grid.app(), await grid.worker(slots=2)
    project = await app.request(numberOfImages=2)
    for job in [await worker.assigned(), await worker.assigned()]:
        await worker.fail(job, retryable=False)
    await app.wait_until(lambda f: f.type == "jobError" and "imgID" not in f.payload, "end")
    assert app.told(project)[-3:] == ["jobError", "jobError", "jobError"]
    assert "jobCompleted" not in app.told(project)
    assert (await grid.spark())["net"] == "1000.000000"


async def test_a_result_without_its_file_is_not_charged(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    await app.request()
    job = await worker.assigned()
    await worker.send(finished(job.job_id, 1, PNG))
    assert (await worker.expect(Settled)).job_id == job.job_id
    again = await worker.assigned()
    assert again.attempt == 2
    retry = await app.wait_for("jobRetry")
    assert retry["error"] == "upload_failed"
    assert (await grid.spark())["settled"] == "1000.000000"
    await worker.finish(again)
    await app.wait_state("jobCompleted")


async def test_a_file_of_another_length_than_reported_is_not_accepted(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    await app.request()
    job = await worker.assigned()
    await worker.upload(job, PNG + b" and more")
    await worker.send(finished(job.job_id, 1, PNG))
    await worker.expect(Settled)
    assert (await worker.assigned()).attempt == 2
    assert (await app.wait_for("jobRetry"))["error"] == "upload_failed"


async def test_a_job_whose_files_never_arrive_fails_in_the_end(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    for _ in range(3):
        job = await worker.assigned()
        await worker.send(finished(job.job_id, job.attempt, PNG))
        await worker.expect(Settled)
    await app.wait_until(lambda f: f.type == "jobError" and "imgID" not in f.payload, "end")
    assert (await grid.record(project))["status"] == "errored"
    assert (await grid.spark())["net"] == "1000.000000"


async def test_the_same_result_twice_is_charged_once(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request(numberOfImages=2)
    job = await worker.assigned()
    await worker.finish(job)
    other = await worker.assigned()
    await worker.send(finished(job.job_id, 1, PNG))
    assert not (await worker.expect(Settled)).accepted
    await worker.finish(other)
    await app.wait_state("jobCompleted")
    assert app.told(project).count("jobResult") == 2
    estimate = "/api/v2/job/estimate/spark/fast/pattern-v1/2/4/0/0/0/64/64"
    quote = (await grid.get(estimate))[1]["quote"]["project"]["costInToken"]
    record = await grid.record(project)
    assert float(record["costActual"]["costInToken"]) == float(quote)


async def test_nothing_is_told_about_a_render_after_its_end(grid: Grid) -> None:
    """A late progress would un-finish the project in every published SDK."""
    app, worker = await grid.app(), await grid.worker()
    project = await app.request(numberOfImages=2)
    job = await worker.assigned()
    await worker.finish(job)
    other = await worker.assigned()
    await worker.start(job)
    await worker.progress(job, 3)
    await worker.finish(other)
    await app.wait_state("jobCompleted")
    for late in (job, other):
        await worker.send(Started(job_id=late.job_id, attempt=late.attempt))
        await worker.progress(late, 4, preview_ready=True)
    await worker.fence()
    await app.fence()
    told = app.told(project)
    assert told[-1] == "jobCompleted"
    assert [frame for frame in told if frame.startswith("jobProgress")] == []


async def test_reports_of_other_attempts_are_not_told(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    first = await worker.assigned()
    await worker.fail(first)
    second = await worker.assigned()
    await worker.start(first)
    await worker.progress(first, 3)
    await worker.progress(second, 1)
    await worker.fence()
    await app.fence()
    assert app.told(project)[-1] == "jobProgress 1/4"
    assert "jobProgress 3/4" not in app.told(project)
    assert "jobStarted" not in app.told(project)


async def test_a_job_waits_until_a_worker_for_its_model_comes(grid: Grid) -> None:
    """The trace of `socket.md` 9.6."""
    app = await grid.app()
    other = await grid.worker("other", models=("dreamlet-v1",))
    project = await app.request()
    queued = await app.wait_state("queued")
    assert (queued["queuePosition"], queued["queueStatus"]) == (1, "no-workers")
    await other.fence()
    worker = await grid.worker("right")
    await app.wait_for("swarmModels", **{"dreamlet-v1": 1, "pattern-v1": 1})
    await worker.finish(await worker.assigned())
    await app.wait_state("jobCompleted", jobID=project)


async def test_a_network_has_workers_of_its_own(grid: Grid) -> None:
    app = await grid.app()
    fast = await grid.worker("fast")
    await app.request(network="relaxed")
    assert (await app.wait_state("queued"))["queueStatus"] == "no-workers"
    await fast.fence()
    relaxed = await grid.worker("relaxed", network="relaxed")
    await relaxed.finish(await relaxed.assigned())
    await app.wait_state("jobCompleted")


async def test_accounts_take_turns_on_a_busy_worker(grid: Grid) -> None:
    bob_key = await grid.account("bob")
    ada, bob = await grid.app(), await grid.app(key=bob_key)
    of_ada = [await ada.request(numberOfImages=3)]
    await ada.wait_state("queued")
    of_bob = [await bob.request()]
    await bob.wait_state("queued")
    worker = await grid.worker()
    order = []
    for _ in range(4):
        job = await worker.assigned()
        order.append("ada" if job.project_id in of_ada else "bob")
        assert job.project_id in of_ada + of_bob
        await worker.finish(job)
    assert order == ["ada", "bob", "ada", "ada"]


async def test_the_queue_says_the_truth_again_and_again(
    make_grid: MakeGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "POSITIONS_EVERY_S", 0.01)
    async with make_grid() as grid:
        app = await grid.app()
        first, second = await app.request(), await app.request()
        await app.wait_state("queued", jobID=second, queuePosition=2)
        grid.clock.advance(25)
        await app.wait_state("queued", jobID=first, queuePosition=1)
        await app.wait_state("queued", jobID=second, queuePosition=2)
        await app.send("jobError", {"jobID": first, **CANCELED})
        # Perhaps told before the cancel is confirmed: a project that is being canceled is passed.
        await app.wait_state("queued", jobID=second, queuePosition=1)
        assert "queued" not in app.told(first)[2:]
