"""Whole jobs: a real worker, a real engine process and a small real server."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from dreamgrid.protocol.worker import Cancel, Download, Failed, Finished, Progress, Started, Upload
from dreamgrid.worker import events
from tests.worker.gate import Gate
from tests.worker.server_room import RunningWorker, ServerRoom, config_of, running_worker


@pytest.fixture
async def room() -> AsyncIterator[ServerRoom]:
    async with ServerRoom().open() as room:
        yield room


@pytest.fixture
async def worker(room: ServerRoom, tmp_path: Path) -> AsyncIterator[RunningWorker]:
    async with running_worker(config_of(room.url, tmp_path / "data", slots=2)) as worker:
        yield worker


async def test_a_job_goes_from_assignment_to_settled(
    room: ServerRoom, worker: RunningWorker
) -> None:
    line = await room.line()
    room.files["startingImage"] = b"a starting image"
    await line.send(room.assign("1", inputs=("startingImage",)))
    finished = await line.expect(Finished)
    stored = room.files["result/1"]  # there before the server is told
    assert stored.endswith(b"|77|a starting image")
    assert room.files["result/1:type"] == b"image/png"
    assert finished.sha256 == hashlib.sha256(stored).hexdigest()
    assert (finished.job_id, finished.attempt, finished.seed, finished.steps) == ("1", 1, 77, 3)
    assert finished.size_bytes == len(stored)
    assert finished.render_s > 0
    kinds = [type(message) for message in line.seen]
    assert kinds[0] is Started
    assert kinds[-1] is Finished
    assert set(kinds[1:-1]) == {Progress}
    last = line.seen[-2]
    assert isinstance(last, Progress)
    assert (last.step, last.step_count, last.eta_s) == (3, 3, 0.0)
    started, done = await worker.event(events.JobStarted), await worker.event(events.JobFinished)
    assert started.job_id == done.job_id == "1"
    assert done.size_bytes == len(stored)


async def test_a_preview_is_announced_once_it_lies_at_its_url(
    room: ServerRoom, worker: RunningWorker, tmp_path: Path
) -> None:
    line, gate = await room.line(), Gate(tmp_path)
    await line.send(room.assign("1", gate.prompt, steps=2, previews=1))
    progress = await line.expect(Progress)
    while not progress.preview_ready:
        progress = await line.expect(Progress)
    assert room.files["preview/1"] == b"preview 1"
    assert room.files["preview/1:type"] == b"image/jpeg"
    assert progress.step == 1
    await gate.open()
    await line.expect(Finished)
    announced = [m for m in line.seen if isinstance(m, Progress) and m.preview_ready]
    assert len(announced) == room.requests["PUT preview/1"] == 1


async def test_a_slow_preview_delays_nothing_and_is_not_announced_afterwards(
    room: ServerRoom, worker: RunningWorker
) -> None:
    line = await room.line()
    room.held["preview/1"] = asyncio.Event()
    await line.send(room.assign("1", steps=8, previews=4))
    await line.expect(Finished, "1")
    room.held["preview/1"].set()
    await line.send(room.assign("2"))
    await line.expect(Finished, "2")
    assert not any(isinstance(m, Progress) and m.preview_ready for m in line.seen)


async def test_without_wanted_previews_none_is_made(
    room: ServerRoom, worker: RunningWorker
) -> None:
    line = await room.line()
    await line.send(room.assign("1", steps=8, previews=0))
    await line.expect(Finished)
    assert room.requests["PUT preview/1"] == 0


async def test_a_preview_that_the_store_refuses_does_not_hurt_the_job(
    room: ServerRoom, worker: RunningWorker
) -> None:
    line = await room.line()
    room.answers["preview/1"] = [403] * 9
    await line.send(room.assign("1", steps=4, previews=3))
    await line.expect(Finished)


@pytest.mark.parametrize("answers", [[503, 500], [0, 503]], ids=["5xx", "broken connection"])
async def test_an_upload_is_tried_again_when_the_store_fails(
    room: ServerRoom, worker: RunningWorker, answers: list[int]
) -> None:
    line = await room.line()
    room.answers["result/1"] = answers
    await line.send(room.assign("1"))
    await line.expect(Finished)
    assert room.requests["PUT result/1"] == 3
    assert "result/1" in room.files


async def test_an_upload_that_never_works_fails_the_job(
    room: ServerRoom, worker: RunningWorker
) -> None:
    line = await room.line()
    room.answers["result/1"] = [503] * 99
    await line.send(room.assign("1"))
    failed = await line.expect(Failed)
    assert (failed.error, failed.retryable) == ("upload_failed", True)
    assert "503" in failed.message
    assert room.requests["PUT result/1"] == 8


async def test_an_upload_that_is_refused_is_not_tried_again(
    room: ServerRoom, worker: RunningWorker
) -> None:
    line = await room.line()
    room.answers["result/1"] = [403]
    await line.send(room.assign("1"))
    failed = await line.expect(Failed)
    assert (failed.error, failed.retryable) == ("upload_failed", True)
    assert "403" in failed.message
    assert room.requests["PUT result/1"] == 1
    told = await worker.event(events.JobFailed)
    assert told.error == "upload_failed"


async def test_a_result_that_is_too_large_is_not_uploaded(
    room: ServerRoom, worker: RunningWorker
) -> None:
    line = await room.line()
    await line.send(room.assign("1", "big 1001", max_bytes=1000))
    failed = await line.expect(Failed)
    assert (failed.error, failed.retryable) == ("upload_failed", False)
    assert room.requests["PUT result/1"] == 0


async def test_a_result_of_more_than_a_megabyte_arrives_whole(
    room: ServerRoom, worker: RunningWorker
) -> None:
    line = await room.line()
    await line.send(room.assign("1", f"big {5 * 1024 * 1024}"))
    finished = await line.expect(Finished)
    assert len(room.files["result/1"]) == finished.size_bytes == 5 * 1024 * 1024


@pytest.mark.parametrize("status", [200, 403])
async def test_the_last_frame_lies_at_its_url_before_the_end_and_never_costs_the_video(
    room: ServerRoom, worker: RunningWorker, status: int
) -> None:
    line = await room.line()
    upload = Upload(url=f"{room.url}files/last/1", content_type="image/png", max_bytes=100)
    room.answers["last/1"] = [] if status == 200 else [status]
    await line.send(replace(room.assign("1", "film"), last_frame=upload))
    await line.expect(Finished)
    assert room.files.get("last/1") == (b"the last frame" if status == 200 else None)
    assert "result/1" in room.files


async def test_another_file_type_than_was_asked_for_is_a_failure(
    room: ServerRoom, worker: RunningWorker
) -> None:
    line = await room.line()
    await line.send(room.assign("1", content_type="image/webp"))
    failed = await line.expect(Failed)
    assert failed.error == "generation_failed"
    assert "image/png instead of image/webp" in failed.message


@pytest.mark.parametrize("key", ["startingImage", "lengthless"])
async def test_an_input_that_is_too_large_fails_the_job_for_good(
    room: ServerRoom, tmp_path: Path, key: str
) -> None:
    config = config_of(room.url, tmp_path / "data", max_input_bytes=100_000)
    async with running_worker(config):
        line = await room.line()
        room.files[key] = bytes(100_001)
        await line.send(room.assign("1", inputs=(key,)))
        failed = await line.expect(Failed)
        assert (failed.error, failed.retryable) == ("input_unreadable", False)
        assert f"{key} could not be downloaded: it has more than 100000 bytes" in failed.message
        assert not any(isinstance(message, Started) for message in line.seen)
        room.files[key] = bytes(50_001)  # the limit is for all inputs together
        await line.send(room.assign("2", inputs=(key, key)))
        assert not (await line.expect(Failed, "2")).retryable
        await line.send(room.assign("3", inputs=(key,)))
        await line.expect(Finished, "3")


async def test_an_input_that_is_missing_fails_the_job_and_one_that_is_late_does_not(
    room: ServerRoom, worker: RunningWorker
) -> None:
    line = await room.line()
    await line.send(room.assign("1", inputs=("missing",)))
    failed = await line.expect(Failed)
    assert (failed.error, failed.retryable) == ("input_unreadable", True)
    assert room.requests["GET missing"] == 1
    assert "files/" not in failed.message  # a presigned URL is a credential
    room.files["late"] = b"here I am"
    room.answers["late"] = [503, 0]
    await line.send(room.assign("2", inputs=("late",)))
    await line.expect(Finished, "2")


@pytest.mark.parametrize(
    ("prompt", "model", "error", "retryable"),
    [
        ("fail OutOfMemory", "puppet-v1", "out_of_memory", True),
        ("memory", "puppet-v1", "out_of_memory", True),
        ("fail UnreadableMedia", "puppet-v1", "input_unreadable", False),
        ("fail RenderRefused", "puppet-v1", "generation_failed", False),
        ("fail EngineError", "puppet-v1", "generation_failed", True),
        ("bug", "puppet-v1", "generation_failed", True),
        ("", "unloadable-v1", "model_not_available", True),
        ("", "unheard-of-v1", "model_not_available", True),
        ("exit 3", "puppet-v1", "engine_crashed", True),
        ("kill", "puppet-v1", "engine_crashed", True),
    ],
)
async def test_each_kind_of_failure_has_its_name_and_the_next_job_works(
    room: ServerRoom, worker: RunningWorker, prompt: str, model: str, error: str, retryable: bool
) -> None:
    line = await room.line()
    await line.send(room.assign("1", prompt, model=model))
    failed = await line.expect(Failed)
    assert (failed.error, failed.retryable) == (error, retryable)
    assert failed.message
    await line.send(room.assign("2"))
    await line.expect(Finished, "2")


async def test_the_app_reads_no_stderr_but_the_owner_does(
    room: ServerRoom, worker: RunningWorker
) -> None:
    line = await room.line()
    await line.send(room.assign("1", "exit 3"))
    failed = await line.expect(Failed)
    assert failed.message == "the engine process ended with exit code 3"
    assert (await worker.event(events.JobFailed)).detail.endswith("\nthe last words")


async def test_the_app_reads_no_words_of_an_engines_bug_but_the_owner_does(
    room: ServerRoom, worker: RunningWorker
) -> None:
    line = await room.line()
    await line.send(room.assign("1", "bug"))
    failed = await line.expect(Failed)
    assert failed.message == "the engine failed; whoever runs this worker can see why"
    detail = (await worker.event(events.JobFailed)).detail
    assert detail == f"{failed.message}\nZeroDivisionError: a bug of the engine"


async def test_a_canceled_job_stops_and_says_nothing_more(
    room: ServerRoom, worker: RunningWorker
) -> None:
    line = await room.line()
    await line.send(room.assign("1", "endless"))
    await line.expect(Progress)
    await line.send(Cancel(job_id="1", attempt=1))
    await worker.event(events.JobCanceled)
    await line.send(room.assign("2"))
    await line.expect(Finished, "2")
    outcomes = [m for m in line.seen if isinstance(m, Finished | Failed)]
    assert [m.job_id for m in outcomes] == ["2"]
    assert "result/1" not in room.files


async def test_a_cancel_of_an_older_attempt_is_ignored(
    room: ServerRoom, worker: RunningWorker, tmp_path: Path
) -> None:
    line, gate = await room.line(), Gate(tmp_path)
    await line.send(room.assign("1", gate.prompt, attempt=2))
    await line.expect(Started)
    await line.send(Cancel(job_id="1", attempt=1))
    await gate.open()
    assert (await line.expect(Finished)).attempt == 2


async def test_a_job_can_be_canceled_while_its_input_downloads(
    room: ServerRoom, worker: RunningWorker
) -> None:
    line = await room.line()
    room.held["slow"] = asyncio.Event()
    await line.send(room.assign("1", inputs=("slow",)))
    await room.arrival("GET slow")
    await line.send(Cancel(job_id="1", attempt=1))
    await worker.event(events.JobCanceled)
    await line.send(room.assign("2"))
    await line.expect(Finished, "2")


async def test_the_next_input_downloads_and_the_last_result_uploads_beside_a_render(
    room: ServerRoom, worker: RunningWorker, tmp_path: Path
) -> None:
    line, first, second = await room.line(), Gate(tmp_path, "first"), Gate(tmp_path, "second")
    room.files["startingImage"] = b"input"
    room.held["result/1"] = asyncio.Event()
    await line.send(room.assign("1", first.prompt))
    await line.expect(Started, "1")
    await line.send(room.assign("2", second.prompt, inputs=("startingImage",)))
    await room.arrival("GET startingImage")  # while the first one renders
    assert not any(isinstance(m, Started) and m.job_id == "2" for m in line.seen)
    await first.open()
    await line.expect(Started, "2")  # while the first one uploads
    assert "result/1" not in room.files
    room.held["result/1"].set()
    await line.expect(Finished, "1")
    await second.open()
    await line.expect(Finished, "2")


async def test_two_engines_render_at_the_same_time(room: ServerRoom, tmp_path: Path) -> None:
    config = config_of(room.url, tmp_path / "data", slots=2, engines=2)
    async with running_worker(config):
        line, first, second = await room.line(), Gate(tmp_path, "1"), Gate(tmp_path, "2")
        await line.send(room.assign("1", first.prompt))
        await line.send(room.assign("2", second.prompt))
        await line.expect(Progress, "1")
        await second.open()
        await line.expect(Finished, "2")
        await first.open()
        await line.expect(Finished, "1")


async def test_urls_are_used_as_they_are_spelled(room: ServerRoom, worker: RunningWorker) -> None:
    line = await room.line()
    plain = room.assign("1")
    signed = "files/a%2fb%7E%20c?X-Signature=a%2Bb%3d&expires=1"
    output = Upload(url=room.url + signed, content_type="image/png", max_bytes=1000)
    await line.send(replace(plain, output=output))
    await line.expect(Finished)
    assert room.raw_paths == [f"/{signed}"]


async def test_relative_urls_lead_to_the_server(room: ServerRoom, worker: RunningWorker) -> None:
    line = await room.line()
    room.files["startingImage"] = b"input"
    assign = replace(
        room.assign("1"),
        inputs=(Download(role="startingImage", url="/files/startingImage?sig=%2B"),),
        output=Upload(url="files/result/1", content_type="image/png", max_bytes=1000),
    )
    await line.send(assign)
    await line.expect(Finished)
    assert room.raw_paths == ["/files/startingImage?sig=%2B", "/files/result/1"]
