"""The words of the OpenAI API: what its clients send, and how they read answers and errors.

A request may carry our own settings beside OpenAI's, under our own names: each request is our
params and more. Source: the types of the published `openai` package. Pure, no I/O.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from dreamgrid import errors
from dreamgrid.protocol.params import AudioParams, ImageParams, VideoParams

PATH = "/openai/v1"
"""Where the API begins; the base address of a client."""

OpenAIImageFormat = Literal["png", "jpeg", "webp"]
Background = Literal["auto", "opaque", "transparent"]
PictureAnswer = Literal["b64_json", "url"]

MAX_PARTIAL_IMAGES = 3

# ── errors ───────────────────────────────────────────────────────────────────────────────────────


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong.

    Attributes:
        message: What happened, and what to do.
        type: Which kind of error, in OpenAI's words.
        param: The field that is wrong. Null: no single one is, or only the message tells.
        code: A word for programs.
    """

    message: Annotated[str, Meta(extra_json_schema={"minLength": 1})]
    type: str
    param: str | None = None
    code: str | None = None


class ErrorAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The one shape of an error."""

    error: Trouble


_INVALID, _SERVER = "invalid_request_error", "server_error"

# Most specific first: the first class that an error is an instance of decides.
_KINDS: tuple[tuple[type[errors.DreamgridError], str, str | None], ...] = (
    (errors.UnknownModel, _INVALID, "model_not_found"),
    (errors.DuplicateProject, _INVALID, "duplicate_request"),
    (errors.UnreadableMedia, _INVALID, "invalid_image_file"),
    (errors.InvalidRequest, _INVALID, "invalid_value"),
    (errors.ModelNotServed, _SERVER, "model_not_served"),
    (errors.InsufficientFunds, "insufficient_quota", "insufficient_quota"),
    (errors.NotAllowed, "permission_error", "not_allowed"),
    (errors.NotFound, _INVALID, "not_found"),
    (errors.AuthenticationFailed, _INVALID, "invalid_api_key"),
    (errors.TooManyRequests, "rate_limit_error", "rate_limit_exceeded"),
    (errors.ServerUnavailable, _SERVER, "server_unavailable"),
    (errors.RenderRefused, _INVALID, "content_policy_violation"),
    (errors.ProjectCanceled, _SERVER, "canceled"),
    (errors.ProjectFailed, _SERVER, "render_failed"),
)


def trouble_of(error: errors.DreamgridError) -> Trouble:
    """An error in OpenAI's words."""
    for kind, name, code in _KINDS:
        if isinstance(error, kind):
            field = error.field if isinstance(error, errors.InvalidRequest) else None
            if kind is errors.UnknownModel:
                field = "model"
            return Trouble(message=str(error), type=name, param=field, code=code)
    return Trouble(message=str(error), type=_SERVER)


def trouble_without_class(http_status: int, message: str) -> Trouble:
    """A refusal that only HTTP knows, such as a body that is too long."""
    return Trouble(message=message, type=_INVALID if http_status < 500 else _SERVER)


def worth_repeating(http_status: int) -> bool:
    """Whether sending a failed request again unchanged can help.

    A conflict stays one, and a render that failed has been tried several times already.
    """
    return http_status in (408, 429, 503)


# ── models ───────────────────────────────────────────────────────────────────────────────────────


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A model of the catalogue.

    Attributes:
        id: What requests name it by.
        object: Always `model`.
        created: Always 0: the catalogue does not say.
        owned_by: Always `dreamgrid`.
        name: What people read.
        media: What it makes.
        workers: How many workers serve it now.
    """

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "dreamgrid"
    name: str
    media: str
    workers: int


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    """All models, those first that workers serve now."""

    object: Literal["list"] = "list"
    data: tuple[Model, ...]


class ModelPath(msgspec.Struct, frozen=True, kw_only=True):
    """A model by its id."""

    model: str


# ── images ───────────────────────────────────────────────────────────────────────────────────────


class ImageRequest(ImageParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pictures from a prompt. All fields of this grid's own `ImageParams` may be there as well.

    Attributes:
        n: How many pictures. Null: 1.
        size: `WIDTHxHEIGHT` in pixels. Null, `auto`: the model's own size.
        output_format: File type. Null: the model's first, which is PNG nearly everywhere.
        response_format: The pictures themselves, as base64, or links to them.
        quality: `auto`, `standard` and `medium` are the model's own steps; for others use `steps`.
        background: `transparent` is refused.
        moderation: `auto` is the grid's content filter; `low` is refused.
        output_compression: Refused below 100: the worker's engine decides.
        style: Refused: say it in the prompt.
        stream: Answer with server-sent events.
        partial_images: With `stream`: most previews of each picture, 0 to 3.
        user: Kept with the project as its `appSource`.
        safety_identifier: The same, and wins.
    """

    prompt: str
    n: int | None = None
    size: str | None = None
    output_format: OpenAIImageFormat | None = None  # type: ignore[assignment]
    response_format: PictureAnswer | None = None
    quality: str | None = None
    background: Background | None = None
    moderation: Literal["auto", "low"] | None = None
    output_compression: int | None = None
    style: str | None = None
    stream: bool | None = None
    partial_images: Annotated[int, Meta(ge=0, le=MAX_PARTIAL_IMAGES)] | None = None
    user: str | None = None
    safety_identifier: str | None = None


class ImageEdit(ImageRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pictures from pictures: the fields of a form, beside its files `image` and `mask`.

    Attributes:
        input_fidelity: Refused: use `strength`.
    """

    input_fidelity: str | None = None


class Picture(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One result.

    Attributes:
        b64_json: The file as base64.
        url: A link to it.
        seed: What it was made with.
    """

    b64_json: str | None = None
    url: str | None = None
    seed: int


class ImageAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Pictures that were made.

    Attributes:
        created: When, in seconds since 1970.
        data: Those that were delivered; fewer than asked for where some renders failed.
        output_format: File type.
        size: Width and height.
        background: Always `opaque`.
        project: The project that made them, for all other endpoints of this grid.
    """

    created: int
    data: tuple[Picture, ...]
    output_format: str
    size: str
    background: Literal["opaque"] = "opaque"
    project: str


class ImageEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A picture, or a preview of it, on an event stream.

    Attributes:
        type: What it is: `image_generation.partial_image` and so on.
        b64_json: The file as base64.
        created_at: When, in seconds since 1970.
        output_format: Type of this file; previews are JPEG.
        size: Width and height of the result.
        quality: Always `auto`.
        background: Always `opaque`.
        partial_image_index: Of a preview: the how many-th of its picture, from 0.
        image_index: Which of the pictures, from 0.
        seed: Of a result: what it was made with.
    """

    type: str
    b64_json: str
    created_at: int
    output_format: str
    size: str
    quality: Literal["auto"] = msgspec.field(default_factory=lambda: "auto")
    background: Literal["opaque"] = msgspec.field(default_factory=lambda: "opaque")
    partial_image_index: int | None = None
    image_index: int
    seed: int | None = None


# ── speech ───────────────────────────────────────────────────────────────────────────────────────


class Voice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A voice of a model.

    Attributes:
        id: Its name.
    """

    id: str


class SpeechRequest(AudioParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Text to speak. All fields of this grid's own `AudioParams` may be there as well.

    Attributes:
        input: What to say.
        voice: Name of a voice of the model, or an object with it as `id`. Null, `default`: the
            model's own.
        instructions: How to speak, in words.
        response_format: File type. Null: mp3.
        speed: Refused but for 1: the models here speak as they do.
        stream_format: Refused but for `audio`.
    """

    input: str
    voice: str | Voice | None = None
    instructions: str | None = None
    response_format: str | None = None
    speed: float | None = None
    stream_format: str | None = None


# ── videos ───────────────────────────────────────────────────────────────────────────────────────


class VideoRequest(VideoParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields of a form that asks for a video, beside its file `input_reference`.

    All fields of this grid's own `VideoParams` may be there as well.

    Attributes:
        seconds: How long. Null: the model's own length.
        size: `WIDTHxHEIGHT` in pixels. Null: the model's own size.
    """

    prompt: str
    seconds: float | None = None
    size: str | None = None


VideoStatus = Literal["queued", "in_progress", "completed", "failed"]


class Video(msgspec.Struct, frozen=True, kw_only=True):
    """A video that was asked for.

    Attributes:
        id: Of the project that makes it.
        object: Always `video`.
        status: Where it stands.
        progress: How far it has come, in percent.
        model: What makes it.
        prompt: What was asked for.
        seconds: How long it is.
        size: Width and height.
        created_at: When it was asked for, in seconds since 1970.
        completed_at: When it was there.
        expires_at: When its file is removed.
        error: Why it failed.
    """

    id: str
    object: Literal["video"] = "video"
    status: VideoStatus
    progress: int
    model: str
    prompt: str
    seconds: str
    size: str
    created_at: int
    completed_at: int | None = None
    expires_at: int | None = None
    error: Trouble | None = None


class VideoList(msgspec.Struct, frozen=True, kw_only=True):
    """Videos, a page of them.

    Attributes:
        first_id: The first one's id.
        last_id: The last one's; send it back as `after`.
        has_more: There are more after it.
    """

    object: Literal["list"] = "list"
    data: tuple[Video, ...]
    first_id: str | None = None
    last_id: str | None = None
    has_more: bool = False


class VideoRemoved(msgspec.Struct, frozen=True, kw_only=True):
    """A video that is no more."""

    id: str
    object: Literal["video.deleted"] = "video.deleted"
    deleted: bool = True


class VideoPath(msgspec.Struct, frozen=True, kw_only=True):
    """A video by its id."""

    video: str


class VideoQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which videos to list.

    Attributes:
        limit: Most of them.
        after: Only those that follow this one.
        order: `desc`, the newest first, is the only order.
    """

    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    after: str | None = None
    order: Literal["desc"] = "desc"


class ContentQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What to fetch of a video; only the video itself is there."""

    variant: Literal["video"] = "video"
