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
