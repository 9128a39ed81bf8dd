"""What the estimate endpoints are asked by, in path and query, and what they answer.

Source: `rest.md` 5 of the wire contract. Clients write numbers in their own ways: `true` for 1,
`20.0` for 20, `0.35000000000000003` for 0.35, and 0 for what they leave to the model.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from dreamgrid.protocol.assets import (
    MAX_CONTEXT_IMAGES,
    MAX_KEYFRAME_IMAGES,
    MAX_REFERENCES,
)
from dreamgrid.protocol.params import Network, TokenType

Whole = Annotated[int, Meta(ge=0, le=1_000_000)]
Number = Annotated[float, Meta(ge=0, le=1_000_000)]
Share = Annotated[float, Meta(ge=0, le=1)]


class ImageEstimatePath(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which pictures.

    Attributes:
        token_type: The currency of `costInToken`.
        network: Where they are to be rendered.
        model: Catalogue id of the model.
        image_count: How many pictures.
        step_count: Steps of each. 0: the model's default.
        preview_count: Previews of each.
        cn_enabled: Whether a ControlNet picture steers them: 0 or 1.
        denoise: With a starting image: how much to change it. 0: there is none.
        width: Pixels. 0: the model's default.
        height: Pixels. 0: the model's default.
        guidance: Strength of the prompt. 0: the model's default.
        sampler: Name of the sampler. `_`: the model's default.
        context_images: How many context images.
    """

    token_type: TokenType
    network: Network
    model: str
    image_count: Whole
    step_count: Whole
    preview_count: Whole
    cn_enabled: bool
    denoise: Share
    width: Whole = 0
    height: Whole = 0
    guidance: Number = 0
    sampler: str = "_"
    context_images: Annotated[int, Meta(ge=0, le=MAX_CONTEXT_IMAGES)] = 0


class EstimateQuery(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What clients add, and what changes no price here.

    Attributes:
        output_format: Ignored: no file type costs more than another.
        billing_mode: Ignored: everything is paid in tokens.
    """

    output_format: str | None = None
    billing_mode: str | None = None


class VideoEstimatePath(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which videos.

    Attributes:
        token_type: The currency of `costInToken`.
        model: Catalogue id of the model.
        width: Pixels. 0: the model's default.
        height: Pixels. 0: the model's default.
        frames: Frames of each. 0: the model's default.
        fps: Frames in a second. 0: the model's default.
        steps: Steps of each. 0: the model's default.
        number_of_media: How many videos.
    """

    token_type: TokenType
    model: str
    width: Whole
    height: Whole
    frames: Whole
    fps: Number
    steps: Whole = 0
    number_of_media: Whole = 1


class VideoEstimateQuery(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What goes into the videos.

    Attributes:
        network: Where they are to be rendered.
        source_width: Ignored: the size of the result counts.
        source_height: Ignored: the size of the result counts.
        has_video_input: Whether a video goes in: 0 or 1.
        reference_image_count: How many pictures go in, key frames left out.
        reference_video_count: How many videos go in.
        reference_video_duration_seconds: Ignored: each counts the same.
        keyframe_count: How many key frames are given.
        billing_mode: Ignored: everything is paid in tokens.
    """

    network: Network = "fast"
    source_width: Whole = 0
    source_height: Whole = 0
    has_video_input: bool = False
    reference_image_count: Annotated[int, Meta(ge=0, le=MAX_CONTEXT_IMAGES)] = 0
    reference_video_count: Annotated[int, Meta(ge=0, le=MAX_REFERENCES)] = 0
    reference_video_duration_seconds: Number = 0
    keyframe_count: Annotated[int, Meta(ge=0, le=MAX_KEYFRAME_IMAGES)] = 0
    billing_mode: str | None = None


class AudioEstimatePath(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which music or speech.

    Attributes:
        token_type: The currency of `costInToken`.
        model: Catalogue id of the model.
        duration: Seconds of each. 0: the model's default.
        steps: Steps of each. 0: the model's default.
        number_of_media: How many pieces.
    """

    token_type: TokenType
    model: str
    duration: Number
    steps: Whole
    number_of_media: Whole


class AudioEstimateQuery(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where it is rendered, and what changes no price here.

    Attributes:
        network: Where it is to be rendered.
        billing_mode: Ignored: everything is paid in tokens.
    """

    network: Network = "fast"
    billing_mode: str | None = None


# ── answers ──────────────────────────────────────────────────────────────────────────────────────


class Cost(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A price in every unit; decimal strings. `cost_in_token` is in the requested currency."""

    cost_in_render_sec: str
    cost_in_usd: str = msgspec.field(name="costInUSD")
    cost_in_token: str
    cost_in_spark: str
    cost_in_sogni: str
    calculated_step_count: int


class EstimatedRequest(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True
):
    """What was asked for, with what the model does by default filled in.

    Attributes:
        model: Catalogue id of the model.
        name: What people call it.
        image_count: How many jobs, whatever they make.
        step_count: Steps of each.
        preview_count: Previews of each.
        cn_enabled: Whether a ControlNet picture steers them.
        denoise_strength: How much of a starting image is changed; `0` without one.
        time: When it was asked, ISO 8601.
        width: Pixels.
        height: Pixels.
        frames: Frames of a video.
        fps: Frames in a second of it.
        duration: Seconds of sound.
    """

    model: str
    name: str
    image_count: int
    step_count: int
    preview_count: int
    cn_enabled: bool
    denoise_strength: str
    time: str
    width: int | None = None
    height: int | None = None
    frames: int | None = None
    fps: float | None = None
    duration: float | None = None


class Rate(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What render time costs; decimal strings.

    Attributes:
        base_render_usd: The base render, which prices are thought in.
        token_usd: One token of the requested currency.
        render_s_usd: One second of rendering.
        render_s_token: The same in the requested currency.
        network: Where it is to be rendered.
        network_multiplier: What prices of that network are multiplied by.
    """

    base_render_usd: str = msgspec.field(name="costPerBaseHQRenderInUSD")
    token_usd: str = msgspec.field(name="tokenMarkePriceUSD")  # the original's spelling
    render_s_usd: str = msgspec.field(name="costPerRenderSecUSD")
    render_s_token: str = msgspec.field(name="costPerRenderSecToken")
    network: Network
    network_multiplier: str = msgspec.field(name="networkCostMultiplier")


class ModelCost(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Render seconds of the model's default render, by what they go into; decimal strings."""

    weight: str = "1"
    sec_per_step: str
    sec_per_preview: str
    sec_for_cn: str = msgspec.field(name="secForCN")


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """What one job and the whole project cost."""

    model: ModelCost
    job: Cost
    project: Cost


class Estimate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Answer of the estimate endpoints.

    Attributes:
        valid_s: For so many seconds the same request costs no more than this, whatever happens to
            the catalogue. None: the server does not say.
    """

    request: EstimatedRequest
    rate: Rate
    quote: Quote
    valid_s: int | None = msgspec.field(default=None, name="validSeconds")


def template(kind: type[msgspec.Struct], segments: int) -> str:
    """The path of the first `segments` fields, each as a parameter."""
    return "/".join(f"{{{field.encode_name}}}" for field in msgspec.structs.fields(kind)[:segments])
