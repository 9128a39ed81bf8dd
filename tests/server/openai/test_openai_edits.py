"""Pictures from pictures through the published client of the OpenAI API."""

import asyncio
import base64
import io
import threading
from typing import Any

import pytest

pytest.importorskip("openai")
pytest.importorskip("PIL")

import openai
from openai import AsyncOpenAI
from PIL import ExifTags, Image

from dreamgrid.protocol.params import INPAINT
from dreamgrid.protocol.renders import ImageRender
from dreamgrid.protocol.worker import Assign
from dreamgrid.server import limits
from dreamgrid.server.openai import pictures
from dreamgrid.server.refusals import Connection
from tests.server.conftest import MakeGrid
from tests.server.openai.conftest import client_of
from tests.support.grid import Grid
from tests.support.wire import PNG

PAINTS_IN = "dreamlet-v1"
WITH_CONTEXT = "qwen_image_edit_2511_fp8"
MODELS = ("pattern-v1", PAINTS_IN, WITH_CONTEXT)


def png(size: tuple[int, int], *, hole: tuple[int, int, int, int] | None = None) -> bytes:
    """A picture; opaque but for a hole."""
    picture = Image.new("RGBA", size, (250, 220, 60, 255))
    if hole is not None:
        picture.paste((0, 0, 0, 0), hole)
    made = io.BytesIO()
    picture.save(made, "PNG")
    return made.getvalue()


WIDE = png((160, 90))
MASK = png((160, 90), hole=(80, 0, 160, 90))


def edit(client: AsyncOpenAI, **given: Any) -> "asyncio.Task[Any]":
    wish = {"model": PAINTS_IN, "prompt": "a red apple", "image": WIDE, **given}
    return asyncio.create_task(client.images.edit(**wish))


async def inputs_of(grid: Grid, job: Assign) -> dict[str, bytes]:
    """What a worker is given to begin with, by role."""
    found = {}
    for one in job.inputs:
        async with grid.http.get(one.url) as answer:
            found[one.role] = await answer.read()
    return found


def stored_inputs(grid: Grid) -> list[str]:
    """All files that some project begins with, or was to begin with."""
    folder = grid.config.data_dir / "blobs" / "inputs"
    return [path.name for path in folder.rglob("*") if path.is_file()]


async def test_a_picture_to_edit_is_what_the_render_begins_with(
    grid: Grid, client: AsyncOpenAI
) -> None:
    worker = await grid.worker(models=MODELS)
    asked = edit(client, extra_body={"strength": 0.3, "seed": 9})
    job = await worker.assigned()
    assert isinstance(job.render, ImageRender)
    assert (job.render.strength, job.render.seed) == (0.3, 9)
    assert (job.render.width, job.render.height) == (1024, 576)  # the preset of that shape
    assert await inputs_of(grid, job) == {"startingImage": WIDE}
    await worker.finish(job)
    answer = await asked
    assert base64.b64decode(answer.data[0].b64_json) == PNG
    assert answer.size == "1024x576"


async def test_a_picture_whose_orientation_is_no_number_is_taken_as_it_lies(
    grid: Grid, client: AsyncOpenAI
) -> None:
    worker = await grid.worker(models=MODELS)
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = "text"
    as_text = exif.tobytes().replace(b"\x01\x0e\x00\x02", b"\x01\x12\x00\x02")
    made = io.BytesIO()
    Image.new("RGB", (160, 90)).save(made, "JPEG", exif=as_text)
    with Image.open(made) as picture:
        assert picture.getexif()[ExifTags.Base.Orientation] == "text"
    asked = edit(client, image=made.getvalue())
    await worker.finish(await worker.assigned())
    assert (await asked).size == "1024x576"


async def test_a_mask_is_painted_in_where_it_is_transparent(
    grid: Grid, client: AsyncOpenAI
) -> None:
    worker = await grid.worker(models=MODELS)
    asked = edit(client, mask=MASK, size="256x256")
    job = await worker.assigned()
    assert isinstance(job.render, ImageRender)
    assert job.render.control_net is not None
    assert (job.render.control_net.name, job.render.strength) == (INPAINT, 1.0)
    given = await inputs_of(grid, job)
    assert given["startingImage"] == WIDE
    with Image.open(io.BytesIO(given["cnImage"])) as mask:
        assert (mask.mode, mask.size) == ("L", (160, 90))
        assert (mask.getpixel((10, 10)), mask.getpixel((150, 10))) == (0, 255)
    await worker.finish(job)
    await asked


async def test_several_pictures_are_the_context_of_models_that_take_them(
    grid: Grid, client: AsyncOpenAI
) -> None:
    worker = await grid.worker(models=MODELS)
    two = [WIDE, png((64, 64))]
    asked = edit(client, model=WITH_CONTEXT, image=two)
    job = await worker.assigned()
    given = await inputs_of(grid, job)
    assert given == {"contextImage1": two[0], "contextImage2": two[1]}
    await worker.finish(job)
    await asked


async def test_edits_can_be_streamed(grid: Grid, client: AsyncOpenAI) -> None:
    worker = await grid.worker(models=MODELS)
    asked = edit(client, stream=True)
    await worker.finish(await worker.assigned())
    (event,) = [event async for event in await asked]
    assert event.type == "image_edit.completed"


async def test_who_hangs_up_before_the_files_are_looked_at_gets_no_project(
    grid: Grid, client: AsyncOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = await grid.worker(models=MODELS)
    loop = asyncio.get_running_loop()
    looking, lost, may_look = asyncio.Event(), asyncio.Event(), threading.Event()
    size_of, connection_lost = pictures.size_of, Connection.connection_lost

    def held(data: bytes) -> tuple[int, int]:
        loop.call_soon_threadsafe(looking.set)
        may_look.wait()
        return size_of(data)

    def told(connection: Connection, error: BaseException | None) -> None:
        connection_lost(connection, error)
        lost.set()

    monkeypatch.setattr(pictures, "size_of", held)
    monkeypatch.setattr(Connection, "connection_lost", told)
    asked = edit(client, prompt="for nobody")
    try:
        await looking.wait()
        asked.cancel()
        await lost.wait()
    finally:
        may_look.set()
    later = edit(client, prompt="for somebody")
    job = await worker.assigned()
    assert job.render.prompt == "for somebody"
    await worker.finish(job)
    await later


async def test_the_same_key_means_the_same_files(grid: Grid, client: AsyncOpenAI) -> None:
    worker = await grid.worker(models=MODELS)
    key = {"Idempotency-Key": "one"}
    asked = edit(client, extra_headers=key)
    await worker.finish(await worker.assigned())
    first = await asked
    assert await edit(client, extra_headers=key) == first
    with pytest.raises(openai.ConflictError, match="used for another request"):
        await edit(client, extra_headers=key, image=png((161, 90)))


async def test_one_key_at_once_for_two_pictures_is_one_project_with_its_own_picture(
    grid: Grid, client: AsyncOpenAI
) -> None:
    worker = await grid.worker(models=MODELS)
    key = {"Idempotency-Key": "one"}
    of = {edit(client, extra_headers=key, image=one): one for one in (WIDE, png((161, 90)))}
    (refused,), (accepted,) = await asyncio.wait(of, return_when=asyncio.FIRST_COMPLETED)
    with pytest.raises(openai.ConflictError, match="used for another request"):
        await refused
    job = await worker.assigned()
    assert await inputs_of(grid, job) == {"startingImage": of[accepted]}
    await worker.finish(job)
    await accepted


async def test_what_was_refused_for_one_key_does_not_stand_in_the_way_of_another_try(
    grid: Grid,
) -> None:
    worker = await grid.worker(models=MODELS)
    key = {"Idempotency-Key": "one"}
    async with client_of(grid) as client:
        with pytest.raises(openai.BadRequestError):
            await edit(client, extra_headers=key, n=0)
        assert stored_inputs(grid) == []
        asked = edit(client, extra_headers=key, image=png((161, 90)))
        await worker.finish(await worker.assigned())
        await asked


async def test_nothing_is_kept_of_who_cannot_pay(grid: Grid) -> None:
    await grid.worker(models=MODELS)
    async with client_of(grid, await grid.account("poor", grant_micros=0)) as client:
        with pytest.raises(openai.APIStatusError) as told:
            await edit(client)
    assert told.value.code == "insufficient_quota"
    assert stored_inputs(grid) == []


REFUSED: list[tuple[dict[str, Any], str | None, str]] = [
    ({"image": b"no picture"}, None, "no PNG"),
    ({"image": WIDE[: len(WIDE) // 2]}, None, "image is broken or cut off"),
    ({"image": WIDE.replace(b"IDAT", b"IDAT\xff\xff\xff\xff", 1)}, None, "image is broken"),
    ({"image": [WIDE] * 3}, "image", "at most 1|1 pictures"),
    ({"image": [WIDE] * 17}, "image", "at most 16"),
    ({"mask": png((64, 64), hole=(0, 0, 9, 9))}, None, "64x64 and its picture 160x90"),
    ({"mask": WIDE}, None, "transparent nowhere"),
    ({"mask": MASK, "model": "pattern-v1"}, "mask", "cannot paint in"),
    ({"mask": MASK, "image": [WIDE, WIDE]}, "image", "one picture"),
    ({"input_fidelity": "high"}, "input_fidelity", "strength"),
    ({"n": 0}, None, "count 0"),
    ({"extra_body": {"sparkle": 1}}, "sparkle", "unknown field"),
    ({"extra_body": {"steps": "many"}}, "steps", "int"),
]
"""Requests, the field that their refusal names, and what it says."""


async def test_what_cannot_be_edited_is_refused_and_named(
    make_grid: MakeGrid,
) -> None:
    async with make_grid(known_models=MODELS) as grid, client_of(grid) as client:
        for given, field, says in REFUSED:
            with pytest.raises(openai.BadRequestError, match=says) as told:
                await edit(client, **given)
            assert told.value.param == field
        assert (await grid.data("/v1/projects"))["projects"] == []
        assert stored_inputs(grid) == []


async def test_forms_of_an_account_that_arrive_at_once_have_a_limit(
    grid: Grid, client: AsyncOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = await grid.worker(models=MODELS)
    monkeypatch.setattr(limits, "MAX_FORMS_BYTES", 5_000)
    with pytest.raises(openai.RateLimitError, match="send fewer at a time") as told:
        await edit(client, image=WIDE + bytes(5_000))
    assert told.value.response.headers["Retry-After"] == "15"
    for _ in range(2):  # one after the other
        asked = edit(client, image=WIDE + bytes(4_000))
        await worker.finish(await worker.assigned())
        await asked


async def test_a_body_that_is_no_form_is_refused(grid: Grid) -> None:
    url, bearer = f"{grid.url}/openai/v1/images/edits", {"Authorization": f"Bearer {grid.key}"}
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    for body, headers in (
        (b"a picture", {"Content-Type": "image/png"}),
        (b"--x\r\nno part", form),
        (b"", {"Content-Type": "multipart/form-data"}),
        (b"[1]", {"Content-Type": "application/json"}),
    ):
        async with grid.http.post(url, data=body, headers=bearer | headers) as answer:
            assert answer.status == 400, body
            assert (await answer.json())["error"]["type"] == "invalid_request_error"


async def test_a_picture_may_be_a_data_url_and_no_other_address(
    grid: Grid, client: AsyncOpenAI
) -> None:
    del client
    worker = await grid.worker(models=MODELS)
    url, bearer = f"{grid.url}/openai/v1/images/edits", {"Authorization": f"Bearer {grid.key}"}
    wish = {"model": PAINTS_IN, "prompt": "x"}
    data = "data:image/png;base64," + base64.b64encode(WIDE).decode()
    posted = grid.http.post(
        url, json=wish | {"image": {"image_url": data}, "response_format": "url"}, headers=bearer
    )
    asked = asyncio.ensure_future(posted)
    job = await worker.assigned()
    assert await inputs_of(grid, job) == {"startingImage": WIDE}
    await worker.finish(job)
    assert (await asked).status == 200
    elsewhere = wish | {"image": {"image_url": "http://127.0.0.1/secret"}}
    async with grid.http.post(url, json=elsewhere, headers=bearer) as answer:
        assert answer.status == 400
        assert "fetches nothing" in (await answer.json())["error"]["message"]
