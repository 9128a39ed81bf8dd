"""docs/published-sdks.md: its programs run as they stand, against a real server."""

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from tests.interop.grid import Grid
from tests.interop.sdks import ANSWER_WITHIN_S, HERE, SDKS
from tests.interop.worker import ScriptedWorker, png, scripted_worker

PAGE = (Path(__file__).parents[2] / "docs" / "published-sdks.md").read_text("utf-8")
NEWEST = "sogni-5.54.0"


def program(language: str) -> str:
    """The page's one program in a language."""
    (text,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(text)


async def output_of(command: list[str], grid: Grid, worker: ScriptedWorker) -> str:
    """What a program prints while a worker renders what it asks for."""
    environment = {"DREAMGRID_URL": grid.url, "DREAMGRID_API_KEY": grid.key}
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=HERE,
        env=os.environ | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            await (await worker.job()).render(png(7))
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, err.decode()
    return out.decode()


async def test_the_javascript_program_of_the_page_works(grid: Grid, javascript: None) -> None:
    text = program("js").replace("@sogni-ai/sogni-client", NEWEST)
    command = ["node", "--input-type=module", "--eval", text]
    async with scripted_worker(grid.direct_url, grid.key, models=("dreamlet-v1",)) as worker:
        assert ".png" in await output_of(command, grid, worker)


async def test_the_python_program_of_the_page_works(grid: Grid) -> None:
    pytest.importorskip("sogni_client", reason="the published Python SDK is not installed")
    command = [sys.executable, "-c", program("python")]
    async with scripted_worker(grid.direct_url, grid.key, models=("dreamlet-v1",)) as worker:
        assert ".png" in await output_of(command, grid, worker)


def test_the_page_names_every_version_that_is_tried() -> None:
    for sdk in SDKS:
        assert sdk.name.partition("-")[2] in PAGE
