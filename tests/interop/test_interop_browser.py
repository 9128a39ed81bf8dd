"""Cookie mode in a real browser: the published SDK in a page that comes from another origin."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.interop.grid import Grid, running_grid
from tests.interop.sdks import HERE, Driver, Sdk
from tests.interop.worker import ScriptedWorker, png
from tests.support.chromium import find_chromium

HOME = "localhost"
ABROAD = "127.0.0.1"
"""To a browser these are two sites, although both are this machine."""


@dataclass
class Browser:
    """A real browser with one user in front of it."""

    driver: Driver
    port: int

    async def open(self, page: str, host: str) -> None:
        """Opens the app's page from a host; `page` names the tab."""
        await self.driver.send("open", page=page, url=f"http://{host}:{self.port}/")

    async def call(self, page: str, name: str, *args: Any) -> Any:
        """Calls one of the page's functions."""
        return await self.driver.send("call", page=page, name=name, args=args)

    async def cookies(self, url: str) -> list[dict[str, Any]]:
        """What the browser keeps for an address."""
        kept: list[dict[str, Any]] = await self.driver.send("cookies", url=url)
        return kept


@pytest.fixture
async def browser(javascript: None) -> AsyncIterator[Browser]:
    del javascript
    command = ("node", str(HERE / "browser.mjs"), find_chromium())
    async with Driver(Sdk(name="browser", command=command)) as driver:
        yield Browser(driver, await driver.send("port"))


@pytest.fixture
def at_home(grid: Grid) -> str:
    """Address of the grid on the same site as the app."""
    return grid.direct_url.replace(ABROAD, HOME)


async def test_an_app_in_a_browser_signs_up_makes_a_picture_and_leaves(
    browser: Browser, at_home: str, worker: ScriptedWorker
) -> None:
    await browser.open("app", HOME)
    assert await browser.call("app", "signUp", at_home, "alice", "secret") == "alice"
    await browser.call("app", "make", "a lighthouse")
    job = await worker.job()
    await job.start()
    await job.step(1, preview=png(1))
    assert await browser.call("app", "preview") > 0
    await job.step(4)
    await job.finish(png(2))
    assert await browser.call("app", "result") > 0
    (cookie,) = await browser.cookies(at_home)
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["secure"]) == (True, "Lax", False)
    assert await browser.driver.send("readable", page="app") == ""
    assert await browser.call("app", "logOut") is False
    assert await browser.cookies(at_home) == []
    assert (await browser.call("app", "fetch", f"{at_home}/v1/account/me"))["status"] == 401


async def test_a_visitor_who_comes_back_is_still_signed_in(
    browser: Browser, at_home: str, worker: ScriptedWorker
) -> None:
    del worker
    await browser.open("app", HOME)
    await browser.call("app", "signUp", at_home, "alice", "secret")
    await browser.call("app", "logOut")
    await browser.call("app", "logIn", at_home, "alice", "secret")
    await browser.open("again", HOME)
    assert await browser.call("again", "comeBack", at_home) is True


async def test_a_page_of_another_site_is_a_stranger(
    browser: Browser, at_home: str, worker: ScriptedWorker
) -> None:
    """It is open in the same browser as the app, whose user is signed in."""
    del worker
    await browser.open("app", HOME)
    await browser.call("app", "signUp", at_home, "alice", "secret")
    me = f"{at_home}/v1/account/me"
    assert (await browser.call("app", "fetch", me))["status"] == 200
    assert await browser.call("app", "dial", at_home.replace("http", "ws")) == "greeted"
    await browser.open("evil", ABROAD)
    answer = await browser.call("evil", "fetch", me)
    assert (answer["status"], "alice" in str(answer)) == (401, False)
    assert await browser.call("evil", "dial", at_home.replace("http", "ws")) == 4021
    wish = {"method": "POST", "body": "{}", "headers": {"Content-Type": "text/plain"}}
    for path in ("/v1/account/keys", "/v1/account/logout"):
        assert (await browser.call("evil", "fetch", at_home + path, wish))["status"] == 401
    assert await browser.call("evil", "comeBack", at_home) is False
    assert (await browser.call("app", "fetch", me))["status"] == 200


async def test_a_page_of_another_site_cannot_leave_a_cookie(
    browser: Browser, grid: Grid, at_home: str
) -> None:
    await browser.open("evil", ABROAD)
    await browser.call("evil", "enroll", at_home, "mallory", "secret")
    asked = {"json": {"username": "mallory"}}
    status, _ = await grid.call("POST", "/v1/account/username/validate", key="", **asked)
    assert status == 400, "the account was made"
    assert await browser.cookies(at_home) == []
    assert await browser.call("evil", "comeBack", at_home) is False


async def test_an_app_of_another_site_cannot_use_cookies_even_if_it_is_named(
    browser: Browser, tmp_path: Path
) -> None:
    """Naming it makes the server willing; the browser keeps `SameSite=Lax` cookies back."""
    await browser.open("app", HOME)
    await browser.open("abroad", ABROAD)
    origin = f"http://{ABROAD}:{browser.port}"
    async with running_grid(tmp_path / "named", web_origins=(origin,)) as grid:
        home = grid.direct_url.replace(ABROAD, HOME)
        await browser.call("app", "enroll", home, "alice", "secret")
        me = f"{home}/v1/account/me"
        assert (await browser.call("app", "fetch", me))["status"] == 200
        assert (await browser.call("abroad", "fetch", me))["status"] == 401
