"""Which pages may use the cookie of a sign-in: those of this server's host, and those it names."""

from typing import Any

import aiohttp
import pytest

from tests.server.conftest import MakeGrid
from tests.support.grid import Grid
from tests.support.wallets import member

ME = "/v1/account/me"
APP = "https://app.example.org"


async def visit(grid: Grid, origin: str | None, cookie: str, path: str = ME, **body: Any) -> int:
    """What the page of an origin gets when its browser sends the cookie along."""
    headers = {"Cookie": f"authorization={cookie}"} | ({"Origin": origin} if origin else {})
    method = "POST" if body else "GET"
    return (await grid.call(method, path, key="", headers=headers, json=body or None))[0]


async def dial(grid: Grid, origin: str | None, cookie: str) -> int | None:
    """The code with which a socket of that page is closed at once; None when it is greeted."""
    headers = {"Cookie": f"authorization={cookie}"} | ({"Origin": origin} if origin else {})
    async with grid.http.ws_connect(f"{grid.url}/?appId=a", headers=headers) as ws:
        message = await ws.receive()
        return message.data if message.type is aiohttp.WSMsgType.CLOSE else None


async def expect(grid: Grid, origin: str | None, *, allowed: bool) -> None:
    cookie = (await member(grid, "alice"))["token"]
    assert await visit(grid, origin, cookie) == (200 if allowed else 401)
    assert await dial(grid, origin, cookie) == (None if allowed else 4021)
    assert await visit(grid, origin, cookie, "/v1/account/keys", name="k") == (
        201 if allowed else 401
    )
    headers = {"Cookie": f"authorization={cookie}"}
    _, listed = await grid.call("GET", "/v1/account/keys", key="", headers=headers)
    assert len(listed["data"]["keys"]) == (1 if allowed else 0)


@pytest.mark.parametrize("origin", [None, "http://127.0.0.1:1", "http://127.0.0.1", APP])
async def test_pages_of_this_host_and_those_that_are_named_are_signed_in(
    make_grid: MakeGrid, origin: str | None
) -> None:
    async with make_grid(web_origins=(APP,)) as grid:
        await expect(grid, origin, allowed=True)


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "http://127.0.0.1.evil.example",
        "http://evil.example:8770",
        "http://localhost:8770",
        "http://app.example.org",
        "https://other.app.example.org",
        "https://app.example.org.evil.example",
        "https://app.example.org:8443",
        "null",
        "http://[",
        "file://",
        "127.0.0.1",
    ],
)
async def test_pages_of_others_are_strangers_although_the_browser_sends_the_cookie(
    make_grid: MakeGrid, origin: str
) -> None:
    async with make_grid(web_origins=(APP,)) as grid:
        await expect(grid, origin, allowed=False)


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://grid.example.org", True),
        ("https://grid.example.org:8443", True),
        ("http://grid.example.org", False),
        ("https://example.org", False),
    ],
)
async def test_behind_tls_a_page_without_it_could_be_anybodys(
    make_grid: MakeGrid, origin: str, allowed: bool
) -> None:
    settings = {"public_url": "https://grid.example.org", "signup": "open"}
    async with make_grid(**settings) as grid:
        await expect(grid, origin, allowed=allowed)


async def test_a_page_with_a_credential_of_its_own_needs_no_cookie(grid: Grid) -> None:
    headers = {"Origin": "http://evil.example", "Cookie": "authorization=whatever"}
    status, body = await grid.call("GET", ME, headers=headers)
    assert (status, body["data"]["username"]) == (200, "local")
