"""`dreamgrid work pause` and `resume`, and a worker that obeys them."""

import json
from pathlib import Path

import pytest

from dreamgrid.cli.exits import BAD_INPUT
from tests.cli.conftest import Call
from tests.cli.processes import Grid, running


def test_a_worker_leaves_its_grid_and_comes_back(
    call: Call, idle_grid: Grid, tmp_path: Path
) -> None:
    data = tmp_path / "w"
    here = {"DREAMGRID_DATA": str(data)}
    arguments = ("work", "--json", "--model", "pattern-v1")
    with running(*arguments, data=data, environment=idle_grid.environment) as worker:
        paused = call("work", "pause", environment=here)
        assert paused.stdout.startswith("paused;")
        assert paused.stderr == ""
        assert worker.process.stdout is not None
        lines = (json.loads(line)["event"] for line in worker.process.stdout)
        assert "Rested" in lines  # reads on until then
        assert "pause" in call("work", "doctor", environment=here).stdout
        assert call("work", "resume", environment=here).stdout == "resumed\n"
        assert [next(lines), next(lines)] == ["Resumed", "Joined"]
    assert call("work", "resume", environment=here).stdout == "there was no pause\n"
    assert "no 'dreamgrid work' runs from" in call("work", "pause", environment=here).stderr


def test_a_pause_that_reaches_only_the_worker_of_a_grid_is_refused(call: Call, grid: Grid) -> None:
    here = {"DREAMGRID_DATA": str(grid.data)}
    ran = call("work", "pause", environment=here)
    assert (ran.returncode, ran.stdout) == (BAD_INPUT, "")
    assert "does not rest" in ran.stderr
    assert call("work", "resume", environment=here).stdout == "there was no pause\n"


@pytest.mark.parametrize("duration", ["90", "soon", "2h and more", "0m", ""])
def test_a_duration_that_is_none_is_refused(call: Call, tmp_path: Path, duration: str) -> None:
    here = {"DREAMGRID_DATA": str(tmp_path)}
    ran = call("work", "pause", "--for", duration, environment=here)
    assert ran.returncode == BAD_INPUT
    assert "write 90m, 2h or 1h30m" in ran.stderr
    assert not (tmp_path / "worker").exists()  # nobody is paused


def test_a_pause_may_have_an_end(call: Call, tmp_path: Path) -> None:
    here = {"DREAMGRID_DATA": str(tmp_path)}
    assert call("work", "pause", "--for", "1h30m", environment=here).returncode == 0
    said = json.loads((tmp_path / "worker" / "paused.json").read_text())
    assert said["until_s"] > 0


def test_hours_that_are_none_are_refused_before_it_joins(
    call: Call, tmp_path: Path, grid: Grid
) -> None:
    here = {"DREAMGRID_DATA": str(tmp_path)} | grid.environment
    ran = call("work", "--hours", "at night", environment=here)
    assert ran.returncode == BAD_INPUT
    assert "write 22:00-07:00" in ran.stderr
