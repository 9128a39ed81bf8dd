"""The same requests as the published SDKs send, so that any server of this wire can read ours."""

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

import dreamgrid
from dreamgrid.protocol import codec, model_names
from dreamgrid.protocol.job_request import JobRequest
from dreamgrid.protocol.params import OUTPUT_FORMATS, Media
from dreamgrid.protocol.request_params import params_from_request, request_from_params
from dreamgrid.protocol.request_template import encode_request
from tests.client import stub as wire
from tests.client.mill import MP3, MP4, png

GOLDEN = Path(__file__).parents[1] / "protocol" / "golden" / "job-requests.jsonl"
NEWEST = ("javascript 5.54.0", "python 5.70.0")
ROWS = [json.loads(line) for line in GOLDEN.read_text("utf-8").splitlines()]
RECORDED = [(row["sdk"], row["payload"]) for row in ROWS if row["sdk"] in NEWEST]
MEDIA: dict[str, Media] = {name: media for media, names in OUTPUT_FORMATS.items() for name in names}
COMFY = ("z_image", "krea2", "qwen_image", "wan_", "ltx", "ace_step")

# What the published SDKs say and we do not: who sends it, and a strength that means nothing.
UNSAID = {"appSource", "strength", "strengthIsEnabled"}


def meant(payload: dict[str, Any]) -> dict[str, Any]:
    """A payload without what means nothing: null, false and empty are the same as absent."""
    (frame,) = payload["keyFrames"]
    found = {name: value for name, value in payload.items() if name != "keyFrames"}
    found |= {f"keyFrames.{name}": value for name, value in frame.items()}
    return {
        name: value
        for name, value in found.items()
        if value not in (None, False, "", [])
        and name.rpartition(".")[2] not in UNSAID
        and (name, value) != ("keyFrames.sizePreset", "custom")
    }


@pytest.mark.parametrize(("sdk", "payload"), RECORDED)
def test_our_request_says_what_a_published_sdk_says(sdk: str, payload: dict[str, Any]) -> None:
    """What it asked for, read as our server does, and asked for by our SDK."""
    request = msgspec.convert(payload, JobRequest)
    media = MEDIA[request.output_format or "png"]
    params = params_from_request(request, media)
    types = {
        name.removesuffix("ContentType"): value
        for name, value in payload["keyFrames"][0].items()
        if name.endswith("ContentType")
    }
    frame = encode_request(
        request_from_params(request.project_id, params, comfy=params.model.startswith(COMFY)),
        types,
    )
    ours = json.loads(codec.open_envelope(frame).data)
    assert meant(ours) == meant(payload), sdk


def test_our_request_has_every_field_that_all_published_requests_have() -> None:
    everywhere = set[str].intersection(*(set(payload) for _, payload in RECORDED))
    frames = set[str].intersection(*(set(payload["keyFrames"][0]) for _, payload in RECORDED))
    params = params_from_request(msgspec.convert(RECORDED[0][1], JobRequest), "image")
    frame = encode_request(request_from_params(wire.JOB_A, params), {})
    ours = json.loads(codec.open_envelope(frame).data)
    assert everywhere - set(ours) == set()
    assert frames - set(ours["keyFrames"][0]) <= {"steps"}


async def test_socket_and_rest_may_be_two_hosts(stub: wire.Stub) -> None:
    async with wire.running() as live:
        client = dreamgrid.AsyncClient(
            stub.url, wire.KEY, socket_url=live.url.replace("http", "ws")
        )
        async with client:
            await client.connect()
            await client.projects.get_supported_models()
            address = await client.projects.upload_url(project_id=wire.JOB_A, role="startingImage")
    assert len(live.sockets) == 1
    assert not stub.sockets
    assert live.asked("/api/v1/models/list")
    assert not stub.asked("/api/v1/models/list")
    assert address.startswith(stub.url)


# ── a server that says no more than the published SDKs need ──────────────────────────────────────

VIDEO = "wan_v2.2-14b-fp8_i2v_lightx2v"
PICTURE = "z_image_turbo_bf16"
LISTED = [
    {"id": VIDEO, "name": "Wan", "SID": 7, "tier": "wan", "media": "video"},
    {"id": PICTURE, "name": "Z", "SID": 8, "tier": "comfy", "media": "image"},
]
TIERS = {
    "wan": {
        "type": "video",
        "width": {"min": 480, "max": 1280, "step": 16, "default": 640},
        "height": {"min": 480, "max": 1280, "step": 16, "default": 640},
        "fps": {"allowed": [16, 32], "default": 16},
        "frames": {"min": 17, "max": 161, "step": 4, "default": 81},
        "steps": {"min": 4, "max": 8, "default": 4},
        "comfySampler": {"allowed": ["euler", "uni_pc"], "default": "euler"},
    },
    "comfy": {
        "type": "image",
        "steps": {"min": 4, "max": 12, "default": 8},
        "comfySampler": {"allowed": ["euler"], "default": "euler"},
    },
}


@pytest.fixture
def modest(stub: wire.Stub, monkeypatch: pytest.MonkeyPatch) -> wire.Stub:
    """Its list of models has the five fields that everybody knows."""
    monkeypatch.setattr(wire, "_MODELS", LISTED)
    monkeypatch.setattr(wire, "_TIERS", TIERS)
    return stub


async def sent_for(
    stub: wire.Stub, client: dreamgrid.AsyncClient, **settings: Any
) -> dict[str, Any]:
    """The key frame of a request."""
    creating = asyncio.create_task(client.projects.create(prompt="x", **settings))
    envelope = await asyncio.wait_for(stub.frames.get(), 10)
    payload = json.loads(envelope.data)
    await stub.send(wire.queued(payload["jobID"]))
    await creating
    (frame,) = payload["keyFrames"]
    assert isinstance(frame, dict)
    return frame


async def test_ids_tell_what_the_server_does_not(
    modest: wire.Stub, client: dreamgrid.AsyncClient
) -> None:
    frame = await sent_for(
        modest, client, model=VIDEO, reference_image=png(), duration_s=5, fps=32, sampler="uni_pc"
    )
    assert (frame["frames"], frame["fps"]) == (81, 32), "16 frames of motion in a second"
    assert (frame["comfySampler"], frame["scheduler"]) == ("uni_pc", None)
    assert (frame["hasReferenceImage"], frame["referenceImageContentType"]) == (True, "image/png")
    with pytest.raises(dreamgrid.MissingAsset, match="needs a reference_image"):
        await client.projects.create(model=VIDEO, prompt="x")
    with pytest.raises(dreamgrid.InvalidRequest, match="takes no reference_video"):
        await client.projects.create(
            model=VIDEO, prompt="x", reference_image=png(), reference_video=MP4
        )
    config = await client.projects.get_video_asset_config(VIDEO)
    assert config.workflow == "i2v"
    assert config.assets is not None
    assert config.assets["referenceAudio"] == "forbidden"


async def test_samplers_of_pictures_travel_where_their_tier_says(
    modest: wire.Stub, client: dreamgrid.AsyncClient
) -> None:
    frame = await sent_for(modest, client, model=PICTURE, sampler="euler", scheduler="simple")
    assert (frame["comfySampler"], frame["comfyScheduler"]) == ("euler", "simple")
    assert (frame["scheduler"], frame["timeStepSpacing"]) == (None, None)


async def test_a_voice_to_copy_is_uploaded_as_a_sound_and_named_a_voice(
    modest: wire.Stub, client: dreamgrid.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = VIDEO.replace("i2v", "t2v")
    monkeypatch.setattr(wire, "_MODELS", [LISTED[0] | {"id": model}])
    frame = await sent_for(modest, client, model=model, reference_audio_identity=MP3)
    assert frame["hasReferenceAudioIdentity"] is True
    assert frame["referenceAudioIdentityContentType"] == "audio/mpeg"
    assert "hasReferenceAudio" not in frame
    ((name, (data, content_type)),) = modest.uploads.items()
    assert name.endswith("-referenceAudio")
    assert (data, content_type) == (MP3, "audio/mpeg")


@pytest.mark.parametrize(
    ("model", "workflow"),
    [
        ("wan_v2.2-14b-fp8_t2v", "t2v"),
        ("wan_v2.2-14b-fp8_s2v_lightx2v", "s2v"),
        ("wan_v2.2-14b-fp8_animate-move_lightx2v", "animate-move"),
        ("wan_v2.2-14b-fp8_animate-replace_lightx2v", "animate-replace"),
        ("ltx2-19b-fp8_ia2v_distilled", "ia2v"),
        ("ltx23-22b-fp8_a2v_dev", "a2v"),
        ("ltx2-19b-fp8_v2v", "v2v"),
        ("minimax-h3-fl2va-fp8_flf2v_turbo", "flf2v"),
        ("minimax-h3-fastvideo-int8_flfa2v_turbo_2stage", "flfa2v"),
        ("minimax-h3-ref2va-fp8_r2v_balanced_2stage", "r2v"),
        ("happyhorse-1.1-i2v", "i2v"),
        ("wan3.0-video", "t2v"),
        ("flashvsr_v1.1_tiny_long_bf16", "upscale"),
        ("seedance-2-0", None),
        ("wan_dream_t2v", "t2v"),
    ],
)
def test_how_a_video_model_works_stands_in_its_id(model: str, workflow: str | None) -> None:
    assert model_names.workflow_of(model) == workflow
    assert model_names.is_video_id(model)
    assert workflow is None or model_names.needs_of(workflow)
