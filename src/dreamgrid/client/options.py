"""What the settings of a model may be, typed by what it makes. All is the server's word."""

from dataclasses import dataclass, fields
from typing import Any

import msgspec

from dreamgrid.errors import ProtocolError
from dreamgrid.protocol.model_names import motion_fps_of
from dreamgrid.protocol.rest import ModelEntry, NumberRange, StringChoice
from dreamgrid.protocol.tiers import (
    AudioTier,
    ImageTier,
    NumberChoice,
    NumberFrom,
    Switch,
    Text,
    VideoTier,
)


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """What the settings of one model may be. None: the catalogue sets no limit.

    Ranges have `min`, `max` and `default`, choices `allowed` and `default`. `ImageOptions`,
    `VideoOptions` and `AudioOptions` add what only that kind of media has.

    Attributes:
        model: The model's catalogue id.
        media: `image`, `video` or `audio`.
        inputs: Asset roles that it takes. None: the server does not say.
        output_formats: File types that it makes, the default one first. Empty: not said.
        steps: Denoising steps.
        guidance: Strength of the prompt.
        sampler: Names of samplers.
        scheduler: Names of noise schedules.
    """

    model: str
    media: str
    inputs: tuple[str, ...] | None = None
    output_formats: tuple[str, ...] = ()
    steps: NumberRange | None = None
    guidance: NumberRange | None = None
    sampler: StringChoice | None = None
    scheduler: StringChoice | None = None


@dataclass(frozen=True, kw_only=True)
class ImageOptions(ModelOptions):
    """What the settings of a model that makes pictures may be; see `ModelOptions`."""

    width: NumberRange | None = None
    height: NumberRange | None = None
    max_pixels: int | None = None
    strength: NumberRange | None = None
    vae: StringChoice | None = None


@dataclass(frozen=True, kw_only=True)
class VideoOptions(ModelOptions):
    """What the settings of a model that makes videos may be; see `ModelOptions`.

    Attributes:
        frames: How many frames; `min`, `min + step`, and so on.
        fps: Frames per second of the file.
        motion_fps: Frames of motion in a second: what `frames` counts. None: those of the file.
    """

    width: NumberRange | None = None
    height: NumberRange | None = None
    max_pixels: int | None = None
    frames: NumberRange | None = None
    fps: NumberChoice | None = None
    motion_fps: float | None = None
    shift: NumberRange | None = None
    teacache_threshold: NumberRange | None = None
    identity_guidance: NumberRange | None = None
    detailer_strength: NumberRange | None = None
    outpaint_position: StringChoice | None = None
    first_frame_strength: NumberRange | None = None
    last_frame_strength: NumberRange | None = None
    audio_start_s: NumberFrom | None = None
    audio_duration_s: NumberFrom | None = None
    video_start_s: NumberFrom | None = None
    upscale_resolution: NumberChoice | None = None
    detail_preference: StringChoice | None = None
    processing_speed: StringChoice | None = None
    trim_end_frame: Switch | None = None
    generate_audio: Switch | None = None


@dataclass(frozen=True, kw_only=True)
class AudioOptions(ModelOptions):
    """What the settings of a model that makes music or speech may be; see `ModelOptions`.

    Attributes:
        chars_per_second: How fast it reads; a duration that is not given follows from the text.
            None: it has a default.
    """

    duration_s: NumberRange | None = None
    chars_per_second: float | None = None
    bpm: NumberRange | None = None
    time_signature: StringChoice | None = None
    language: StringChoice | None = None
    key_scale: StringChoice | None = None
    composer_mode: Switch | None = None
    prompt_strength: NumberRange | None = None
    creativity: NumberRange | None = None
    shift: NumberRange | None = None
    speaker: StringChoice | None = None
    instruct: Text | None = None
    reference_text: Text | None = None


def options_of(entry: ModelEntry, raw: bytes | msgspec.Raw) -> tuple[ModelOptions, bool]:
    """The limits of a model, and whether its samplers have Comfy's names.

    Args:
        entry: The model.
        raw: Its tier, as served.

    Raises:
        ProtocolError: The tier is not what it should be.
    """
    kinds: dict[str, tuple[type[ModelOptions], Any]] = {
        "video": (VideoOptions, VideoTier),
        "audio": (AudioOptions, AudioTier),
    }
    kind, shape = kinds.get(entry.media, (ImageOptions, ImageTier))
    try:
        tier = msgspec.json.decode(raw, type=shape)
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"the catalogue's tier '{entry.tier}' is odd: {error}") from None
    names = {one.name for one in fields(kind)}
    found = {name: value for name, value in msgspec.structs.asdict(tier).items() if name in names}
    found["sampler"] = tier.comfy_sampler or tier.sampler
    found["scheduler"] = tier.comfy_scheduler or tier.scheduler
    # A server that lists inputs says everything; of others the ids are all that there is.
    if kind is VideoOptions and tier.motion_fps is None and entry.inputs is None:
        found["motion_fps"] = motion_fps_of(entry.id)
    if kind is ImageOptions and entry.size is not None:
        found |= _sides(entry)
    options = kind(
        model=entry.id,
        media=entry.media,
        inputs=entry.inputs,
        output_formats=entry.output_formats,
        **found,
    )
    return options, tier.type is not None


def _sides(entry: ModelEntry) -> dict[str, Any]:
    size = entry.size
    assert size is not None
    sides = {
        name: NumberRange(min=size.min, max=size.max, default=default, step=size.step)
        for name, default in (("width", size.width), ("height", size.height))
    }
    return sides | {"max_pixels": size.max_pixels}
