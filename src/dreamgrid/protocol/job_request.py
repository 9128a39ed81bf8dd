"""The `jobRequest` payload: an app's project as the published SDKs write it, and back.

The template comes from a native app and is mostly constant noise, which is ignored here and not
sent by our own SDK. Source: `job-request.md` of the wire contract.
"""

import re
from typing import Annotated, Any, ClassVar

import msgspec

from dreamgrid.errors import InvalidRequest
from dreamgrid.protocol.codec import Envelope, Message, decode_payload
from dreamgrid.protocol.params import STARTING_IMAGE, ImageFormat, ImageParams, Network, TokenType

CONTEXT_IMAGES = 16
_UUID = re.compile(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}\Z")


class ControlNet(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A ControlNet that an app wants to steer by."""

    name: str
    has_image: bool = False


Whole = int | float | None
"""A whole number, which some programs write as 512.0."""


class KeyFrame(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The one element of `keyFrames`: everything about the picture itself.

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
    size_preset: str | None = None
    width: Whole = None
    height: Whole = None
    has_starting_image: bool | None = None
    strength: float | None = None
    loras: list[str] | None = None
    current_control_nets_job: list[ControlNet] | None = None
    has_reference_image: bool | None = None
    has_reference_image_end: bool | None = None
    has_reference_audio: bool | None = None
    has_reference_audio_identity: bool | None = None
    has_reference_video: bool | None = None
    has_reference_mask: bool | None = None
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

    def assets(self) -> tuple[str, ...]:
        """Roles of the inputs that this request says were uploaded."""
        roles = [role for role, field in _FLAG_OF_ROLE.items() if getattr(self, field)]
        if any(net.has_image for net in self.current_control_nets_job or ()):
            roles.append("cnImage")
        return tuple(roles)


_FLAG_OF_ROLE = {
    STARTING_IMAGE: "has_starting_image",
    "referenceImage": "has_reference_image",
    "referenceImageEnd": "has_reference_image_end",
    "referenceAudio": "has_reference_audio",
    "referenceVideo": "has_reference_video",
    "referenceMask": "has_reference_mask",
} | {f"contextImage{slot}": f"has_context_image{slot}" for slot in range(1, CONTEXT_IMAGES + 1)}


class JobRequest(Message, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Client to server: create a project. Sending the same one twice has one effect."""

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
    app_source: str | None = None


class _ProjectId(msgspec.Struct):
    """The one field that a refusal needs from a request that cannot be read."""

    project_id: Annotated[str, msgspec.Meta(min_length=1)] = msgspec.field(name="jobID")


def project_id_of(envelope: Envelope) -> str:
    """The project that a request names, however wrong the rest of it is.

    Raises:
        ProtocolError: It names none, so that nothing can be said about it.
    """
    return decode_payload(envelope, _ProjectId).project_id


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


def request_from_params(project_id: str, params: ImageParams) -> JobRequest:
    """What our SDK sends for `params`; leaves out what the app left to the model's defaults."""
    flags: dict[str, Any] = {_FLAG_OF_ROLE[role]: True for role in params.assets}
    frame = KeyFrame(
        model_id=params.model,
        positive_prompt=params.prompt,
        negative_prompt=params.negative_prompt or None,
        style_prompt=params.style_prompt or None,
        steps=params.steps,
        guidance_scale=params.guidance,
        seed=params.seed,
        scheduler=params.sampler,
        time_step_spacing=params.scheduler,
        size_preset="custom" if params.width is not None else params.size_preset,
        width=params.width,
        height=params.height,
        strength=params.strength,
        **flags,
    )
    return JobRequest(
        project_id=project_id,
        key_frames=[frame],
        number_of_images=params.count,
        previews=params.previews,
        disable_safety=params.disable_safety,
        token_type=params.token_type,
        output_format=params.output_format,
        network=params.network,
    )


def params_from_request(request: JobRequest) -> ImageParams:
    """What a request asks for, with null, absent and default told apart no longer.

    Raises:
        InvalidRequest: A field that no catalogue can allow, such as an unknown file type.
    """
    frame = request.key_frames[0]
    roles = frame.assets()
    try:
        output_format = msgspec.convert(request.output_format or "png", ImageFormat)
    except msgspec.ValidationError:
        raise InvalidRequest(
            f"output format {str(request.output_format)[:64]!r} is unknown: use png, jpg or webp"
        ) from None
    custom = frame.size_preset in (None, "", "custom")
    count = _whole("numberOfImages", request.number_of_images)
    return ImageParams(
        model=frame.model_id,
        prompt=frame.positive_prompt or "",
        negative_prompt=frame.negative_prompt or "",
        style_prompt=frame.style_prompt or "",
        count=1 if count is None else count,
        steps=_whole("steps", frame.steps),
        guidance=frame.guidance_scale,
        seed=_whole("seed", frame.seed),
        width=_whole("width", frame.width) if custom else None,
        height=_whole("height", frame.height) if custom else None,
        size_preset=None if custom else frame.size_preset,
        assets=roles,
        # The template carries a strength even without a starting image; only the flag counts.
        strength=frame.strength if STARTING_IMAGE in roles else None,
        sampler=frame.comfy_sampler or frame.scheduler or None,
        scheduler=frame.comfy_scheduler or frame.time_step_spacing or None,
        loras=tuple(frame.loras or ()),
        control_nets=tuple(net.name for net in frame.current_control_nets_job or ()),
        previews=_whole("previews", request.previews) or 0,
        output_format=output_format,
        disable_safety=bool(request.disable_safety),
        network=request.network,
        token_type=request.token_type,
    )


def _whole(field: str, value: Whole) -> int | None:
    if not isinstance(value, float):
        return value
    if not value.is_integer():
        raise InvalidRequest(f"{field} {value} is no whole number")
    return int(value)
