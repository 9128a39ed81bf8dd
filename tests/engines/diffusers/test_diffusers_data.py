"""Families, samplers and weights: the data against diffusers, the catalogue, and folders."""

import inspect
import io
import itertools
import json
import os
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("peft", reason="needs torch and more: make diffusers")
pytest.importorskip("diffusers", reason="needs torch and more: make diffusers")

import diffusers
import torch
from diffusers.configuration_utils import FrozenDict

from dreamgrid.engines import diffusers as engine
from dreamgrid.engines.diffusers import preview
from dreamgrid.engines.diffusers.family import Family, families, samplings
from dreamgrid.engines.diffusers.sampling import scheduler_for
from dreamgrid.engines.diffusers.weights import MODELS_VARIABLE, Places, find_weights, places
from dreamgrid.engines.machine import Machine
from dreamgrid.errors import ModelNotAvailable
from dreamgrid.protocol.assets import MEDIA_ROLES
from dreamgrid.protocol.renders import AudioRender, ImageRender, VideoRender
from dreamgrid.server.catalog import Catalog

# Of numpy, about how torch's tensors copy themselves: nothing that our code can change.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

RENDERS = {"image": ImageRender, "video": VideoRender, "audio": AudioRender}
MADE_UP = {"pixels", "control_net.strength", "control_net.start", "control_net.end"}
CATALOG = Catalog.load()
MODELS = [(family, model) for family in families() for model in family.weights]
IDS = [model for _, model in MODELS]


@pytest.mark.parametrize(("family", "model"), MODELS, ids=IDS)
def test_every_pipeline_exists_and_takes_what_the_data_gives_it(family: Family, model: str) -> None:
    fields = set(RENDERS[family.result].__struct_fields__)
    for task in family.tasks:
        parameters = set(inspect.signature(getattr(diffusers, task.pipeline).__call__).parameters)
        assert set(task.arguments) <= fields | MADE_UP
        further = [mode.arguments for mode in task.modes.values()]
        if task.control == "net":
            further += [net.arguments for net in family.control_nets.values()]
        taken = {name for arguments in further for name in arguments}
        taken |= set(family.arguments) | ({"sigmas"} if family.sigmas else set())
        assert taken | set(task.arguments.values()) | set(task.inputs.values()) <= parameters
        assert {moment.strength for moment in task.moments.values()} <= fields
        assert {"generator", "output_type"} <= parameters
        assert not set(task.inputs) & set(MEDIA_ROLES)


@pytest.mark.parametrize(("family", "model"), MODELS, ids=IDS)
def test_every_model_is_in_the_catalogue_with_the_inputs_of_its_tasks(
    family: Family, model: str
) -> None:
    spec = CATALOG.entry(model)
    assert spec.media == family.result
    for task in family.tasks_of(model):
        assert set(task.inputs) <= set(spec.inputs or ())
        assert task.control != "mask" or "inpaint" in spec.control_nets


@pytest.mark.parametrize(
    "family",
    [family for family in families() if family.control_nets],
    ids=lambda one: one.net_class,
)
def test_control_nets_are_those_of_the_catalogue_and_their_class_exists(family: Family) -> None:
    offered = {name for model in family.weights for name in CATALOG.entry(model).control_nets}
    assert set(family.control_nets) <= offered - {"inpaint"}
    assert any(task.control == "net" for task in family.tasks)
    assert hasattr(diffusers, family.net_class)


SAMPLED = [(family, model) for family, model in MODELS if family.sampling != "none"]


def base_of(family: Family) -> object:
    if family.sampling == "diffusion":
        return diffusers.PNDMScheduler(beta_schedule="scaled_linear")
    return diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)


@pytest.mark.parametrize(("family", "model"), SAMPLED, ids=[model for _, model in SAMPLED])
def test_the_samplers_of_the_catalogue_work_or_are_refused_and_the_default_works(
    family: Family, model: str
) -> None:
    tier = CATALOG.tiers()[CATALOG.model(model).spec.tier]
    samplers = tier.get("sampler") or tier["comfySampler"]
    schedules = tier.get("scheduler") or tier["comfyScheduler"]
    default = (samplers["default"], schedules["default"])
    made = []
    for sampler, schedule in itertools.product(samplers["allowed"], schedules["allowed"]):
        try:
            scheduler = scheduler_for(
                base_of(family),
                samplings()[family.sampling],
                sampler,
                schedule,
                None,
                family.scheduler,
            )
        except ModelNotAvailable:
            continue
        scheduler.set_timesteps(6)
        assert len(scheduler.timesteps) >= 6
        assert torch.all(torch.diff(scheduler.timesteps.float()) <= 0)
        made.append((sampler, schedule))
    assert default in made
    assert default[0] not in family.without


def test_samplers_without_noise_levels_of_their_own_choice_take_those_asked_for() -> None:
    base = diffusers.PNDMScheduler(beta_schedule="scaled_linear")
    sampling = samplings()["diffusion"]
    made = scheduler_for(base, sampling, "euler_ancestral", "karras", None)
    plain = scheduler_for(base, sampling, "euler", "karras", None)
    other = scheduler_for(base, sampling, "euler_ancestral", "normal", None)
    for scheduler in (made, plain, other):
        scheduler.set_timesteps(8)
    assert torch.equal(made.sigmas, plain.sigmas)
    assert not torch.equal(made.sigmas, other.sigmas)


def test_a_shift_moves_the_noise_levels_of_flow_models() -> None:
    base = diffusers.FlowMatchEulerDiscreteScheduler(shift=1.0)
    shifted = scheduler_for(base, samplings()["flow"], "euler", "simple", 5.0)
    shifted.set_timesteps(4)
    base.set_timesteps(4)
    assert shifted.sigmas[1] > base.sigmas[1]


class LinearEncoder(torch.nn.Module):  # type: ignore[misc]  # torch has no types here
    """Latents that are a known linear map of the mean colour of 8x8 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = torch.nn.Module()
        self.encoder.conv_in = torch.nn.Conv2d(3, 4, 8, stride=8)
        self.config = FrozenDict(scaling_factor=0.5, shift_factor=0.25)

    def encode(self, pixels: torch.Tensor) -> types.SimpleNamespace:
        weights = torch.zeros(4, 3, 8, 8)
        for channel in range(3):
            weights[channel, channel] = 1 / 64
        latents = torch.nn.functional.conv2d(pixels, weights, stride=8)
        return types.SimpleNamespace(latent_dist=types.SimpleNamespace(mode=lambda: latents))


def test_the_colours_of_previews_are_found_from_the_encoder_alone() -> None:
    vae = LinearEncoder()
    colours = preview.fit(vae)
    pixels = torch.full((1, 3, 64, 64), -0.5)
    pixels[:, 0] = 1.0  # red, with a quarter of green and blue
    raw = vae.encode(pixels).latent_dist.mode()[0]
    small = preview.jpeg((raw - 0.25) * 0.5, colours)
    shown = np.asarray(Image.open(io.BytesIO(small)))[128, 128].astype(int)
    assert np.abs(shown - [255, 64, 64]).max() <= 4


def test_previews_know_how_flux_2_folds_its_latents() -> None:
    vae = LinearEncoder()
    vae.config.batch_norm_eps = 1e-4
    vae.bn = torch.nn.BatchNorm2d(16, affine=False)
    vae.bn.running_mean.copy_(torch.linspace(-1, 1, 16))
    vae.bn.running_var.copy_(torch.linspace(0.5, 2, 16))
    kind = diffusers.Flux2Pipeline
    pipeline = types.SimpleNamespace(vae=vae, vae_scale_factor=8)
    pixels = torch.full((1, 3, 64, 128), -1.0)
    pixels[:, 0, :, :64] = 1.0  # red on the left,
    pixels[:, 2, :, 64:] = 1.0  # blue on the right
    latents = kind._encode_vae_image(
        types.SimpleNamespace(vae=vae, _patchify_latents=kind._patchify_latents), pixels, None
    )
    first = preview.first_of(pipeline, kind._pack_latents(latents), 64, 128)
    colours = preview.fit(vae)
    assert preview.fits(first, colours)
    shown = np.asarray(Image.open(io.BytesIO(preview.jpeg(first, colours)))).astype(int)
    assert np.abs(shown[64, 40] - [255, 0, 0]).max() <= 6
    assert np.abs(shown[64, 216] - [0, 0, 255]).max() <= 6


def test_latents_of_another_kind_have_no_preview() -> None:
    colours = np.zeros((5, 3), np.float32)
    assert preview.fits(torch.zeros(4, 9, 9), colours)
    assert not preview.fits(torch.zeros(7, 4, 4), colours)
    assert not preview.fits(torch.zeros(64, 4), colours)


def weights_at(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "model_index.json").write_text("{}")
    return folder


def test_weights_are_found_in_the_owners_folder_before_the_cache(tmp_path: Path) -> None:
    where = Places(own=tmp_path / "own", cache=tmp_path / "hub")
    assert find_weights(families(), where) == {}
    snapshots = where.cache / "models--stabilityai--stable-diffusion-xl-base-1.0" / "snapshots"
    cached = weights_at(snapshots / "abc")
    (snapshots / "half").mkdir()  # a download that was broken off
    assert find_weights(families(), where)["sd_xl_base_1.0"].folder == cached
    own = weights_at(where.own / "sd_xl_base_1.0")
    assert find_weights(families(), where)["sd_xl_base_1.0"].folder == own


def snapshot_at(cache: Path, revision: str, changed_s: float) -> Path:
    """A snapshot with a part of one file and one of two shards."""
    folder = cache / "models--stabilityai--stable-diffusion-xl-base-1.0" / "snapshots" / revision
    (folder / "unet").mkdir(parents=True)
    (folder / "vae").mkdir()
    index = {
        "_class_name": "StableDiffusionXLPipeline",
        "force_zeros_for_empty_prompt": True,
        "image_encoder": [None, None],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    (folder / "model_index.json").write_text(json.dumps(index))
    shards = {"one.weight": "1-of-2.safetensors", "other.weight": "2-of-2.safetensors"}
    (folder / "unet" / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": shards})
    )
    for shard in shards.values():
        (folder / "unet" / shard).write_bytes(b"")
    os.utime(folder, (changed_s, changed_s))
    return folder


def found_in(cache: Path) -> Path | None:
    found = find_weights(families(), Places(own=cache / "own", cache=cache))
    return found["sd_xl_base_1.0"].folder if found else None


@pytest.mark.parametrize("lacking", ["unet/2-of-2.safetensors", "vae", "model_index.json"])
def test_of_a_download_that_was_broken_off_the_one_before_is_used(
    tmp_path: Path, lacking: str
) -> None:
    before = snapshot_at(tmp_path, "before", changed_s=1000)
    newer = snapshot_at(tmp_path, "newer", changed_s=2000)
    assert found_in(tmp_path) == newer
    gone = newer / lacking
    gone.rmdir() if gone.is_dir() else gone.unlink()
    os.utime(newer, (2000, 2000))
    assert found_in(tmp_path) == before


def test_a_snapshot_counts_once_its_last_file_is_loaded(tmp_path: Path) -> None:
    before = snapshot_at(tmp_path, "before", changed_s=1000)
    newer = snapshot_at(tmp_path, "newer", changed_s=2000)
    blobs = newer.parents[1] / "blobs"
    blobs.mkdir()
    rest = blobs / "0123abcd.77ff.incomplete"
    rest.write_bytes(b"ha")
    os.utime(rest, (2001, 2001))
    assert found_in(tmp_path) == before
    (blobs / "0123abcd").write_bytes(b"half no more")
    assert found_in(tmp_path) == newer
    (blobs / "0123abcd").unlink()
    os.utime(rest, (1500, 1500))  # of the download before
    assert found_in(tmp_path) == newer


def test_shards_of_the_older_format_may_be_missing_beside_the_newer(tmp_path: Path) -> None:
    folder = snapshot_at(tmp_path, "only", changed_s=1000)
    older = json.dumps({"weight_map": {"one.weight": "1-of-1.bin"}})
    (folder / "unet" / "model.bin.index.json").write_text(older)
    assert found_in(tmp_path) == folder
    (folder / "vae" / "model.bin.index.json").write_text(older)
    assert found_in(tmp_path) is None


@pytest.mark.parametrize("lacking", ["config.json", "model.safetensors", "2-of-2.safetensors"])
def test_a_control_net_is_here_when_all_of_it_is(tmp_path: Path, lacking: str) -> None:
    weights_at(tmp_path / "sd-v1-5")
    net = tmp_path / "controlnets" / "control_v11p_sd15_canny"
    net.mkdir(parents=True)
    files = ["config.json", "model.safetensors"]
    if lacking.startswith("2-of"):
        index = json.dumps({"weight_map": {"one": "1-of-2.safetensors", "other": lacking}})
        (net / "model.safetensors.index.json").write_text(index)
        files = ["config.json", "1-of-2.safetensors", lacking]
    for name in files:
        (net / name).write_text("{}")
    where = Places(own=tmp_path, cache=tmp_path)
    assert find_weights(families(), where)["sd-v1-5"].control_nets == {"canny": net}
    (net / lacking).unlink()
    assert find_weights(families(), where)["sd-v1-5"].control_nets == {}


def test_models_with_the_same_weights_share_the_owners_folder_and_memory(tmp_path: Path) -> None:
    folder = tmp_path / "ltx2-19b-fp8_i2v"
    folder.mkdir()
    (folder / "model_index.json").write_text("{}")
    found = find_weights(families(), Places(own=tmp_path, cache=tmp_path / "none"))
    assert set(found) == {"ltx2-19b-fp8_t2v", "ltx2-19b-fp8_i2v"}
    assert {weights.folder for weights in found.values()} == {folder}
    assert len({weights.name for weights in found.values()}) == 1


def test_noise_levels_of_distilled_models_are_theirs_or_between_them() -> None:
    (family,) = (one for one in families() if "ltx2-19b-fp8_t2v_distilled" in one.weights)
    assert family.sigmas_of(8) == pytest.approx(family.sigmas)
    for steps in (1, 4, 5, 12):
        levels = family.sigmas_of(steps)
        assert len(levels) == steps
        assert levels[0] == 1.0
        assert all(after < before for before, after in itertools.pairwise([*levels, 0.0]))
    (trained,) = (one for one in families() if "ltx2-19b-fp8_t2v" in one.weights)
    assert trained.sigmas_of(8) == []


def test_the_cache_is_where_hugging_face_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MODELS_VARIABLE, raising=False)
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", "/srv/hf")
    monkeypatch.setenv("XDG_DATA_HOME", "/srv/data")
    assert places() == Places(own=Path("/srv/data/dreamgrid/diffusers"), cache=Path("/srv/hf/hub"))
    monkeypatch.setenv("HF_HUB_CACHE", "/srv/cache")
    assert places().cache == Path("/srv/cache")


def test_the_doctor_tells_how_to_get_weights(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    weights_at(tmp_path / "sd-v1-5")
    found = {finding.text: finding.advice for finding in engine.ENGINE.examine()}
    assert any(text.startswith("sd-v1-5 is here without the ControlNets canny,") for text in found)
    assert found["no weights of flux1-dev-fp8"] == "dreamgrid work download flux1-dev-fp8"
    assert "no weights of sd-v1-5" not in found
    assert engine.ENGINE.models() == ("sd-v1-5",)


def test_packages_that_are_missing_go_by_the_names_under_which_they_are_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(engine, "find_spec", lambda name: None if name in {"cv2", "PIL"} else name)
    (found,) = engine.ENGINE.examine()
    assert found.text == "the packages opencv-python-headless, pillow are not installed"


@pytest.mark.parametrize("there", [False, True])
def test_a_model_with_a_package_of_its_own_is_offered_when_that_is_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, there: bool
) -> None:
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(
        engine, "find_spec", lambda name: True if there or name != "torchvision" else None
    )
    model = "qwen_image_edit_2511_fp8"
    for one in (model, "sd-v1-5"):
        weights_at(tmp_path / one)
    roomy = Machine(disk_free_bytes=10**12, memory_bytes=10**12)
    (told,) = (one for one in engine.ENGINE.prospects(roomy) if one.model == model)
    problem = f"{model} also needs the packages torchvision"
    assert (model in engine.ENGINE.models()) is there
    assert "sd-v1-5" in engine.ENGINE.models()
    assert (problem in {finding.text for finding in engine.ENGINE.examine()}) is not there
    assert told.state == ("ready" if there else "blocked")


def test_a_machine_without_a_gpu_reads_how_to_get_weights_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    told = {one.model: one for one in engine.ENGINE.prospects(Machine(disk_free_bytes=10**12))}
    assert told["sd-v1-5"].state == "blocked"
    assert "slow" in told["sd-v1-5"].text
    assert told["sd-v1-5"].advice == "dreamgrid work download sd-v1-5"
