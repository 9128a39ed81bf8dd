"""Whole models in one file: known by what is in them, loaded without a network, or refused."""

import socket
from pathlib import Path

import pytest

pytest.importorskip("peft", reason="needs torch and more: make diffusers")
pytest.importorskip("diffusers", reason="needs torch and more: make diffusers")

import torch

from dreamgrid.engines import diffusers as engine
from dreamgrid.engines.base import Engine, Step
from dreamgrid.engines.diffusers.checkpoints import family_of, shapes_of
from dreamgrid.engines.diffusers.engine import DiffusersEngine
from dreamgrid.engines.diffusers.family import Family, families
from dreamgrid.engines.diffusers.weights import MODELS_VARIABLE, Places, find_weights
from dreamgrid.errors import ModelNotAvailable
from dreamgrid.protocol.renders import ImageRender
from tests.engines.diffusers import single_files

# Of numpy, about how torch's tensors copy themselves: nothing that our code can change.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SD = "sd-v1-5"
CONFIGS = "configs/stable-diffusion-v1-5"
MARKED = [family for family in families() if family.single_file]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An owner's folder with a model in one file, and its small files."""
    folder = tmp_path_factory.mktemp("own")
    (folder / CONFIGS).mkdir(parents=True)
    single_files.write(folder / f"{SD}.safetensors", folder / CONFIGS)
    return folder


@pytest.fixture(autouse=True)
def _here(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MODELS_VARIABLE, str(own))
    monkeypatch.setenv("HF_HUB_CACHE", str(own / "no-cache"))


def marks_of(family: Family) -> dict[str, tuple[int, ...]]:
    assert family.single_file is not None
    return family.single_file.marks


def picture(made: Engine) -> bytes:
    render = ImageRender(
        model=SD,
        prompt="a red fox",
        steps=2,
        guidance=3.0,
        seed=5,
        sampler="euler",
        width=64,
        height=32,
    )

    def nothing(step: Step) -> None:
        pass

    return made.generate(render, {}, nothing).data


def test_a_model_in_one_file_is_loaded_without_a_network_and_paints_the_same(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*args: object) -> None:
        raise AssertionError("somebody wants the network")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    made = engine.ENGINE.create(1)
    assert isinstance(made, DiffusersEngine)
    made.load(SD)
    again = single_files.write(tmp_path / "again.safetensors", tmp_path / "configs")
    assert made._model is not None
    for part in ("unet", "vae", "text_encoder"):
        loaded = getattr(made._model._base, part).state_dict()
        written = getattr(again, part).state_dict()
        assert loaded.keys() == written.keys()
        assert all(torch.equal(loaded[name], written[name]) for name in written)
    from_file = picture(made)
    again.save_pretrained(tmp_path / SD)
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path))
    from_folder = engine.ENGINE.create(1)
    from_folder.load(SD)
    assert picture(from_folder) == from_file


@pytest.mark.parametrize("family", MARKED, ids=lambda one: one.single_file.name)
def test_what_a_file_holds_is_told_by_its_names(family: Family, tmp_path: Path) -> None:
    marks = marks_of(family)
    file = tmp_path / "some.safetensors"
    single_files.write_names(file, *marks)
    assert family_of(shapes_of(file), families()) is family
    for absent in marks:
        single_files.write_names(file, *(name for name in marks if name != absent))
        assert family_of(shapes_of(file), families()) is None
    single_files.write_names(file, *marks, "some.layer.scale_weight")
    assert family_of(shapes_of(file), families()) is None


def test_a_model_that_paints_in_masks_only_is_none_that_paints_pictures(tmp_path: Path) -> None:
    file = tmp_path / "inpainting.safetensors"
    single_files.write_names(file, *marks_of(MARKED[1]), shape=(1, 9))
    assert family_of(shapes_of(file), families()) is None


def test_the_doctor_says_what_is_wrong_with_a_file_and_it_is_not_offered(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_name = {family.single_file.name: family for family in MARKED if family.single_file}
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path))
    xl = marks_of(by_name["Stable Diffusion XL"])
    single_files.write_names(tmp_path / f"{SD}.safetensors", *xl)
    single_files.write_names(tmp_path / "flux1-dev-fp8.safetensors", "a", "b.scale_weight")
    single_files.write_names(tmp_path / "z_image_bf16.safetensors", *xl)
    single_files.write_names(tmp_path / "lora.safetensors", "lora_up.weight")
    (tmp_path / "half.safetensors").write_bytes(b"\xff" * 30)
    single_files.copy(own / f"{SD}.safetensors", tmp_path / "my-own.safetensors")
    told = {
        Path(finding.text.split(" ")[0]).stem: (finding.text, finding.advice)
        for finding in engine.ENGINE.examine()
        if finding.level == "problem"
    }
    assert "holds Stable Diffusion XL, but its name says Stable Diffusion 1.5" in told[SD][0]
    assert "fp8 scaled" in told["flux1-dev-fp8"][0]
    assert "which is not what its name says" in told["z_image_bf16"][0]
    assert "holds none of the whole models that are known" in told["lora"][0]
    assert "no readable safetensors file" in told["half"][0]
    assert told["my-own"][1].startswith("hf download stable-diffusion-v1-5/stable-diffusion-v1-5 ")
    assert engine.ENGINE.models() == ()


def test_a_file_may_be_named_after_any_model_and_a_folder_comes_first(
    own: Path, tmp_path: Path
) -> None:
    single_files.copy(own / f"{SD}.safetensors", tmp_path / "my-own.safetensors")
    (tmp_path / "configs").symlink_to(own / "configs")
    where = Places(own=tmp_path, cache=tmp_path)
    found = find_weights(families(), where)
    assert found["my-own"].family.single_file == MARKED[1].single_file
    assert found["my-own"].file == tmp_path / "my-own.safetensors"
    single_files.copy(own / f"{SD}.safetensors", tmp_path / f"{SD}.safetensors")
    assert find_weights(families(), where)[SD].file == tmp_path / f"{SD}.safetensors"
    (tmp_path / SD).mkdir()
    (tmp_path / SD / "model_index.json").write_text("{}")
    assert find_weights(families(), where)[SD].file is None


def test_small_files_alone_are_no_weights(own: Path, tmp_path: Path) -> None:
    """Who downloads them for a single file must not be offered a model without weights."""
    snapshots = tmp_path / "models--stable-diffusion-v1-5--stable-diffusion-v1-5" / "snapshots"
    snapshots.mkdir(parents=True)
    (snapshots / "only").symlink_to(own / CONFIGS)
    assert find_weights(families(), Places(own=tmp_path / "own", cache=tmp_path)) == {}
    single_files.copy(own / f"{SD}.safetensors", tmp_path / "own" / f"{SD}.safetensors")
    found = find_weights(families(), Places(own=tmp_path / "own", cache=tmp_path))
    assert found[SD].folder == snapshots / "only"


def test_a_file_that_lacks_a_part_is_told_to_the_owner_when_it_is_loaded(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "configs").symlink_to(own / "configs")
    single_files.write_names(tmp_path / f"{SD}.safetensors", *marks_of(MARKED[1]))
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path))
    made = engine.ENGINE.create(1)
    with pytest.raises(ModelNotAvailable, match="cannot be loaded") as raised:
        made.load(SD)
    assert str(tmp_path) not in str(raised.value).partition("\n")[0]
