"""What the estimate endpoints are asked by: path segments and query parameters.

Source: `rest.md` 5 of the wire contract. Clients write numbers in their own ways: `true` for 1,
`20.0` for 20, `0.35000000000000003` for 0.35, and 0 for what they leave to the model.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from dreamgrid.protocol.assets import MAX_CONTEXT_IMAGES
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
        source_width: Pixels of the video that is changed.
        source_height: Pixels of the video that is changed.
        has_video_input: Whether a video goes in: 0 or 1.
        reference_image_count: How many pictures go in.
        reference_video_count: How many videos go in.
        reference_video_duration_seconds: How long they are together.
        keyframe_count: How many key frames are given.
        billing_mode: Ignored: everything is paid in tokens.
    """

    network: Network = "fast"
    source_width: Whole = 0
    source_height: Whole = 0
    has_video_input: bool = False
    reference_image_count: Whole = 0
    reference_video_count: Whole = 0
    reference_video_duration_seconds: Number = 0
    keyframe_count: Whole = 0
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


def template(kind: type[msgspec.Struct], segments: int) -> str:
    """The path of the first `segments` fields, each as a parameter."""
    return "/".join(f"{{{field.encode_name}}}" for field in msgspec.structs.fields(kind)[:segments])
