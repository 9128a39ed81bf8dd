"""Accounts through the published SDKs: names and passwords, sessions, histories, strangers."""

import pytest

from tests.interop.conftest import open_app
from tests.interop.grid import Grid
from tests.interop.sdks import App, Driver, Sdk, SdkError
from tests.interop.worker import ScriptedWorker, png
from tests.support.wallets import member

HISTORY = {"status": "completed", "limit": 10}


@pytest.fixture
async def stranger(driver: Driver, grid: Grid) -> App:
    """An app that nobody has signed in to."""
    return await open_app(driver, grid, "stranger")


async def test_a_new_account_makes_a_picture_at_once(
    stranger: App, driver: Driver, worker: ScriptedWorker
) -> None:
    await stranger.sign_up("Alice")
    await stranger.call("projects.waitForModels")
    assert await stranger.get("account.currentAccount.username") == "Alice"
    project = await stranger.create()
    finished = await driver.waiting_for(project)
    await (await worker.job()).render(png(1))
    assert len(await finished) == 1
    address = await stranger.get("account.currentAccount.walletAddress")
    page = await stranger.call("account.transactionHistory", {**HISTORY, "address": address})
    kinds = [(one["source"], one["type"]) for one in page["entries"]]
    assert kinds == [("project", "debit"), ("grant", "credit"), ("grant", "credit")]


@pytest.mark.parametrize("testnet", [False, True])
async def test_an_account_is_entered_with_name_and_password(
    stranger: App, driver: Driver, grid: Grid, testnet: bool
) -> None:
    await stranger.sign_up("Alice")
    await driver.until("connected")  # the oldest SDK cannot close a socket that is not open yet
    await stranger.call("account.logout")
    again = await open_app(driver, grid, "again", testnet=testnet)
    await again.log_in("alice")
    assert await again.spark() == 1000
    await again.until_signed_in()


async def test_a_wrong_password_is_refused_and_a_taken_name_too(
    stranger: App, driver: Driver, grid: Grid
) -> None:
    await stranger.sign_up("Alice")
    other = await open_app(driver, grid, "other")
    with pytest.raises(SdkError, match="wrong username or password"):
        await other.log_in("Alice", "guess")
    with pytest.raises(SdkError, match="already taken") as caught:
        await other.sign_up("ALICE", "another")
    assert caught.value.told["payload"]["errorCode"] == 108
    assert (await other.call("account.validateUsername", "alice"))["errorCode"] == 108
    assert (await other.call("account.validateUsername", "bob"))["status"] == "success"


async def resume(app: App, tokens: dict[str, str]) -> None:
    """Signs an app in with tokens that were kept."""
    kept = {name: tokens[name] for name in ("token", "refreshToken")}
    if app.driver.sdk.oldest:
        await app.call("account.setToken", "Alice", kept)
    else:
        await app.call("setTokens", kept)
    await app.call("projects.waitForModels")


async def test_a_session_is_resumed_with_tokens_that_were_kept(
    stranger: App, driver: Driver, worker: ScriptedWorker, grid: Grid
) -> None:
    await resume(stranger, await member(grid, "Alice"))
    project = await stranger.create()
    finished = await driver.waiting_for(project)
    await (await worker.job()).render(png(1))
    assert len(await finished) == 1


async def test_an_expired_token_is_renewed_without_a_word(
    stranger: App, grid: Grid, worker: ScriptedWorker
) -> None:
    # Given out by a server whose clock was behind.
    grid.clock.shift_s = -grid.config.access_token_s
    tokens = await member(grid, "Alice")
    grid.clock.shift_s = 0
    await resume(stranger, tokens)
    assert await stranger.spark() == 1000
    await stranger.until_signed_in()


async def test_after_logout_nothing_is_allowed(stranger: App, driver: Driver) -> None:
    await stranger.sign_up("Alice")
    await driver.until("connected")  # the oldest SDK cannot close a socket that is not open yet
    await stranger.call("account.logout")
    assert not await stranger.get("account.currentAccount.isAuthenicated")
    with pytest.raises(SdkError):
        await stranger.spark()


async def test_a_second_account_sees_and_touches_nothing_of_the_first(
    app: App, stranger: App, driver: Driver, worker: ScriptedWorker, sdk: Sdk
) -> None:
    await stranger.sign_up("Mallory")
    project = await app.create(count=2)
    finished = await driver.waiting_for(project)
    done, running = await worker.job(), await worker.job()
    await done.render(png(1))
    await running.start()
    await stranger.call("projects.cancel", project)
    image = {"jobId": project, "imageId": done.assign.job_id, "type": "complete"}
    for path, asked in (("projects.get", project), ("projects.downloadUrl", image)):
        with pytest.raises(SdkError) as caught:
            await stranger.call(path, asked)
        assert caught.value.told["status"] == 404
    with pytest.raises(SdkError) as caught:
        await stranger.call("projects.uploadUrl", {**image, "type": "startingImage"})
    assert caught.value.told["status"] == 409
    await running.step(4)
    await running.finish(png(2))
    assert len(await finished) == 2
    assert {one["app"] for one in driver.events if one["event"] == "job"} == {"app"}


async def test_what_a_grid_of_ones_own_does_not_have_is_empty(app: App) -> None:
    assert await app.call("account.rewards") == []
    wallet = await app.call("account.walletBalance", "0x" + "a" * 40)
    assert wallet["sogni"] == "0"
    board = {"type": "renderTime", "period": "day", "network": "fast", "page": 0, "limit": 5}
    assert await app.call("stats.leaderboard", board) == []


async def test_what_only_newer_sdks_ask_for_is_empty_or_refused_in_words(
    app: App, sdk: Sdk
) -> None:
    if not sdk.recovers:
        return  # it does not ask for it
    assert await app.call("announcements.active") == []
    await app.call("announcements.dismiss", "A1")
    assert await app.call("replay.list") == {"records": []}
    assert (await app.call("projects.assets.list"))["assets"] == []
    assert (await app.call("projects.personalLoras.list"))["loras"] == []
    slot = {"projectId": "44BABD98-2112-412D-91DA-B5429A1DF233", "type": "startingImage"}
    for path, args, why in (
        ("projects.assets.bind", ("A1", slot), "saved uploads are off"),
        ("projects.personalLoras.get", ("A1",), "no personal LoRAs"),
        ("replay.get", ("A1",), "not kept"),
    ):
        with pytest.raises(SdkError, match=why) as caught:
            await app.call(path, *args)
        assert caught.value.told["status"] == 404
    await app.until_signed_in()


async def test_an_account_that_has_only_a_key_counts_as_signed_in(app: App) -> None:
    await app.until_signed_in()
    assert (await app.get("account.currentAccount.walletAddress")).startswith("0x")
