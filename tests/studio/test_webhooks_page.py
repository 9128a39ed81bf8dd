"""Webhooks in the studio: made, watched, sent again and removed."""

import pytest
from playwright.async_api import expect

from tests.interop.worker import ScriptedWorker, png
from tests.studio.conftest import Studio
from tests.support.receiver import receiving

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_server_of_ones_own_is_told_what_was_made(
    studio: Studio, worker: ScriptedWorker
) -> None:
    page = studio.page
    async with receiving() as receiver:
        await page.get_by_role("link", name="Account", exact=True).click()
        await page.get_by_role("button", name="New webhook").click()
        await page.get_by_label("Address").fill(receiver.url)
        await page.get_by_label("A project has failed").uncheck()
        await page.get_by_role("button", name="Make the webhook").click()
        made = page.get_by_role("dialog", name="Your new webhook")
        secret = await made.get_by_text("whsec_").text_content()
        assert secret
        await page.get_by_role("button", name="Close").click()
        await expect(page.get_by_role("cell", name="completed", exact=True)).to_be_visible()
        await page.get_by_role("link", name="Create").click()
        await studio.ask_for("a castle")
        await (await worker.job()).render(png(1))
        (message,) = await receiver.count(1)
        assert message.type == "completed"
        assert message.is_signed_with(secret)
        await page.get_by_role("link", name="Account", exact=True).click()
        menu = page.get_by_role("button", name=f"What to do with {receiver.url}")
        await menu.click()
        await page.get_by_role("menuitem", name="Messages").click()
        sent = page.get_by_role("list", name="Messages").get_by_role("listitem")
        await expect(sent).to_contain_text("delivered")
        await sent.get_by_role("button", name="Send again").click()
        first, again = await receiver.count(2)
        assert first.id == again.id
        await page.get_by_role("button", name="Close").click()
        await menu.click()
        await page.get_by_role("menuitem", name="Remove").click()
        await page.get_by_role("button", name="Remove", exact=True).click()
        await expect(menu).to_have_count(0)
