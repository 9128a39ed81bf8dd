"""The shipped catalogue: every model that clients know, with the limits that they rely on."""

import itertools
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

from dreamgrid.errors import InvalidRequest, MissingAsset
from dreamgrid.protocol.params import AnyParams, AudioParams, ImageParams, Lora, VideoParams
from dreamgrid.protocol.renders import AnyRender, AudioRender, VideoRender
from dreamgrid.server.catalog import Catalog, Model
from dreamgrid.server.catalog_entries import AudioTier, NumberRange, VideoTier
from dreamgrid.server.pricing import quote

CATALOG = Catalog.load()
MODELS = {entry.id: CATALOG.model(entry.id) for entry in CATALOG.models()}
DATA = resources.files("dreamgrid.server") / "catalog_data"
ID = attrgetter("id")
PAGE = Path(__file__).parents[2] / "docs" / "catalogue.md"


@dataclass(frozen=True)
class Limits:
    max_count: int = 16
    max_video_count: int = 4
    max_audio_count: int = 4
    max_prompt_chars: int = 4000


def smallest(model: Model, **changes: Any) -> AnyParams:
    """A request that leaves open whatever may be left open."""
    assets = (*model.spec.required_inputs, *model.spec.any_inputs[:1])
    prompt = "a lighthouse" if model.spec.prompt_required else ""
    common = {"model": model.id, "prompt": prompt, "assets": assets, **changes}
    match model.tier:
        case VideoTier():
            return VideoParams(**common)
        case AudioTier():
            needed = model.tier.instruct is not None and model.tier.instruct.required
            return AudioParams(**{"instruct": "a calm old voice" if needed else None, **common})
        case _:
            return ImageParams(**common)


def resolve(model: Model, **changes: Any) -> AnyRender:
    (render,) = CATALOG.resolve(smallest(model, **changes), Limits(), lambda: 1)
    return render


# ── every id ─────────────────────────────────────────────────────────────────────────────────────

LTX_WORKFLOWS = ("t2v", "i2v", "a2v", "ia2v", "v2v")
LTX_VARIANTS = (
    ("ltx2-19b-fp8", ""),
    ("ltx2-19b-fp8", "_distilled"),
    ("ltx23-22b-fp8", "_distilled"),
    ("ltx23-22b-fp8", "_dev"),
    ("ltx25-22b-int8", "_distilled"),
    ("ltx25-22b-int8", "_dev"),
)


def known_ids() -> Iterator[str]:
    """The ids that the published clients know, without those of vendors."""
    for workflow in ("t2v", "i2v", "s2v"):
        yield f"wan_v2.2-14b-fp8_{workflow}"
        yield f"wan_v2.2-14b-fp8_{workflow}_lightx2v"
    yield "wan_v2.2-14b-fp8_animate-move_lightx2v"
    yield "wan_v2.2-14b-fp8_animate-replace_lightx2v"
    for workflow, (family, variant) in itertools.product(LTX_WORKFLOWS, LTX_VARIANTS):
        yield f"{family}_{workflow}{variant}"
    yield "ltx23-22b-10eros-v1.4-fp8mixed_i2v"
    for variant in ("", "_turbo", "_balanced"):
        yield from (f"minimax-h3-fl2va-fp8_{one}{variant}" for one in ("t2v", "i2v", "flf2v"))
    for variant in ("", "_turbo", "_balanced", "_2stage", "_balanced_2stage"):
        yield f"minimax-h3-ref2va-fp8_r2v{variant}"
    for workflow in ("t2v", "i2v", "flf2v", "ia2v", "flfa2v", "a2v"):
        yield f"minimax-h3-fastvideo-int8_{workflow}_turbo"
        yield f"minimax-h3-fastvideo-int8_{workflow}_turbo_2stage"
    yield "flashvsr_v1.1_tiny_long_bf16"
    yield from ("flux1-schnell-fp8", "krea2_turbo_fp8_scaled")  # enhancement
    yield from IMAGE_SIDES


IMAGE_SIDES = {
    "rtx_vsr_pro": (512, 15360),
    "krea2_identity_edit_v1_2": (512, 2048),
    "dark_beast_krea2_identity_edit_v1_2": (512, 2048),
    "z_image_bf16": (256, 2560),
    "z_image_turbo_bf16": (256, 2560),
    "krea2_turbo_fp8_scaled": (256, 2560),
    "qwen_image_2512_fp8": (256, 2560),
    "qwen_image_2512_fp8_lightning": (256, 2560),
    "qwen_image_edit_2511_fp8": (256, 2560),
    "qwen_image_edit_2511_fp8_lightning": (256, 2560),
    "moss_image_sft_int8_convrot": (512, 2048),
    "moss_image_sft_dmd8_int8_convrot": (512, 2048),
    "flux3_image_klein_sd_int8_convrot": (256, 4096),
}
"""Sides that clients allow; 256..2048 for all other models."""


def test_every_model_that_clients_know_is_there() -> None:
    assert [model_id for model_id in known_ids() if model_id not in MODELS] == []


@pytest.mark.parametrize("model_id", ["flux1-schnell-fp8", "krea2_turbo_fp8_scaled"])
def test_the_enhancers_start_from_an_image(model_id: str) -> None:
    assert "startingImage" in MODELS[model_id].spec.inputs


# ── inputs ───────────────────────────────────────────────────────────────────────────────────────

REFERENCES = (
    "referenceImage",
    *(f"contextImage{slot}" for slot in range(1, 10)),
    *(f"referenceVideo{slot}" for slot in range(1, 4)),
)
SOUNDS = tuple(f"referenceAudio{slot}" for slot in range(1, 4))
FRAMES = ("referenceImage", "referenceImageEnd")
KEYFRAMES = {f"keyframeImage{slot}" for slot in range(1, 9)}


@dataclass(frozen=True)
class Takes:
    required: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


WORKFLOWS = {
    "t2v": Takes(optional=("referenceAudio",)),
    "i2v": Takes(one_of=FRAMES, optional=("referenceAudio",)),
    "flf2v": Takes(required=FRAMES),
    "flfa2v": Takes(required=(*FRAMES, "referenceAudio")),
    "s2v": Takes(required=("referenceImage", "referenceAudio")),
    "ia2v": Takes(required=("referenceImage", "referenceAudio")),
    "a2v": Takes(required=("referenceAudio",)),
    "v2v": Takes(
        required=("referenceVideo",),
        optional=("referenceImage", "referenceAudio", "referenceMask"),
    ),
    "animate-move": Takes(required=("referenceImage", "referenceVideo")),
    "animate-replace": Takes(required=("referenceImage", "referenceVideo")),
    "r2v": Takes(one_of=REFERENCES, optional=SOUNDS),
    "upscale": Takes(required=("referenceVideo",)),
}
"""What a client uploads for a model whose id has that suffix."""


def workflow_of(model_id: str) -> str:
    if model_id.startswith("flashvsr_"):
        return "upscale"
    found = re.search(rf"_({'|'.join(WORKFLOWS)})(_|$)", model_id)
    assert found, f"{model_id} does not say what it makes of what"
    return found[1]


VIDEO_MODELS = [model for model in MODELS.values() if model.spec.media == "video"]


@pytest.mark.parametrize("model", VIDEO_MODELS, ids=ID)
def test_a_video_model_takes_what_its_id_says(model: Model) -> None:
    takes = WORKFLOWS[workflow_of(model.id)]
    assert set(model.spec.required_inputs) == set(takes.required)
    assert set(model.spec.any_inputs) == set(takes.one_of)
    more = set(model.spec.inputs) - {*takes.required, *takes.one_of, *takes.optional}
    assert more <= KEYFRAMES
    if more:
        assert model.id.startswith("minimax-h3-")


@pytest.mark.parametrize("model", MODELS.values(), ids=ID)
def test_what_a_model_cannot_do_without_is_asked_for(model: Model) -> None:
    if model.spec.required_inputs or model.spec.any_inputs:
        with pytest.raises(MissingAsset):
            CATALOG.check_inputs(smallest(model, assets=()))
    CATALOG.check_inputs(smallest(model))


CONTEXT_IMAGES = {
    "dreamlet-v1": 1,
    "qwen_image_edit_2511_fp8": 3,
    "qwen_image_edit_2511_fp8_lightning": 3,
    "krea2_identity_edit_v1_2": 2,
    "dark_beast_krea2_identity_edit_v1_2": 2,
    "flux1-dev-kontext_fp8_scaled": 2,
    "flux2_dev_fp8": 6,
    "flux3_image_klein_sd_int8_convrot": 10,
}


def test_only_models_that_look_at_them_take_context_images() -> None:
    found = {
        model.id: sum(role.startswith("contextImage") for role in model.spec.inputs)
        for model in MODELS.values()
        if model.spec.media == "image"
    }
    assert {model_id: count for model_id, count in found.items() if count} == CONTEXT_IMAGES


def test_ones_that_take_a_controlnet_take_its_image() -> None:
    for model in MODELS.values():
        if model.spec.media == "image":
            assert ("cnImage" in model.spec.inputs) == bool(model.spec.control_nets), model.id


# ── limits ───────────────────────────────────────────────────────────────────────────────────────

OURS = ("dreamlet-v1", "dreamlet-enhance-v1", "dreamlet-upscale-v1", "pattern-v1")
IMAGE_MODELS = [
    model for model in MODELS.values() if model.spec.media == "image" and model.id not in OURS
]


@pytest.mark.parametrize("model", IMAGE_MODELS, ids=ID)
def test_a_picture_may_be_as_large_as_clients_allow(model: Model) -> None:
    size = model.spec.size
    assert size is not None
    assert (size.min, size.max) == IMAGE_SIDES.get(model.id, (256, 2048))


def video_tier(model: Model) -> VideoTier:
    assert isinstance(model.tier, VideoTier)
    return model.tier


@pytest.mark.parametrize("model", VIDEO_MODELS, ids=ID)
def test_a_video_may_be_as_large_as_clients_allow(model: Model) -> None:
    tier = video_tier(model)
    for side in (tier.width, tier.height):
        if model.id.startswith("minimax-h3-"):
            assert (side.step, side.max, tier.max_pixels) == (32, 1344, 1_032_192)
        elif workflow_of(model.id) == "upscale":
            assert (side.step, side.max, tier.max_pixels) == (2, 2560, 2560 * 1440)
        else:
            assert side.min >= 480


@dataclass(frozen=True)
class Timing:
    """How clients count frames: shortest and longest in seconds, and what they send for them."""

    shortest: float
    longest: float
    counts: int | None = None  # frames a second, where it is not the fps of the file
    base: int = 1
    group: int = 1

    def frames(self, seconds: float, fps: float) -> int:
        count = int(seconds * (self.counts or fps) + 0.5) + (1 if self.base == 1 else 0)
        return self.base + int((count - self.base) / self.group + 0.5) * self.group


def timing_of(model: Model) -> Timing:
    match model.id.split("_")[0]:
        case "wan":
            return Timing(1, 20 if "animate" in model.id else 10, counts=16)
        case "ltx2-19b-fp8" if not model.id.endswith("_distilled"):
            return Timing(1, 10, group=8)
        case name if name.startswith("ltx"):
            return Timing(1, 20, group=8)
        case name if name.startswith("minimax-h3-"):
            return Timing(124 / 24, 362 / 24, base=124, group=17)
    raise AssertionError(f"nothing is known about the timing of {model.id}")


TIMED = [model for model in VIDEO_MODELS if workflow_of(model.id) != "upscale"]


@pytest.mark.parametrize("model", TIMED, ids=ID)
def test_a_video_may_be_as_long_as_clients_allow(model: Model) -> None:
    timing = timing_of(model)
    tier = video_tier(model)
    assert tier.fps is not None
    for seconds in (timing.shortest, 5.5, 6.2, timing.longest):
        asked = timing.frames(seconds, tier.fps.default)
        render = resolve(model, frames=asked)
        assert isinstance(render, VideoRender)
        assert render.frames == asked


RATES = {"wan": [16, 32], "minimax": [24], "ltx": list(range(1, 61))}


@pytest.mark.parametrize("model", TIMED, ids=ID)
def test_frame_rates_are_those_of_the_family(model: Model) -> None:
    tier = video_tier(model)
    assert tier.fps is not None
    if "Dreamlet" in model.spec.name:
        assert (list(tier.fps.allowed), tier.motion_fps) == ([16, 24, 32], 16)
        return
    (family,) = [name for name in RATES if model.id.startswith(name)]
    assert list(tier.fps.allowed) == RATES[family]
    assert tier.motion_fps == (16 if family == "wan" else None)


H3_STEPS = {"h3-standard": 20, "h3-balanced": 8, "h3-turbo": 4, "h3-fast": 4, "h3-fast-r2v": 8}


@pytest.mark.parametrize("model", VIDEO_MODELS, ids=ID)
def test_minimax_h3_leaves_nothing_to_choose(model: Model) -> None:
    if not model.id.startswith("minimax-h3-"):
        return
    tier = video_tier(model)
    name = model.spec.tier.replace("-2stage", "").replace("-sound", "")
    steps = H3_STEPS.get(name) or H3_STEPS[name.removesuffix("-r2v")]
    assert tier.steps == NumberRange(min=steps, max=steps, default=steps)
    assert tier.guidance == NumberRange(min=1, max=1, default=1)
    assert not model.spec.negative_prompt


@pytest.mark.parametrize("model", VIDEO_MODELS, ids=ID)
def test_video_settings_stand_where_the_workflow_has_them(model: Model) -> None:
    tier, workflow = video_tier(model), workflow_of(model.id)
    sound = "referenceAudio" in model.spec.required_inputs
    assert (tier.audio_start_s is not None) == sound
    family = "h3" if model.id.startswith("minimax") else model.id.split("2")[0]
    assert (tier.audio_duration_s is not None) == (sound and family != "h3")
    assert (tier.detailer_strength is not None) == (workflow == "v2v")
    assert bool(model.spec.control_nets) == (workflow == "v2v")
    assert ("inpaint" in model.spec.control_nets) == ("referenceMask" in model.spec.inputs)
    assert (tier.outpaint_position is not None) == ("outpaint" in model.spec.control_nets)
    assert (tier.video_start_s is not None) == (
        workflow in ("v2v", "animate-move", "animate-replace")
    )
    voices = "referenceAudio" in model.spec.inputs and not sound
    assert (tier.identity_guidance is not None) == voices


# ── defaults, presets and prices ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("model", MODELS.values(), ids=ID)
def test_a_request_with_only_a_prompt_and_its_inputs_is_accepted_and_priced(model: Model) -> None:
    params = smallest(model)
    render = resolve(model)
    quoted = quote(model, [render], assets=params.assets)
    assert quoted.project_micros("spark") > 0
    assert model.tier.steps is not None
    assert render.steps == model.tier.steps.default


def test_a_base_render_costs_one_spark() -> None:
    model = MODELS["sd_xl_base_1.0"]
    assert quote(model, [resolve(model)]).project_micros("spark") == 1_000_000


@pytest.mark.parametrize("model", MODELS.values(), ids=ID)
def test_presets_can_be_asked_for_and_say_truly_what_shape_they_have(model: Model) -> None:
    for preset in model.presets:
        render = resolve(model, size_preset=preset.id)
        assert not hasattr(render, "duration_s")
        assert (render.width, render.height) == (preset.width, preset.height)
        across, down = map(int, preset.ratio.split(":"))
        assert preset.width / preset.height == pytest.approx(across / down, rel=0.01)
        assert float(preset.aspect) == pytest.approx(across / down, abs=0.005)


@pytest.mark.parametrize("model", VIDEO_MODELS, ids=ID)
def test_defaults_of_a_video_lie_on_its_grid(model: Model) -> None:
    tier = video_tier(model)
    for side in (tier.width, tier.height):
        assert side.default % (side.step or 1) == 0
    assert tier.width.default * tier.height.default <= (tier.max_pixels or 2**31)
    assert tier.frames is not None
    assert (tier.frames.default - tier.frames.min) % (tier.frames.step or 1) == 0


MUST = {
    None: {"steps", "sampler", "scheduler", "guidance"},
    "image": {"steps", "guidance"},
    "video": {"width", "height", "steps", "guidance"},
    "audio": {"steps", "duration", "bpm"},
}
"""What the oldest clients read of a tier without looking whether it is there."""


@pytest.mark.parametrize("tier_id", CATALOG.tiers())
def test_tiers_hold_what_old_clients_read_unguarded(tier_id: str) -> None:
    tier = CATALOG.tiers()[tier_id]
    assert MUST[tier.get("type")] <= set(tier)
    assert {"sec", "secCN", "secMaxPreviews"} <= set(tier["benchmark"])


def test_every_tier_belongs_to_a_model() -> None:
    assert set(CATALOG.tiers()) == {model.spec.tier for model in MODELS.values()}


def test_loras_are_taken_by_the_models_that_they_name() -> None:
    assert CATALOG.loras()
    for lora in CATALOG.loras():
        for model_id in lora.models:
            render = resolve(MODELS[model_id], loras=(Lora(id=lora.id, strength=10_000),))
            assert render.loras == (Lora(id=lora.id, strength=lora.ui.max),)


def test_speech_says_what_it_needs() -> None:
    needs = {
        model.id.removeprefix("qwen3_tts_1.7b_").removesuffix("_bf16"): model
        for model in MODELS.values()
        if model.id.startswith("qwen3_tts_")
    }
    assert set(needs) == {"custom_voice", "voice_clone", "voice_design"}
    assert needs["voice_clone"].spec.required_inputs == ("referenceAudio",)
    design = needs["voice_design"].tier
    assert isinstance(design, AudioTier)
    assert design.instruct is not None
    assert design.instruct.required
    voices = needs["custom_voice"].tier
    assert isinstance(voices, AudioTier)
    assert voices.speaker is not None
    assert "serena" in voices.speaker.allowed


@pytest.mark.parametrize(
    ("model_id", "asked", "rendered"),
    [
        ("sd_xl_base_1.0", "Euler a", "euler_ancestral"),
        ("sd_xl_base_1.0", "DPM Solver Multistep (DPM-Solver++)", "dpmpp_2m"),
        ("coreml-cyberrealistic_v70_768", "Euler Ancestral", "euler_a"),
        ("coreml-cyberrealistic_v70_768", "Euler a", "euler_a"),
        ("coreml-cyberrealistic_v70_768", "DPM++ 2M", "dpmpp_2m"),  # it offers both of the pair
        ("coreml-cyberrealistic_v70_768", "dpm_pp", "dpm_pp"),
    ],
)
def test_one_sampler_may_have_two_names(model_id: str, asked: str, rendered: str) -> None:
    assert resolve(MODELS[model_id], sampler=asked).sampler == rendered


@pytest.mark.parametrize(("asked", "rendered"), [(1080, 1080), (None, 1440)])
def test_an_upscaler_is_told_how_large(asked: int | None, rendered: int) -> None:
    render = resolve(MODELS["flashvsr_v1.1_tiny_long_bf16"], upscale_resolution=asked)
    assert isinstance(render, VideoRender)
    assert render.upscale_resolution == rendered


SPEAKING = [
    model
    for model in MODELS.values()
    if model.id.startswith("qwen3_tts_") or model.id == "dreamlet-voice-v1"
]


@pytest.mark.parametrize("model", SPEAKING, ids=ID)
def test_speech_may_be_as_long_as_its_text_and_costs_accordingly(model: Model) -> None:
    assert isinstance(model.tier, AudioTier)
    assert model.tier.chars_per_second is not None
    short, long = (resolve(model, prompt="word " * words) for words in (4, 400))
    assert isinstance(short, AudioRender)
    assert isinstance(long, AudioRender)
    assert short.duration_s >= 20 / 14  # a quick reader says 14 characters in a second
    assert long.duration_s == 2 + math.ceil(2000 / model.tier.chars_per_second) > 30
    prices = [quote(model, [render]).project_micros("spark") for render in (short, long)]
    assert prices[0] * 10 < prices[1]
    asked = resolve(model, prompt="word " * 400, duration_s=12)
    assert isinstance(asked, AudioRender)
    assert asked.duration_s == 12


def test_some_models_take_longer_prompts_than_the_server_allows_others() -> None:
    longest = {
        model.id.split("_")[0].split("-")[0]: model.spec.max_prompt_chars
        for model in MODELS.values()
        if model.spec.max_prompt_chars
    }
    assert longest == {"minimax": 7000, "qwen3": 4096}
    speech = MODELS["qwen3_tts_1.7b_custom_voice_bf16"]
    assert len(resolve(speech, prompt="a" * 4096).prompt) == 4096
    for model, length in ((speech, 4097), (MODELS["flux1-schnell-fp8"], 4001)):
        with pytest.raises(InvalidRequest, match=f"the prompt has {length} characters"):
            resolve(model, prompt="a" * length)


# ── what the page says ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("example", re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.S))
def test_the_examples_on_the_page_are_catalogue_files(example: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text(example)
    Catalog.load([file])


def families() -> dict[str, list[int]]:
    """File name to the short numbers in it."""
    return {
        file.name: [model["SID"] for model in json.loads(file.read_text())["models"]]
        for folder in (DATA, DATA / "families")
        for file in folder.iterdir()
        if file.name.endswith(".json")
    }


def test_the_page_names_every_family_and_its_numbers() -> None:
    rows = re.findall(r"^\| `([\w.-]+\.json)` \|.*\| (\d+)\.\.(\d+) \|", PAGE.read_text(), re.M)
    ranges = {name: (int(first), int(last)) for name, first, last in rows}
    found = families()
    assert set(ranges) == set(found)
    for name, sids in found.items():
        first, last = ranges[name]
        assert all(first <= sid <= last for sid in sids), name
    ordered = sorted(
        ranges[name] for name in ranges if not name.startswith(("dreamlet", "pattern"))
    )
    assert all(one[1] < other[0] for one, other in itertools.pairwise(ordered))
    assert all(last < 5000 for _, last in ranges.values())
