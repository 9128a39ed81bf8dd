"""Finding results again, and taking them home."""

import io
import zipfile
from pathlib import Path

import pytest
from PIL import Image
from playwright.async_api import expect

from dreamgrid.protocol.renders import ImageRender
from tests.interop.grid import Grid
from tests.interop.worker import ScriptedWorker, png, scripted_worker
from tests.studio.conftest import Studio

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def made(studio: Studio, worker: ScriptedWorker, *prompts: str) -> None:
    """A picture of each, the last one first in the gallery."""
    for shade, prompt in enumerate(prompts):
        await studio.ask_for(prompt)
        await (await worker.job()).render(png(shade))
        await studio.see_tiles("completed", shade + 1)
    await studio.page.get_by_role("link", name="Gallery").click()
    await expect(studio.page.get_by_role("heading", name="Gallery")).to_be_visible()


async def test_results_are_found_by_their_words_and_looked_at_one_by_one(
    studio: Studio, worker: ScriptedWorker
) -> None:
    await made(studio, worker, "a red apple", "a castle")
    pieces = studio.page.get_by_role("list", name="Results").get_by_role("listitem")
    await expect(pieces).to_have_count(2)
    await studio.page.get_by_label("Search results").fill("APPLE red")
    await expect(pieces).to_have_count(1)
    await studio.page.get_by_label("Search results").fill("penguin")
    await expect(studio.page.get_by_text("Nothing like that")).to_be_visible()
    await studio.page.get_by_label("Search results").fill("")
    await studio.page.get_by_role("button", name="Open: a castle").click()
    viewer = studio.page.get_by_role("dialog", name="Result")
    await expect(viewer.get_by_role("img", name="a castle")).to_be_visible()
    await studio.page.keyboard.press("ArrowRight")
    await expect(viewer.get_by_role("img", name="a red apple")).to_be_visible()


async def test_the_gallery_loads_small_pictures_and_the_viewer_the_whole_one(
    studio: Studio, worker: ScriptedWorker
) -> None:
    page = studio.page
    await page.get_by_title("Square HD").click()
    await studio.ask_for("a castle")
    whole = io.BytesIO()
    Image.linear_gradient("L").resize((1024, 1024)).save(whole, "PNG")
    await (await worker.job()).render(whole.getvalue())
    await studio.see_tiles("completed")
    await page.get_by_role("link", name="Gallery").click()
    tile = page.get_by_role("button", name="Open: a castle")
    await expect(tile.locator("img")).not_to_have_js_property("naturalWidth", 0)
    shown = await tile.locator("img").evaluate("(image) => image.currentSrc")
    assert shown.endswith("/thumbnail")
    await tile.click()
    viewer = page.get_by_role("dialog", name="Result")
    await expect(viewer.get_by_role("img")).to_have_js_property("naturalWidth", 1024)


async def test_chosen_results_come_home_in_one_file(
    studio: Studio, worker: ScriptedWorker, tmp_path: Path
) -> None:
    await made(studio, worker, "a red apple", "a castle", "a penguin")
    await studio.page.get_by_role("button", name="Choose", exact=True).click()
    await studio.page.get_by_label("Choose: a red apple").check()
    await studio.page.get_by_label("Choose: a penguin").check()
    async with studio.page.expect_download() as coming:
        await studio.page.get_by_role("button", name="Download 2").click()
    download = await coming.value
    await download.save_as(tmp_path / "all.zip")
    packed = zipfile.ZipFile(io.BytesIO((tmp_path / "all.zip").read_bytes()))
    names = sorted(name.rpartition("-")[0] for name in packed.namelist())
    assert names == ["a-penguin", "a-red-apple"]
    assert {packed.read(name) for name in packed.namelist()} == {png(0), png(2)}


async def test_two_results_are_compared_and_what_differs_stands_out(
    studio: Studio, worker: ScriptedWorker
) -> None:
    page = studio.page
    await made(studio, worker, "a red apple", "a castle")
    await page.get_by_role("button", name="Choose", exact=True).click()
    await page.get_by_label("Choose: a red apple").check()
    await expect(page.get_by_role("button", name="Compare")).to_have_count(0)  # it takes two
    await page.get_by_label("Choose: a castle").check()
    await page.get_by_role("button", name="Compare").click()
    pair = page.get_by_role("dialog", name="Compare")
    for name in ("a castle", "a red apple"):
        await expect(pair.get_by_role("img", name=name)).to_have_js_property("naturalWidth", 1)
    prompts = pair.get_by_role("row", name="Prompt")
    await expect(prompts.get_by_role("cell").nth(0)).to_have_text("a castle")
    await expect(prompts).not_to_have_class("same")
    await expect(pair.get_by_role("row", name="Model")).to_have_class("same")
    await pair.get_by_role("button", name="Swap the two").click()
    await expect(prompts.get_by_role("cell").nth(0)).to_have_text("a red apple")
    await pair.get_by_text("Slide").click()
    edge = pair.get_by_role("slider", name="Where the two pictures meet")
    await edge.focus()
    await page.keyboard.press("End")
    await expect(edge).to_have_value("100")
    await page.keyboard.press("Escape")
    await expect(pair).to_have_count(0)


async def test_a_result_is_put_beside_the_one_with_the_same_seed(
    studio: Studio, worker: ScriptedWorker
) -> None:
    page = studio.page
    await page.get_by_label("Seed", exact=True).fill("77")
    await studio.ask_for("a red apple")
    await (await worker.job()).render(png(1))
    await studio.see_tiles("completed", 1)
    await page.get_by_label("Seed", exact=True).fill("5")
    await studio.ask_for("a castle")
    await (await worker.job()).render(png(2))
    await studio.see_tiles("completed", 2)
    await page.get_by_role("button", name="Open: a red apple").click()
    await page.get_by_role("button", name="Settings and seed").click()
    await expect(page.get_by_label("Seed", exact=True)).to_have_value("77")
    await studio.ask_for("a green apple")
    await (await worker.job()).render(png(3))
    await studio.see_tiles("completed", 3)
    await page.get_by_role("button", name="Open: a green apple").click()
    await page.get_by_role("button", name="Compare").click()
    pair = page.get_by_role("dialog", name="Compare")
    await expect(pair.get_by_role("row", name="Seed")).to_have_class("same")
    await expect(pair.get_by_role("img", name="a red apple")).to_be_visible()
    await pair.get_by_label("Result on the right").select_option(label="a castle · 5")
    await expect(pair.get_by_role("img", name="a castle")).to_be_visible()
    await expect(pair.get_by_role("row", name="Seed")).not_to_have_class("same")


async def test_a_deleted_result_is_gone_and_its_price_stays_in_the_statement(
    studio: Studio, worker: ScriptedWorker
) -> None:
    page = studio.page
    await studio.ask_for("a castle", count=2)
    for job in await worker.jobs(2):
        await job.render(png(9))
    await studio.see_tiles("completed", 2)
    await page.get_by_role("link", name="Gallery").click()
    pieces = page.get_by_role("list", name="Results").get_by_role("listitem")
    await expect(pieces).to_have_count(2)
    await page.get_by_role("button", name="Open: a castle").first.click()
    viewer = page.get_by_role("dialog", name="Result")
    await viewer.get_by_role("button", name="Delete").click()
    question = page.get_by_role("dialog", name="Delete 1 result?")
    await question.get_by_role("button", name="Rather not").click()
    await expect(pieces).to_have_count(2)
    await viewer.get_by_role("button", name="Delete").click()
    await question.get_by_role("button", name="Delete", exact=True).click()
    await expect(pieces).to_have_count(1)
    await expect(viewer.get_by_text("1 / 1")).to_be_visible()  # the other one is shown
    await page.keyboard.press("Escape")
    # The last one takes its project along.
    await page.get_by_role("button", name="Choose", exact=True).click()
    await page.get_by_role("button", name="All 1").click()
    await page.get_by_role("button", name="Delete 1").click()
    await question.get_by_role("button", name="Delete", exact=True).click()
    await expect(page.get_by_text("Nothing here yet")).to_be_visible()
    await page.reload()
    await expect(page.get_by_text("Nothing here yet")).to_be_visible()
    await page.get_by_role("link", name="Account", exact=True).click()
    await expect(page.get_by_role("cell", name="Made")).to_be_visible()


async def test_a_picture_is_made_finer_by_the_model_for_that(studio: Studio, grid: Grid) -> None:
    page = studio.page
    models = ("dreamlet-v1", "dreamlet-enhance-v1")
    async with scripted_worker(grid.direct_url, grid.key, models=models) as worker:
        await studio.ask_for("a castle")
        await (await worker.job()).render(png(9))
        await studio.see_tiles("completed")
        await page.get_by_role("button", name="Open: a castle").click()
        await page.get_by_role("button", name="Enhance").click()
        job = await worker.job()
        assert job.assign.render.model == "dreamlet-enhance-v1"
        assert isinstance(job.assign.render, ImageRender)
        assert (job.assign.render.width, job.assign.render.height) == (1024, 1024)
        assert await job.input("startingImage") == png(9)
