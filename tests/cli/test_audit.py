import asyncio
import sqlite3
from pathlib import Path

import dreamgrid
from tests.cli.conftest import Call
from tests.cli.processes import Grid, running


async def make(grid: Grid) -> None:
    async with dreamgrid.AsyncClient(grid.ready["url"], grid.ready["api_key"]) as client:
        project = await client.projects.create(model="pattern-v1", prompt="a red apple", count=2)
        await project.wait(timeout_s=60)


def test_a_grid_is_audited_while_it_runs_and_after_it_was_killed(
    tmp_path: Path, call: Call
) -> None:
    data = tmp_path / "data"
    asked = ("audit", "--json", "--data", str(data))
    with running("up", "--json", "--port", "0", data=data) as grid:
        asyncio.run(make(grid))
        ran = call(*asked, environment={})
        assert (ran.returncode, ran.last_json["clean"]) == (0, True)
        assert ran.last_json["counted"]["job"] == 2
        grid.process.kill()
        grid.process.wait()
    assert call(*asked, environment={}).last_json["clean"]


def test_findings_are_told_with_rows_and_advice_and_end_with_code_1(
    tmp_path: Path, call: Call
) -> None:
    data = tmp_path / "data"
    with running("serve", "--json", "--port", "0", data=data):
        connection = sqlite3.connect(data / "dreamgrid.sqlite")
        connection.execute("UPDATE balance SET posted_micros = 7 WHERE account_id <> 'mint'")
        connection.commit()
        connection.close()
    ran = call("audit", "--json", "--data", str(data), environment={})
    assert (ran.returncode, ran.last_json["clean"]) == (1, False)
    assert {one["check"] for one in ran.last_json["findings"]} == {"sum", "balance"}
    for_people = call("audit", "--data", str(data), environment={})
    assert for_people.returncode == 1
    assert "posted 7" in for_people.stdout


def test_a_folder_without_a_grid_is_a_wrong_request(tmp_path: Path, call: Call) -> None:
    ran = call("audit", "--data", str(tmp_path / "nowhere"), environment={})
    assert ran.returncode == 2
    assert "no database" in ran.stderr
