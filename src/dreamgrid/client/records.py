"""Projects that another process asked for, made from what the server keeps of them. Pure."""

import base64
import binascii
from datetime import UTC, datetime

import msgspec

from dreamgrid.errors import InvalidRequest
from dreamgrid.protocol.job_request import JobRequest
from dreamgrid.protocol.params import (
    AnyParams,
    AudioParams,
    ImageParams,
    Media,
    VideoParams,
)
from dreamgrid.protocol.request_params import params_from_request
from dreamgrid.protocol.rest import ProjectRecord

_KINDS: dict[Media, type[AnyParams]] = {
    "image": ImageParams,
    "video": VideoParams,
    "audio": AudioParams,
}


def params_of(record: ProjectRecord) -> AnyParams:
    """What was asked for: all of it, if the server kept the request, or else what its record says.

    Projects of several kinds of media have the same record.
    """
    media = media_named(record.model.type or record.model_type)
    if record.client_request_data:
        try:
            raw = base64.b64decode(record.client_request_data, validate=True)
            return params_from_request(msgspec.json.decode(raw, type=JobRequest), media)
        except (binascii.Error, ValueError, msgspec.MsgspecError, InvalidRequest):
            pass  # written by another kind of client; what else the record says is enough
    return bare_params(record.model.id, media, count=max(1, record.image_count))


def bare_params(model: str, media: Media, *, count: int = 1) -> AnyParams:
    """The params of something of which only the model is known."""
    return _KINDS[media](model=model, count=count)


def media_named(name: str) -> Media:
    """The kind of media of that name; what is none of ours is handled as a picture."""
    for media in _KINDS:
        if name == media:
            return media
    return "image"


def created_at(record: ProjectRecord) -> datetime:
    """When the project was asked for; now, when the record tells no such time."""
    try:
        told = datetime.fromtimestamp(record.create_time / 1000, UTC)
    except (OSError, OverflowError, ValueError):  # beyond what a calendar holds
        return datetime.now(UTC)
    return told if record.create_time > 0 else datetime.now(UTC)
