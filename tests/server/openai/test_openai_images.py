"""Pictures through the published client of the OpenAI API."""

import asyncio
import base64
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest

pytest.importorskip("openai")

import openai
from openai import AsyncOpenAI

from dreamgrid.protocol.renders import ImageRender
from dreamgrid.protocol.worker import Assign, Cancel
from dreamgrid.server import event_feed
from dreamgrid.server.application import MAX_BODY_BYTES
from dreamgrid.server.config import Rate
from tests.server.conftest import MakeGrid
from tests.server.openai.conftest import client_of
from tests.support.grid import LEASE_S, Grid
from tests.support.wire import PATIENCE_S, PNG, finished

MODEL = "pattern-v1"
PREVIEW = b"\xff\xd8\xff preview"


def ask(client: AsyncOpenAI, **given: Any) -> "asyncio.Task[Any]":
    """A request for pictures, under way."""
    wish = {"model": MODEL, "prompt": "a red apple", **given}
    return asyncio.create_task(client.images.generate(**wish))


def render_of(job: Assign) -> ImageRender:
    assert isinstance(job.render, ImageRender)
    return job.render


async def projects(grid: Grid) -> list[dict[str, Any]]:
    """All projects of the account, newest first."""
    found: list[dict[str, Any]] = (await grid.data("/v1/projects"))["projects"]
    return found


async def test_a_picture_comes_back_as_the_worker_made_it(grid: Grid, client: AsyncOpenAI) -> None:
    worker = await grid.worker()
    asked = ask(client, size="512x256", extra_body={"seed": 7, "steps": 3, "negative_prompt": "x"})
    job = await worker.assigned()
    await worker.finish(job)
    answer = await asked
    (picture,) = answer.data
    assert base64.b64decode(picture.b64_json) == PNG
    assert (answer.size, answer.output_format, picture.seed) == ("512x256", "png", 7)
    assert answer.created == int(grid.clock())
    render = render_of(job)
    assert (render.prompt, render.negative_prompt, render.steps) == ("a red apple", "x", 3)
    assert (render.width, render.height, render.seed) == (512, 256, 7)
    record = await grid.record(answer.project)
    assert record["status"] == "completed"
    assert (
        record["costActual"]["costInToken"]
        == record["costEstimate"]["quote"]["project"]["costInToken"]
    )


async def test_an_answer_names_its_project_in_a_header(grid: Grid, client: AsyncOpenAI) -> None:
    worker = await grid.worker()
    raw = client.images.with_raw_response.generate(model=MODEL, prompt="x", user="u-1")
    asked = asyncio.ensure_future(raw)
    await worker.finish(await worker.assigned())
    answer = await asked
    project = answer.headers["x-request-id"]
    assert (await grid.record(project))["appSource"] == "u-1"


async def test_links_lead_to_the_pictures(grid: Grid, client: AsyncOpenAI) -> None:
    worker = await grid.worker()
    asked = ask(client, response_format="url", n=2)
    for _ in range(2):
        await worker.finish(await worker.assigned())
    urls = [picture.url for picture in (await asked).data]
    assert len(set(urls)) == 2
    for url in urls:
        async with grid.http.get(url) as answer:
            assert await answer.read() == PNG


async def test_file_types_have_openais_names(grid: Grid, client: AsyncOpenAI) -> None:
    worker = await grid.worker()
    asked = ask(client, output_format="jpeg")
    job = await worker.assigned()
    assert render_of(job).output_format == "jpg"
    await worker.finish(job)
    assert (await asked).output_format == "jpeg"


async def test_a_stream_tells_previews_and_then_the_picture(
    grid: Grid, client: AsyncOpenAI
) -> None:
    worker = await grid.worker()
    stream = await_stream(client, partial_images=2)
    job = await worker.assigned()
    assert render_of(job).previews == 2
    await worker.start(job)
    events = await stream
    for step in (1, 2):
        await worker.upload_preview(job, PREVIEW)
        await worker.progress(job, step, preview_ready=True)
        partial = await anext(events)
        assert partial.type == "image_generation.partial_image"
        assert base64.b64decode(partial.b64_json) == PREVIEW
        assert (partial.partial_image_index, partial.output_format) == (step - 1, "jpeg")
    await worker.finish(job)
    (completed,) = [event async for event in events]
    assert completed.type == "image_generation.completed"
    assert base64.b64decode(completed.b64_json) == PNG
    assert completed.model_dump()["seed"] == job.render.seed
    assert (completed.size, completed.quality, completed.background) == (
        f"{render_of(job).width}x{render_of(job).height}",
        "auto",
        "opaque",
    )


def await_stream(client: AsyncOpenAI, **given: Any) -> "asyncio.Task[Any]":
    """A stream of pictures; its task ends when it begins."""
    return ask(client, stream=True, **given)


@asynccontextmanager
async def read_by_hand(grid: Grid) -> AsyncIterator[aiohttp.StreamReader]:
    """A stream of pictures as it travels, comments and all."""
    url, bearer = f"{grid.url}/openai/v1/images/generations", f"Bearer {grid.key}"
    wish = {"model": MODEL, "prompt": "x", "stream": True}
    async with grid.http.post(url, json=wish, headers={"Authorization": bearer}) as answer:
        assert answer.content_type == "text/event-stream"
        yield answer.content


async def is_alive(stream: aiohttp.StreamReader, times: int = 1) -> None:
    """Returns when a stream has told so many times that it is there, and nothing else."""
    async with asyncio.timeout(PATIENCE_S):
        for _ in range(times):
            assert (await stream.readline(), await stream.readline()) == (b": nothing new\n", b"\n")


SILENCES = 20
"""More than the changes of state of one picture."""


async def test_a_stream_that_waits_is_kept_alive(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_feed, "LOOK_AGAIN_S", 0.001)
    await grid.worker()
    async with read_by_hand(grid) as stream:
        await is_alive(stream, SILENCES)


async def test_a_stream_is_kept_alive_by_progress_without_previews(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_feed, "LOOK_AGAIN_S", 10 * PATIENCE_S)
    worker = await grid.worker()
    async with read_by_hand(grid) as stream:
        job = await worker.assigned()
        await worker.start(job)
        for _ in range(SILENCES):
            await worker.progress(job, 1)
            await is_alive(stream)
        await worker.finish(job)
        assert b"event: image_generation.completed" in await stream.read()


async def test_a_stream_that_fails_raises_the_reason(grid: Grid, client: AsyncOpenAI) -> None:
    worker = await grid.worker()
    stream = await_stream(client)
    await worker.fail(await worker.assigned(), retryable=False)
    with pytest.raises(openai.APIError, match="nothing was charged") as told:
        [event async for event in await stream]
    assert told.value.code == "render_failed"
    assert (await grid.spark())["debit"] == "0.000000"


async def test_of_several_pictures_those_that_succeeded_are_delivered_and_paid(
    grid: Grid, client: AsyncOpenAI
) -> None:
    worker = await grid.worker()
    asked = ask(client, n=2)
    await worker.finish(await worker.assigned())
    await worker.fail(await worker.assigned(), retryable=False)
    answer = await asked
    assert len(answer.data) == 1
    record = await grid.record(answer.project)
    assert (
        record["costActual"]["costInToken"] == record["costEstimate"]["quote"]["job"]["costInToken"]
    )


async def test_a_render_that_failed_is_not_asked_for_again(grid: Grid) -> None:
    worker = await grid.worker()
    async with client_of(grid, max_retries=2) as client:
        asked = ask(client)
        await worker.fail(await worker.assigned(), retryable=False)
        with pytest.raises(openai.InternalServerError, match="nothing was charged") as told:
            await asked
    assert told.value.code == "render_failed"
    assert [one["status"] for one in await projects(grid)] == ["failed"]


async def test_what_the_filter_withholds_is_a_refusal(grid: Grid, client: AsyncOpenAI) -> None:
    worker = await grid.worker()
    asked = ask(client)
    job = await worker.assigned()
    done = finished(job.job_id, job.attempt, PNG)
    await worker.send(msgspec.structs.replace(done, sensitive=("image",)))
    with pytest.raises(openai.BadRequestError, match="content filter") as told:
        await asked
    assert told.value.code == "content_policy_violation"


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────


REFUSED: list[tuple[dict[str, Any], str | None, str]] = [
    ({"quality": "high"}, "quality", "steps"),
    ({"background": "transparent"}, "background", "opaque"),
    ({"moderation": "low"}, "moderation", "content filter"),
    ({"style": "vivid"}, "style", "prompt"),
    ({"output_compression": 50}, "output_compression", "leave it out"),
    ({"size": "large"}, "size", "WIDTHxHEIGHT"),
    ({"size": "512x512", "extra_body": {"width": 64}}, "size", "one of them"),
    ({"partial_images": 1}, "partial_images", "stream"),
    ({"partial_images": 4, "stream": True}, "partial_images", "3"),
    ({"response_format": "url", "stream": True}, "response_format", "stream"),
    ({"output_format": "gif"}, "output_format", "gif"),
    ({"n": 1.5}, "n", "int"),
    ({"extra_body": {"count": 2}}, "count", "said by n"),
    ({"extra_body": {"assets": ["startingImage"]}}, "assets", "a file"),
    ({"extra_body": {"sparkle": True}}, "sparkle", "unknown field"),
    ({"extra_body": {"steps": 0}}, None, "steps 0"),
    ({"n": 1000}, None, "count 1000"),
    ({"size": "8x8"}, None, "width 8"),
]
"""Requests, the field that their refusal names, and what it says."""


async def test_what_cannot_be_had_is_refused_and_named(grid: Grid, client: AsyncOpenAI) -> None:
    for given, field, says in REFUSED:
        with pytest.raises(openai.BadRequestError, match=says) as told:
            await ask(client, **given)
        assert (told.value.type, told.value.param) == ("invalid_request_error", field)
    assert await projects(grid) == []


async def test_the_models_own_steps_are_the_usual_quality(grid: Grid, client: AsyncOpenAI) -> None:
    worker = await grid.worker()
    for quality in ("auto", "standard", "medium"):
        asked = ask(client, quality=quality, background="auto", moderation="auto", size="auto")
        job = await worker.assigned()
        assert job.render.steps == 8
        await worker.finish(job)
        await asked


async def test_errors_have_openais_statuses_and_codes(make_grid: MakeGrid) -> None:
    async with make_grid() as grid:
        async with client_of(grid, "dgk_" + "x" * 43) as stranger:
            with pytest.raises(openai.AuthenticationError) as wrong_key:
                await ask(stranger)
            assert wrong_key.value.code == "invalid_api_key"
        async with client_of(grid) as client:
            with pytest.raises(openai.NotFoundError) as no_model:
                await ask(client, model="gpt-image-1")
            assert (no_model.value.code, no_model.value.param) == ("model_not_found", "model")
            with pytest.raises(openai.InternalServerError) as nobody:
                await ask(client, model="dreamlet-v1")
            assert (nobody.value.status_code, nobody.value.code) == (503, "model_not_served")
            with pytest.raises(openai.NotFoundError, match="/docs/api"):
                await client.chat.completions.create(model="x", messages=[])
        limited = {"name": "k", "scope": "render", "maxPerDay": "0.000001"}
        _, made = await grid.call("POST", "/v1/account/keys", json=limited)
        async with client_of(grid, made["data"]["key"]) as capped:
            with pytest.raises(openai.APIStatusError, match="your key may spend") as over_cap:
                await ask(capped)
            assert (over_cap.value.status_code, over_cap.value.code) == (402, "insufficient_quota")
        _, made = await grid.call("POST", "/v1/account/keys", json={"name": "r", "scope": "read"})
        async with client_of(grid, made["data"]["key"]) as reader:
            assert (await reader.models.list()).data
            with pytest.raises(openai.PermissionDeniedError, match="scope 'read'"):
                await ask(reader)
        async with grid.http.post(f"{grid.url}/openai/v1/models") as answer:
            told = (await answer.json())["error"]
            assert (answer.status, told["type"]) == (405, "invalid_request_error")
        async with grid.http.post(
            f"{grid.url}/openai/v1/images/generations",
            data=io.BytesIO(b"x" * (MAX_BODY_BYTES + 1)),
            headers={"Authorization": f"Bearer {grid.key}"},
        ) as answer:
            assert answer.status == 413
            assert "too large" in (await answer.json())["error"]["message"]


async def test_who_asks_too_fast_is_told_how_long_to_wait(make_grid: MakeGrid) -> None:
    async with make_grid(requests=Rate(per_s=0.5, burst=1)) as grid, client_of(grid) as client:
        await client.models.list()
        with pytest.raises(openai.RateLimitError) as told:
            await client.models.list()
        assert told.value.code == "rate_limit_exceeded"
        assert told.value.response.headers["Retry-After"] == "2"
        assert told.value.response.headers["x-should-retry"] == "true"


# ── connections that break ───────────────────────────────────────────────────────────────────────


async def hang_up(asked: "asyncio.Task[Any]") -> None:
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked


async def end_of(grid: Grid, job: Assign) -> None:
    """Returns when the project of a job has ended: its event stream ends then."""
    events = f"{grid.url}/v1/projects/{job.project_id}/events"
    async with grid.http.get(events, headers={"api-key": grid.key}) as answer:
        assert "event: canceled" in await answer.text()


@pytest.mark.parametrize("stream", [False, True])
async def test_who_hangs_up_pays_nothing_more(
    grid: Grid, client: AsyncOpenAI, stream: bool
) -> None:
    worker = await grid.worker()
    asked = ask(client, stream=stream)
    job = await worker.assigned()
    if stream:
        await (await asked).close()
    else:
        await hang_up(asked)
    stopped = await worker.expect(Cancel)
    assert stopped.job_id == job.job_id
    await end_of(grid, job)
    assert [one["status"] for one in await projects(grid)] == ["canceled"]
    spark = await grid.spark()
    assert (float(spark["debit"]), float(spark["net"])) == (0, 1000)


async def test_a_request_with_a_key_goes_on_when_its_connection_breaks(
    grid: Grid, client: AsyncOpenAI
) -> None:
    worker = await grid.worker()
    key = {"Idempotency-Key": "order 66"}
    asked = ask(client, extra_headers=key)
    job = await worker.assigned()
    await hang_up(asked)
    again = ask(client, extra_headers=key)
    await worker.finish(job)
    answer = await again
    assert await ask(client, extra_headers=key) == answer  # also once it has ended
    (project,) = await projects(grid)
    assert project["id"] == answer.project
    with pytest.raises(openai.ConflictError, match="used for another request") as told:
        await ask(client, extra_headers=key, prompt="a pear")
    assert told.value.response.headers["x-should-retry"] == "false"


async def test_accounts_have_idempotency_keys_of_their_own(grid: Grid) -> None:
    worker = await grid.worker()
    other = await grid.account("mallory")
    key = {"Idempotency-Key": "1"}
    async with client_of(grid) as one, client_of(grid, other) as two:
        asked = [ask(client, extra_headers=key) for client in (one, two)]
        for _ in asked:
            await worker.finish(await worker.assigned())
        first, second = await asyncio.gather(*asked)
    assert first.project != second.project


async def test_a_server_that_stops_says_so_and_the_same_key_goes_on_later(grid: Grid) -> None:
    worker = await grid.worker()
    key = {"Idempotency-Key": "k"}
    async with client_of(grid) as client:
        asked = ask(client, extra_headers=key)
        await worker.assigned()
        await grid.stop()
        with pytest.raises(openai.InternalServerError, match="same Idempotency-Key") as told:
            await asked
    assert told.value.status_code == 503
    await grid.start()
    grid.clock.advance(2 * LEASE_S)  # the worker that had it does not come back
    worker = await grid.worker()
    async with client_of(grid) as client:
        asked = ask(client, extra_headers=key)
        await worker.finish(await worker.assigned())
        assert len((await asked).data) == 1
    assert len(await projects(grid)) == 1


async def test_a_key_that_is_revoked_ends_what_waits(grid: Grid) -> None:
    worker = await grid.worker()
    _, made = await grid.call("POST", "/v1/account/keys", json={"name": "gone"})
    async with client_of(grid, made["data"]["key"]) as client:
        asked = ask(client)
        await worker.assigned()
        await grid.call("DELETE", f"/v1/account/keys/{made['data']['id']}")
        with pytest.raises(openai.APIConnectionError):
            await asked
    await worker.expect(Cancel)
