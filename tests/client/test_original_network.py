"""The same requests as the published SDKs send, so that any server of this wire can read ours."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

import dreamgrid
from dreamgrid.protocol import codec
from dreamgrid.protocol.job_request import JobRequest
from dreamgrid.protocol.params import OUTPUT_FORMATS, Media
from dreamgrid.protocol.request_params import params_from_request, request_from_params
from dreamgrid.protocol.request_template import encode_request
from tests.client import stub as wire

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
