"""Job requests: ours there and back, and those that the published SDKs were seen to send."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamgrid.errors import InvalidRequest, ProtocolError
from dreamgrid.protocol import codec, job_request, socket
from dreamgrid.protocol.codec import Envelope
from dreamgrid.protocol.job_request import JobRequest
from dreamgrid.protocol.params import (
    AUDIO_SETTINGS,
    MAX_SEED,
    NETWORKS,
    OUTPUT_FORMATS,
    TOKEN_TYPES,
    VIDEO_SETTINGS,
    AnyParams,
    AudioParams,
    ControlNet,
    ImageParams,
    Lora,
    Media,
    VideoParams,
)
from dreamgrid.protocol.request_params import params_from_request, request_from_params
from tests.support.strategies import numbers, texts

GOLDEN = Path(__file__).parent / "golden"
PROJECT = "44BABD98-2112-412D-91DA-B5429A1DF233"


def golden(name: str) -> list[dict[str, Any]]:
    """Recorded messages of the published SDKs."""
    return [json.loads(line) for line in (GOLDEN / name).read_text().splitlines()]


REQUESTS = [(row["sdk"], row["payload"]) for row in golden("job-requests.jsonl")]
MEDIA_OF_FORMAT: dict[Any, Media] = {
    name: media for media, names in OUTPUT_FORMATS.items() for name in names
}
SOCKETS = golden("sockets.jsonl")


def request_of(payload: dict[str, Any]) -> JobRequest:
    """A payload as it comes out of the socket."""
    return codec.decode_payload(Envelope("jobRequest", msgspec.json.encode(payload)), JobRequest)


def frame_of(**fields: Any) -> ImageParams:
    """What a request with these fields in its frame asks for."""
    frame = {"modelID": "m"} | fields
    params = params_from_request(request_of({"jobID": PROJECT, "keyFrames": [frame]}), "image")
    assert isinstance(params, ImageParams)
    return params


# ── ours ─────────────────────────────────────────────────────────────────────────────────────────


names = st.none() | st.text(min_size=1, max_size=10)
positive = st.none() | st.floats(0, 1000)


@st.composite
def common(draw: st.DrawFn, media: Media) -> dict[str, Any]:
    """What our own SDK can ask for, whatever it is."""
    roles = ["startingImage", "referenceImage", "referenceAudio2", "contextImage16", "cnImage"]
    assets = tuple(role for role in roles if draw(st.booleans()))
    net = ControlNet(name="canny", strength=0.5, mode=draw(st.none() | st.just("balanced")))
    return {
        "model": draw(texts),
        "prompt": draw(texts),
        "negative_prompt": draw(texts),
        "style_prompt": draw(texts),
        "count": draw(st.integers(-5, 100)),
        "steps": draw(st.none() | st.integers(-5, 1000)),
        "guidance": draw(st.none() | numbers),
        "seed": draw(st.none() | st.integers(0, MAX_SEED)),
        "assets": assets,
        "sampler": draw(names),
        "scheduler": draw(names),
        "loras": tuple(draw(st.lists(st.builds(Lora, id=texts, strength=numbers), max_size=3))),
        "control_net": net if "cnImage" in assets else None,
        "output_format": draw(st.none() | st.sampled_from(OUTPUT_FORMATS[media])),
        "disable_safety": draw(st.booleans()),
        "network": draw(st.none() | st.sampled_from(NETWORKS)),
        "workers": tuple(draw(st.lists(texts, max_size=2))),
        "preferred_workers": tuple(draw(st.lists(texts, max_size=2))),
        "skip_workers": tuple(draw(st.lists(texts, max_size=2))),
        "token_type": draw(st.none() | st.sampled_from(TOKEN_TYPES)),
    }


@st.composite
def size(draw: st.DrawFn) -> dict[str, Any]:
    sized = draw(st.sampled_from(["default", "pixels", "preset"]))
    return {
        "width": draw(st.integers(0, 10_000)) if sized == "pixels" else None,
        "height": draw(st.integers(0, 10_000)) if sized == "pixels" else None,
        "size_preset": draw(st.sampled_from(["square", "tall"])) if sized == "preset" else None,
    }


@st.composite
def image_params(draw: st.DrawFn) -> ImageParams:
    fields = draw(common("image"))
    return ImageParams(
        **fields,
        **draw(size()),
        strength=draw(positive) if "startingImage" in fields["assets"] else None,
        vae=draw(names),
        previews=draw(st.integers(0, 50)),
    )


@st.composite
def video_params(draw: st.DrawFn) -> VideoParams:
    settings: dict[str, Any] = {name: draw(positive) for name in VIDEO_SETTINGS}
    for name in ("outpaint_position", "detail_preference", "processing_speed"):
        settings[name] = draw(names)
    for switch in ("trim_end_frame", "generate_audio"):
        settings[switch] = draw(st.none() | st.booleans())
    return VideoParams(
        **draw(common("video")),
        **draw(size()),
        **settings,
        frames=draw(st.none() | st.integers(0, 1000)),
        fps=draw(positive),
        points=tuple(draw(st.lists(st.tuples(st.floats(0, 99), st.floats(0, 99)), max_size=3))),
        keyframes=tuple(draw(st.lists(st.integers(0, 99), max_size=3))),
    )


@st.composite
def audio_params(draw: st.DrawFn) -> AudioParams:
    settings: dict[str, Any] = {name: draw(names) for name in AUDIO_SETTINGS}
    for number in ("duration_s", "bpm", "prompt_strength", "creativity", "shift"):
        settings[number] = draw(positive)
    settings["composer_mode"] = draw(st.none() | st.booleans())
    return AudioParams(**draw(common("audio")), **settings, lyrics=draw(names))


def there_and_back(params: AnyParams, media: Media) -> AnyParams:
    envelope = codec.open_envelope(codec.encode(request_from_params(PROJECT, params)))
    received = codec.decode_payload(envelope, JobRequest)
    assert received.project_id == PROJECT
    return params_from_request(received, media)


@given(image_params())
def test_a_picture_that_our_sdk_asks_for_is_what_the_server_understands(
    params: ImageParams,
) -> None:
    assert there_and_back(params, "image") == params


@given(video_params())
def test_a_video_that_our_sdk_asks_for_is_what_the_server_understands(params: VideoParams) -> None:
    assert there_and_back(params, "video") == params


@given(audio_params())
def test_sound_that_our_sdk_asks_for_is_what_the_server_understands(params: AudioParams) -> None:
    assert there_and_back(params, "audio") == params


def test_what_is_left_to_the_model_is_left_out_of_the_request() -> None:
    for params in (ImageParams, VideoParams, AudioParams):
        request = request_from_params(PROJECT, params(model="m", prompt="a cat"))
        assert json.loads(msgspec.json.encode(request)) == {
            "jobID": PROJECT,
            "keyFrames": [{"modelID": "m", "positivePrompt": "a cat"}],
            "numberOfImages": 1,
            "previews": 0,
            "disableSafety": False,
        }


# ── what the published SDKs send ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("sdk", "payload"), REQUESTS, ids=range(len(REQUESTS)))
def test_every_recorded_request_is_understood(sdk: str, payload: dict[str, Any]) -> None:
    del sdk
    request = request_of(payload)
    assert request.project_id == payload["jobID"]
    frame = payload["keyFrames"][0]
    media = MEDIA_OF_FORMAT.get(payload.get("outputFormat"), "image")
    params = params_from_request(request, media)
    kinds: dict[Media, type[AnyParams]] = {
        "image": ImageParams,
        "video": VideoParams,
        "audio": AudioParams,
    }
    assert type(params) is kinds[media]
    assert params.output_format == payload.get("outputFormat")
    if isinstance(params, VideoParams):
        assert (params.frames, params.fps) == (frame.get("frames"), frame.get("fps"))
        assert params.shift == frame.get("shift")
    if isinstance(params, AudioParams):
        assert (params.duration_s, params.bpm) == (frame.get("duration"), frame.get("bpm"))
        assert params.key_scale == frame.get("keyscale")
    assert params.model == frame["modelID"]
    assert params.prompt == frame["positivePrompt"]
    assert params.count == payload["numberOfImages"]
    assert params.steps == frame.get("steps")
    assert params.seed == frame.get("seed")
    assert ("startingImage" in params.assets) is bool(frame.get("hasStartingImage"))


def test_the_four_sdks_ask_for_the_same_picture_in_the_same_words() -> None:
    """The first recorded request of each: one square picture, the rest left to the model."""
    first = dict(reversed(REQUESTS))
    assert len(first) == 4
    wishes = [
        # The oldest one names no file type; the others write the same default out.
        msgspec.structs.replace(
            params_from_request(request_of(payload), "image"), output_format="png"
        )
        for payload in first.values()
    ]
    assert wishes == [wishes[0]] * 4


def test_the_constant_strength_of_the_template_makes_no_image_to_image() -> None:
    assert frame_of(strength=0.5, strengthIsEnabled=True).strength is None
    assert frame_of(strength=0.35, hasStartingImage=True).strength == 0.35


def test_null_absent_and_empty_mean_the_same() -> None:
    nulls = dict.fromkeys(
        ["positivePrompt", "stylePrompt", "steps", "seed", "scheduler", "comfySampler", "vae"]
    )
    empty = {"positivePrompt": "", "stylePrompt": "", "scheduler": "", "sizePreset": ""}
    assert frame_of(**nulls) == frame_of(**empty) == frame_of()


def test_older_models_name_the_sampler_in_scheduler() -> None:
    params = frame_of(scheduler="Euler a", timeStepSpacing="Karras")
    assert (params.sampler, params.scheduler) == ("Euler a", "Karras")
    newer = frame_of(comfySampler="euler", comfyScheduler="simple", scheduler=None)
    assert (newer.sampler, newer.scheduler) == ("euler", "simple")


def test_a_preset_wins_over_width_and_height_of_the_template() -> None:
    params = frame_of(sizePreset="square", width=640, height=640)
    assert (params.size_preset, params.width, params.height) == ("square", None, None)
    custom = frame_of(sizePreset="custom", width=640, height=480)
    assert (custom.size_preset, custom.width, custom.height) == (None, 640, 480)


def test_flags_become_the_roles_of_inputs() -> None:
    flags = {"hasStartingImage": True, "hasContextImage2": True, "hasContextImage3": False}
    nets = [{"name": "canny", "hasImage": True, "controlStrength": 0.5, "controlMode": 2}]
    params = frame_of(**flags, currentControlNetsJob=nets)
    assert sorted(params.assets) == ["cnImage", "contextImage2", "startingImage"]
    assert params.control_net == ControlNet(name="canny", strength=0.5, mode="cn_priority")


def test_two_control_nets_are_refused() -> None:
    nets = [{"name": "canny", "hasImage": True}, {"name": "depth", "hasImage": False}]
    with pytest.raises(InvalidRequest, match="one at a time"):
        frame_of(currentControlNetsJob=nets)


@pytest.mark.parametrize("field", ["steps", "seed", "width", "height"])
def test_a_whole_number_may_be_written_with_a_decimal_point(field: str) -> None:
    assert getattr(frame_of(**{field: 512.0}), field) == 512
    assert isinstance(getattr(frame_of(**{field: 512.0}), field), int)


@pytest.mark.parametrize("field", ["steps", "seed", "width", "height"])
def test_half_a_pixel_is_refused(field: str) -> None:
    with pytest.raises(InvalidRequest, match=f"{field} 2.5"):
        frame_of(**{field: 2.5})


def test_counts_may_be_written_with_a_decimal_point() -> None:
    payload = {"jobID": PROJECT, "keyFrames": [{"modelID": "m"}]}
    request = request_of(payload | {"numberOfImages": 2.0, "previews": 3.0})
    params = params_from_request(request, "image")
    assert isinstance(params, ImageParams)
    assert (params.count, params.previews) == (2, 3)


@pytest.mark.parametrize("frames", [[], [{"modelID": "a"}, {"modelID": "b"}], None, {}, "x"])
def test_a_request_has_exactly_one_frame(frames: object) -> None:
    with pytest.raises(ProtocolError):
        request_of({"jobID": PROJECT, "keyFrames": frames})


@pytest.mark.parametrize("value", ["gif", "mp4", "PNG ", "../png", "x" * 10_000])
def test_an_unknown_file_type_is_refused_with_those_that_are_known(value: str) -> None:
    request = request_of({"jobID": PROJECT, "keyFrames": [{"modelID": "m"}], "outputFormat": value})
    with pytest.raises(InvalidRequest, match="png, jpg or webp") as caught:
        params_from_request(request, "image")
    assert len(str(caught.value)) < 300


# ── ids ──────────────────────────────────────────────────────────────────────────────────────────


@given(st.uuids())
def test_an_id_is_read_in_any_case_and_kept_in_one(uuid: object) -> None:
    assert job_request.valid_id(str(uuid).lower()) == str(uuid).upper()


@given(st.text())
@pytest.mark.parametrize(
    "bad",
    [
        "",
        "../../etc/passwd",
        PROJECT + "\n",
        PROJECT + "/..",
        f"{{{PROJECT}}}",
        PROJECT.replace("-", ""),
        PROJECT[:-1] + "G",
        PROJECT[:-1] + "٣",  # a digit, but not one of ours
        "x" * 1_000_000,
    ],
)
def test_whatever_is_no_uuid_is_refused(bad: str, text: str) -> None:
    for value in (bad, text):
        with pytest.raises(InvalidRequest) as caught:
            job_request.valid_id(value)
        assert len(str(caught.value)) < 300


# ── the other messages that apps send ────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "row", [row for row in SOCKETS if row.get("type") == "jobError"], ids=lambda row: row["sdk"]
)
def test_every_recorded_cancel_is_understood(row: dict[str, Any]) -> None:
    data = msgspec.json.encode(row["payload"])
    cancel = codec.decode_payload(Envelope("jobError", data), socket.CancelRequest)
    assert cancel == socket.CancelRequest(project_id=row["payload"]["jobID"])


@pytest.mark.parametrize(
    "row", [row for row in SOCKETS if row.get("type") == "changeNetwork"], ids=range(8)
)
def test_every_recorded_change_of_network_is_understood(row: dict[str, Any]) -> None:
    frame = codec.encode_raw("changeNetwork", row["payload"])
    assert codec.decode_payload(codec.open_envelope(frame), str) in NETWORKS
