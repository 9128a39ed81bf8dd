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


EXTRA_PATHS = """
elsewhere:
    base_path: {base}
    is_default: true
    vae: models/VAE
    checkpoints: |
         models/none
         models/Stable-diffusion
empty:
"""


@pytest.mark.parametrize("base", ["../elsewhere", "$ELSEWHERE"])
def test_files_in_the_folders_that_its_owner_added_count(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base: str
) -> None:
    monkeypatch.setenv("ELSEWHERE", str(tmp_path / "elsewhere"))
    folder = tmp_path / "elsewhere" / "models" / "Stable-diffusion"
    folder.mkdir(parents=True)
    checkpoint.rename(folder / checkpoint.name)
    assert comfyui.ENGINE.prospects(Machine()) == ()
    (tmp_path / "ComfyUI" / "extra_model_paths.yaml").write_text(EXTRA_PATHS.format(base=base))
    (found,) = comfyui.ENGINE.prospects(Machine())
    assert found.model == "sd_xl_base_1.0"


def test_files_behind_a_link_to_another_disk_count(checkpoint: Path, tmp_path: Path) -> None:
    checkpoint.parent.rename(tmp_path / "disk")
    checkpoint.parent.symlink_to(tmp_path / "disk")
    assert len(comfyui.ENGINE.prospects(Machine())) == 1


def test_links_that_lead_back_up_are_followed_once(checkpoint: Path) -> None:
    for number in range(5):  # the ways through these are more than anybody can walk
        (checkpoint.parent / f"up-{number}").symlink_to(checkpoint.parents[1])
    assert len(comfyui.ENGINE.prospects(Machine())) == 1


@pytest.mark.parametrize(
    "text", ["[", "one", "one: two", "one: {checkpoints: [2]}", "a: {base_path: 3}"]
)
def test_a_broken_list_of_folders_is_told_and_hides_nothing(
    checkpoint: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    (tmp_path / "ComfyUI" / "extra_model_paths.yaml").write_text(text)
    assert len(comfyui.ENGINE.prospects(Machine())) == 1
    assert "extra_model_paths.yaml cannot be read" in caplog.text


@pytest.mark.usefixtures("checkpoint")
def test_one_that_runs_says_itself_what_it_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    with StandIn() as one:
        monkeypatch.setenv(comfyui.URL_VARIABLE, one.url)
        assert comfyui.ENGINE.prospects(Machine()) == ()
