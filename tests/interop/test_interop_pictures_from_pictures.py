"""Pictures that begin with others, and what bends them, through the SDKs that know how."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from dreamgrid.protocol.params import Lora
from dreamgrid.protocol.renders import ImageRender
from tests.interop.grid import Grid
from tests.interop.sdks import App, Driver, Sdk, SdkError, file
from tests.interop.test_interop_images import fetch
from tests.interop.test_interop_media import WITH_MEDIA
from tests.interop.worker import Job, ScriptedWorker, png, scripted_worker

EDITOR = "qwen_image_edit_2511_fp8_lightning"
CLASSIC = "sd_xl_base_1.0"
BENDABLE = "krea2_turbo_fp8_scaled"
ENHANCER_OF_JAVASCRIPT = "flux1-schnell-fp8"
ENHANCER_OF_PYTHON = BENDABLE


@pytest.fixture(params=WITH_MEDIA, ids=str)
def sdk(request: pytest.FixtureRequest) -> Sdk:
    """Each published SDK that knows context images."""
    chosen: Sdk = request.param
    if chosen.command[0] == "node":
        request.getfixturevalue("javascript")
    return chosen


@pytest.fixture
async def worker(grid: Grid) -> AsyncIterator[ScriptedWorker]:
    """A worker for the models of this page."""
    models = ("pattern-v1", EDITOR, CLASSIC, BENDABLE, ENHANCER_OF_JAVASCRIPT)
    async with scripted_worker(grid.direct_url, grid.key, models=models) as connected:
        yield connected


def picture(job: Job) -> ImageRender:
    render = job.assign.render
    assert isinstance(render, ImageRender)
    return render


async def made(driver: Driver, project: str, job: Job) -> None:
    """The project's only picture is rendered, and its app gets it."""
    finished = await driver.waiting_for(project)
    await job.render(png(1))
    (url,) = await finished
    assert await fetch(url) == png(1)


async def test_two_context_images_reach_the_worker_in_their_places(
    app: App, driver: Driver, worker: ScriptedWorker
) -> None:
    project = await app.create(
        modelId=EDITOR, steps=4, contextImages=[file(png(11)), file(png(12))]
    )
    job = await worker.job()
    assert [await job.input(f"contextImage{slot}") for slot in (1, 2)] == [png(11), png(12)]
    assert picture(job).assets == ("contextImage1", "contextImage2")
    await made(driver, project, job)


async def test_more_context_images_than_the_model_takes_are_refused(
    app: App, driver: Driver
) -> None:
    images = [file(png(shade)) for shade in range(4)]
    wish: dict[str, Any] = {"modelId": EDITOR, "steps": 4, "contextImages": images}
    assert "context" in (await refusal(app, driver, wish)).lower()


async def refusal(app: App, driver: Driver, wish: dict[str, Any]) -> str:
    """Why a project is not made: the newest SDKs count themselves, the others ask the server."""
    try:
        project = await app.create(**wish)
    except SdkError as error:
        return str(error)
    refused = await driver.until("project", type="error", projectId=project)
    return str(refused["data"]["error"]["message"])


async def test_a_control_net_steers_by_its_picture(
    app: App, driver: Driver, worker: ScriptedWorker
) -> None:
    net = {
        "name": "canny",
        "image": file(png(5)),
        "strength": 0.7,
        "mode": "cn_priority",
        "guidanceStart": 0.1,
        "guidanceEnd": 0.9,
    }
    project = await app.create(modelId=CLASSIC, steps=20, controlNet=net)
    job = await worker.job()
    assert await job.input("cnImage") == png(5)
    steering = picture(job).control_net
    assert steering is not None
    assert (steering.name, steering.strength, steering.mode) == ("canny", 0.7, "cn_priority")
    assert (steering.start, steering.end) == (0.1, 0.9)
    await made(driver, project, job)


async def test_loras_are_listed_and_applied_in_order(
    app: App, driver: Driver, worker: ScriptedWorker, sdk: Sdk
) -> None:
    if sdk.recovers:  # only the newest ones can ask
        catalogue = await app.call("projects.availableLoras")
        listed = {lora["loraId"] for lora in catalogue["loras"]}
        assert {"krea2-zoom", "krea2-warm-light"} <= listed
    loras = {"loras": ["krea2-zoom", "krea2-warm-light"], "loraStrengths": [0.5, -0.25]}
    project = await app.create(modelId=BENDABLE, steps=8, **loras)
    job = await worker.job()
    if picture(job).loras:  # the older ones do not know them and send nothing
        assert picture(job).loras == (
            Lora(id="krea2-zoom", strength=0.5),
            Lora(id="krea2-warm-light", strength=-0.25),
        )
    else:
        assert not sdk.recovers
    await made(driver, project, job)


@pytest.mark.parametrize(("strength", "changed"), [("light", 0.15), ("heavy", 0.49)])
async def test_a_picture_is_enhanced(
    app: App,
    driver: Driver,
    worker: ScriptedWorker,
    sdk: Sdk,
    strength: str,
    changed: float,
) -> None:
    estimate = await app.call("projects.estimateEnhancementCost", strength)
    assert float(estimate["token"]) > 0
    project = await app.create(modelId=CLASSIC, steps=20)
    first = await worker.job()
    await made(driver, project, first)
    better = driver.send("enhance", project=project, job=first.assign.job_id, strength=strength)
    second = await worker.job()
    python = sdk.name.startswith("py")
    assert picture(second).model == (ENHANCER_OF_PYTHON if python else ENHANCER_OF_JAVASCRIPT)
    assert await second.input("startingImage") == png(1)
    assert picture(second).strength == pytest.approx(changed)
    await second.render(png(2))
    assert await fetch(str(await better)) == png(2)
