"""Finding results again, and taking them home."""

import io
import zipfile
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.interop.worker import ScriptedWorker, png
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
