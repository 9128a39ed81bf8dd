"""The shipped catalogue beside the rules of the published Python SDK, so that drift is seen.

The SDK is asked directly, without a network: its lists of ids, its limits, and the requests that it
builds from our tiers. It stands in the test dependencies in one exact version.
"""

import asyncio
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from dreamgrid.protocol.job_request import JobRequest
from dreamgrid.protocol.request_params import params_from_request
from dreamgrid.server.catalog import Model
from dreamgrid.server.pricing import quote
from tests.server.test_catalog_data import (
    CATALOG,
    ID,
    IMAGE_MODELS,
    MODELS,
    TIMED,
    Limits,
    video_tier,
    workflow_of,
)

utils = pytest.importorskip("sogni_client.utils", reason="the published Python SDK is missing")
projects = pytest.importorskip("sogni_client.projects")

PROJECT = "7A0C4B1E-3B52-4C6D-9E0F-1A2B3C4D5E6F"

LEFT_OUT = {model_id: {"referenceVideo"} for model_id in utils._MINIMAX_H3_EXTEND_MODEL_IDS}
"""Optional inputs that we do not offer, by model.

Four text models can continue a video. Whether the result begins with the old part is said in a
field of the request that dreamgrid does not read.
"""


def own_videos() -> set[str]:
    """Every id that the SDK makes videos with, except those of vendors' own services."""
    return {
        *utils._WAN_VIDEO_MODEL_IDS,
        *utils._LTX_VIDEO_MODEL_IDS,
        *utils._MINIMAX_H3_VIDEO_MODEL_IDS,
        utils.FLASHVSR_VIDEO_UPSCALE_MODEL_ID,
    }


def test_we_have_exactly_the_videos_that_the_sdk_makes() -> None:
    ours = {model.id for model in MODELS.values() if model.spec.media == "video"}
    assert ours == own_videos()


def test_the_sdk_tells_what_our_models_make() -> None:
    for model in MODELS.values():
        assert utils.is_video_model(model.id) == (model.spec.media == "video"), model.id
        ours = model.id.startswith("dreamlet-")
        assert utils.is_audio_model(model.id) == (model.spec.media == "audio" and not ours)


@pytest.mark.parametrize("model_id", sorted(own_videos()))
def test_workflows_and_inputs_are_the_sdks(model_id: str) -> None:
    spec = MODELS[model_id].spec
    assert utils.get_video_workflow_type(model_id) == workflow_of(model_id)
    rules = dict(projects._video_asset_requirements(model_id))
    voice = rules.pop("referenceAudioIdentity")
    allowed = {role for role, rule in rules.items() if rule != "forbidden"}
    allowed -= LEFT_OUT.get(model_id, set())
    if "inpaint" not in spec.control_nets:
        allowed.discard("referenceMask")
    if voice == "optional" and model_id.startswith("ltx23-"):  # the only family that copies voices
        allowed.add("referenceAudio")  # a voice lies in the slot of the reference sound
    # What one model takes several of, the SDK numbers: referenceVideo2 is a referenceVideo.
    assert {role.rstrip("123") for role in spec.inputs if role.startswith("reference")} == allowed
    assert set(spec.required_inputs) == {role for role, rule in rules.items() if rule == "required"}
    keyframes = sum(role.startswith("keyframeImage") for role in spec.inputs)
    most = utils.MINIMAX_H3_MAX_KEYFRAMES if utils.is_minimax_h3_keyframe_model(model_id) else 0
    assert keyframes == most


@pytest.mark.parametrize("model", IMAGE_MODELS, ids=ID)
def test_sides_of_a_picture_are_the_sdks(model: Model) -> None:
    size = model.spec.size
    assert size is not None
    assert (size.min, size.max) == projects._custom_image_size_bounds(model.id)


@pytest.mark.parametrize("model", TIMED, ids=ID)
@pytest.mark.parametrize("seconds", [5.2, 6, 7.3, 10])
def test_frames_that_the_sdk_counts_are_rendered(model: Model, seconds: float) -> None:
    tier = video_tier(model)
    assert tier.fps is not None
    assert tier.frames is not None
    frames = utils.calculate_video_frames(model.id, seconds, tier.fps.default)
    assert tier.frames.min <= frames <= tier.frames.max
    assert (frames - tier.frames.min) % int(tier.frames.step or 1) == 0


# ── requests that the SDK builds ─────────────────────────────────────────────────────────────────


def options_of(model: Model) -> dict[str, Any]:
    """What the SDK makes of our tier."""

    async def models() -> list[dict[str, Any]]:
        return [msgspec.to_builtins(entry) for entry in CATALOG.models()]

    async def tiers() -> dict[str, Any]:
        return CATALOG.tiers()

    api = projects.ProjectsApi
    stub = SimpleNamespace(
        get_supported_models=models,
        _get_model_tiers=tiers,
        _map_options=api._map_options,
        _map_range=api._map_range,
    )
    options: dict[str, Any] = asyncio.run(api.get_model_options(stub, model.id))
    return options


def simplest(model: Model) -> dict[str, Any]:
    """What an app gives the SDK, and no more than it must."""
    spec = model.spec
    params: dict[str, Any] = {
        "type": spec.media,
        "modelId": model.id,
        "positivePrompt": "a lighthouse" if spec.prompt_required else "",
        "numberOfMedia": 1,
    }
    roles = [*spec.required_inputs, *spec.any_inputs[:1]]
    for role in roles:
        if role == "contextImage1":
            params["contextImages"] = [b"image"]
        else:
            params[role] = b"media"
    if model.id.endswith("voice_design_bf16"):
        params["instruct"] = "a calm old voice"
    if workflow(model) == "upscale":
        params["upscaleResolution"] = 1080
    return params


def workflow(model: Model) -> str | None:
    return workflow_of(model.id) if model.spec.media == "video" else None


def full(model: Model) -> dict[str, Any]:
    """The same, with the settings that the tier offers, at their defaults."""
    options, params = options_of(model), simplest(model)
    for name in ("steps", "guidance", "duration", "bpm", "promptStrength", "creativity", "shift"):
        if name in options and not (workflow(model) and name == "duration"):
            params[name] = options[name]["default"]
    for name in ("sampler", "scheduler", "timesignature", "language", "keyscale", "speaker", "vae"):
        if options.get(name, {}).get("default"):
            params[name] = options[name]["default"]
    if "composerMode" in options:
        params["composerMode"] = options["composerMode"]["default"]
    if options["type"] == "video" and workflow(model) != "upscale":
        params |= {"width": options["width"]["default"], "height": options["height"]["default"]}
        params |= {"fps": options["fps"]["default"], "duration": 6}
    return params


@pytest.mark.parametrize("build", [simplest, full])
@pytest.mark.parametrize("model", MODELS.values(), ids=ID)
def test_what_the_sdk_sends_is_accepted_and_priced(model: Model, build: Any) -> None:
    request = projects.create_job_request_message(PROJECT, build(model), options_of(model))
    wire = msgspec.json.decode(msgspec.json.encode(request), type=JobRequest)
    params = params_from_request(wire, model.media)
    CATALOG.check_inputs(params)
    (render,) = CATALOG.resolve(params, Limits(), lambda: 1)
    assert quote(model, [render], assets=params.assets).project_micros("spark") > 0
    assert render.output_format == model.spec.formats[0]
    if workflow(model) == "upscale":
        assert render.upscale_resolution == 1080  # type: ignore[union-attr]
