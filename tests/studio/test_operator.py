"""The grid at a glance for whoever runs it, and everybody's own account."""

import sqlite3
from contextlib import closing

import pytest
from playwright.async_api import Page, expect

from tests.interop.grid import Grid
from tests.interop.worker import ScriptedWorker, png, scripted_worker
from tests.studio.conftest import OpenStudio, Studio

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def open_tab(page: Page, name: str) -> None:
    """One of the pages about the grid."""
    await page.get_by_role("link", name="Grid", exact=True).click()
    await page.get_by_role("navigation", name="Grid").get_by_role("link", name=name).click()


async def choose(page: Page, menu: str, action: str) -> None:
    """Something out of a menu."""
    await page.get_by_role("button", name=menu).click()
    await page.get_by_role("menuitem", name=action).click()


async def test_workers_are_paused_and_resumed_with_a_reason(
    studio: Studio, worker: ScriptedWorker
) -> None:
    del worker
    page = studio.page
    await open_tab(page, "Workers")
    await expect(page.get_by_role("img", name="0 of 8 slots busy")).to_be_visible()
    await choose(page, "What to do with scripted", "Pause")
    question = page.get_by_role("dialog", name="Pause scripted?")
    await question.get_by_label("Why").fill("it is too hot")
    await question.get_by_role("button", name="Pause", exact=True).click()
    await expect(page.get_by_text("paused ·")).to_be_visible()
    await expect(page.get_by_text("it is too hot")).to_be_visible()
    await choose(page, "What to do with scripted", "Resume")
    await page.get_by_role("button", name="Resume", exact=True).click()
    await expect(page.get_by_text("working ·")).to_be_visible()
    await open_tab(page, "Trail")
    await expect(page.get_by_role("row", name="pause")).to_contain_text("it is too hot")
    await page.get_by_label("Search the trail").fill("resume")
    await expect(page.get_by_role("row", name="pause")).to_have_count(0)


async def test_a_worker_that_is_away_can_be_resumed(studio: Studio, grid: Grid) -> None:
    page = studio.page
    async with scripted_worker(grid.direct_url, grid.key):
        await open_tab(page, "Workers")
        await choose(page, "What to do with scripted", "Pause")
        await page.get_by_role("button", name="Pause", exact=True).click()
        await expect(page.get_by_text("paused ·")).to_be_visible()
    await expect(page.get_by_role("heading", name="Paused, and not here")).to_be_visible()
    await page.get_by_role("button", name="Resume", exact=True).click()
    question = page.get_by_role("dialog", name="Resume")
    await question.get_by_role("button", name="Resume", exact=True).click()
    await expect(page.get_by_role("heading", name="Paused, and not here")).to_have_count(0)


async def test_what_waits_is_explained_given_to_another_worker_and_ended(
    studio: Studio, worker: ScriptedWorker
) -> None:
    page = studio.page
    await studio.ask_for("a castle", count=2)
    first, _ = await worker.jobs(2)
    await first.start()
    await open_tab(page, "Overview")
    wanted = page.get_by_role("region", name="What is wanted")
    await expect(wanted.get_by_role("row", name="Dreamlet")).to_be_visible()
    await expect(page.get_by_role("img", name="Rendering: 2 now")).to_be_visible()
    await open_tab(page, "Queue")
    cell = page.get_by_role("cell", name="0 done, 2 running of 2")
    await expect(cell).to_be_visible()
    menu = "What to do with the project of local"
    await choose(page, menu, "Explain")
    why = page.get_by_role("dialog", name="Where it stands")
    await expect(why.get_by_role("status")).to_contain_text("scripted")
    await why.get_by_role("button", name="Requeue").first.click()
    await worker.canceled()
    await page.keyboard.press("Escape")
    await choose(page, menu, "Cancel")
    question = page.get_by_role("dialog", name="Cancel this project of local?")
    await question.get_by_label("Why").fill("it was a mistake")
    await question.get_by_role("button", name="Cancel the project").click()
    await expect(page.get_by_text("Nothing waits")).to_be_visible()
    await open_tab(page, "Trail")
    await expect(page.get_by_role("row", name="cancel")).to_contain_text("it was a mistake")
    await expect(page.get_by_role("row", name="requeue")).to_contain_text("from the studio")


async def test_money_is_granted_and_given_back_once(studio: Studio, worker: ScriptedWorker) -> None:
    page = studio.page
    await studio.ask_for("a castle")
    job = await worker.job()
    await job.render(png(1))
    await studio.see_tiles("completed")
    await open_tab(page, "Accounts")
    await expect(page.get_by_role("cell", name="999.9 spark")).to_be_visible()
    await choose(page, "What to do with local", "Grant")
    await page.get_by_label("Amount").fill("50")
    await page.get_by_label("Why").fill("a present")
    await page.get_by_role("button", name="Grant", exact=True).click()
    await expect(page.get_by_role("cell", name="1,049.9 spark")).to_be_visible()
    for told in ("0.1 spark are given back.", "Nothing was charged for it"):
        await page.get_by_role("button", name="Refund").click()
        await page.get_by_label("Project id").fill(job.assign.project_id)
        await page.get_by_role("button", name="Give it back").click()
        await expect(page.get_by_role("dialog", name="Refund")).to_contain_text(told)
        await page.get_by_role("button", name="Good").click()
        await expect(page.get_by_role("cell", name="1,050 spark")).to_be_visible()


async def test_what_was_delivered_lately_is_drawn(studio: Studio, worker: ScriptedWorker) -> None:
    page = studio.page
    await studio.ask_for("a castle", count=2)
    done, failing = await worker.jobs(2)
    await done.render(png(1))
    await failing.start()
    await failing.fail("no")
    await studio.see_tiles("completed")
    await studio.see_tiles("failed")
    await open_tab(page, "Overview")
    told = page.get_by_text("1 job delivered, 1 failed, 0.1 spark charged.")
    await expect(told).to_be_visible()
    await expect(page.get_by_role("img", name="Delivered")).to_be_visible()
    await page.get_by_text("Week", exact=True).click()
    await expect(told).to_be_visible()


async def test_limits_bans_and_blocked_apps_are_set_and_lifted(
    studio: Studio, open_studio: OpenStudio
) -> None:
    page = studio.page
    banned = await (await open_studio()).sign_up("mallory")
    await open_tab(page, "Accounts")
    menu = "What to do with mallory"
    await choose(page, menu, "Limits")
    await page.get_by_label("Jobs on workers at once").fill("2")
    await page.get_by_role("button", name="Set the limits").click()
    await expect(page.get_by_role("cell", name="2 running")).to_be_visible()
    await choose(page, menu, "Limits")
    await expect(page.get_by_label("Jobs on workers at once")).to_have_value("2")
    await page.keyboard.press("Escape")
    await choose(page, menu, "Ban")
    await page.get_by_label("Why").fill("spam")
    await page.get_by_role("button", name="Ban", exact=True).click()
    await expect(page.get_by_role("cell", name="banned: spam")).to_be_visible()
    await expect(banned.page.get_by_role("alert")).to_contain_text("spam")  # it is told why
    await choose(page, menu, "Lift the ban")
    await page.get_by_role("button", name="Lift the ban", exact=True).click()
    await expect(page.get_by_role("cell", name="banned: spam")).to_have_count(0)
    await page.get_by_role("button", name="Block an app").click()
    await page.get_by_label("App id").fill("rogue-1")
    await page.get_by_role("button", name="Block", exact=True).click()
    await expect(page.get_by_role("heading", name="Blocked apps")).to_be_visible()
    await page.get_by_role("button", name="Unblock", exact=True).click()
    question = page.get_by_role("dialog", name="Unblock rogue-1?")
    await question.get_by_role("button", name="Unblock", exact=True).click()
    await expect(page.get_by_role("heading", name="Blocked apps")).to_have_count(0)


async def test_the_server_says_how_it_is_and_the_books_are_proved(
    studio: Studio, worker: ScriptedWorker, grid: Grid
) -> None:
    page = studio.page
    await studio.ask_for("a castle")
    await (await worker.job()).render(png(1))
    await studio.see_tiles("completed")
    await open_tab(page, "Health")
    facts = page.locator("dl")
    await expect(facts).to_contain_text("Open projects0, 0 jobs waiting")
    await expect(facts).to_contain_text("Media1 file")
    await page.get_by_role("button", name="Prove them").click()
    verdict = page.get_by_role("status").filter(has_text="The books add up.")
    await expect(verdict).to_contain_text("1 project, 1 job in")
    with closing(sqlite3.connect(grid.config.data_dir / "dreamgrid.sqlite")) as books, books:
        books.execute("UPDATE balance SET posted_micros = posted_micros + 5")
    await page.get_by_role("button", name="Prove them again").click()
    await expect(page.get_by_text("something in them cannot be")).to_be_visible()
    await expect(page.get_by_text("audit again").first).to_be_visible()


async def test_what_cannot_be_done_says_why(studio: Studio) -> None:
    page = studio.page
    await open_tab(page, "Accounts")
    await choose(page, "What to do with local", "Ban")
    await page.get_by_role("button", name="Ban", exact=True).click()
    await expect(page.get_by_text("cannot be banned")).to_be_visible()
    assert all("400" in complaint for complaint in studio.complaints)  # the browser's own words
    studio.complaints.clear()


async def test_who_is_no_administrator_sees_no_grid_page(open_studio: OpenStudio) -> None:
    studio = await (await open_studio()).sign_up("Alice")
    page = studio.page
    await expect(page.get_by_role("link", name="Account", exact=True)).to_be_visible()
    await expect(page.get_by_role("link", name="Grid", exact=True)).to_have_count(0)
    await page.goto(f"{studio.grid.url}/#/operator")
    await expect(page.get_by_role("form", name="What to make")).to_be_visible()


async def test_a_key_is_made_shown_once_and_revoked(studio: Studio) -> None:
    page = studio.page
    await page.get_by_role("link", name="Account", exact=True).click()
    await expect(page.get_by_text("1,000 spark").first).to_be_visible()
    await expect(page.get_by_role("cell", name="Granted").first).to_be_visible()
    await page.get_by_role("button", name="New key").click()
    await page.get_by_label("Name").fill("my phone")
    await page.get_by_label("At most a day").fill("5")
    await page.get_by_role("button", name="Make the key").click()
    made = page.get_by_role("dialog", name="Your new key")
    secret = await made.get_by_text("dgk_").text_content()
    assert secret
    status, _ = await studio.grid.call("GET", "/v1/account/me", key=secret)
    assert status == 200
    await page.get_by_role("button", name="Close").click()
    await expect(page.get_by_role("cell", name="5 a day")).to_be_visible()
    await page.get_by_role("button", name="Revoke my phone").click()
    await page.get_by_role("button", name="Revoke", exact=True).click()
    await expect(page.get_by_role("cell", name="my phone")).to_have_count(0)
    status, _ = await studio.grid.call("GET", "/v1/account/me", key=secret)
    assert status == 401


async def test_everybody_sees_who_serves_which_model_and_makes_something_with_one(
    open_studio: OpenStudio, worker: ScriptedWorker
) -> None:
    del worker
    page = (await (await open_studio()).sign_up("Alice")).page
    await page.get_by_role("link", name="Network").click()
    await expect(page.get_by_role("status").get_by_text("1 model of")).to_be_visible()
    await page.get_by_role("switch", name="Only what a worker offers now").check()
    rows = page.get_by_role("region", name="Models").get_by_role("row")
    await expect(rows).to_have_count(2)  # one of them names the columns
    await page.get_by_role("button", name="Use Dreamlet").click()
    await expect(page.get_by_role("button", name="Model")).to_contain_text("Dreamlet")


async def test_everybody_sees_what_of_theirs_waits_and_why(open_studio: OpenStudio) -> None:
    studio = await (await open_studio()).sign_up("Alice")
    page = studio.page
    await studio.ask_for("a castle", count=2)
    await studio.see_tiles("waiting", 2)
    await page.get_by_role("link", name="Network").click()
    row = page.get_by_role("region", name="On its way").get_by_role("row", name="a castle")
    await expect(row).to_contain_text("0 done, 0 running of 2")
    await expect(row).to_contain_text("worker")
    await row.get_by_role("button", name="Why?").click()
    why = page.get_by_role("dialog", name="Where it stands")
    await expect(why.get_by_role("status")).to_contain_text("worker")
    await page.keyboard.press("Escape")
    await row.get_by_role("button", name="Cancel").click()
    await expect(page.get_by_text("Nothing of yours waits")).to_be_visible()
