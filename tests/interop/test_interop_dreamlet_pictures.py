"""Masks, variations, enhancing and enlarging through the published SDKs, by the embedded engine."""

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("PIL")

from PIL import Image, ImageChops

from dreamgrid.engines.dreamlet import ENHANCER, MODEL, UPSCALER, WEIGHTS
from dreamgrid.engines.dreamlet.engine import DreamletEngine
from dreamgrid.protocol.renders import ImageRender
from tests.interop.grid import Grid, running_grid
from tests.interop.sdks import App, Driver, Sdk, file
from tests.interop.test_interop_images import fetch
from tests.interop.test_interop_media import WITH_MEDIA
from tests.interop.worker import Job, ScriptedWorker, scripted_worker

SIDES = {"sizePreset": "custom", "width": 256, "height": 256}


@pytest.fixture(params=WITH_MEDIA, ids=str)
def sdk(request: pytest.FixtureRequest) -> Sdk:
    """Each published SDK that knows context images."""
    chosen: Sdk = request.param
    if chosen.command[0] == "node":
        request.getfixturevalue("javascript")
    return chosen


@pytest.fixture
async def grid(tmp_path: Path) -> AsyncIterator[Grid]:
    """A server on which the SDKs' enhancing models are stand-ins."""
    async with running_grid(tmp_path, catalog_files=(Path("enhance"),)) as running:
        yield running


@pytest.fixture
async def worker(grid: Grid) -> AsyncIterator[ScriptedWorker]:
    """A worker for the embedded models alone."""
    models = (MODEL, ENHANCER, UPSCALER)
    async with scripted_worker(grid.direct_url, grid.key, models=models) as connected:
        yield connected


@pytest.fixture(scope="module")
def engine() -> DreamletEngine:
    return DreamletEngine(WEIGHTS, threads=1)


@pytest.fixture(scope="module")
def plain() -> Image.Image:
    return Image.new("RGB", (256, 256), (250, 220, 60))


def png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


async def painted(driver: Driver, project: str, job: Job, engine: DreamletEngine) -> Image.Image:
    """What the engine makes of a job, as the app gets it."""
    finished = await driver.waiting_for(project)
    await job.render(await made_by(engine, job))
    (url,) = await finished
    with Image.open(io.BytesIO(await fetch(url))) as picture:
        return picture.convert("RGB")


async def made_by(engine: DreamletEngine, job: Job) -> bytes:
    render = job.assign.render
    assert isinstance(render, ImageRender)
    inputs = {role: await job.input(role) for role in render.assets}
    artifact = await asyncio.to_thread(engine.generate, render, inputs, lambda _: None)
    return artifact.data


async def test_only_what_the_mask_shows_white_is_painted(
    app: App, driver: Driver, worker: ScriptedWorker, engine: DreamletEngine, plain: Image.Image
) -> None:
    mask = Image.new("L", plain.size)
    mask.paste(255, (128, 0, 256, 256))
    net = {"name": "inpaint", "image": file(png(mask)), "mode": "cn_priority"}
    wish: dict[str, Any] = {"startingImage": file(png(plain)), "startingImageStrength": 0.05}
    project = await app.create(
        modelId=MODEL, positivePrompt="a red apple", steps=4, controlNet=net, **wish, **SIDES
    )
    picture = await painted(driver, project, await worker.job(), engine)
    moved = ImageChops.difference(picture, plain)
    assert moved.crop((0, 0, 128, 256)).getbbox() is None
    assert moved.crop((128, 0, 256, 256)).getbbox() is not None


async def test_a_variation_follows_its_reference(
    app: App, driver: Driver, worker: ScriptedWorker, engine: DreamletEngine, plain: Image.Image
) -> None:
    project = await app.create(
        modelId=MODEL, positivePrompt="a ball", steps=8, contextImages=[file(png(plain))], **SIDES
    )
    picture = await painted(driver, project, await worker.job(), engine)
    red, _, blue = np.asarray(picture, np.float32).mean(axis=(0, 1))
    assert red > blue + 60


async def test_a_picture_is_enhanced_where_no_worker_has_the_sdks_own_model(
    app: App, driver: Driver, worker: ScriptedWorker, engine: DreamletEngine
) -> None:
    project = await app.create(modelId=MODEL, positivePrompt="a red apple", steps=4, **SIDES)
    first = await worker.job()
    before = await painted(driver, project, first, engine)
    better = driver.send("enhance", project=project, job=first.assign.job_id, strength="heavy")
    second = await worker.job()
    assert second.assign.render.model == ENHANCER
    data = await made_by(engine, second)
    await second.render(data)
    assert await fetch(str(await better)) == data
    with Image.open(io.BytesIO(data)) as after:
        assert ImageChops.difference(before, after.convert("RGB").resize(before.size)).getbbox()


async def test_a_picture_is_made_larger(
    app: App, driver: Driver, worker: ScriptedWorker, engine: DreamletEngine, plain: Image.Image
) -> None:
    small = plain.resize((128, 128))
    project = await app.create(
        modelId=UPSCALER,
        positivePrompt="",
        steps=1,
        startingImage=file(png(small)),
        sizePreset="custom",
        width=512,
        height=512,
    )
    picture = await painted(driver, project, await worker.job(), engine)
    assert picture.size == (512, 512)
    assert np.ptp(np.asarray(picture, np.float32), axis=(0, 1)).max() < 6
