"""Some thousand requests made from the OpenAPI document, by schemathesis, to a real server.

Whatever comes in, every answer is one that the document tells of, refusals have the one shape, and
nothing is a mistake of the server. The cases are the same in every run, unless it asks for others
with `--hypothesis-profile=fresh`; then DREAMGRID_FUZZ_EXAMPLES tells how many more there are, and
`--hypothesis-seed` repeats a run.
"""

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest
from hypothesis import settings

from dreamgrid.server.config import NO_LIMIT
from tests.server.conftest import MakeGrid, make_grid

__all__ = ["make_grid"]

CONFIG = Path(__file__).with_name("schemathesis.toml")
LEAST_CASES = 1_000
EXAMPLES = 2 + int(os.environ.get("DREAMGRID_FUZZ_EXAMPLES", "0")) // 100
"""Generated requests of each endpoint, beside those that follow from its description."""

pytestmark = pytest.mark.timeout(0 if EXAMPLES > 2 else 300)


def choice(config: pytest.Config) -> list[str]:
    """How schemathesis chooses its cases: as hypothesis does in this run."""
    if settings().derandomize:
        return ["--generation-deterministic"]
    seed = config.getoption("--hypothesis-seed")
    return [] if seed is None else [f"--seed={seed}"]


async def test_every_answer_is_as_the_document_says(
    make_grid: MakeGrid, pytestconfig: pytest.Config
) -> None:
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
            f"--max-examples={EXAMPLES}",
            *choice(pytestconfig),
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
