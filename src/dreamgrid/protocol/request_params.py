"""From params to the `jobRequest` payload, and back. Pure.

A request does not say what kind of media it is for: that is a fact about its model, which the
reader gives. Source: `job-request.md` of the wire contract.
"""

import json
from typing import Any

import msgspec

from dreamgrid.errors import InvalidRequest
from dreamgrid.protocol.assets import CONTROL_NET_IMAGE, REFERENCE_AUDIO
from dreamgrid.protocol.job_request import (
    FLAG_OF_ROLE,
    ControlNetJob,
    JobRequest,
    KeyFrame,
    Whole,
)
from dreamgrid.protocol.params import (
    AUDIO_SETTINGS,
    OUTPUT_FORMATS,
    VIDEO_SETTINGS,
    AnyParams,
    AudioParams,
    ControlNet,
    ImageParams,
    Lora,
    Media,
    OutputFormat,
    VideoParams,
)

_CONTROL_MODES = ("balanced", "prompt_priority", "cn_priority")
"""The names of `controlMode` 0, 1 and 2."""

_CUSTOM = "custom"
"""The size preset of a request that gives width and height."""


# ── what our SDK sends ───────────────────────────────────────────────────────────────────────────


def request_from_params(
    project_id: str, params: AnyParams, *, comfy: bool = False, voice: bool = False
) -> JobRequest:
    """What our SDK sends for `params`; leaves out what the app left to the model's defaults.

    Args:
        project_id: Upper-case UUID.
        params: What to make.
        comfy: The model's samplers have Comfy's names, which travel in fields of their own.
        voice: The reference sound is a voice to copy.
    """
    frame: dict[str, Any] = {
        "model_id": params.model,
        "positive_prompt": params.prompt,
        "negative_prompt": params.negative_prompt or None,
        "style_prompt": params.style_prompt or None,
        "steps": params.steps,
        "guidance_scale": params.guidance,
        "seed": params.seed,
        "comfy_sampler" if comfy else "scheduler": params.sampler,
        "comfy_scheduler" if comfy else "time_step_spacing": params.scheduler,
        "loras": [lora.id for lora in params.loras] or None,
        "lora_strengths": [lora.strength for lora in params.loras] or None,
        "current_control_nets_job": _control_net_job(params),
    }
    frame |= {FLAG_OF_ROLE[role]: True for role in params.assets if role != CONTROL_NET_IMAGE}
    if voice:
        del frame[FLAG_OF_ROLE[REFERENCE_AUDIO]]
        frame["has_reference_audio_identity"] = True
    frame |= _own_fields(params)
    return JobRequest(
        project_id=project_id,
        key_frames=[KeyFrame(**frame)],
        number_of_images=params.count,
        previews=params.previews if isinstance(params, ImageParams) else 0,
        disable_safety=params.disable_safety,
        token_type=params.token_type,
        output_format=params.output_format,
        network=params.network,
        workers=list(params.workers) or None,
        preferred_workers=list(params.preferred_workers) or None,
        skip_workers=list(params.skip_workers) or None,
    )


def _own_fields(params: AnyParams) -> dict[str, Any]:
    """The fields of a key frame that only this kind of media has."""
    match params:
        case ImageParams():
            return _size_fields(params) | {"strength": params.strength, "vae": params.vae}
        case VideoParams():
            points = [{"x": x, "y": y} for x, y in params.points]
            return (
                _size_fields(params)
                | {name: getattr(params, name) for name in ("frames", "fps", *VIDEO_SETTINGS)}
                | {"points": json.dumps(points) if points else None}
                | {"keyframes": list(params.keyframes) or None}
            )
        case AudioParams():
            return {name: getattr(params, name) for name in ("lyrics", *AUDIO_SETTINGS)}


def _size_fields(params: ImageParams | VideoParams) -> dict[str, Any]:
    # Videos are asked for in pixels: the published clients name no preset for them.
    custom = _CUSTOM if isinstance(params, ImageParams) else None
    return {
        "size_preset": custom if params.width is not None else params.size_preset,
        "width": params.width,
        "height": params.height,
    }


def _control_net_job(params: AnyParams) -> list[ControlNetJob] | None:
    net = params.control_net
    if net is None:
        return None
    return [
        ControlNetJob(
            name=net.name,
            has_image=CONTROL_NET_IMAGE in params.assets,
            control_strength=net.strength,
            control_mode=None if net.mode is None else _CONTROL_MODES.index(net.mode),
            control_guidance_start=net.start,
            control_guidance_end=net.end,
            preprocess=net.preprocess or None,
        )
    ]


# ── what the server reads ────────────────────────────────────────────────────────────────────────


def params_from_request(request: JobRequest, media: Media) -> AnyParams:
    """What a request asks for, with null, absent and default told apart no longer.

    Args:
        request: The request.
        media: What its model makes.

    Raises:
        InvalidRequest: A field that no catalogue can allow, such as an unknown file type.
    """
    frame = request.key_frames[0]
    count = _whole("numberOfImages", request.number_of_images)
    fields: dict[str, Any] = {
        "model": frame.model_id,
        "prompt": frame.positive_prompt or "",
        "negative_prompt": frame.negative_prompt or "",
        "style_prompt": frame.style_prompt or "",
        "count": 1 if count is None else count,
        "steps": _whole("steps", frame.steps),
        "guidance": frame.guidance_scale,
        "seed": _whole("seed", frame.seed),
        "assets": frame.assets(),
        "sampler": frame.comfy_sampler or frame.scheduler or None,
        "scheduler": frame.comfy_scheduler or frame.time_step_spacing or None,
        "loras": _loras(frame),
        "control_net": _control_net(frame),
        "output_format": _output_format(request.output_format, media),
        "disable_safety": bool(request.disable_safety),
        "network": request.network,
        "workers": tuple(request.workers or ()),
        "preferred_workers": tuple(request.preferred_workers or ()),
        "skip_workers": tuple(request.skip_workers or ()),
        "token_type": request.token_type,
    }
    match media:
        case "image":
            return ImageParams(**fields, **_size(frame), **_image_fields(request, frame))
        case "video":
            return VideoParams(**fields, **_size(frame), **_video_fields(frame))
        case "audio":
            return AudioParams(**fields, **_audio_fields(frame))


def _image_fields(request: JobRequest, frame: KeyFrame) -> dict[str, Any]:
    return {
        # The template carries a strength even without a starting image; only the flag counts.
        "strength": frame.strength if frame.has_starting_image else None,
        "vae": frame.vae or None,
        "previews": _whole("previews", request.previews) or 0,
    }


def _video_fields(frame: KeyFrame) -> dict[str, Any]:
    fields: dict[str, Any] = {name: getattr(frame, name) for name in VIDEO_SETTINGS}
    fields["frames"] = _whole("frames", frame.frames)
    fields["fps"] = frame.fps
    fields["points"] = _points(frame.points)
    fields["keyframes"] = tuple(frame.keyframes or ())
    return fields


def _audio_fields(frame: KeyFrame) -> dict[str, Any]:
    fields: dict[str, Any] = {name: getattr(frame, name) for name in AUDIO_SETTINGS}
    if frame.time_signature is not None:
        fields["time_signature"] = str(frame.time_signature)
    fields["lyrics"] = frame.lyrics
    return fields


def _size(frame: KeyFrame) -> dict[str, Any]:
    custom = frame.size_preset in (None, "", _CUSTOM)
    return {
        "width": _whole("width", frame.width) if custom else None,
        "height": _whole("height", frame.height) if custom else None,
        "size_preset": None if custom else frame.size_preset,
    }


def _output_format(name: str | None, media: Media) -> OutputFormat | None:
    if not name:
        return None
    for known in OUTPUT_FORMATS[media]:
        if name == known:
            return known
    *most, last = OUTPUT_FORMATS[media]
    raise InvalidRequest(f"output format {name[:64]!r} is unknown: use {', '.join(most)} or {last}")


def _loras(frame: KeyFrame) -> tuple[Lora, ...]:
    names, strengths = frame.loras or [], frame.lora_strengths or []
    if len(strengths) > len(names):
        raise InvalidRequest(f"there are {len(strengths)} LoRA strengths for {len(names)} LoRAs")
    return tuple(
        Lora(id=name, strength=strengths[place]) if place < len(strengths) else Lora(id=name)
        for place, name in enumerate(names)
    )


def _control_net(frame: KeyFrame) -> ControlNet | None:
    nets = frame.current_control_nets_job or []
    if len(nets) > 1:
        raise InvalidRequest(f"{len(nets)} ControlNets were asked for: use one at a time")
    if not nets:
        return None
    net = nets[0]
    if net.control_mode is not None and not 0 <= net.control_mode < len(_CONTROL_MODES):
        raise InvalidRequest("controlMode is 0 (balanced), 1 (prompt first) or 2 (image first)")
    mode: Any = None if net.control_mode is None else _CONTROL_MODES[net.control_mode]
    return ControlNet(
        name=net.name,
        strength=net.control_strength,
        mode=mode,
        start=net.control_guidance_start,
        end=net.control_guidance_end,
        preprocess=bool(net.preprocess),
    )


class _Point(msgspec.Struct):
    x: float
    y: float


def _points(text: str | None) -> tuple[tuple[float, float], ...]:
    """The coordinates, which travel as JSON inside a JSON string."""
    if not text:
        return ()
    try:
        points = msgspec.json.decode(text, type=list[_Point])
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise InvalidRequest(f"sam2Coordinates is no list of points: {error}") from None
    return tuple((point.x, point.y) for point in points)


def _whole(field: str, value: Whole) -> int | None:
    if not isinstance(value, float):
        return value
    if not value.is_integer():
        raise InvalidRequest(f"{field} {value} is no whole number")
    return int(value)
