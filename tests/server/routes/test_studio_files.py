"""The files of the studio: what `/` gives a browser, and what that page may do."""

import gzip
import re

import pytest

from dreamgrid.server.routes.studio import web_files
from tests.support.grid import Grid

BROWSER = {"Accept": "text/html,*/*;q=0.8"}


async def page(grid: Grid, **headers: str) -> tuple[str, dict[str, str]]:
    """The first page and its headers."""
    async with grid.http.get(grid.url, headers=BROWSER | headers) as answer:
        assert (answer.status, answer.content_type) == (200, "text/html")
        return await answer.text(), dict(answer.headers)


async def test_browsers_get_the_studio_and_programs_get_json(grid: Grid) -> None:
    text, _ = await page(grid)
    assert "<title>dreamgrid</title>" in text
    status, told = await grid.get("/")
    assert (status, told["docs"]) == (200, ["/docs/api", "/docs/socket"])


async def test_every_file_that_the_page_names_is_there(grid: Grid) -> None:
    text, _ = await page(grid)
    named = re.findall(r'(?:src|href)="/studio/([^"]+)"', text)
    assert {name.rpartition(".")[2] for name in named} == {"svg", "js", "css"}
    for name in web_files().keys() - {"index.html"}:
        async with grid.http.get(f"{grid.url}/studio/{name}") as answer:
            assert answer.status == 200
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "immutable" in answer.headers["Cache-Control"]
            assert await answer.read() == web_files()[name].plain
    assert named
    assert set(named) <= web_files().keys()


@pytest.mark.parametrize("name", ["index.html", "none.js", "..%2Fapp.py", "%00.js"])
async def test_nothing_else_is_given(grid: Grid, name: str) -> None:
    assert (await grid.get(f"/studio/{name}"))[0] in {400, 404}


async def test_the_page_runs_no_inline_script_and_loads_from_here_only(grid: Grid) -> None:
    text, headers = await page(grid)
    assert "style=" not in text
    assert re.findall(r"<script(?![^>]*src=)", text) == []
    rules = dict(rule.split(" ", 1) for rule in headers["Content-Security-Policy"].split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == "'self'"
    assert rules["frame-ancestors"] == rules["base-uri"] == "'none'"
    host = grid.url.removeprefix("http://")
    assert rules["connect-src"] == f"'self' ws://{host} wss://{host}"


async def test_it_travels_compressed_and_is_small() -> None:
    files = web_files()
    scripts = [file for name, file in files.items() if name.endswith(".js")]
    assert all(file.compressed is not None for file in scripts)
    assert all(gzip.decompress(file.compressed or b"") == file.plain for file in scripts)
    assert sum(len(file.compressed or b"") for file in scripts) < 200_000
    assert sum(len(file.compressed or file.plain) for file in files.values()) < 300_000
