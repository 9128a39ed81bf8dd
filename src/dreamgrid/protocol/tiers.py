"""A model's tier: what its settings may be, as `models/tiers` serves it. Facts, never code.

This is how a client reads them: whatever is missing is not limited, and whatever is new is ignored.
Older image models name their sampler in `sampler` and `scheduler`, newer ones in `comfySampler` and
`comfyScheduler`. Source: `job-request.md` section 9 of the wire contract.
"""

import msgspec

from dreamgrid.protocol.rest import NumberRange, StringChoice


class NumberFrom(msgspec.Struct, frozen=True, kw_only=True):
    """A setting with a lower end only."""

    min: float
    default: float


class NumberChoice(msgspec.Struct, frozen=True, kw_only=True):
    """Allowed numbers of one setting that are not a range."""

    allowed: tuple[float, ...]
    default: float


class Switch(msgspec.Struct, frozen=True, kw_only=True):
    """A setting that is on or off."""

    default: bool


class Text(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A free text; `max_length` in characters."""

    max_length: int
    required: bool = False


AnyLimit = NumberRange | NumberFrom | NumberChoice | StringChoice | Switch | Text
"""What can be said about one setting."""


class Tier(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What all kinds of media have in common. What is None may be anything the server accepts."""

    type: str | None = None
    steps: NumberRange | None = None
    guidance: NumberRange | None = None
    sampler: StringChoice | None = None
    scheduler: StringChoice | None = None
    comfy_sampler: StringChoice | None = None
    comfy_scheduler: StringChoice | None = None


class ImageTier(Tier, frozen=True, kw_only=True, rename="camel"):
    """The tier of an image model."""

    width: NumberRange | None = None
    height: NumberRange | None = None
    strength: NumberRange | None = None
    vae: StringChoice | None = None


class VideoTier(Tier, frozen=True, kw_only=True, rename="camel"):
    """The tier of a video model; sizes in pixels, times in seconds.

    `frames` may be `min`, `min + step`, and so on. They count `motion_fps` frames of a second
    where that differs from `fps`: the frames between are made up after rendering.
    """

    width: NumberRange | None = None
    height: NumberRange | None = None
    max_pixels: int | None = None
    fps: NumberChoice | None = None
    motion_fps: float | None = None
    frames: NumberRange | None = None
    shift: NumberRange | None = None
    teacache_threshold: NumberRange | None = None
    identity_guidance: NumberRange | None = msgspec.field(
        default=None, name="identityGuidanceScale"
    )
    detailer_strength: NumberRange | None = None
    outpaint_position: StringChoice | None = None
    first_frame_strength: NumberRange | None = None
    last_frame_strength: NumberRange | None = None
    audio_start_s: NumberFrom | None = msgspec.field(default=None, name="audioStart")
    audio_duration_s: NumberFrom | None = msgspec.field(default=None, name="audioDuration")
    video_start_s: NumberFrom | None = msgspec.field(default=None, name="videoStart")
    upscale_resolution: NumberChoice | None = None
    detail_preference: StringChoice | None = None
    processing_speed: StringChoice | None = None
    trim_end_frame: Switch | None = None
    generate_audio: Switch | None = None


class AudioTier(Tier, frozen=True, kw_only=True, rename="camel"):
    """The tier of a music or speech model.

    With `chars_per_second`, a duration that nobody asks for follows from the text.
    """

    duration_s: NumberRange | None = msgspec.field(default=None, name="duration")
    chars_per_second: float | None = None
    bpm: NumberRange | None = None
    time_signature: StringChoice | None = msgspec.field(default=None, name="timesignature")
    language: StringChoice | None = None
    key_scale: StringChoice | None = msgspec.field(default=None, name="keyscale")
    composer_mode: Switch | None = None
    prompt_strength: NumberRange | None = None
    creativity: NumberRange | None = None
    shift: NumberRange | None = None
    speaker: StringChoice | None = None
    instruct: Text | None = None
    reference_text: Text | None = None
