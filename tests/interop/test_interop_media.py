"""Video, music and speech through the published SDKs that know them."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from dreamgrid.protocol.renders import AudioRender, VideoRender
from tests.interop.grid import Grid
from tests.interop.sdks import SDKS, App, Driver, Sdk, file
from tests.interop.test_interop_images import fetch
from tests.interop.worker import ScriptedWorker, png, scripted_worker

TEXT_TO_VIDEO = "wan_v2.2-14b-fp8_t2v_lightx2v"
IMAGE_TO_VIDEO = "wan_v2.2-14b-fp8_i2v_lightx2v"
SOUND_TO_VIDEO = "ltx2-19b-fp8_ia2v_distilled"
REFERENCES_TO_VIDEO = "minimax-h3-ref2va-fp8_r2v_turbo"
UPSCALER = "flashvsr_v1.1_tiny_long_bf16"
MUSIC = "dreamlet-music-v1"
VOICE = "dreamlet-voice-v1"

MP4 = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + b"frames" * 1000
MP3 = b"ID3\x04\0\0\0\0\0\0" + b"\xff\xfb sound" * 100
WAV = b"RIFF\x24\0\0\0WAVEfmt " + b"\0" * 100

WITH_MEDIA = tuple(sdk for sdk in SDKS if not sdk.oldest)
"""The oldest generation makes pictures only."""

WITH_LAST_FRAME = tuple(sdk for sdk in SDKS if sdk.recovers)
"""The generations that ask for the last frame of a video."""

FILM = {"type": "video", "modelId": TEXT_TO_VIDEO, "steps": 8, "frames": 33, "fps": 16}
SONG = {"type": "audio", "modelId": MUSIC, "steps": 8, "duration": 20}


@pytest.fixture(params=WITH_MEDIA, ids=str)
def sdk(request: pytest.FixtureRequest) -> Sdk:
    """Each published SDK that knows video and sound."""
    chosen: Sdk = request.param
    if chosen.command[0] == "node":
        request.getfixturevalue("javascript")
    return chosen


@pytest.fixture
async def worker(grid: Grid) -> AsyncIterator[ScriptedWorker]:
    """A worker for every kind of media."""
    videos = (TEXT_TO_VIDEO, IMAGE_TO_VIDEO, SOUND_TO_VIDEO, REFERENCES_TO_VIDEO, UPSCALER)
    models = ("pattern-v1", *videos, MUSIC, VOICE)
    async with scripted_worker(grid.direct_url, grid.key, models=models) as connected:
        yield connected


async def test_a_video_is_made_from_words(app: App, driver: Driver, worker: ScriptedWorker) -> None:
    project = await app.create(**FILM, width=640, height=480, seed=7, shift=3)
    finished = await driver.waiting_for(project)
    job = await worker.job()
    render = job.assign.render
    assert isinstance(render, VideoRender)
    assert (render.width, render.height, render.frames, render.fps) == (640, 480, 33, 16)
    assert (render.seed, render.steps, render.shift) == (7, 8, 3)
    assert job.assign.output.content_type == "video/mp4"
    await job.start()
    await job.step(4)
    await driver.until("job", type="progress", jobId=job.assign.job_id, step=4)
    await job.finish(MP4)
    (url,) = await finished
    assert await fetch(url) == MP4
    assert url.partition("?")[0].endswith(".mp4")
    (shown,) = (await driver.send("snapshot", project=project))["jobs"]
    assert (shown["type"], shown["status"], shown["seed"]) == ("video", "completed", 7)


@pytest.mark.parametrize("sdk", WITH_LAST_FRAME, ids=str, indirect=True)
async def test_the_last_frame_of_a_video_is_fetched(
    app: App, driver: Driver, worker: ScriptedWorker
) -> None:
    project = await app.create(**FILM)
    finished = await driver.waiting_for(project)
    job = await worker.job()
    await job.give_last_frame(png(3))
    await job.render(MP4)
    await finished
    told = await driver.until("job", type="completed", jobId=job.assign.job_id)
    asked = await driver.send("lastFrame", project=project, job=job.assign.job_id)
    for url in (told["data"]["lastFrameUrl"], asked):
        assert await fetch(url) == png(3)


async def test_the_estimate_of_a_video_is_what_is_charged(
    app: App, driver: Driver, worker: ScriptedWorker
) -> None:
    before = await app.spark()
    asked = {"tokenType": "spark", "model": TEXT_TO_VIDEO, "width": 640, "height": 480}
    asked |= {"frames": 33, "fps": 16, "steps": 8, "numberOfMedia": 2}
    estimate = await app.call("projects.estimateVideoCost", asked)
    project = await app.create(**FILM, count=2, width=640, height=480, tokenType="spark")
    for _ in range(2):
        await (await worker.job()).render(MP4)
    assert len(await driver.send("wait", project=project)) == 2
    await app.until_spark(before - Decimal(estimate["token"]))


NEWEST = tuple(sdk for sdk in SDKS if sdk.recovers)
"""Those that know references of several kinds, and the upscaler."""


@pytest.mark.parametrize("sdk", NEWEST, ids=str, indirect=True)
async def test_references_are_in_the_estimate_of_a_video_as_in_its_price(
    app: App, driver: Driver, worker: ScriptedWorker
) -> None:
    asked = {"tokenType": "spark", "model": REFERENCES_TO_VIDEO, "width": 672, "height": 384}
    asked |= {"frames": 124, "fps": 24, "steps": 4, "numberOfMedia": 1}
    counts = {"referenceImageCount": 2, "referenceVideoCount": 1, "hasVideoInput": True}
    plain = await app.call("projects.estimateVideoCost", asked)
    estimate = await app.call("projects.estimateVideoCost", asked | counts)
    assert Decimal(estimate["token"]) > Decimal(plain["token"])
    before = await app.spark()
    project = await app.create(
        type="video",
        modelId=REFERENCES_TO_VIDEO,
        tokenType="spark",
        width=672,
        height=384,
        frames=124,
        contextImages=[file(png(1)), file(png(2))],
        referenceVideos=[file(MP4)],
    )
    finished = await driver.waiting_for(project)
    job = await worker.job()
    assert await job.input("contextImage2") == png(2)
    (video,) = (role for role in job.assign.render.assets if role.startswith("referenceVideo"))
    assert await job.input(video) == MP4  # slot 1 or 2: they count differently
    await job.render(MP4)
    assert len(await finished) == 1
    await app.until_spark(before - Decimal(estimate["token"]))


@pytest.mark.parametrize("sdk", NEWEST, ids=str, indirect=True)
async def test_a_video_is_made_larger_as_its_settings_say(
    app: App, driver: Driver, worker: ScriptedWorker
) -> None:
    wanted = {"upscaleResolution": 1080, "detailPreference": "sharper", "seed": -1}
    project = await app.create(
        type="video",
        modelId=UPSCALER,
        positivePrompt="",
        steps=1,
        referenceVideo=file(MP4),
        processingSpeed="faster",
        **wanted,
    )
    finished = await driver.waiting_for(project)
    job = await worker.job()
    assert await job.input("referenceVideo") == MP4
    render = job.assign.render
    assert isinstance(render, VideoRender)
    assert (render.width, render.height, render.upscale_resolution) == (1890, 1080, 1080)
    assert (render.detail_preference, render.processing_speed) == ("sharper", "faster")
    assert render.seed >= 0
    await job.render(MP4)
    assert len(await finished) == 1


async def test_a_video_begins_with_an_uploaded_picture_and_ends_with_another(
    app: App, driver: Driver, worker: ScriptedWorker
) -> None:
    project = await app.create(
        **FILM | {"modelId": IMAGE_TO_VIDEO},
        referenceImage=file(png(1)),
        referenceImageEnd=file(png(2)),
    )
    finished = await driver.waiting_for(project)
    job = await worker.job()
    assert await job.input("referenceImage") == png(1)
    assert await job.input("referenceImageEnd") == png(2)
    assert sorted(job.assign.render.assets) == ["referenceImage", "referenceImageEnd"]
    await job.render(MP4)
    assert len(await finished) == 1


async def test_a_video_follows_an_uploaded_sound(
    app: App, driver: Driver, worker: ScriptedWorker
) -> None:
    project = await app.create(
        **FILM | {"modelId": SOUND_TO_VIDEO, "frames": 97, "fps": 24},
        referenceImage=file(png(1)),
        referenceAudio=file(WAV),
    )
    finished = await driver.waiting_for(project)
    job = await worker.job()
    assert await job.input("referenceAudio") == WAV
    assert await job.input("referenceImage") == png(1)
    await job.render(MP4)
    assert len(await finished) == 1


async def test_a_video_is_canceled_while_it_is_made(
    app: App, driver: Driver, worker: ScriptedWorker
) -> None:
    before = await app.spark()
    project = await app.create(**FILM)
    job = await worker.job()
    await job.start()
    await driver.until("job", type="started", jobId=job.assign.job_id)
    await driver.send("cancel", project=project)
    assert await worker.canceled() == job.assign.job_id
    await app.until_spark(before)


@pytest.mark.parametrize(
    ("output_format", "content_type", "sound"),
    [("mp3", "audio/mpeg", MP3), ("wav", "audio/wav", WAV)],
)
async def test_music_is_made(
    app: App,
    driver: Driver,
    worker: ScriptedWorker,
    output_format: str,
    content_type: str,
    sound: bytes,
) -> None:
    settings: dict[str, Any] = {"bpm": 96, "timesignature": "3", "keyscale": "A minor"}
    project = await app.create(
        **SONG, **settings, creativity=1.2, lyrics="la", outputFormat=output_format
    )
    finished = await driver.waiting_for(project)
    job = await worker.job()
    render = job.assign.render
    assert isinstance(render, AudioRender)
    assert (render.duration_s, render.bpm, render.time_signature) == (20, 96, "3")
    assert (render.key_scale, render.creativity, render.lyrics) == ("A minor", 1.2, "la")
    assert job.assign.output.content_type == content_type
    await job.render(sound)
    (url,) = await finished
    assert await fetch(url) == sound
    (shown,) = (await driver.send("snapshot", project=project))["jobs"]
    assert shown["type"] == "audio"


async def test_the_estimate_of_music_is_what_is_charged(
    app: App, driver: Driver, worker: ScriptedWorker
) -> None:
    before = await app.spark()
    asked = {"tokenType": "spark", "model": MUSIC, "duration": 20, "steps": 8, "numberOfMedia": 1}
    estimate = await app.call("projects.estimateAudioCost", asked)
    project = await app.create(**SONG, tokenType="spark")
    await (await worker.job()).render(MP3)
    await driver.send("wait", project=project)
    await app.until_spark(before - Decimal(estimate["token"]))


async def test_a_text_is_spoken(app: App, driver: Driver, worker: ScriptedWorker) -> None:
    project = await app.create(
        type="audio", modelId=VOICE, steps=1, positivePrompt="Good morning.", speaker="heart"
    )
    finished = await driver.waiting_for(project)
    job = await worker.job()
    render = job.assign.render
    assert isinstance(render, AudioRender)
    assert (render.prompt, render.speaker) == ("Good morning.", "heart")
    await job.render(MP3)
    assert len(await finished) == 1


async def test_models_say_what_they_make_and_what_may_be_asked(app: App) -> None:
    media = {one["id"]: one["media"] for one in await app.call("projects.waitForModels")}
    assert (media[TEXT_TO_VIDEO], media[MUSIC]) == ("video", "audio")
    film = await app.call("projects.getModelOptions", TEXT_TO_VIDEO)
    assert film["type"] == "video"
    assert film["steps"]["min"] <= 8 <= film["steps"]["max"]
    song = await app.call("projects.getModelOptions", MUSIC)
    assert song["type"] == "audio"
    assert song["bpm"]["default"] == 120


async def test_a_video_that_the_model_cannot_make_is_refused_with_the_reason(
    app: App, driver: Driver
) -> None:
    project = await app.create(**FILM | {"frames": 100_000})
    refused = await driver.until("project", type="error", projectId=project)
    assert "frames 100000 is not allowed" in refused["data"]["error"]["message"]
