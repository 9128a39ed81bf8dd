"""Links that sign a browser of the server's machine in."""

from dataclasses import replace
from typing import Any

import pytest

from dreamgrid.errors import NotAllowed
from dreamgrid.server.auth import Account
from dreamgrid.server.sign_in_links import LINK_S, MAX_LINKS, SignInLinks
from tests.support.grid import Grid, ManualClock

LINKS = "/v1/account/sign-in-links"
ADA = Account(id="1", username="ada", address="0x1")


async def made(grid: Grid, **options: Any) -> str:
    """The secret of a fresh link."""
    status, body = await grid.call("POST", LINKS, **options)
    assert status == 201, body
    address, _, secret = body["data"]["url"].rpartition("/")
    assert address == f"{grid.url}/#/welcome"
    return str(secret)


async def used(grid: Grid, secret: str, **headers: str) -> tuple[int, str]:
    """Status and cookie of a browser that opens a link."""
    url, wish = f"{grid.url}{LINKS}/use", {"secret": secret}
    async with grid.http.post(url, json=wish, headers=headers) as answer:
        cookie = next(iter(answer.cookies.values()), None)
        grid.http.cookie_jar.clear()
        return answer.status, "" if cookie is None else f"{cookie.key}={cookie.value}"


async def test_a_link_is_exchanged_for_a_cookie_once(grid: Grid) -> None:
    secret = await made(grid)
    status, cookie = await used(grid, secret)
    assert status == 200
    _, me = await grid.call("GET", "/v1/account/me", key="", headers={"Cookie": cookie})
    assert (me["data"]["username"], me["data"]["administrator"]) == ("local", True)
    assert await used(grid, secret) == (403, "")


async def test_a_link_waits_for_ten_minutes(grid: Grid) -> None:
    secret = await made(grid)
    grid.clock.advance(LINK_S + 1)
    assert await used(grid, secret) == (403, "")


async def test_the_link_of_an_account_is_not_an_administrators(grid: Grid) -> None:
    _, cookie = await used(grid, await made(grid, key=await grid.account("bob")))
    _, me = await grid.call("GET", "/v1/account/me", key="", headers={"Cookie": cookie})
    assert (me["data"]["username"], me["data"]["administrator"]) == ("bob", False)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "203.0.113.7"},
        {"Host": "grid.example.org"},
        {"Origin": "https://evil.example"},
    ],
)
async def test_neither_proxies_nor_pages_of_other_sites_come_in_by_link(
    grid: Grid, headers: dict[str, str]
) -> None:
    assert (await grid.call("POST", LINKS, headers=dict(headers)))[0] == 403
    secret = await made(grid)
    assert await used(grid, secret, **headers) == (403, "")
    assert (await used(grid, secret))[0] == 200, "a refused try does not use the link up"


async def test_a_key_that_may_not_do_everything_makes_no_link(grid: Grid) -> None:
    wish = {"name": "app", "scope": "render"}
    _, body = await grid.call("POST", "/v1/account/keys", json=wish)
    assert (await grid.call("POST", LINKS, key=body["data"]["key"]))[0] == 403


def test_only_so_many_links_wait_and_the_oldest_goes_first() -> None:
    links = SignInLinks(ManualClock())
    secrets = [links.make(replace(ADA, id=str(number))) for number in range(MAX_LINKS + 1)]
    with pytest.raises(NotAllowed):
        links.use(secrets[0])
    assert links.use(secrets[1]).id == "1"
    assert links.use(secrets[-1]).id == str(MAX_LINKS)
