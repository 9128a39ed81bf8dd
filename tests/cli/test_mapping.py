"""`dreamgrid work map`: an exported workflow of ComfyUI becomes a model."""

import json
import re
from pathlib import Path

import pytest

from dreamgrid.cli.exits import BAD_INPUT
from dreamgrid.engines.comfyui.workflow import read_workflow
from tests.cli.conftest import Call

PAGE = Path(__file__).parents[2] / "docs" / "comfyui.md"


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """The workflow of the page."""
    (text,) = re.findall(r"^```json\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)
    path = tmp_path / "lighthouse.json"
    path.write_text(text)
    return path


def test_a_workflow_becomes_a_model_in_the_folder_of_the_worker(
    call: Call, exported: Path, tmp_path: Path
) -> None:
    environment = {"DREAMGRID_COMFYUI_WORKFLOWS": str(tmp_path / "workflows")}
    ran = call("work", "map", str(exported), "--model", "my-xl", environment=environment)
    assert ran.returncode == 0
    workflow = read_workflow(tmp_path / "workflows" / "lighthouse.toml")
    assert set(workflow.models) == {"my-xl"}
    assert workflow.graph == json.loads(exported.read_text())
    assert str(tmp_path / "workflows" / "lighthouse.toml") in ran.stdout
    assert "no place was found" not in ran.stdout
    again = call("work", "map", str(exported), "--model", "my-xl", environment=environment)
    assert again.returncode == BAD_INPUT
    assert "is there already" in again.stderr


def test_a_workflow_that_another_mapping_uses_is_not_overwritten(
    call: Call, exported: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "workflows"
    folder.mkdir()
    (folder / exported.name).write_text("of somebody else")
    environment = {"DREAMGRID_COMFYUI_WORKFLOWS": str(folder)}
    ran = call("work", "map", str(exported), "--model", "my-xl", environment=environment)
    assert ran.returncode == BAD_INPUT
    assert "is another workflow" in ran.stderr
    assert {one.name: one.read_text() for one in folder.iterdir()} == {
        exported.name: "of somebody else"
    }


def test_what_could_not_be_read_again_is_not_written(
    call: Call, exported: Path, tmp_path: Path
) -> None:
    graph = json.loads(exported.read_text())
    graph["10"] = {"class_type": "LoadImage", "inputs": {}}
    exported.write_text(json.dumps(graph))
    environment = {"DREAMGRID_COMFYUI_WORKFLOWS": str(tmp_path / "workflows")}
    ran = call("work", "map", str(exported), "--model", "my-xl", environment=environment)
    assert ran.returncode == BAD_INPUT, ran.stdout
    assert not (tmp_path / "workflows").exists()


def test_files_that_no_job_can_bring_are_told(call: Call, exported: Path, tmp_path: Path) -> None:
    graph = json.loads(exported.read_text())
    for name in ("first", "second"):
        graph[name] = {
            "class_type": "LoadAudio",
            "inputs": {"audio": f"{name}.mp3"},
            "_meta": {"title": f"The {name}\x7f"},
        }
    exported.write_text(json.dumps(graph))
    environment = {"DREAMGRID_COMFYUI_WORKFLOWS": str(tmp_path / "workflows")}
    ran = call("work", "map", str(exported), "--model", "my-xl", environment=environment)
    assert ran.returncode == 0, ran.stderr
    assert "no role is left for The second: " in ran.stdout


def test_a_mapping_can_be_looked_at_first(call: Call, exported: Path, tmp_path: Path) -> None:
    environment = {"DREAMGRID_COMFYUI_WORKFLOWS": str(tmp_path / "workflows")}
    ran = call("work", "map", str(exported), "--show", environment=environment)
    assert 'prompt = "6.text"  # Positive' in ran.stdout
    assert not (tmp_path / "workflows").exists()


def test_what_was_saved_for_the_editor_is_refused_with_the_way_out(
    call: Call, tmp_path: Path
) -> None:
    saved = tmp_path / "mine.json"
    saved.write_text(json.dumps({"nodes": [], "links": []}))
    ran = call("work", "map", str(saved), environment={})
    assert ran.returncode == BAD_INPUT
    assert "Export (API)" in ran.stderr
