"""The page about the OpenAI API: its commands run as they stand, its error is the server's."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from dreamgrid.protocol.worker import Assign
from tests.server.conftest import MakeGrid, make_grid
from tests.support.grid import Grid
from tests.support.wire import PNG

__all__ = ["make_grid"]

PAGE = (Path(__file__).parents[2] / "docs" / "openai.md").read_text("utf-8")
MODELS = ("dreamlet-v1", "dreamlet-voice-v1", "wan_v2.2-14b-fp8_t2v_lightx2v")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@asynccontextmanager
async def served(grid: Grid) -> AsyncIterator[Counter[str]]:
    """A worker that makes one and the same file of everything; counts the jobs by model."""
    worker = await grid.worker(models=MODELS)
    made: Counter[str] = Counter()

    async def work() -> None:
        while True:
            job: Assign = await worker.assigned()
            await worker.finish(job, PNG)
            made[job.render.model] += 1

    task = asyncio.create_task(work())
    try:
        yield made
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def environment(grid: Grid) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "DREAMGRID_URL": grid.url,
        "DREAMGRID_API_KEY": grid.key,
    }


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
async def test_every_command_of_the_page_works(make_grid: MakeGrid, tmp_path: Path) -> None:
    picture = pytest.importorskip("PIL.Image").new("RGB", (64, 64))
    picture.save(tmp_path / "input.png")
    async with make_grid(known_models=MODELS) as grid, served(grid) as made:
        shell = await asyncio.create_subprocess_exec(
            *("bash", "-euo", "pipefail", "-c", "\n".join(blocks("sh"))),
            env=environment(grid),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said = (await shell.communicate())[0].decode()
        assert shell.returncode == 0, said
        assert (tmp_path / "speech.mp3").read_bytes() == PNG
        assert (tmp_path / "ship.mp4").read_bytes() == PNG
        assert said.count("image_generation.completed") == 2  # as the event and in it
        assert said.count('"url":"http://') == 2
        assert made == {MODELS[0]: 3, MODELS[1]: 1, MODELS[2]: 1}


async def test_the_script_of_the_page_works(make_grid: MakeGrid, tmp_path: Path) -> None:
    pytest.importorskip("openai")
    (script,) = blocks("python")
    async with make_grid(known_models=MODELS) as grid, served(grid):
        await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", script],
            env=environment(grid),
            cwd=tmp_path,
            check=True,
        )
        assert (tmp_path / "apple.png").read_bytes() == PNG


async def test_the_error_on_the_page_is_what_the_server_says(make_grid: MakeGrid) -> None:
    (shown,) = blocks("json")
    wish = {"model": "dreamlet-v1", "prompt": "x", "quality": "hd"}
    async with make_grid() as grid:
        answer = await grid.call("POST", "/openai/v1/images/generations", json=wish)
        assert answer == (400, json.loads(shown))
