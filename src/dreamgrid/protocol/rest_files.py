"""Parameters and answers of the file endpoints of the REST host: signed links to upload and fetch.

Source: `rest.md` 3 of the wire contract. `job_id` is a project on this wire, for historical
reasons; the job is named by `image_id` for pictures and by `id` for sound and video.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from dreamgrid.protocol.assets import COMPLETE, IMAGE_ROLES, MEDIA_ROLES, PREVIEW


def _one_of(names: frozenset[str], *more: str) -> Meta:
    """Shows the allowed words; which of them are wrong where is said by the server, in words."""
    return Meta(extra_json_schema={"enum": [*sorted(names), *more]})


ImageInput = Annotated[str, _one_of(IMAGE_ROLES)]
ImageFile = Annotated[str, _one_of(IMAGE_ROLES, COMPLETE, PREVIEW)]
MediaInput = Annotated[str, _one_of(MEDIA_ROLES)]
MediaFile = Annotated[str, _one_of(MEDIA_ROLES, COMPLETE, PREVIEW)]
_Uuid = Annotated[str, Meta(extra_json_schema={"format": "uuid"})]


class ImageUploadQuery(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is to be uploaded.

    Attributes:
        job_id: The project, which need not exist yet: any UUID that the app will use for it.
        type: The part that the picture plays in the project.
        image_id: Ignored: inputs are found by project and role.
        content_type: The exact Content-Type of the upload: image/jpeg, image/png, image/webp or
            image/gif. Absent: any.
    """

    job_id: _Uuid
    type: ImageInput
    image_id: str | None = None
    content_type: str | None = None


class ImageDownloadQuery(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which picture is to be fetched.

    Attributes:
        job_id: The project.
        type: `complete` for a result, `preview` for the newest preview of a job of any kind, or
            the role of an input that was uploaded.
        image_id: The job whose result or preview it is. Inputs need none.
        content_type: Ignored: a file has the type that it was made with.
    """

    job_id: _Uuid
    type: ImageFile
    image_id: str | None = None
    content_type: str | None = None


class MediaUploadQuery(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is to be uploaded.

    Attributes:
        job_id: The project, which need not exist yet: any UUID that the app will use for it.
        type: The part that the file plays in the project.
        id: The slot, for models that take several: `type=referenceAudio` with `id=referenceAudio2`
            is the same as `type=referenceAudio2`. Other ids are ignored.
        content_type: The exact Content-Type of the upload, such as audio/mpeg or video/mp4.
            Absent: any.
    """

    job_id: _Uuid
    type: MediaInput
    id: str | None = None
    content_type: str | None = None


class MediaDownloadQuery(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which sound, video or model is to be fetched.

    Attributes:
        job_id: The project.
        type: `complete` for a result, `preview` for the newest preview of a job of any kind, or
            the role of an input that was uploaded.
        id: The job whose result or preview it is; for inputs the slot, as in uploads.
        artifact: With `complete`: the last frame of a video, a picture, instead of the video.
        content_type: Ignored: a file has the type that it was made with.
    """

    job_id: _Uuid
    type: MediaFile
    id: str | None = None
    artifact: Literal["lastFrame"] | None = None
    content_type: str | None = None


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """Whether uploads can be saved for later projects. Not on this server."""

    enabled: bool = False


class LinkQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The signed part of a link; made by the server, never by hand.

    Attributes:
        expires: When the link ends, in seconds since 1970.
        type: Content-Type that the upload must have, or that the answer will have.
        max: Most bytes of an upload.
        durable: Whether the upload must survive a power cut: 0 or 1.
        signature: Over all of it and the path.
    """

    expires: str | None = None
    type: str | None = None
    max: str | None = None
    durable: str | None = None
    signature: str | None = None


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A stored file."""

    key: str


class Stored(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Answer to an upload."""

    size_bytes: int
