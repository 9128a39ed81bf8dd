"""Making something in a real browser: from the first link to the result."""

import re

import pytest
from playwright.async_api import expect

from tests.interop.grid import Grid
from tests.interop.worker import ScriptedWorker, png, scripted_worker
from tests.studio.conftest import OpenStudio, Studio

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_whoever_started_a_grid_makes_a_picture_and_watches_it(
    studio: Studio, worker: ScriptedWorker
) -> None:
    await studio.ask_for("a lighthouse in a storm")
    job = await worker.job()
    assert job.assign.render.prompt == "a lighthouse in a storm"
    await job.start()
    await job.step(5, preview=png(40))
    preview = studio.page.get_by_alt_text("What it looks like so far")
    await expect(preview).to_have_js_property("naturalWidth", 1)
    await expect(studio.page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "25")
    await job.step(20)
    await job.finish(png(200))
    await studio.see_tiles("completed")
    await studio.page.get_by_role("button", name="Open: a lighthouse").click()
    viewer = studio.page.get_by_role("dialog", name="Result")
    await expect(viewer.get_by_text(str(job.assign.render.seed))).to_be_visible()
    await expect(viewer.get_by_role("img")).to_have_js_property("naturalWidth", 1)


async def test_the_secret_of_a_link_stays_in_no_address(studio: Studio) -> None:
    assert studio.page.url.endswith("/#/create")
    await studio.page.reload()
    await expect(studio.page.get_by_role("navigation")).to_be_visible()


async def test_a_used_link_says_how_to_get_a_fresh_one(open_studio: OpenStudio) -> None:
    stranger = await open_studio()
    await stranger.page.goto(f"{stranger.grid.url}/#/welcome/not-any-more")
    await expect(stranger.page.get_by_role("alert")).to_contain_text("dreamgrid studio")
    # The browser itself reports a refused request; nothing else may be wrong.
    assert all("403" in complaint for complaint in stranger.complaints)
    stranger.complaints.clear()


async def test_the_price_follows_what_is_asked_for(studio: Studio) -> None:
    price = studio.page.get_by_test_id("price")
    await expect(price).to_have_text("0.1")
    await studio.page.get_by_role("button", name="One more").click()
    await expect(price).to_have_text("0.2")
    await studio.page.get_by_label("How many").fill("99")
    await studio.page.keyboard.press("Tab")
    await expect(price).to_have_text("1.6")  # no more than 16 at once
    await studio.page.get_by_role("button", name="One more").focus()
    await studio.page.keyboard.press("Control+Enter")
    await expect(studio.page.get_by_label("Prompt", exact=True)).to_be_focused()  # it is empty


async def test_it_waits_and_says_why_and_can_be_called_off(studio: Studio) -> None:
    await studio.ask_for("a castle", count=2)
    await expect(studio.page.get_by_text("Waits for a worker").first).to_be_visible()
    await studio.see_tiles("waiting", 2)
    await studio.page.get_by_role("button", name="Why?").click()
    why = studio.page.get_by_role("dialog", name="Where it stands")
    await expect(why.get_by_role("status")).to_contain_text("worker")
    await studio.page.keyboard.press("Escape")
    await studio.page.get_by_role("button", name="Cancel").click()
    await studio.see_tiles("canceled", 2)


async def test_what_went_wrong_is_told_in_words(studio: Studio, worker: ScriptedWorker) -> None:
    await studio.ask_for("a castle")
    job = await worker.job()
    await job.start()
    await job.fail("The picture could not be decoded.")
    await studio.see_tiles("failed")
    await expect(studio.page.get_by_text("could not be decoded").first).to_be_visible()


async def test_a_second_device_sees_it_on_its_way_and_a_reload_loses_nothing(
    studio: Studio, open_studio: OpenStudio, worker: ScriptedWorker
) -> None:
    await studio.ask_for("a penguin", count=2)
    first, second = await worker.jobs(2)
    await first.render(png(1))
    await second.start()
    await second.step(10)
    phone = await (await open_studio(phone=True)).sign_in()
    await studio.page.reload()
    for window in (studio, phone):
        await window.see_tiles("completed")
        await window.see_tiles("running")
    await second.step(15)
    for window in (studio, phone):
        await expect(window.page.get_by_text("15 / 20")).to_be_visible()
    await second.finish(png(2))
    for window in (studio, phone):
        await window.see_tiles("completed", 2)


async def test_a_restart_of_the_server_is_a_pause_and_no_end(studio: Studio, grid: Grid) -> None:
    await studio.ask_for("a castle")
    await studio.see_tiles("waiting")
    await grid.stop()
    await expect(studio.page.get_by_text("Connecting to the grid")).to_be_visible()
    await grid.start()
    await expect(studio.page.get_by_text("Connecting to the grid")).to_be_hidden()
    await studio.see_tiles("waiting")
    refused = re.compile("ERR_|WebSocket")  # which is what it was
    assert all(refused.search(complaint) for complaint in studio.complaints)
    studio.complaints.clear()


async def test_the_keyboard_alone_is_enough(studio: Studio, worker: ScriptedWorker) -> None:
    page = studio.page
    await page.get_by_role("button", name="Model").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("combobox", name="Search models")).to_be_focused()
    await page.keyboard.type("dreamlet")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Model")).to_be_focused()
    await page.get_by_label("Prompt", exact=True).focus()
    await page.keyboard.type("a red apple")
    await page.keyboard.press("Control+Enter")
    await (await worker.job()).render(png(3))
    tile = page.get_by_role("button", name="Open: a red apple")
    await tile.focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog", name="Result")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog", name="Result")).to_be_hidden()
    await expect(tile).to_be_focused()


async def test_words_are_never_run_as_a_program(studio: Studio, worker: ScriptedWorker) -> None:
    evil = """<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>"""
    await studio.ask_for(evil)
    job = await worker.job()
    await job.start()
    await job.fail(evil)
    await expect(studio.page.get_by_role("heading", name="onerror")).to_be_visible()
    await expect(studio.page).to_have_title("Create · dreamgrid")
    assert await studio.page.locator("img[src=x]").count() == 0


async def test_names_and_reasons_are_never_run_as_a_program(studio: Studio, grid: Grid) -> None:
    page = studio.page
    evil = """<svg onload="document.title='owned'">"""
    path, reason = "/v1/admin/workers", {"action": "pause", "reason": evil}
    async with scripted_worker(
        grid.direct_url, grid.key, name=evil, models=("dreamlet-v1",)
    ) as worker:
        await page.get_by_label("Style").evaluate("(field) => field.closest('details').open = true")
        for field in ("Style", "Not wanted"):
            await page.get_by_label(field).fill(evil)
        await studio.ask_for("a castle")
        await (await worker.job()).render(png(1))
        await studio.see_tiles("completed")
        await page.get_by_role("button", name="Open: a castle").click()
        viewer = page.get_by_role("dialog", name="Result")
        await expect(viewer.get_by_text(evil)).to_have_count(3)  # style, what is not wanted, worker
        await page.keyboard.press("Escape")
        _, body = await grid.call("GET", path)
        (known,) = body["data"]["workers"]
        assert (await grid.call("POST", path, json={"worker": known["id"], **reason}))[0] == 200
        assert (await grid.call("POST", "/v1/account/keys", json={"name": evil}))[0] == 201
        for name in ("operator/workers", "operator/trail", "account"):
            await page.goto(f"{grid.url}/#/{name}")
            await expect(page.get_by_text(evil).first).to_be_visible()
    await expect(page).to_have_title("Account · dreamgrid")
    assert await page.locator("svg[onload]").count() == 0


async def test_a_server_without_passwords_offers_none_and_says_why(
    open_studio: OpenStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dreamgrid.server.wallet.find_spec", lambda name: None)
    stranger = await open_studio()
    await stranger.page.goto(stranger.grid.url)
    await expect(stranger.page.get_by_text("no sign-in by name and password")).to_be_visible()
    await expect(stranger.page.get_by_label("Password")).to_have_count(0)
    await expect(stranger.page.get_by_text("dreamgrid studio")).to_be_visible()


async def test_how_long_to_wait_is_told_as_people_tell_it(open_studio: OpenStudio) -> None:
    stranger = await open_studio()
    page = stranger.page
    await page.goto(stranger.grid.url)
    await page.get_by_label("Name", exact=True).fill("nobody")
    for _ in range(stranger.grid.config.guesses_per_minute + 1):
        await page.get_by_label("Password").fill("correct horse battery")
        await page.get_by_role("button", name="Sign in", exact=True).click()
        await expect(page.get_by_role("button", name="Sign in", exact=True)).to_be_enabled()
    await expect(page.get_by_role("alert")).to_contain_text(
        re.compile(r"too many failed sign-ins from your address\. Try again in \d+ s\.$")
    )
    assert all(re.search("403|429", complaint) for complaint in stranger.complaints)
    stranger.complaints.clear()


async def test_somebody_signs_up_out_and_in_by_name_and_password(open_studio: OpenStudio) -> None:
    studio = await (await open_studio()).sign_up("Alice")
    page = studio.page
    await page.get_by_role("button", name="Sign out").click()
    await page.get_by_label("Name", exact=True).fill("alice")
    await page.get_by_label("Password").fill("correct horse battery")
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await expect(page.get_by_role("navigation")).to_be_visible()
