"""The grid at a glance for whoever runs it, and everybody's own account."""

import pytest
from playwright.async_api import expect

from tests.interop.worker import ScriptedWorker
from tests.studio.conftest import OpenStudio, Studio

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_workers_and_what_waits_are_seen_and_changed(
    studio: Studio, worker: ScriptedWorker
) -> None:
    page = studio.page
    await studio.ask_for("a castle", count=2)
    first, _ = await worker.jobs(2)
    await first.start()
    await page.get_by_role("link", name="Grid").click()
    projects = page.get_by_role("region", name="Open projects")
    await expect(projects.get_by_role("cell", name="0 done, 2 running of 2")).to_be_visible()
    await expect(page.get_by_role("img", name="2 of 8 slots busy")).to_be_visible()
    await page.get_by_role("button", name="What to do with scripted").click()
    await page.get_by_role("menuitem", name="Pause").click()
    await expect(page.get_by_text("paused ·")).to_be_visible()
    page.on("dialog", lambda dialog: dialog.accept())
    await page.get_by_role("button", name="Cancel the project of local").click()
    await expect(page.get_by_text("Nothing waits")).to_be_visible()
    await expect(page.get_by_text("local: cancel")).to_be_visible()


async def test_money_is_granted_and_a_ban_is_explained(
    studio: Studio, worker: ScriptedWorker
) -> None:
    del worker
    page = studio.page
    await page.get_by_role("link", name="Grid").click()
    await page.get_by_role("button", name="What to do with local").click()
    await page.get_by_role("menuitem", name="Grant spark").click()
    await page.get_by_label("Amount").fill("50")
    await page.get_by_role("button", name="Grant", exact=True).click()
    await expect(page.get_by_role("cell", name="1,050 spark")).to_be_visible()
    await page.get_by_role("button", name="What to do with local").click()
    await page.get_by_role("menuitem", name="Ban").click()
    await page.get_by_label("Why").fill("no reason")
    await page.get_by_role("button", name="Ban", exact=True).click()
    await expect(page.get_by_text("cannot be banned")).to_be_visible()
    assert all("400" in complaint for complaint in studio.complaints)  # the browser's own words
    studio.complaints.clear()


async def test_who_is_no_administrator_sees_no_grid_page(open_studio: OpenStudio) -> None:
    studio = await open_studio()
    page = studio.page
    await page.goto(studio.grid.url)
    await page.get_by_text("New account").click()
    await page.get_by_label("Name", exact=True).fill("Alice")
    await page.get_by_label("Email").fill("alice@example.org")
    await page.get_by_label("Password").fill("correct horse battery")
    await page.get_by_role("button", name="Create account").click()
    await expect(page.get_by_role("link", name="Account")).to_be_visible()
    await expect(page.get_by_role("link", name="Grid")).to_have_count(0)
    await page.goto(f"{studio.grid.url}/#/operator")
    await expect(page.get_by_role("form", name="What to make")).to_be_visible()


async def test_a_key_is_made_shown_once_and_revoked(studio: Studio) -> None:
    page = studio.page
    await page.get_by_role("link", name="Account").click()
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
