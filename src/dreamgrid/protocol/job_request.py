"""The `jobRequest` payload: an app's project as the published SDKs write it.

The template comes from a native app and is mostly constant noise, which is ignored here and not
sent by our own SDK. What the fields mean to dreamgrid is told in `request_params`. Source:
`job-request.md` of the wire contract.
"""

import re
from itertools import compress
from operator import attrgetter
from typing import Annotated, ClassVar

import msgspec

from dreamgrid.errors import InvalidRequest
from dreamgrid.protocol.assets import (
    CONTEXT_IMAGE,
    CONTROL_NET_IMAGE,
    KEYFRAME_IMAGE,
    MAX_CONTEXT_IMAGES,
    MAX_KEYFRAME_IMAGES,
    MAX_REFERENCES,
    REFERENCE_AUDIO,
    REFERENCE_IMAGE,
    REFERENCE_IMAGE_END,
    REFERENCE_MASK,
    REFERENCE_VIDEO,
)
from dreamgrid.protocol.codec import UNREADABLE, Envelope, Message, decode_payload
from dreamgrid.protocol.params import STARTING_IMAGE, Network, TokenType

_UUID = re.compile(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}\Z")

Whole = int | float | None
"""A whole number, which some programs write as 512.0."""


class ControlNetJob(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The one element of `currentControlNetsJob`. `control_mode`: 0 balanced, 1 prompt, 2 image."""

    name: str
    has_image: bool = False
    control_strength: float | None = None
    control_mode: int | None = None
    control_guidance_start: float | None = None
    control_guidance_end: float | None = None
    preprocess: bool | None = None


class _InputFlags(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Which inputs were uploaded for the project, one flag for each slot."""

    has_starting_image: bool | None = None
    has_reference_image: bool | None = None
    has_reference_image_end: bool | None = None
    has_reference_audio: bool | None = None
    has_reference_audio1: bool | None = None
    has_reference_audio2: bool | None = None
    has_reference_audio3: bool | None = None
    has_reference_audio_identity: bool | None = None
    has_reference_video: bool | None = None
    has_reference_video1: bool | None = None
    has_reference_video2: bool | None = None
    has_reference_video3: bool | None = None
    has_reference_mask: bool | None = None
    has_keyframe_image1: bool | None = None
    has_keyframe_image2: bool | None = None
    has_keyframe_image3: bool | None = None
    has_keyframe_image4: bool | None = None
    has_keyframe_image5: bool | None = None
    has_keyframe_image6: bool | None = None
    has_keyframe_image7: bool | None = None
    has_keyframe_image8: bool | None = None
    has_context_image1: bool | None = None
    has_context_image2: bool | None = None
    has_context_image3: bool | None = None
    has_context_image4: bool | None = None
    has_context_image5: bool | None = None
    has_context_image6: bool | None = None
    has_context_image7: bool | None = None
    has_context_image8: bool | None = None
    has_context_image9: bool | None = None
    has_context_image10: bool | None = None
    has_context_image11: bool | None = None
    has_context_image12: bool | None = None
    has_context_image13: bool | None = None
    has_context_image14: bool | None = None
    has_context_image15: bool | None = None
    has_context_image16: bool | None = None


class KeyFrame(_InputFlags, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The one element of `keyFrames`: everything about the result itself.

    The sampler of older models travels in `scheduler` and their schedule in `timeStepSpacing`;
    newer ones use the `comfy...` fields. Which of the two pairs is filled says nothing here.
    """

    model_id: str = msgspec.field(name="modelID")
    positive_prompt: str | None = None
    negative_prompt: str | None = None
    style_prompt: str | None = None
    steps: Whole = None
    guidance_scale: float | None = None
    seed: Whole = None
    scheduler: str | None = None
    time_step_spacing: str | None = None
    comfy_sampler: str | None = None
    comfy_scheduler: str | None = None
    vae: str | None = None
    loras: list[str] | None = None
    lora_strengths: list[float] | None = None
    current_control_nets_job: list[ControlNetJob] | None = None

    size_preset: str | None = None
    width: Whole = None
    height: Whole = None
    strength: float | None = None

    frames: Whole = None
    fps: float | None = None
    shift: float | None = None
    teacache_threshold: float | None = None
    identity_guidance: float | None = msgspec.field(default=None, name="identityGuidanceScale")
    detailer_strength: float | None = None
    outpaint_position: str | None = None
    upscale_resolution: float | None = None
    detail_preference: str | None = None
    processing_speed: str | None = None
    first_frame_strength: float | None = None
    last_frame_strength: float | None = None
    audio_start_s: float | None = msgspec.field(default=None, name="audioStart")
    audio_duration_s: float | None = msgspec.field(default=None, name="audioDuration")
    video_start_s: float | None = msgspec.field(default=None, name="videoStart")
    points: str | None = msgspec.field(default=None, name="sam2Coordinates")
    keyframes: list[int] | None = msgspec.field(default=None, name="keyframeFrameIndices")
    trim_end_frame: bool | None = None
    generate_audio: bool | None = None

    duration_s: float | None = msgspec.field(default=None, name="duration")
    bpm: float | None = None
    time_signature: str | int | None = msgspec.field(default=None, name="timesignature")
    language: str | None = None
    lyrics: str | None = None
    key_scale: str | None = msgspec.field(default=None, name="keyscale")
    composer_mode: bool | None = None
    prompt_strength: float | None = None
    creativity: float | None = None
    speaker: str | None = None
    instruct: str | None = None
    reference_text: str | None = None

    def assets(self) -> tuple[str, ...]:
        """Roles of the inputs that this request says were uploaded."""
        roles = list(compress(FLAG_OF_ROLE, _flags_of(self)))
        if self.has_reference_audio_identity and REFERENCE_AUDIO not in roles:
            roles.append(REFERENCE_AUDIO)  # both lie in the same slot
        nets = self.current_control_nets_job
        if nets and any(net.has_image for net in nets):
            roles.append(CONTROL_NET_IMAGE)
        return tuple(roles)


def _slots(role: str, field: str, count: int) -> dict[str, str]:
    return {f"{role}{slot}": f"{field}{slot}" for slot in range(1, count + 1)}


FLAG_OF_ROLE = {
    STARTING_IMAGE: "has_starting_image",
    REFERENCE_IMAGE: "has_reference_image",
    REFERENCE_IMAGE_END: "has_reference_image_end",
    REFERENCE_AUDIO: "has_reference_audio",
    **_slots(REFERENCE_AUDIO, "has_reference_audio", MAX_REFERENCES),
    REFERENCE_VIDEO: "has_reference_video",
    **_slots(REFERENCE_VIDEO, "has_reference_video", MAX_REFERENCES),
    REFERENCE_MASK: "has_reference_mask",
    **_slots(KEYFRAME_IMAGE, "has_keyframe_image", MAX_KEYFRAME_IMAGES),
    **_slots(CONTEXT_IMAGE, "has_context_image", MAX_CONTEXT_IMAGES),
}
"""The field of a key frame that says that an input of that role was uploaded.

The ControlNet's image has none: its flag stands beside the ControlNet.
"""

_flags_of = attrgetter(*FLAG_OF_ROLE.values())


class JobRequest(Message, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Client to server: create a project. Sending the same one twice has one effect.

    `workers`, `preferred_workers` and `skip_workers` are ours: they say what the published SDKs say
    with flags in the prompt, and other servers ignore them. So is `traceparent`, the trace that the
    app is in, as W3C Trace Context writes it; and `inputs_sha256`, set by a server that was given
    the inputs with the request: the same request is one with the same inputs.
    """

    message_type: ClassVar[str] = "jobRequest"

    project_id: str = msgspec.field(name="jobID")
    key_frames: Annotated[list[KeyFrame], msgspec.Meta(min_length=1, max_length=1)]
    number_of_images: Whole = None
    previews: Whole = None
    disable_safety: bool | None = None
    token_type: TokenType | None = None
    billing_mode: str | None = None
    output_format: str | None = None
    network: Network | None = None
    workers: list[str] | None = None
    preferred_workers: list[str] | None = None
    skip_workers: list[str] | None = None
    app_source: str | None = None
    traceparent: Annotated[str, msgspec.Meta(max_length=512)] | None = None
    inputs_sha256: Annotated[str, msgspec.Meta(max_length=64)] | None = None


class _ProjectId(msgspec.Struct):
    """The one field that a refusal needs from a request that cannot be read."""

    project_id: Annotated[str, msgspec.Meta(min_length=1)] = msgspec.field(name="jobID")


class _FrameLabels(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    size_preset: str | None = None


class Labels(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a request says about itself and nothing is rendered by: shown again in records."""

    app_source: str | None = None
    billing_mode: str | None = None
    traceparent: str | None = None
    key_frames: tuple[_FrameLabels, ...] = ()

    @property
    def size_preset(self) -> str | None:
        """The named size that was asked for, or `custom`."""
        return self.key_frames[0].size_preset if self.key_frames else None


_labels = msgspec.json.Decoder(Labels)


def labels_of(request: bytes) -> Labels:
    """The labels of a request that was accepted once."""
    return _labels.decode(request)


def traceparent_of(request: bytes) -> str:
    """The trace that a request which was accepted once names; empty: none."""
    if b'"traceparent"' not in request:
        return ""
    return labels_of(request).traceparent or ""


def project_id_of(envelope: Envelope) -> str:
    """The project that a request names, however wrong the rest of it is.

    Raises:
        ProtocolError: It names none, so that nothing can be said about it.
    """
    return decode_payload(envelope, _ProjectId).project_id


def looks_like_id(value: str) -> bool:
    """Whether a text has the shape of an id, in any case."""
    return _UUID.match(value.upper()) is not None


def same_request(one: bytes, other: bytes) -> bool:
    """Whether two payloads ask for the same, however they write it."""
    if one == other:
        return True
    try:
        first, second = (msgspec.json.decode(raw, type=JobRequest) for raw in (one, other))
    except UNREADABLE:
        return False
    return first == second


def valid_id(value: str) -> str:
    """A project or job id in its one spelling, upper case.

    Raises:
        InvalidRequest: It is no UUID. Ids become parts of file names and URLs, so nothing else
            is let through.
    """
    upper = value.upper()
    if not _UUID.match(upper):
        raise InvalidRequest(f"'{value[:64]}' is no id: ids are UUIDs, such as str(uuid.uuid4())")
    return upper
