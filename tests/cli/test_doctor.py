"""`dreamgrid work doctor`, and a grid whose worker renders through a ComfyUI."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from dreamgrid.cli.exits import FAILED
from dreamgrid.engines import comfyui
from tests.cli.conftest import Call
from tests.cli.processes import Grid, running
from tests.engines.comfyui.stand_in import StandIn


@pytest.fixture
def comfy(tmp_path: Path) -> Iterator[tuple[StandIn, dict[str, str]]]:
    folder = tmp_path / "workflows"
    folder.mkdir()
    with StandIn() as one:
        yield (
            one,
            {comfyui.URL_VARIABLE: one.url, comfyui.WORKFLOWS_VARIABLE: str(folder)},
        )


def test_a_healthy_machine_and_grid_have_no_problem(grid: Grid, call: Call) -> None:
    ran = call("work", "doctor", "--json", environment=grid.environment)
    assert ran.returncode == 0
    found = ran.last_json["findings"]
    assert {"processor", "disk", "pattern", "grid"} <= {row["subject"] for row in found}
    (about_grid,) = [row for row in found if row["subject"] == "grid"]
    assert about_grid["level"] == "good"
    assert grid.ready["url"] in about_grid["text"]


def test_a_wrong_key_is_a_problem_with_advice(grid: Grid, call: Call) -> None:
    ran = call(
        *("work", "doctor", "--server", grid.ready["url"], "--key", "dgk_wrong"), environment={}
    )
    assert ran.returncode == FAILED
    assert "problem" in ran.stdout
    assert "key" in ran.stdout


def test_it_tells_what_a_comfyui_serves_and_what_the_rest_lacks(
    call: Call, comfy: tuple[StandIn, dict[str, str]], grid: Grid
) -> None:
    one, environment = comfy
    mistake = Path(environment[comfyui.WORKFLOWS_VARIABLE]) / "mistake.toml"
    mistake.write_text("workflow = 3")
    ran = call("work", "doctor", "--json", environment=environment | grid.environment)
    assert ran.returncode == FAILED
    told = [(row["level"], row["text"]) for row in ran.last_json["findings"]]
    assert ("good", f"runs at {one.url}") in told
    assert any(level == "problem" and str(mistake) in text for level, text in told)
    assert any("sd_xl_base_1.0" in text and "no file" in text for _, text in told)


def test_a_picture_comes_through_a_comfyui_from_the_command_line(
    call: Call, comfy: tuple[StandIn, dict[str, str]], tmp_path: Path
) -> None:
    one, environment = comfy
    arguments = ("up", "--json", "--port", "0")
    with running(*arguments, data=tmp_path / "grid" / "data", environment=environment) as up:
        assert "sd-v1-5" in up.ready["models"]
        ran = call(
            *("generate", "a fox", "--model", "sd-v1-5", "--steps", "4", "--seed", "5", "--json"),
            environment=up.environment,
        )
        assert (ran.returncode, ran.stderr) == (0, "")
        (file,) = ran.last_json["files"]
        with Image.open(tmp_path / file) as picture:
            assert picture.size == (512, 512)
        (graph,) = one.graphs
        assert graph["positive"]["inputs"]["text"] == "a fox"
        assert graph["sampler"]["inputs"]["steps"] == 4
