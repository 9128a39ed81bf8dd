"""What a catalogue file holds, as typed structs; unknown keys are refused, so no typo can hide.

Tiers go out to clients exactly as they stand in the file (`job-request.md` 9 of the wire contract):
a field that the file leaves out is left out on the wire, and whole numbers stay whole.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, field

from dreamgrid.protocol.params import NETWORKS, OUTPUT_FORMATS, Network, OutputFormat

Number = int | float
ModelMedia = Literal["image", "video", "audio", "model"]

ModelId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
"""Model ids are parts of URL paths that the clients do not percent-encode."""

Pixels = Annotated[int, Meta(ge=1, le=16384)]
Seconds = Annotated[int, Meta(ge=0, le=86400)] | Annotated[float, Meta(ge=0, le=86400)]
CharsPerSecond = Annotated[int, Meta(gt=0)] | Annotated[float, Meta(gt=0)]
Usd = Annotated[int, Meta(ge=0, le=1000)] | Annotated[float, Meta(ge=0, le=1000)]


class _Entry(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename="camel",
    omit_defaults=True,
):
    """Base of everything in a catalogue file."""


# ── building blocks of tiers ─────────────────────────────────────────────────────────────────────


class NumberRange(_Entry, frozen=True, kw_only=True):
    """Allowed numbers of one setting, ends included.

    Clients step by `10 ** -decimals`, else by `step`, else by 1.
    """

    min: Number
    max: Number
    default: Number
    decimals: int | None = None
    step: Number | None = None


class NumberFrom(_Entry, frozen=True, kw_only=True):
    """A setting with a lower end only."""

    min: Number
    default: Number


class StringChoice(_Entry, frozen=True, kw_only=True):
    """Allowed names of one setting."""

    allowed: Annotated[tuple[str, ...], Meta(min_length=1)]
    default: str


class NumberChoice(_Entry, frozen=True, kw_only=True):
    """Allowed numbers of one setting that are not a range."""

    allowed: Annotated[tuple[Number, ...], Meta(min_length=1)]
    default: Number


class Switch(_Entry, frozen=True, kw_only=True):
    """A setting that is on or off."""

    default: bool


class Text(_Entry, frozen=True, kw_only=True):
    """A free text; `max_length` in characters."""

    max_length: int
    required: bool | None = None


class Benchmark(_Entry, frozen=True, kw_only=True):
    """Render seconds that prices are made of; clients ignore them.

    `sec` is one render with the tier's default steps at the model's default size, `sec_cn` what a
    ControlNet image adds, `sec_max_previews` what all previews together add. `sec_context1..3`
    stand in for `sec` when the render has that many context images. `sec_reference_image` and
    `sec_reference_video` are what each picture and each video adds that a video is made from; what
    a model cannot do without is in `sec` already.
    """

    sec: Seconds
    sec_cn: Seconds | None = field(default=None, name="secCN")
    sec_max_previews: Seconds | None = None
    sec_context1: Seconds | None = None
    sec_context2: Seconds | None = None
    sec_context3: Seconds | None = None
    sec_reference_image: Seconds | None = None
    sec_reference_video: Seconds | None = None


# ── tiers ────────────────────────────────────────────────────────────────────────────────────────


class _Tier(_Entry, frozen=True, kw_only=True):
    """What all tiers share. `max_run_s`: longest time of one render, loading the model included."""

    benchmark: Benchmark
    max_run_s: Annotated[float, Meta(gt=0, le=7 * 86400)] | None = field(
        default=None, name="maxRunSeconds"
    )
    nickname: str | None = None
    guidance: NumberRange | None = None
    model_fee_usd: Usd | None = field(default=None, name="modelFeeUSD")


class LegacyImageTier(_Tier, frozen=True, kw_only=True):
    """An image tier without a `type` key: clients tell it by that."""

    steps: NumberRange
    sampler: StringChoice
    scheduler: StringChoice


class _ComfyTier(_Tier, frozen=True, kw_only=True, tag_field="type"):
    """A tier whose clients speak of samplers in Comfy's names."""

    comfy_sampler: StringChoice | None = None
    comfy_scheduler: StringChoice | None = None


class ComfyImageTier(_ComfyTier, frozen=True, kw_only=True, tag="image"):
    """An image tier."""

    steps: NumberRange
    vae: StringChoice | None = None
    default_size: int | None = None


class VideoTier(_ComfyTier, frozen=True, kw_only=True, tag="video"):
    """A video tier; sizes in pixels, times in seconds.

    `frames` may be `min`, `min + step`, and so on. They count `motion_fps` frames of a second
    where that differs from `fps`: the frames between are made up after rendering.
    """

    width: NumberRange
    height: NumberRange
    steps: NumberRange | None = None
    shift: NumberRange | None = None
    max_pixels: int | None = None
    fps: NumberChoice | None = None
    motion_fps: Number | None = None
    frames: NumberRange | None = None
    teacache_threshold: NumberRange | None = None
    identity_guidance: NumberRange | None = field(default=None, name="identityGuidanceScale")
    detailer_strength: NumberRange | None = None
    outpaint_position: StringChoice | None = None
    upscale_resolution: NumberChoice | None = None
    detail_preference: StringChoice | None = None
    processing_speed: StringChoice | None = None
    first_frame_strength: NumberRange | None = None
    last_frame_strength: NumberRange | None = None
    audio_start_s: NumberFrom | None = field(default=None, name="audioStart")
    audio_duration_s: NumberFrom | None = field(default=None, name="audioDuration")
    video_start_s: NumberFrom | None = field(default=None, name="videoStart")
    trim_end_frame: Switch | None = None
    generate_audio: Switch | None = None
    task: str | None = None
    output_resolutions: tuple[Any, ...] | None = None
    preserves_source_timing: bool | None = None
    requires_reference_video: bool | None = None


class AudioTier(_ComfyTier, frozen=True, kw_only=True, tag="audio"):
    """A music or speech tier; `duration` in seconds. Old clients crash without steps, duration.

    With `chars_per_second`, a duration that nobody asks for follows from the text.
    """

    steps: NumberRange
    duration_s: NumberRange = field(name="duration")
    chars_per_second: CharsPerSecond | None = None
    shift: NumberRange | None = None
    bpm: NumberRange | None = None
    time_signature: StringChoice | None = field(default=None, name="timesignature")
    language: StringChoice | None = None
    key_scale: StringChoice | None = field(default=None, name="keyscale")
    composer_mode: Switch | None = None
    prompt_strength: NumberRange | None = None
    creativity: NumberRange | None = None
    speaker: StringChoice | None = None
    instruct: Text | None = None
    reference_text: Text | None = None
    accept_input_audio: bool | None = None
    requires_reference_audio: bool | None = None


ImageTier = LegacyImageTier | ComfyImageTier
Tier = LegacyImageTier | ComfyImageTier | VideoTier | AudioTier


class _TierKind(msgspec.Struct):
    type: str | None = None


def decode_tier(raw: bytes | msgspec.Raw) -> Tier:
    """A tier of any kind; without a `type` it is a legacy image tier.

    Raises:
        msgspec.ValidationError: It does not have the shape of its kind.
    """
    if msgspec.json.decode(raw, type=_TierKind).type is None:
        return msgspec.json.decode(raw, type=LegacyImageTier)
    return msgspec.json.decode(raw, type=ComfyImageTier | VideoTier | AudioTier)


# ── models ───────────────────────────────────────────────────────────────────────────────────────


class SizeLimits(_Entry, frozen=True, kw_only=True):
    """Sizes that a model makes, in pixels: both sides from `min` to `max`, multiples of `step`.

    `width` and `height` are the default size.
    """

    width: Pixels
    height: Pixels
    min: Pixels
    max: Pixels
    step: Pixels = 1
    max_pixels: Annotated[int, Meta(ge=1)]


class Preset(_Entry, frozen=True, kw_only=True):
    """A named size, as clients see it."""

    label: str
    id: Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,64}$")]
    width: Pixels
    height: Pixels
    ratio: Annotated[str, Meta(pattern=r"^\d+:\d+$")]
    aspect: Annotated[str, Meta(pattern=r"^\d+(\.\d+)?$")]


ChosenSetting = Literal["bpm", "timesignature", "keyscale"]
"""What a model may choose by itself, spelled as in its tier."""


class ModelSpec(_Entry, frozen=True, kw_only=True):
    """One model.

    Attributes:
        id: What requests name it by.
        name: What people read.
        sid: A short number; clients name models by it in the status endpoint.
        tier: Id of the tier that limits its settings.
        media: What it makes.
        networks: Pools whose workers may serve it.
        inputs: Asset roles that it takes.
        required_inputs: Those of them that must be there.
        any_inputs: Those of them of which at least one must be there.
        control_nets: Names of the ControlNets that it can be steered by.
        prompt_required: A blank prompt is refused.
        max_prompt_chars: Longest prompt that it takes. None: the server's limit counts.
        negative_prompt: It looks at the negative prompt; else that is dropped.
        chooses: Settings of its tier that it chooses itself when a request leaves them open; the
            tier's defaults are then what clients begin with.
        strength: It looks at the strength of a starting image; else the image is always fully used.
        enhances: It is made for `enhance()`: pictures in, finer ones out.
        served_as: It is another model under a second id: workers that offer that one render it.
        max_previews: Most previews it can give in one render.
        output_formats: File types of its results, the default one first. Empty: all that its
            media has.
        size: Sizes that it makes; every image model has them.
        size_presets: Sizes offered by name.
    """

    id: ModelId
    name: Annotated[str, Meta(min_length=1, max_length=100)]
    sid: Annotated[int, Meta(ge=1, le=2**31)] = field(name="SID")
    tier: str
    media: ModelMedia
    networks: Annotated[tuple[Network, ...], Meta(min_length=1)] = NETWORKS
    inputs: tuple[str, ...] = ()
    required_inputs: tuple[str, ...] = ()
    any_inputs: tuple[str, ...] = ()
    control_nets: tuple[str, ...] = ()
    prompt_required: bool = True
    max_prompt_chars: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    negative_prompt: bool = True
    chooses: tuple[ChosenSetting, ...] = ()
    strength: bool = True
    enhances: bool = False
    served_as: ModelId | None = None
    max_previews: Annotated[int, Meta(ge=0, le=100)] = 0
    output_formats: tuple[OutputFormat, ...] = ()
    size: SizeLimits | None = None
    size_presets: tuple[Preset, ...] = ()

    @property
    def formats(self) -> tuple[OutputFormat, ...]:
        """File types of its results, the default one first."""
        if self.output_formats or self.media == "model":
            return self.output_formats
        return OUTPUT_FORMATS[self.media]


# ── LoRAs ────────────────────────────────────────────────────────────────────────────────────────


class LoraRange(_Entry, frozen=True, kw_only=True):
    """Strengths of a LoRA, and how to show them."""

    min: Number = -100
    max: Number = 100
    default: Number = 1
    step: Number = 0.1
    recommended_min: Number | None = None
    recommended_max: Number | None = None
    range_labels: dict[str, str] | None = None
    category: str = "style"
    nsfw: bool = False
    sexual: bool = False
    creator: str | None = None
    source_url: str | None = None


class LoraSpec(_Entry, frozen=True, kw_only=True):
    """A LoRA that some models can be bent with.

    Attributes:
        id: What requests name it by.
        slug: A short name for addresses.
        name: What people read.
        description: What it does.
        related: Ids of LoRAs that go well with it.
        models: Ids of the models that take it.
        ui: Its strengths.
    """

    id: ModelId = field(name="loraId")
    slug: str = ""
    name: str
    description: str = ""
    related: tuple[str, ...] = field(default=(), name="relatedLoraIds")
    models: Annotated[tuple[str, ...], Meta(min_length=1)] = field(name="modelIds")
    ui: LoraRange = LoraRange()


# ── files ────────────────────────────────────────────────────────────────────────────────────────


class CatalogFile(_Entry, frozen=True, kw_only=True):
    """A whole file. Tiers stay undecoded until their kind is known.

    Attributes:
        models: Models to add or to replace.
        tiers: Tiers to add or to replace, by id.
        loras: LoRAs to add or to replace.
        hidden: Ids or patterns, such as `wan_*`, of models of earlier files to leave out.
    """

    models: tuple[ModelSpec, ...] = ()
    tiers: dict[str, msgspec.Raw] = {}
    loras: tuple[LoraSpec, ...] = ()
    hidden: tuple[str, ...] = ()
