"""Pictures through the published SDKs: what works when all goes well."""

import aiohttp

from dreamgrid.protocol.renders import ImageRender
from tests.interop.sdks import App, Driver, Sdk, file
from tests.interop.worker import JPEG, ScriptedWorker, png


async def fetch(url: str) -> bytes:
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        assert answer.status == 200
        return await answer.read()


async def test_one_picture_is_made_and_can_be_fetched(
    app: App, driver: Driver, worker: ScriptedWorker
) -> None:
    project = await app.create(seed=7)
    finished = await driver.waiting_for(project)
    job = await worker.job()
    assert job.assign.render.prompt == "a lighthouse"
    assert job.assign.render.seed == 7
    await job.render(png(10))
    urls = await finished
    assert [await fetch(url) for url in urls] == [png(10)]
    shown = await driver.send("snapshot", project=project)
    assert shown["status"] == "completed"
    assert shown["progress"] == 100
    assert [(one["status"], one["seed"]) for one in shown["jobs"]] == [("completed", 7)]


async def test_the_link_of_a_picture_can_be_made_anew(
    app: App, driver: Driver, worker: ScriptedWorker
) -> None:
    project = await app.create()
    finished = await driver.waiting_for(project)
    job = await worker.job()
    await job.render(png(10))
    (first,) = await finished
    picture = {"jobId": project, "imageId": job.assign.job_id, "type": "complete"}
    again = await app.call("projects.downloadUrl", picture)
    assert await fetch(again) == await fetch(first) == png(10)


async def test_two_pictures_with_previews(app: App, driver: Driver, worker: ScriptedWorker) -> None:
    project = await app.create(count=2, previews=2)
    finished = await driver.waiting_for(project)
    first, second = await worker.job(), await worker.job()
    for job in (first, second):
        await job.start()
        await job.step(2, preview=JPEG)
        seen = await driver.until("job", type="preview", jobId=job.assign.job_id)
        assert await fetch(seen["data"]["url"]) == JPEG
    await second.finish(png(2))
    await first.finish(png(1))
    assert {await fetch(url) for url in await finished} == {png(1), png(2)}


async def test_a_picture_made_from_an_uploaded_one(
    app: App, driver: Driver, worker: ScriptedWorker
) -> None:
    project = await app.create(startingImage=file(png(99)), startingImageStrength=0.25)
    finished = await driver.waiting_for(project)
    job = await worker.job()
    assert await job.input("startingImage") == png(99)
    assert isinstance(job.assign.render, ImageRender)
    assert job.assign.render.strength == 0.75
    await job.render(png(1))
    assert len(await finished) == 1


async def test_what_the_content_filter_objects_to_is_withheld_and_free(
    app: App, driver: Driver, worker: ScriptedWorker, sdk: Sdk
) -> None:
    before = await app.spark()
    project = await app.create()
    finished = await driver.waiting_for(project)
    await (await worker.job()).render(png(1), sensitive=("image",))
    assert await finished == []
    await app.until_spark(before)
    (job,) = (await driver.send("snapshot", project=project))["jobs"]
    assert job["isNSFW"] is True
    assert job["resultUrl"] is None
    if not sdk.oldest:
        assert not job.get("nsfwDetected")


async def test_an_app_without_the_filter_gets_the_picture_with_a_label(
    app: App, driver: Driver, worker: ScriptedWorker, sdk: Sdk
) -> None:
    project = await app.create(disableNSFWFilter=True)
    finished = await driver.waiting_for(project)
    await (await worker.job()).render(png(1), sensitive=("image", "prompt"))
    (url,) = await finished
    assert await fetch(url) == png(1)
    if sdk.recovers:  # older ones know no label
        (event,) = driver.seen("job", type="completed")
        assert event["data"]["nsfwDetected"] is True
        assert event["data"]["nsfwSources"] == ["image", "prompt"]


async def test_what_was_made_lately_can_be_listed_and_looked_up(
    app: App, driver: Driver, worker: ScriptedWorker, sdk: Sdk
) -> None:
    if sdk.name.startswith("js"):
        return  # these versions know no such list
    project = await app.create()
    finished = await driver.waiting_for(project)
    await (await worker.job()).render(png(10))
    urls = await finished
    (found,) = await app.call("projects.listRecent")
    assert found["modelId"] == "pattern-v1"
    assert [one["status"] for one in found["jobs"]] == ["completed"]
    result = await app.call("projects.getResult", found["id"])
    assert (result["status"], result["finished"]) == ("completed", True)
    assert await fetch(result["jobs"][0]["url"]) == await fetch(urls[0])
