"""Bending a model with what the grid's catalogue has for it."""

import pytest
from playwright.async_api import Page, expect

from dreamgrid.protocol.params import Lora
from tests.interop.grid import Grid
from tests.interop.worker import png, scripted_worker
from tests.studio.conftest import Studio

pytestmark = pytest.mark.asyncio(loop_scope="session")
MODEL = "krea2_turbo_fp8_scaled"


async def pick(page: Page, model: str) -> None:
    """Chooses a model by keyboard."""
    await page.get_by_role("button", name="Model").click()
    search = page.get_by_role("combobox", name="Search models")
    await expect(search).to_be_focused()
    await search.fill(model)
    await expect(page.get_by_role("listbox", name="Models").get_by_role("option")).to_have_count(1)
    await page.keyboard.press("Enter")
    await expect(search).to_be_hidden()


async def test_a_lora_is_added_with_its_strength_and_comes_back_with_the_settings(
    studio: Studio, grid: Grid
) -> None:
    page = studio.page
    async with scripted_worker(grid.direct_url, grid.key, models=(MODEL,)) as worker:
        await pick(page, MODEL)
        picker = page.get_by_role("combobox", name="LoRAs")
        await picker.select_option(label="Warm light")
        await page.get_by_role("spinbutton", name="Warm light").fill("0.5")
        await page.keyboard.press("Tab")
        await picker.select_option(label="Zoom")
        await page.get_by_role("button", name="Remove: Zoom").click()
        await expect(picker).to_be_focused()
        await studio.ask_for("a castle")
        job = await worker.job()
        assert job.assign.render.loras == (Lora(id="krea2-warm-light", strength=0.5),)
        await job.render(png(1))
        await studio.see_tiles("completed")
        await page.get_by_role("button", name="Open: a castle").click()
        viewer = page.get_by_role("dialog", name="Result")
        await expect(viewer.get_by_text("Warm light 0.5")).to_be_visible()
        await page.keyboard.press("Escape")
        await page.get_by_role("button", name="Remove: Warm light").click()
        await page.get_by_role("button", name="Use these settings").click()
        await expect(page.get_by_role("spinbutton", name="Warm light")).to_have_value("0.5")


async def test_a_model_without_loras_shows_none_and_sends_none(studio: Studio, grid: Grid) -> None:
    page = studio.page
    async with scripted_worker(grid.direct_url, grid.key, models=(MODEL, "pattern-v1")) as worker:
        await pick(page, MODEL)
        await page.get_by_role("combobox", name="LoRAs").select_option(label="Zoom")
        await pick(page, "pattern-v1")
        await expect(page.get_by_role("combobox", name="LoRAs")).to_have_count(0)
        await studio.ask_for("a castle")
        job = await worker.job()
        assert (job.assign.render.model, job.assign.render.loras) == ("pattern-v1", ())
        await job.render(png(1))
        await studio.see_tiles("completed")
