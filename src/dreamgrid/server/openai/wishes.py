"""From a request in OpenAI's words to params in ours. Pure.

Nothing is silently left out: what this grid cannot do is refused, and says what to do instead.
"""

import math
import re
from typing import Any, TypeVar

import msgspec

from dreamgrid.errors import InvalidRequest
from dreamgrid.protocol.assets import CONTEXT_IMAGE
from dreamgrid.protocol.frame_counts import frames_in
from dreamgrid.protocol.openai import ImageEdit, ImageRequest, SpeechRequest, VideoRequest, Voice
from dreamgrid.protocol.params import (
    INPAINT,
    STARTING_IMAGE,
    AnyParams,
    AudioParams,
    ImageParams,
    OutputFormat,
    VideoParams,
)
from dreamgrid.server.catalog import Catalog, Model
from dreamgrid.server.catalog_entries import AudioTier, VideoTier

Params = TypeVar("Params", bound=AnyParams)

_SIZE = re.compile(r"([0-9]{1,5})[xX]([0-9]{1,5})")
_OWN_STEPS = (None, "auto", "standard", "medium")
_JPEG = "jpg"


def wrong(field: str, message: str) -> InvalidRequest:
    """The refusal of one field."""
    error = InvalidRequest(f"{field}: {message}")
    error.field = field
    return error


def image_params(request: ImageRequest) -> ImageParams:
    """The pictures that a request asks for.

    Raises:
        InvalidRequest: It asks for what no model of this grid does.
    """
    _refuse_spellings(request, {"count": "n", "previews": "partial_images", "assets": "a file"})
    for field, value, instead in (
        ("quality", request.quality not in _OWN_STEPS, "say how many `steps` to take"),
        (
            "background",
            request.background == "transparent",
            "the models here paint opaque pictures",
        ),
        ("moderation", request.moderation == "low", "the content filter is the grid's own"),
        ("style", request.style is not None, "say it in the prompt"),
        (
            "output_compression",
            request.output_compression not in (None, 100),
            "the worker that renders decides: leave it out",
        ),
        (
            "input_fidelity",
            isinstance(request, ImageEdit) and request.input_fidelity is not None,
            "say how much to change with `strength`, 0 to 1",
        ),
        (
            "response_format",
            bool(request.stream) and request.response_format == "url",
            "a stream carries the pictures themselves: leave it out",
        ),
        (
            "partial_images",
            bool(request.partial_images) and not request.stream,
            "previews are told on a stream: say `stream` as well",
        ),
    ):
        if value:
            raise wrong(field, f"this is not supported; {instead}")
    return _params(
        ImageParams,
        request,
        count=1 if request.n is None else request.n,
        output_format=_JPEG if request.output_format == "jpeg" else request.output_format,
        previews=request.partial_images or 0,
        **_size(request),
    )


def speech_params(request: SpeechRequest, catalog: Catalog) -> AudioParams:
    """The speech that a request asks for.

    Raises:
        InvalidRequest: Its model does not speak, or not like that.
        UnknownModel: There is no such model.
    """
    spellings = {"prompt": "input", "count": "a request each", "speaker": "voice"}
    spellings |= {
        "output_format": "response_format",
        "instruct": "instructions",
        "assets": "a file",
    }
    _refuse_spellings(request, spellings)
    tier = catalog.model(request.model).tier
    if not (isinstance(tier, AudioTier) and tier.chars_per_second is not None):
        raise wrong("model", f"{request.model} does not speak; GET /models says what models make")
    if request.speed not in (None, 1):
        raise wrong("speed", "this is not supported; the voices here have a speed of their own")
    if request.stream_format not in (None, "audio"):
        raise wrong("stream_format", "this is not supported; leave it out")
    voice = request.voice.id if isinstance(request.voice, Voice) else request.voice
    return _params(
        AudioParams,
        request,
        prompt=request.input,
        speaker=None if voice == "default" else voice,
        instruct=request.instructions,
        output_format=_sound(catalog.model(request.model), request.response_format),
    )


def video_params(request: VideoRequest, catalog: Catalog) -> VideoParams:
    """The video that a request asks for.

    Raises:
        InvalidRequest: Its model makes none, or none of that length.
        UnknownModel: There is no such model.
    """
    _refuse_spellings(request, {"count": "a request each", "assets": "input_reference"})
    tier = catalog.model(request.model).tier
    if not isinstance(tier, VideoTier):
        raise wrong("model", f"{request.model} makes no videos; GET /models says what models make")
    frames = request.frames
    if request.seconds is not None:
        if frames is not None:
            raise wrong("seconds", "give either seconds or frames, not both")
        fps = request.fps or (tier.fps.default if tier.fps is not None else None)
        frames = frames_in(
            request.seconds,
            "seconds",
            model=request.model,
            allowed=tier.frames,
            per_second=tier.motion_fps or fps,
        )
    return _params(VideoParams, request, frames=frames, **_size(request))


def edit_roles(model: Model, pictures: int, *, masked: bool) -> list[str]:
    """The roles that pictures to edit play for a model, in their order.

    Raises:
        InvalidRequest: It takes none, or not so many, or no mask.
    """
    inputs = model.spec.inputs
    if masked:
        if INPAINT not in model.spec.control_nets or STARTING_IMAGE not in inputs:
            raise wrong("mask", f"{model.id} cannot paint in a part of a picture: leave it out")
        if pictures != 1:
            raise wrong("image", "with a mask send one picture")
    if pictures == 1 and STARTING_IMAGE in inputs:
        return [STARTING_IMAGE]
    context = [role for role in inputs if role.startswith(CONTEXT_IMAGE)]
    if pictures > len(context):
        most = max(len(context), int(STARTING_IMAGE in inputs))
        raise wrong(
            "image", f"{model.id} takes {most or 'no'} pictures to edit, and got {pictures}"
        )
    return context[:pictures]


def nearest_preset(model: Model, width: int, height: int) -> str | None:
    """The model's named size whose shape is nearest to a picture's. None: it has no named sizes."""
    presets = model.spec.size_presets
    if not presets:
        return None
    wanted = math.log(width / height)
    return min(presets, key=lambda one: abs(math.log(one.width / one.height) - wanted)).id


def _sound(model: Model, asked: str | None) -> OutputFormat:
    """The file type of speech: mp3 unless it is said, as OpenAI has it."""
    formats = model.spec.formats
    for name in formats:
        if name == (asked or "mp3"):
            return name
    if asked is None:
        return formats[0]
    raise wrong("response_format", f"{model.id} makes {', '.join(formats)}, and no {asked[:32]!r}")


def _params(kind: type[Params], request: msgspec.Struct, **ours: Any) -> Params:
    """The part of a request that is our params, with what OpenAI's fields say."""
    fields = {name: getattr(request, name) for name in kind.__struct_fields__}
    return kind(**fields | ours)


def _refuse_spellings(request: msgspec.Struct, spellings: dict[str, str]) -> None:
    """Refuses our own names of what OpenAI's fields say already."""
    for field in msgspec.structs.fields(request):
        if field.name in spellings and getattr(request, field.name) != field.default:
            raise wrong(field.name, f"here this is said by {spellings[field.name]}")


def _size(request: ImageRequest | VideoRequest) -> dict[str, int | None]:
    """Width and height; also as our own settings, or by the name of a preset."""
    if request.size in (None, "auto"):
        return {"width": request.width, "height": request.height}
    if request.width is not None or request.height is not None or request.size_preset is not None:
        raise wrong("size", "give size, or width and height, or size_preset, but one of them only")
    found = _SIZE.fullmatch(request.size)
    if found is None:
        raise wrong("size", "this is WIDTHxHEIGHT in pixels, such as 512x512, or auto")
    return {"width": int(found[1]), "height": int(found[2])}
