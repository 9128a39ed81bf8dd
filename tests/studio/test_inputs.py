"""Files to begin with, of every medium: they reach the worker as they were chosen."""

import io

import pytest
from PIL import Image
from playwright.async_api import FilePayload, Page, expect

from tests.interop.grid import Grid
from tests.interop.worker import ScriptedWorker, png, scripted_worker
from tests.studio.conftest import Studio

pytestmark = pytest.mark.asyncio(loop_scope="session")

VIDEO = "wan_v2.2-14b-fp8_i2v_lightx2v"


def picture(side_px: int, shade: int) -> bytes:
    """A grey square as a PNG file."""
    kept = io.BytesIO()
    Image.new("RGB", (side_px, side_px), (shade, shade, shade)).save(kept, "PNG")
    return kept.getvalue()


def chosen(body: bytes, content_type: str = "image/png") -> FilePayload:
    """A file as a browser picks it."""
    return {"name": "chosen", "mimeType": content_type, "buffer": body}


async def open_painter(page: Page) -> None:
    await page.get_by_label("Begin with a picture").set_input_files(chosen(picture(80, 90)))
    await page.get_by_role("button", name="Paint only a part").click()
    await expect(page.get_by_role("application")).to_be_visible()


async def paint_a_line(page: Page) -> None:
    """Across the middle, from the left quarter to the right one."""
    area = await page.get_by_role("application").bounding_box()
    assert area is not None
    middle = area["y"] + area["height"] / 2
    await page.mouse.move(area["x"] + area["width"] / 4, middle)
    await page.mouse.down()
    await page.mouse.move(area["x"] + area["width"] * 3 / 4, middle, steps=4)
    await page.mouse.up()


async def test_a_mask_is_painted_and_only_its_white_is_made_anew(
    studio: Studio, worker: ScriptedWorker
) -> None:
    page = studio.page
    await open_painter(page)
    await paint_a_line(page)
    await page.get_by_role("button", name="Use the mask").click()
    await expect(page.get_by_alt_text("The mask")).to_be_visible()
    await studio.ask_for("a red door")
    job = await worker.job()
    assert job.assign.render.control_net is not None
    assert job.assign.render.control_net.name == "inpaint"
    mask = Image.open(io.BytesIO(await job.input("cnImage"))).convert("L")
    assert mask.size == (80, 80)
    painted = [mask.getpixel(at) for at in ((24, 40), (40, 40), (56, 40))]
    kept = [mask.getpixel(at) for at in ((2, 2), (77, 77), (40, 10), (40, 70))]
    assert (painted, kept) == ([255] * 3, [0] * 4)
    await job.render(png(7))
    await studio.see_tiles("completed")
    # The same again brings its mask along.
    await page.get_by_role("button", name="Make it again").click()
    repeated = await worker.job()
    assert await repeated.input("cnImage") == await job.input("cnImage")


async def test_a_mask_is_painted_taken_back_and_turned_round_by_keyboard(
    studio: Studio, worker: ScriptedWorker
) -> None:
    page = studio.page
    await open_painter(page)
    await page.get_by_role("application").focus()
    await page.keyboard.press("Space")
    await page.keyboard.press("Control+z")
    await page.get_by_role("button", name="Use the mask").click()
    await expect(page.get_by_alt_text("The mask")).to_have_count(0)  # nothing is painted
    await page.get_by_role("button", name="Paint only a part").click()
    await page.get_by_role("application").focus()
    await page.keyboard.down("Space")
    for _ in range(8):
        await page.keyboard.press("ArrowRight")
    await page.keyboard.up("Space")
    await page.get_by_role("button", name="Invert").click()
    await page.get_by_role("button", name="Use the mask").click()
    await studio.ask_for("a red door")
    job = await worker.job()
    mask = Image.open(io.BytesIO(await job.input("cnImage"))).convert("L")
    assert [mask.getpixel(at) for at in ((40, 40), (54, 40), (2, 2))] == [0, 0, 255]


async def test_a_mask_goes_with_the_picture_that_it_was_painted_on(
    studio: Studio, worker: ScriptedWorker
) -> None:
    page = studio.page
    await open_painter(page)
    await paint_a_line(page)
    await page.get_by_role("button", name="Use the mask").click()
    await expect(page.get_by_alt_text("The mask")).to_be_visible()
    await page.get_by_role("button", name="Remove: Begin with a picture").click()
    await expect(page.get_by_alt_text("The mask")).to_have_count(0)
    await studio.ask_for("a red door")
    assert (await worker.job()).assign.render.control_net is None


async def test_a_video_has_a_first_and_a_last_frame(studio: Studio, grid: Grid) -> None:
    page = studio.page
    async with scripted_worker(grid.direct_url, grid.key, models=(VIDEO,)) as worker:
        await page.get_by_text("Video", exact=True).click()
        await page.get_by_role("button", name="Model").click()
        await page.get_by_role("option", name="Dreamlet Video (image)").click()
        await page.get_by_label("First frame").set_input_files(chosen(picture(64, 10)))
        await page.get_by_label("Last frame").set_input_files(chosen(picture(64, 200)))
        await studio.ask_for("the sun goes down")
        job = await worker.job()
        assert await job.input("referenceImage") == picture(64, 10)
        assert await job.input("referenceImageEnd") == picture(64, 200)
