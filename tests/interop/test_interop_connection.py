"""Connections of the published SDKs: lost ones, replaced ones, refused ones, several at once."""

import aiohttp
import pytest

from tests.interop.conftest import SignIn, open_app
from tests.interop.grid import Grid
from tests.interop.sdks import SDKS, App, Driver, Sdk, SdkError
from tests.interop.worker import ScriptedWorker, png, scripted_worker

KEYED = [sdk for sdk in SDKS if sdk.api_keys]
SWITCHING = [sdk for sdk in KEYED if sdk.name != "js-4.1.0-alpha.4"]
"""Those with which an app says what it wants to hear of."""

RECOVERING = [sdk for sdk in SDKS if sdk.recovers]
"""Other generations know only what they have created themselves."""


async def test_a_lost_connection_in_mid_project_is_taken_up_again(
    app: App, driver: Driver, grid: Grid, worker: ScriptedWorker
) -> None:
    project = await app.create(count=2)
    finished = await driver.waiting_for(project)
    first, second = await worker.job(), await worker.job()
    await first.start()
    await first.step(2)
    await driver.until("job", type="progress", projectId=project)
    again = driver.until_next("connected")
    grid.cable.cut()
    await second.render(png(2))  # while the app is away
    await worker.settled.get()
    grid.cable.mend()
    await again
    await first.step(3)
    await first.finish(png(1))
    assert len(await finished) == 2
    shown = await driver.send("snapshot", project=project)
    assert [one["status"] for one in shown["jobs"]] == ["completed", "completed"]


async def test_a_project_that_ends_while_its_app_is_away_is_delivered_afterwards(
    app: App, driver: Driver, grid: Grid, worker: ScriptedWorker
) -> None:
    project = await app.create()
    finished = await driver.waiting_for(project)
    job = await worker.job()
    await job.start()
    await job.step(1)
    await driver.until("job", type="progress", projectId=project)
    grid.cable.cut()
    await job.finish(png(3))
    await worker.settled.get()
    grid.cable.mend()
    assert len(await finished) == 1


async def test_a_restarted_server_carries_on_with_what_it_was_doing(
    app: App, driver: Driver, grid: Grid
) -> None:
    project = await app.create(modelId="dreamlet-v1")  # which no worker serves yet
    finished = await driver.waiting_for(project)
    queued = await driver.until("project", type="queued", projectId=project)
    assert queued["data"].get("queueStatus", "no-workers") == "no-workers"
    again = driver.until_next("connected")
    await grid.stop()
    await grid.start()
    await again
    async with scripted_worker(grid.direct_url, grid.key, models=("dreamlet-v1",)) as late:
        job = await late.job()
        await job.render(png(4))
        assert len(await finished) == 1


async def test_models_on_offer_follow_the_workers(app: App, driver: Driver, grid: Grid) -> None:
    async def offered(model: str, count: int) -> bool:
        models = await app.get("projects.availableModels")
        return {"id": model, "workerCount": count} in [
            {"id": one["id"], "workerCount": one["workerCount"]} for one in models
        ]

    async with scripted_worker(grid.direct_url, grid.key, models=("dreamlet-v1",)):
        await driver.until_true(lambda: offered("dreamlet-v1", 1), "a new model")
        shown = await app.call("projects.getAvailableModels", "fast")
        assert {one["id"]: one["workerCount"] for one in shown} == {
            "pattern-v1": 1,
            "dreamlet-v1": 1,
        }
    await driver.until_true(lambda: offered("dreamlet-v1", 0), "its worker gone")


async def test_two_apps_of_one_account_see_their_own_projects(
    app: App, driver: Driver, worker: ScriptedWorker, sign_in: SignIn
) -> None:
    other = await sign_in("other")
    mine, theirs = await app.create(), await other.create()
    finished = [await driver.waiting_for(one) for one in (mine, theirs)]
    for picture in (png(1), png(2)):
        await (await worker.job()).render(picture)
    assert [len(await one) for one in finished] == [1, 1]
    seen = {
        (one["app"], one["data"]["projectId"]) for one in driver.events if one["event"] == "job"
    }
    assert seen == {("app", mine), ("other", theirs)}


async def test_a_second_connection_of_the_same_app_replaces_the_first(
    driver: Driver, worker: ScriptedWorker, sign_in: SignIn
) -> None:
    await sign_in("first", app_id="the-same")
    await sign_in("second", app_id="the-same")
    closed = await driver.until("disconnected")
    assert (closed["app"], closed["data"]["code"]) == ("first", 4015)
    project = await App(driver, "second").create()
    finished = await driver.waiting_for(project)
    await (await worker.job()).render(png(1))
    assert len(await finished) == 1


@pytest.mark.parametrize("sdk", RECOVERING, ids=str, indirect=True)
async def test_a_restarted_app_takes_its_projects_up_again(
    driver: Driver, worker: ScriptedWorker, sign_in: SignIn
) -> None:
    before = await sign_in("before", app_id="the-same")
    project = await before.create(count=2)
    done, running = await worker.job(), await worker.job()
    await done.render(png(1))
    await running.start()
    await driver.until("job", app="before", type="completed", projectId=project)
    await sign_in("after", app_id="the-same")
    await driver.until("activeProjectsRecovered", app="after")
    await running.step(4)
    await running.finish(png(2))
    await driver.until("project", app="after", type="completed", projectId=project)
    (tracked,) = await App(driver, "after").get("projects.trackedProjects")
    assert (tracked["id"], tracked["status"]) == (project, "completed")
    pictures = [job["resultUrl"].partition("?")[0] for job in tracked["jobs"]]
    assert len(set(pictures)) == 2
    assert tracked["params"]["positivePrompt"] == "a lighthouse"


@pytest.mark.parametrize("sdk", RECOVERING, ids=str, indirect=True)
async def test_a_project_that_ended_is_announced_to_a_restarted_app(
    driver: Driver, grid: Grid, worker: ScriptedWorker, sign_in: SignIn, sdk: Sdk
) -> None:
    before = await sign_in("before", app_id="the-same")
    project = await before.create()
    job = await worker.job()
    await before.call(sdk.leave)
    await job.render(png(1))
    await worker.settled.get()
    await sign_in("after", app_id="the-same")
    told = await driver.until("completedProjectsRecovered", app="after")
    assert [one["id"] for one in told["data"]] == [project]


async def test_switching_the_network_changes_the_models_on_offer(
    app: App, driver: Driver, grid: Grid
) -> None:
    async with scripted_worker(
        grid.direct_url, grid.key, models=("dreamlet-v1",), network="relaxed"
    ) as relaxed:
        assert await app.call("account.switchNetwork", "relaxed") == "relaxed"

        async def only_dreamlet() -> bool:
            models = await app.get("projects.availableModels")
            return [one["id"] for one in models] == ["dreamlet-v1"]

        await driver.until_true(only_dreamlet, "the models of the other network")
        project = await app.create(modelId="dreamlet-v1")
        finished = await driver.waiting_for(project)
        await (await relaxed.job()).render(png(1))
        assert len(await finished) == 1


@pytest.mark.parametrize("sdk", KEYED, ids=str, indirect=True)
async def test_a_wrong_key_is_told_clearly_and_at_once(
    driver: Driver, grid: Grid, sdk: Sdk
) -> None:
    # JavaScript asks for the profile at the same time and awaits the answer nowhere.
    driver.unhandled_is_expected = True
    wrong = await open_app(driver, grid, "app", apiKey="dgk_wrong")
    if sdk.name.startswith("js"):
        refused = await driver.until("unhandled", status=401)
        assert "this key is not valid here" in refused["data"]["message"]

    async def signed_out() -> bool:
        return not await wrong.get("account.currentAccount.isAuthenticated")

    await driver.until_true(signed_out, "end of the session")
    with pytest.raises(SdkError):
        await wrong.create()
    assert await signed_out()


@pytest.mark.parametrize("sdk", SWITCHING, ids=str, indirect=True)
async def test_an_app_hears_only_of_what_it_wants(
    app: App, driver: Driver, worker: ScriptedWorker
) -> None:
    await app.call("setSocketEventSubscriptions", {"unsubscribe": ["jobProgress"]})
    project = await app.create()
    finished = await driver.waiting_for(project)
    job = await worker.job()
    await job.start()
    await job.step(2)
    await job.finish(png(1))
    assert len(await finished) == 1
    heard = [one["data"]["type"] for one in driver.events if one["event"] == "job"]
    assert "started" in heard
    assert "progress" not in heard


async def test_an_app_that_the_operator_blocks_is_signed_out_for_good(
    driver: Driver, grid: Grid, sign_in: SignIn
) -> None:
    blocked = await sign_in("blocked", app_id="a-bad-app")
    ban = {"kind": "app", "target": "a-bad-app", "reason": "spam"}
    async with (
        aiohttp.ClientSession(headers={"api-key": grid.key}) as http,
        http.post(f"{grid.direct_url}/v1/admin/bans", json=ban) as answer,
    ):
        assert answer.status == 200, await answer.text()
    closed = await driver.until("disconnected")
    assert (closed["app"], closed["data"]["code"]) == ("blocked", 4010)

    async def signed_out() -> bool:
        return not await blocked.get("account.currentAccount.isAuthenicated")

    await driver.until_true(signed_out, "end of the session")


@pytest.mark.parametrize("sdk", RECOVERING, ids=str, indirect=True)
async def test_an_app_sees_what_the_accounts_other_apps_are_doing(
    app: App, driver: Driver, worker: ScriptedWorker, sign_in: SignIn
) -> None:
    other = await sign_in("other")
    mine, theirs = await app.create(), await other.create()
    finished = [await driver.waiting_for(one) for one in (mine, theirs)]
    first = await worker.job()
    await driver.until("project", app="other", type="queued", projectId=theirs)
    (elsewhere,) = await app.call("projects.listProjectsElsewhere")
    assert elsewhere["id"] == theirs
    status = await app.call("projects.getStatus", first.assign.project_id)
    assert (status["status"], status["finished"]) == ("processing", False)
    await first.render(png(1))
    await (await worker.job()).render(png(2))
    assert [len(await one) for one in finished] == [1, 1]


@pytest.mark.parametrize("sdk", KEYED, ids=str, indirect=True)
async def test_a_chat_is_refused_at_once_because_the_grid_has_none(app: App) -> None:
    with pytest.raises(SdkError, match="it has no chat"):
        await app.call(
            "chat.completions.create",
            {"model": "any", "messages": [{"role": "user", "content": "Hello"}]},
        )
