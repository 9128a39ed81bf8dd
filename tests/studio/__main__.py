"""Takes the pictures of the docs, of a real grid that paints with the models that come along.

`python -m tests.studio` writes them to `docs/pictures`; with a folder, every page in both colours,
on a desktop and on a phone, to be looked at before a release.
"""

import asyncio
import io
import json
import sys
import tempfile
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from PIL import Image
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.cli.processes import Grid, running
from tests.support.chromium import find_chromium

DOCS = Path(__file__).parents[2] / "docs" / "pictures"
COLOURS = 256
SIZES = {"desktop": (1280, 800), "phone": (390, 844)}
PROMPTS = ("a sunflower", "a penguin", "a red apple", "a castle", "a cat", "a lighthouse")
PATIENCE_MS = 180_000


async def main(folder: Path | None) -> None:
    """Starts a grid, makes a few things with it, and looks at every page."""
    expect.set_options(timeout=PATIENCE_MS)
    with (
        tempfile.TemporaryDirectory() as data,
        running("up", "--json", "--port", "0", data=Path(data) / "data") as grid,
    ):
        async with async_playwright() as driver:
            browser = await driver.chromium.launch(
                executable_path=find_chromium(), args=["--no-sandbox"]
            )
            async with window(browser, grid, "dark", "desktop") as page:
                await make(page)
                if folder is None:
                    await for_docs(page)
            if folder is not None:
                await everything(browser, grid, folder)
            await browser.close()


@asynccontextmanager
async def window(browser: Browser, grid: Grid, colors: str, size: str) -> AsyncIterator[Page]:
    """A window that is signed in by a link."""
    width, height = SIZES[size]
    context = await browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="light" if colors == "light" else "dark",
        reduced_motion="reduce",
    )
    page = await context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    await page.goto(await asyncio.to_thread(link, grid))
    await page.get_by_role("navigation").first.wait_for()
    yield page
    await context.close()


def link(grid: Grid) -> str:
    """An address that signs in, once."""
    url, key = grid.ready["url"], grid.ready["api_key"]
    asked = urllib.request.Request(
        f"{url}/v1/account/sign-in-links",
        b"{}",
        {"api-key": key, "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(asked) as answer:
        return str(json.load(answer)["data"]["url"])


async def make(page: Page) -> None:
    """A gallery of something of everything."""
    done = page.locator('[data-testid=tile][data-status="completed"]')
    for count, prompt in enumerate(PROMPTS, start=1):
        await ask(page, prompt)
        await expect(done).to_have_count(count)
    for kind, prompt in (("Audio", "A calm piano waltz, late at night"), ("Video", "a sun rises")):
        await page.get_by_text(kind, exact=True).click()
        await ask(page, prompt)
        await expect(done).to_have_count(count := count + 1)
    await page.get_by_text("Image", exact=True).click()


async def ask(page: Page, prompt: str, *, count: int = 1) -> None:
    """Fills in the form and sends it."""
    await page.get_by_label("How many").fill(str(count))
    await page.get_by_label("Prompt", exact=True).fill(prompt)
    await page.keyboard.press("Control+Enter")


async def for_docs(page: Page) -> None:
    """The pictures of docs/studio.md."""
    await ask(page, "a {red|blue|yellow|green} sailboat", count=4)
    tile = page.locator("[data-testid=tile]")
    await expect(tile.nth(0)).to_have_attribute("data-status", "completed")
    await expect(tile.nth(1).get_by_alt_text("What it looks like so far")).to_be_visible()
    await save(page, DOCS / "studio-create.png")
    await expect(tile.nth(3)).to_have_attribute("data-status", "completed")
    await visit(page, "gallery")
    await save(page, DOCS / "studio-gallery.png")
    await page.get_by_role("button", name="Open: a penguin").click()
    await page.get_by_role("dialog", name="Result").get_by_role("img").first.wait_for()
    await save(page, DOCS / "studio-viewer.png")
    await page.keyboard.press("Escape")
    await visit(page, "create")
    await ask(page, "a {boat|house|tree|cloud}", count=16)
    await visit(page, "operator/overview")
    await page.wait_for_timeout(12_000)  # so that its charts have something to draw
    await save(page, DOCS / "studio-grid.png")


PLACES = (
    "create",
    "gallery",
    "account",
    "operator/overview",
    "operator/workers",
    "operator/queue",
    "operator/models",
    "operator/accounts",
    "operator/trail",
    "operator/health",
)


async def everything(browser: Browser, grid: Grid, folder: Path) -> None:
    """Every page, in both colours and two sizes."""
    for size in SIZES:
        for colors in ("light", "dark"):
            async with window(browser, grid, colors, size) as page:
                for place in PLACES:
                    await visit(page, place)
                    name = place.replace("operator/", "grid-")
                    await save(page, folder / f"{name}-{size}-{colors}.png")
                await visit(page, "gallery")
                await page.get_by_role("button", name="Open: a penguin").click()
                await page.get_by_role("dialog", name="Result").get_by_role("img").first.wait_for()
                await save(page, folder / f"viewer-{size}-{colors}.png")
                await page.context.clear_cookies()
                await page.evaluate("localStorage.clear()")
                await page.goto("about:blank")
                await page.goto(grid.ready["url"])
                await page.get_by_label("Password").wait_for()
                await save(page, folder / f"sign-in-{size}-{colors}.png")


async def visit(page: Page, place: str) -> None:
    """A page of the studio, with all that it loads."""
    await page.evaluate("(place) => { location.hash = `#/${place}`; }", place)
    await page.wait_for_load_state("networkidle")
    await page.wait_for_timeout(600)  # pictures fade in


async def save(page: Page, path: Path) -> None:
    """The window as a PNG of few bytes."""
    taken = Image.open(io.BytesIO(await page.screenshot()))
    small = taken.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    small.save(path, optimize=True)
    print(path)


if __name__ == "__main__":
    chosen = Path(sys.argv[1]) if sys.argv[1:] else None
    (chosen or DOCS).mkdir(parents=True, exist_ok=True)
    asyncio.run(main(chosen))
