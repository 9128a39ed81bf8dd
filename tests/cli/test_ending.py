"""SIGINT and SIGTERM end a process whatever its peers do: hang, be gone, or never answer."""

import asyncio
import signal
from pathlib import Path

import aiohttp
import pytest

import dreamgrid
from tests.cli.processes import Grid, running

PATTERN = "pattern-v1"
LONG = {"model": PATTERN, "prompt": "x", "count": 16, "width": 2048, "height": 2048, "steps": 50}
"""Renders that take much longer than a process may need to end."""


def ends(process: Grid, number: signal.Signals) -> None:
    """It ends in good order; `stop` fails where it hangs."""
    code, _ = process.stop(number)
    assert code == 0, process.errors.read_text()


async def begin_to_render(grid: Grid) -> None:
    async with dreamgrid.AsyncClient(grid.ready["url"], grid.ready["api_key"]) as client:
        project = await client.projects.create(**LONG)  # type: ignore[arg-type]
        async for event in project.events():
            if isinstance(event, dreamgrid.Progressed):
                return
    raise AssertionError("it never began to render")


@pytest.mark.parametrize(
    ("to_the_server", "to_the_worker"),
    [(signal.SIGSTOP, signal.SIGTERM), (signal.SIGKILL, signal.SIGINT)],
    ids=["that hangs", "that is gone"],
)
def test_a_worker_ends_in_the_middle_of_a_render_beside_a_server(
    tmp_path: Path, to_the_server: signal.Signals, to_the_worker: signal.Signals
) -> None:
    with running("serve", "--json", "--port", "0", data=tmp_path / "s") as grid:
        arguments = ("work", "--json", "--model", PATTERN)
        with running(*arguments, data=tmp_path / "w", environment=grid.environment) as worker:
            asyncio.run(begin_to_render(grid))
            grid.process.send_signal(to_the_server)
            ends(worker, to_the_worker)


async def test_a_grid_ends_beside_apps_that_never_answer_and_streams_that_wait(
    tmp_path: Path,
) -> None:
    with running("up", "--json", "--port", "0", data=tmp_path / "data") as grid:
        await begin_to_render(grid)
        bearer = {"Authorization": f"Bearer {grid.ready['api_key']}"}
        async with aiohttp.ClientSession(grid.ready["url"], headers=bearer) as http:
            listed = await (await http.get("/v1/projects")).json()
            project_id = listed["data"]["projects"][0]["id"]
            stream = await http.get(f"/v1/projects/{project_id}/events")
            assert await stream.content.readline()  # and nothing more of it is read
            app = await http.ws_connect("/", autoping=False, autoclose=False)
            assert "authenticated" in str((await app.receive()).data)  # nor of this
            await asyncio.to_thread(ends, grid, signal.SIGTERM)
            stream.close()
