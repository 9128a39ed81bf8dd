"""The commands on the page about HTTP, run as they stand against a real server."""

import asyncio
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from tests.server.conftest import MakeGrid, make_grid
from tests.support.wire import PNG

__all__ = ["make_grid"]

PAGE = (Path(__file__).parents[2] / "docs" / "http.md").read_text("utf-8")
COMMANDS = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
async def test_every_command_of_the_page_works(make_grid: MakeGrid, tmp_path: Path) -> None:
    (tmp_path / "input.png").write_bytes(PNG)
    async with make_grid() as grid:
        app, worker = await grid.app(), await grid.worker()
        project = await app.request()
        job = await worker.assigned()
        await worker.finish(job)
        await app.wait_state("jobCompleted", jobID=project)
        shell = await asyncio.create_subprocess_exec(
            "bash",
            "-euo",
            "pipefail",
            "-c",
            "\n".join(COMMANDS),
            env={
                "PATH": os.environ["PATH"],
                "DREAMGRID_URL": grid.url,
                "DREAMGRID_API_KEY": grid.key,
                "PROJECT": project,
                "JOB": job.job_id,
            },
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said = (await shell.communicate())[0].decode()
        assert shell.returncode == 0, said
        assert (tmp_path / "result.png").read_bytes() == PNG
        assert (tmp_path / "first-bytes").read_bytes() == PNG[:4]
        assert said.count('"status":"success"') == 7
        assert [key["name"] for key in (await grid.data("/v1/account/keys"))["keys"]] == ["local"]


async def test_the_error_on_the_page_is_what_the_server_says(make_grid: MakeGrid) -> None:
    (shown,) = re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    async with make_grid() as grid:
        assert (await grid.call("POST", "/v1/account/me"))[1] == json.loads(shown)
