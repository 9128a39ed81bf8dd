"""What published SDKs make of varied prompts, refusals, and reasons to wait."""

import pytest

from tests.interop.sdks import SDKS, App, Driver, Sdk, SdkError
from tests.interop.worker import ScriptedWorker, png

PYTHON = [one for one in SDKS if one.name.startswith("py")]
"""Of the published SDKs, only this one knows reasons."""


async def test_an_app_learns_the_text_of_each_picture(
    app: App, driver: Driver, worker: ScriptedWorker, sdk: Sdk
) -> None:
    project = await app.create(count=2, positivePrompt="a {red|blue} apple")
    finished = await driver.waiting_for(project)
    for text, job in zip(("a red apple", "a blue apple"), await worker.jobs(2), strict=True):
        assert job.assign.render.prompt == text
        await job.start()
        if not sdk.oldest:
            started = await driver.until("job", type="started", jobId=job.assign.job_id)
            assert started["data"]["positivePrompt"] == text
        await job.finish(png(len(text)))
    assert len(await finished) == 2


async def test_a_model_that_nobody_offers_is_refused_at_once(
    app: App, driver: Driver, sdk: Sdk
) -> None:
    project = await app.create(modelId="flux1-schnell-fp8", steps=4)
    with pytest.raises(SdkError, match="no worker has offered flux1-schnell-fp8") as caught:
        await driver.send("wait", project=project)
    if not sdk.oldest:
        assert caught.value.told["code"] == 4104


@pytest.mark.parametrize("sdk", PYTHON, indirect=True, ids=str)
async def test_the_python_sdk_shows_why_a_project_waits(app: App, driver: Driver) -> None:
    await app.create(modelId="dreamlet-v1")  # whose worker is away
    changed = await driver.until("queueChanged")
    assert changed["data"]["waitingReason"]["reason"] == "no_workers"
    assert [one["jobIndex"] for one in changed["data"]["jobWaitingReasons"]] == [0]
