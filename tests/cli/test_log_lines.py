"""The log as JSON lines, of a real grid."""

import asyncio
import json
import logging
import signal
from pathlib import Path
from typing import Any

import dreamgrid
from dreamgrid.cli.log_lines import JsonLines
from tests.cli.processes import running


async def asked(url: str, key: str) -> str:
    async with dreamgrid.AsyncClient(url, key) as client:
        project = await client.projects.create(model="pattern-v1", prompt="my secret wish")
        await project.wait(timeout_s=60)
        return project.id


def test_every_line_is_an_object_and_names_project_and_job(tmp_path: Path) -> None:
    wish = ("--verbose", "--log-json", "up", "--json", "--port", "0")
    with running(*wish, data=tmp_path / "data") as grid:
        project_id = asyncio.run(asked(grid.ready["url"], grid.ready["api_key"]))
        assert grid.stop(signal.SIGTERM)[0] == 0
        text = grid.errors.read_text()
    lines: list[dict[str, Any]] = [
        json.loads(line) for line in text.splitlines() if line.startswith("{")
    ]  # libraries of engines may write to stderr as well
    told = [line for line in lines if line.get("project_id") == project_id]
    assert [line["message"].partition(": ")[0].split()[0] for line in told] == [
        "project",
        "job",
        "job",
    ]
    assert len({line["job_id"] for line in told[1:]}) == 1
    assert told[-1]["state"] == "completed"
    assert all({"at", "level", "logger", "message"} <= line.keys() for line in lines)
    assert "my secret wish" not in text
    assert grid.ready["api_key"] not in text


def test_a_mistake_comes_with_its_trace_in_one_line() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError as error:
        record = logging.makeLogRecord(
            {"msg": "it %s", "args": ("broke",), "exc_info": (ValueError, error, None)}
        )
    line = JsonLines().format(record)
    assert "\n" not in line
    said = json.loads(line)
    assert said["message"] == "it broke"
    assert "ValueError: two" in said["trace"]
