"""A ComfyUI that is installed and does not run."""

from pathlib import Path

import pytest

from dreamgrid.engines import comfyui
from dreamgrid.engines.comfyui.stopped import FOLDER_VARIABLE
from dreamgrid.engines.machine import Machine
from tests.engines.comfyui.stand_in import StandIn
from tests.support.real_servers import free_port


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint of SDXL in the model folders of a ComfyUI that nobody has started."""
    file = tmp_path / "ComfyUI" / "models" / "checkpoints" / "mine" / "sd_xl_base_1.0.safetensors"
    file.parent.mkdir(parents=True)
    file.touch()
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "ComfyUI"))
    monkeypatch.setenv(comfyui.URL_VARIABLE, f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv(comfyui.WORKFLOWS_VARIABLE, str(tmp_path / "none"))
    return file


@pytest.mark.usefixtures("checkpoint")
def test_its_owner_is_told_what_it_could_serve(tmp_path: Path) -> None:
    (found,) = comfyui.ENGINE.prospects(Machine())
    assert (found.model, found.state) == ("sd_xl_base_1.0", "blocked")
    assert str(tmp_path / "ComfyUI") in found.text
    assert "start ComfyUI" in found.advice


def test_without_the_files_there_is_nothing_to_say(checkpoint: Path) -> None:
    checkpoint.unlink()
    assert comfyui.ENGINE.prospects(Machine()) == ()


@pytest.mark.usefixtures("checkpoint")
def test_one_that_runs_says_itself_what_it_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    with StandIn() as one:
        monkeypatch.setenv(comfyui.URL_VARIABLE, one.url)
        assert comfyui.ENGINE.prospects(Machine()) == ()
