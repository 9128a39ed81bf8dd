"""Some thousand requests made from the OpenAPI document, by schemathesis, to a real server.

Whatever comes in, every answer is one that the document tells of, refusals have the one shape, and
nothing is a mistake of the server. The cases are the same in every run.
"""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from dreamgrid.server.config import NO_LIMIT
from tests.server.conftest import MakeGrid, make_grid

__all__ = ["make_grid"]

CONFIG = Path(__file__).with_name("schemathesis.toml")
LEAST_CASES = 1_000


@pytest.mark.timeout(300)
async def test_every_answer_is_as_the_document_says(make_grid: MakeGrid) -> None:
    grid = make_grid(
        requests=NO_LIMIT,
        stranger_requests=NO_LIMIT,
        guesses_per_minute=0,
        signups_per_hour=0,
        max_keys=1_000_000,
    )
    async with grid:
        process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("schemathesis")),
            f"--config-file={CONFIG}",
            "run",
            f"{grid.url}/openapi.json",
            f"--header=api-key: {grid.key}",
            "--continue-on-failure",
            "--no-color",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=grid.config.data_dir,
        )
        said = (await process.communicate())[0].decode()
    assert process.returncode == 0, said
    cases = re.search(r"(\d+) generated", said)
    assert cases is not None, said
    assert int(cases[1]) >= LEAST_CASES, said
