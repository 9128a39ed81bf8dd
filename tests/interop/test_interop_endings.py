"""Projects that end in other ways than with all of their pictures."""

import asyncio
from decimal import Decimal

import pytest

from tests.interop.sdks import App, Driver, Sdk, SdkError
from tests.interop.worker import ScriptedWorker, png

ESTIMATE = {
    "network": "fast",
    "tokenType": "spark",
    "model": "pattern-v1",
    "imageCount": 1,
    "stepCount": 4,
    "previewCount": 0,
}


async def test_canceling_a_queued_project_gives_the_money_back(
    app: App, driver: Driver, worker: ScriptedWorker
) -> None:
    await app.create(count=8)
    await worker.jobs(8)  # all slots are taken
    before = await app.spark()
    project = await app.create(count=2)
    queued = await driver.until("project", type="queued", projectId=project)
    assert queued["data"]["queuePosition"] == 1
    assert await app.spark() < before
    await driver.send("cancel", project=project)
    assert (await driver.send("snapshot", project=project))["status"] == "canceled"
    await app.until_spark(before)


async def test_canceling_a_running_project_stops_the_worker(
    app: App, driver: Driver, worker: ScriptedWorker
) -> None:
    before = await app.spark()
    project = await app.create()
    job = await worker.job()
    await job.start()
    await job.step(1)
    await driver.until("job", type="progress", projectId=project)
    await driver.send("cancel", project=project)
    assert await worker.canceled() == job.assign.job_id
    shown = await driver.send("snapshot", project=project)
    assert [shown["status"], *(one["status"] for one in shown["jobs"])] == ["canceled", "canceled"]
    await app.until_spark(before)


async def test_one_of_two_renders_fails(app: App, driver: Driver, worker: ScriptedWorker) -> None:
    before = await app.spark()
    project = await app.create(count=2)
    finished = await driver.waiting_for(project)
    good, bad = await worker.job(), await worker.job()
    await bad.start()
    await bad.fail("the lamp went out")
    failed = await driver.until("job", type="error", projectId=project, jobId=bad.assign.job_id)
    assert failed["data"]["error"]["message"] == "the lamp went out"
    await good.render(png(5))
    assert len(await finished) == 1
    shown = await driver.send("snapshot", project=project)
    assert sorted(one["status"] for one in shown["jobs"]) == ["completed", "failed"]
    price = Decimal((await app.call("projects.estimateCost", ESTIMATE))["token"])
    await app.until_spark(before - price)


async def test_a_project_whose_renders_all_fail_is_rejected_and_costs_nothing(
    app: App, driver: Driver, worker: ScriptedWorker
) -> None:
    before = await app.spark()
    project = await app.create(count=2)
    finished = asyncio.ensure_future(await driver.waiting_for(project))
    for job in (await worker.job(), await worker.job()):
        await job.start()
        await job.fail("the lamp went out")
    with pytest.raises(SdkError) as caught:
        await finished
    assert caught.value.told["code"] == 5000
    assert (await driver.send("snapshot", project=project))["status"] == "failed"
    await app.until_spark(before)


async def test_a_render_that_is_tried_again_keeps_its_identity(
    app: App, driver: Driver, worker: ScriptedWorker
) -> None:
    project = await app.create()
    finished = await driver.waiting_for(project)
    first = await worker.job()
    await first.start()
    await first.step(2)
    await first.fail("out of memory", retryable=True)
    second = await worker.job()
    assert second.assign.job_id == first.assign.job_id
    await second.render(png(1))
    assert len(await finished) == 1
    assert len((await driver.send("snapshot", project=project))["jobs"]) == 1


async def test_an_unknown_model_is_refused_with_a_message_that_names_it(
    app: App, driver: Driver, sdk: Sdk
) -> None:
    if sdk.name == "js-3.1.1":
        project = await app.create(modelId="no-such-model")
        refused = await driver.until("project", type="error", projectId=project)
        message = refused["data"]["error"]["message"]
    else:
        with pytest.raises(SdkError) as caught:
            await app.create(modelId="no-such-model")
        message = str(caught.value)
    assert "no-such-model" in message


async def test_what_the_server_refuses_fails_with_its_reason(app: App, driver: Driver) -> None:
    project = await app.create(steps=49, count=17)
    with pytest.raises(SdkError, match="16"):
        await driver.send("wait", project=project)
