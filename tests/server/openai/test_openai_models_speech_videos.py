"""Models, speech and videos through the published client of the OpenAI API."""

import asyncio
import base64
from typing import Any

import aiohttp
import pytest

pytest.importorskip("openai")

import openai
from openai import AsyncOpenAI

from dreamgrid.protocol.renders import AudioRender, VideoRender
from dreamgrid.protocol.worker import Cancel
from tests.support.grid import Grid
from tests.support.wire import PNG

VOICE = "dreamlet-voice-v1"
FROM_TEXT, FROM_IMAGE = "wan_v2.2-14b-fp8_t2v_lightx2v", "wan_v2.2-14b-fp8_i2v_lightx2v"
MODELS = ("pattern-v1", VOICE, FROM_TEXT, FROM_IMAGE)
MP4 = b"\x00\x00\x00\x18ftypmp42 a film"

pytestmark = pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")


# ── models ───────────────────────────────────────────────────────────────────────────────────────


async def test_models_that_are_served_come_first(grid: Grid, client: AsyncOpenAI) -> None:
    await grid.worker(models=(VOICE, FROM_TEXT))
    found = (await client.models.list()).data
    assert {one.id for one in found[:2]} == {VOICE, FROM_TEXT}
    assert [one.model_dump()["workers"] for one in found[:3]] == [1, 1, 0]
    listed = {one["id"] for one in (await grid.get("/api/v1/models/list"))[1]}
    assert {one.id for one in found} == listed
    one = await client.models.retrieve(VOICE)
    assert (one.id, one.object, one.owned_by) == (VOICE, "model", "dreamgrid")
    assert one.model_dump()["media"] == "audio"
    with pytest.raises(openai.NotFoundError) as told:
        await client.models.retrieve("gpt-4")
    assert told.value.code == "model_not_found"


# ── speech ───────────────────────────────────────────────────────────────────────────────────────


def say(client: AsyncOpenAI, **given: Any) -> "asyncio.Task[Any]":
    wish = {"model": VOICE, "input": "Good morning.", "voice": "heart", **given}
    return asyncio.create_task(client.audio.speech.create(**wish))


async def test_speech_is_the_file_that_the_worker_made(grid: Grid, client: AsyncOpenAI) -> None:
    worker = await grid.worker(models=MODELS)
    usual: dict[str, Any] = {"speed": 1.0, "voice": "default"}
    for given, kind, content_type in (
        ({}, "mp3", "audio/mpeg"),
        ({"response_format": "wav"}, "wav", "audio/wav"),
        ({"response_format": "flac"} | usual, "flac", "audio/flac"),
    ):
        asked = say(client, instructions="warmly", extra_body={"seed": 5}, **given)
        job = await worker.assigned()
        assert isinstance(job.render, AudioRender)
        assert (job.render.prompt, job.render.speaker) == ("Good morning.", "heart")
        assert (job.render.instruct, job.render.seed) == ("warmly", 5)
        assert job.render.output_format == kind
        await worker.finish(job, b"a sound")
        answer = await asked
        assert answer.content == b"a sound"
        assert answer.response.headers["Content-Type"] == content_type
        assert answer.response.headers["x-request-id"] == job.project_id


UNSPEAKABLE: list[tuple[dict[str, Any], str | None, str]] = [
    ({"voice": "alloy"}, None, "heart"),
    ({"response_format": "pcm"}, "response_format", "mp3, flac, wav"),
    ({"speed": 2}, "speed", "not supported"),
    ({"stream_format": "sse"}, "stream_format", "not supported"),
    ({"model": "dreamlet-music-v1"}, "model", "does not speak"),
    ({"model": "pattern-v1"}, "model", "does not speak"),
    ({"extra_body": {"prompt": "x"}}, "prompt", "said by input"),
    ({"voice": {"id": "voice_1234"}}, None, "heart"),
    ({"voice": {"name": "heart"}}, "name", "unknown field"),
]
"""Requests, the field that their refusal names, and what it says."""


async def test_speech_that_cannot_be_had_is_refused_and_named(
    client: AsyncOpenAI,
) -> None:
    for given, field, says in UNSPEAKABLE:
        with pytest.raises(openai.BadRequestError, match=says) as told:
            await say(client, **given)
        assert told.value.param == field


# ── videos ───────────────────────────────────────────────────────────────────────────────────────


def film(client: AsyncOpenAI, **given: Any) -> Any:
    return client.videos.create(**{"model": FROM_TEXT, "prompt": "a ship", "seconds": "1", **given})


async def test_a_video_is_asked_for_watched_fetched_and_removed(
    grid: Grid, client: AsyncOpenAI
) -> None:
    worker = await grid.worker(models=MODELS)
    video = await film(client, size="640x480", extra_body={"seed": 3})
    job = await worker.assigned()
    assert isinstance(job.render, VideoRender)
    assert (job.render.frames, job.render.width, job.render.seed) == (17, 640, 3)
    assert (video.id, video.object, video.model) == (job.project_id, "video", FROM_TEXT)
    assert (video.seconds, video.size, video.prompt) == ("1.062", "640x480", "a ship")
    await worker.start(job)
    await worker.progress(job, 3)
    await worker.fence()
    video = await client.videos.retrieve(video.id)
    assert (video.status, video.progress) == ("in_progress", 25)
    with pytest.raises(openai.NotFoundError, match="not completed yet"):
        await client.videos.download_content(video.id)
    await worker.finish(job, MP4)
    video = await client.videos.retrieve(video.id)
    assert (video.status, video.progress) == ("completed", 100)
    assert video.completed_at is not None
    assert video.expires_at is not None
    assert video.expires_at > video.completed_at >= video.created_at
    assert (await client.videos.download_content(video.id)).content == MP4
    assert (await client.videos.delete(video.id)).deleted
    with pytest.raises(openai.NotFoundError):
        await client.videos.retrieve(video.id)


async def film_by_hand(grid: Grid, **fields: Any) -> tuple[int, Any]:
    """A form as clients of other languages send it: status and answer."""
    form = aiohttp.FormData({"model": FROM_IMAGE, "prompt": "a ship"}, default_to_multipart=True)
    for name, value in fields.items():
        form.add_field(name.replace("__image_url", "[image_url]"), value)
    headers = {"Authorization": f"Bearer {grid.key}"}
    url = f"{grid.url}/openai/v1/videos"
    async with grid.http.post(url, data=form, headers=headers) as answer:
        return answer.status, await answer.json()


async def test_a_picture_to_begin_with_is_the_reference(grid: Grid, client: AsyncOpenAI) -> None:
    worker = await grid.worker(models=MODELS)
    data = "data:image/png;base64," + base64.b64encode(PNG).decode()
    await film(client, model=FROM_IMAGE, input_reference=("a.png", PNG))
    assert (await film_by_hand(grid, input_reference__image_url=data))[0] == 200
    for _ in range(2):
        job = await worker.assigned()
        (given,) = job.inputs
        assert given.role == "referenceImage"
        async with grid.http.get(given.url) as answer:
            assert await answer.read() == PNG
        await worker.finish(job, MP4)
    status, told = await film_by_hand(grid, input_reference__image_url="http://127.0.0.1/x")
    assert (status, told["error"]["param"]) == (400, "input_reference")
    assert "fetches nothing" in told["error"]["message"]


async def test_a_video_that_failed_says_why(grid: Grid, client: AsyncOpenAI) -> None:
    worker = await grid.worker(models=MODELS)
    video = await film(client)
    await worker.fail(await worker.assigned(), retryable=False)
    video = await client.videos.retrieve(video.id)
    assert video.error is not None
    assert (video.status, video.error.code) == ("failed", "render_failed")
    with pytest.raises(openai.InternalServerError):
        await client.videos.download_content(video.id)


async def test_a_video_under_way_is_canceled_when_it_is_removed(
    grid: Grid, client: AsyncOpenAI
) -> None:
    worker = await grid.worker(models=MODELS)
    video = await film(client)
    await worker.assigned()
    await client.videos.delete(video.id)
    await worker.expect(Cancel)
    assert (await client.videos.list()).data == []
    assert float((await grid.spark())["net"]) == 1000


async def test_videos_are_listed_in_pages(grid: Grid, client: AsyncOpenAI) -> None:
    worker = await grid.worker(models=MODELS)
    asked = []
    for _ in range(3):
        asked.append((await film(client)).id)
        await worker.finish(await worker.assigned(), MP4)
        grid.clock.advance(1)
    picture = asyncio.create_task(client.images.generate(model="pattern-v1", prompt="x"))
    await worker.finish(await worker.assigned())  # not in the list
    await picture
    asked += [(await film(client)).id for _ in range(2)]  # these have not ended
    first = await client.videos.list(limit=1)
    assert first.has_more
    newest_first = asked[::-1]
    assert [one.id async for one in first] == newest_first
    assert [one.id for one in (await client.videos.list()).data] == newest_first
    following = await client.videos.list(after=asked[1])
    assert ([one.id for one in following.data], following.has_more) == (asked[:1], False)


async def test_a_video_keeps_its_place_in_the_list_while_it_is_being_canceled(
    grid: Grid, client: AsyncOpenAI
) -> None:
    worker = await grid.worker(models=MODELS)
    ended = await film(client)
    await worker.finish(await worker.assigned(), MP4)
    leaving, newest = await film(client), await film(client)
    assert (await worker.assigned()).project_id == leaving.id
    await grid.store.hold()
    removed = asyncio.create_task(client.videos.delete(leaving.id))
    await worker.expect(Cancel)
    for after, following in (
        (newest.id, [leaving.id, ended.id]),
        (leaving.id, [ended.id]),
    ):
        page = await client.videos.list(after=after)
        assert [one.id for one in page.data] == following
    grid.store.release()
    await removed
    assert [one.id for one in (await client.videos.list()).data] == [newest.id, ended.id]


async def test_the_same_key_asks_for_one_video(grid: Grid, client: AsyncOpenAI) -> None:
    await grid.worker(models=MODELS)
    key = {"Idempotency-Key": "film"}
    first = await film(client, extra_headers=key)
    assert (await film(client, extra_headers=key)).id == first.id
    with pytest.raises(openai.ConflictError):
        await film(client, extra_headers=key, prompt="a train")


NOT_FILMED: list[tuple[dict[str, Any], str | None, str]] = [
    ({"seconds": "1000"}, None, "allows 0.5 to 20"),
    ({"seconds": "4", "extra_body": {"frames": 33}}, "seconds", "not both"),
    ({"seconds": "long"}, "seconds", "float"),
    ({"size": "16:9"}, "size", "WIDTHxHEIGHT"),
    ({"model": "pattern-v1"}, "model", "makes no videos"),
    ({"input_reference": PNG}, None, "referenceImage"),
    ({"model": FROM_IMAGE}, None, "referenceImage"),
]
"""Requests, the field that their refusal names, and what it says."""


async def test_a_video_that_cannot_be_had_is_refused_and_named(
    grid: Grid, client: AsyncOpenAI
) -> None:
    await grid.worker(models=MODELS)
    for given, field, says in NOT_FILMED:
        with pytest.raises(openai.BadRequestError, match=says) as told:
            await film(client, **given)
        assert told.value.param == field
    assert (await client.videos.list()).data == []


async def test_what_is_no_video_is_not_found_among_them(grid: Grid, client: AsyncOpenAI) -> None:
    worker = await grid.worker()
    asked = asyncio.create_task(client.images.generate(model="pattern-v1", prompt="x"))
    job = await worker.assigned()
    await worker.finish(job)
    await asked
    for name in ("video_123", job.project_id):
        with pytest.raises(openai.NotFoundError, match="no video"):
            await client.videos.retrieve(name)
    with pytest.raises(openai.BadRequestError) as told:
        await client.videos.list(after="video_123")
    assert told.value.param == "after"
