"""Fixtures: a real browser in front of the studio of a grid with a scripted worker."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    async_playwright,
    expect,
)

from tests.interop.grid import Grid, running_grid
from tests.interop.worker import ScriptedWorker, scripted_worker
from tests.support import npm
from tests.support.chromium import find_chromium

WEB_SRC = Path(__file__).parents[2] / "web-src"
WITHIN_S = 60.0

expect.set_options(timeout=WITHIN_S * 1000)


@dataclass
class Studio:
    """One browser window, signed in or not.

    Attributes:
        complaints: What the browser told in its console, and what was asked of other servers.
    """

    grid: Grid
    page: Page
    complaints: list[str] = field(default_factory=list)

    async def sign_in(self, *, key: str | None = None) -> "Studio":
        """Opens a link that is good once, as `dreamgrid up` prints it."""
        path = "/v1/account/sign-in-links"
        status, body = await self.grid.call("POST", path, key=key)
        assert status == 201, body
        secret = body["data"]["url"].partition("#")[2]
        await self.page.goto(f"{self.grid.url}/#{secret}")
        await expect(self.page.get_by_role("navigation")).to_be_visible()
        return self

    async def sign_up(self, username: str) -> "Studio":
        """Makes an account by name and password."""
        page = self.page
        await page.goto(self.grid.url)
        await page.get_by_text("New account").click()
        await page.get_by_label("Name", exact=True).fill(username)
        await page.get_by_label("Email").fill(f"{username}@example.org")
        await page.get_by_label("Password").fill("correct horse battery")
        await page.get_by_role("button", name="Create account").click()
        await expect(page.get_by_role("navigation")).to_be_visible()
        return self

    async def ask_for(self, prompt: str, *, count: int = 1) -> None:
        """Fills in the form and sends it by keyboard."""
        await self.page.get_by_label("How many").fill(str(count))
        await self.page.get_by_label("Prompt", exact=True).fill(prompt)
        await self.page.keyboard.press("Control+Enter")

    async def see_tiles(self, status: str, count: int = 1) -> None:
        """Returns when that many tiles are in a state."""
        tiles = self.page.locator(f'[data-testid=tile][data-status="{status}"]')
        await expect(tiles).to_have_count(count)

    def notice(self, page: Page) -> None:
        """Collects from now on what should never happen."""

        def console(message: ConsoleMessage) -> None:
            if message.type in {"error", "warning"}:
                self.complaints.append(f"{message.type}: {message.text}")

        def request(request: Request) -> None:
            here = (self.grid.url, "blob:", "data:")
            if not request.url.startswith(here):
                self.complaints.append(f"asked elsewhere: {request.url}")

        page.on("console", console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", request)


OpenStudio = Callable[..., Awaitable[Studio]]


@pytest_asyncio.fixture(loop_scope="session")
async def grid(tmp_path: Path) -> AsyncIterator[Grid]:
    """A server with nothing in it yet."""
    async with running_grid(tmp_path) as grid:
        yield grid


@pytest_asyncio.fixture(loop_scope="session")
async def worker(grid: Grid) -> AsyncIterator[ScriptedWorker]:
    """A worker that does what the test says."""
    async with scripted_worker(grid.direct_url, grid.key, models=("dreamlet-v1",)) as worker:
        yield worker


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def browser() -> AsyncIterator[Browser]:
    """A real browser, the same for all tests; so they all run in one loop."""
    chromium = find_chromium()
    async with async_playwright() as driver:
        # Without a sandbox: tests run as root in containers, and open nothing but their own pages.
        browser = await driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def open_studio(browser: Browser, grid: Grid) -> AsyncIterator[OpenStudio]:
    """Opens windows of people who share nothing; at the end none of them may have complained."""
    opened: list[Studio] = []

    async def open_one(
        *, colors: str = "dark", phone: bool = False, reduced: bool = False
    ) -> Studio:
        context: BrowserContext = await browser.new_context(
            viewport={"width": 390, "height": 844} if phone else {"width": 1280, "height": 800},
            color_scheme="light" if colors == "light" else "dark",
            reduced_motion="reduce" if reduced else "no-preference",
        )
        studio = Studio(grid, await context.new_page())
        studio.notice(studio.page)
        opened.append(studio)
        return studio

    yield open_one
    for studio in opened:
        await studio.page.context.close()
    assert [studio.complaints for studio in opened] == [[] for _ in opened]


@pytest_asyncio.fixture(loop_scope="session")
async def studio(open_studio: OpenStudio) -> Studio:
    """A window of whoever started the grid, signed in."""
    return await (await open_studio()).sign_in()


@pytest.fixture(scope="session")
def web_src(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources of the studio, with what they need installed."""
    npm.install(WEB_SRC, tmp_path_factory.getbasetemp().parent)
    return WEB_SRC
