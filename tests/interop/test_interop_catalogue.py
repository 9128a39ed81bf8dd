"""What the published SDKs ask before they make anything: models, options, sizes, prices."""

from decimal import Decimal

from dreamgrid.server.live import extent_of
from tests.interop.sdks import App, Driver, Sdk
from tests.interop.worker import ScriptedWorker, png

ESTIMATE = {
    "network": "fast",
    "tokenType": "spark",
    "model": "pattern-v1",
    "imageCount": 2,
    "stepCount": 8,
    "previewCount": 0,
}


async def test_models_and_their_sizes_are_known(app: App) -> None:
    models = await app.call("projects.getSupportedModels")
    assert {"pattern-v1", "dreamlet-v1"} <= {one["id"] for one in models}
    sizes = await app.call("projects.getSizePresets", "fast", "pattern-v1")
    square = next(one for one in sizes if one["id"] == "square")
    assert (square["width"], square["height"], square["ratio"]) == (512, 512, "1:1")


async def test_options_of_a_model_name_samplers_by_alias(app: App, sdk: Sdk) -> None:
    if sdk.oldest:
        return  # it knows no options
    options = await app.call("projects.getModelOptions", "dreamlet-v1")
    assert options["type"] == "image"
    assert options["steps"] == {"min": 1, "max": 50, "step": 1, "default": 20}
    assert options["sampler"] == {"allowed": ["euler"], "default": "euler"}


async def test_the_options_of_every_shipped_model_can_be_read(app: App, sdk: Sdk) -> None:
    if sdk.oldest:
        return  # it knows no options
    models = await app.call("projects.getSupportedModels")
    assert {model["media"] for model in models} == {"image", "video", "audio"}
    for model in models:
        options = await app.call("projects.getModelOptions", model["id"])
        assert options["type"] == model["media"]
        assert options["steps"]["min"] <= options["steps"]["default"] <= options["steps"]["max"]


async def test_the_estimate_is_what_is_charged(
    app: App, driver: Driver, worker: ScriptedWorker
) -> None:
    before = await app.spark()
    estimate = await app.call("projects.estimateCost", {**ESTIMATE, "width": 768, "height": 512})
    project = await app.create(
        count=2, steps=8, sizePreset="custom", width=768, height=512, tokenType="spark"
    )
    for picture in (png(1), png(2)):
        job = await worker.job()
        assert extent_of(job.assign.render) == (768, 512)
        await job.render(picture)
    await driver.send("wait", project=project)
    await app.until_spark(before - Decimal(estimate["token"]))


async def test_a_preset_gives_its_size_to_estimate_and_picture(
    app: App, driver: Driver, worker: ScriptedWorker
) -> None:
    small = await app.call("projects.estimateCost", {**ESTIMATE, "sizePreset": "square"})
    large = await app.call("projects.estimateCost", {**ESTIMATE, "sizePreset": "square_hd"})
    assert Decimal(large["token"]) == 4 * Decimal(small["token"])
    project = await app.create(sizePreset="portrait_3_4")
    job = await worker.job()
    assert extent_of(job.assign.render) == (768, 1024)
    finished = await driver.waiting_for(project)
    await job.render(png(1))
    assert len(await finished) == 1


async def test_a_starting_image_makes_it_cheaper(app: App) -> None:
    whole = await app.call("projects.estimateCost", ESTIMATE)
    half = await app.call("projects.estimateCost", {**ESTIMATE, "startingImageStrength": 0.5})
    assert Decimal(half["token"]) == Decimal(whole["token"]) / 2


async def test_a_finished_project_can_be_looked_up(
    app: App, driver: Driver, worker: ScriptedWorker
) -> None:
    project = await app.create(seed=11)
    await (await worker.job()).render(png(1))
    await driver.send("wait", project=project)
    record = await app.call("projects.get", project)
    assert (record["status"], record["imageCount"]) == ("completed", 1)
    assert [one["seedUsed"] for one in record["completedWorkerJobs"]] == [11]
