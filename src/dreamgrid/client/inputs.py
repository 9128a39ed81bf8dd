"""Input files of a project: whatever the caller has, as bytes with a known type.

Checked before anything is sent: a file that is missing, empty, too large or of the wrong kind is
refused here, with nothing uploaded and nothing charged.
"""

import asyncio
import io
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, TypeAlias

from dreamgrid.errors import ProtocolError, UnreadableMedia
from dreamgrid.protocol.params import MAX_INPUT_BYTES, MAX_MEDIA_INPUT_BYTES, Media

MediaSource: TypeAlias = str | os.PathLike[str] | bytes | bytearray | IO[bytes] | Literal[True]
"""A path, the bytes of a file, an open binary file, or the URL of an upload or result of one's own.
True: it was uploaded by hand."""

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

    ImageSource: TypeAlias = MediaSource | PillowImage
else:
    ImageSource: TypeAlias = Any
"""The same, or a Pillow image."""

_URLS = ("http://", "https://")

_ALLOWED: dict[Media, str] = {
    "image": "PNG, JPEG, WebP or GIF picture",
    "video": "MP4, MOV or WebM video",
    "audio": "MP3, M4A, WAV, FLAC, OGG or WebM sound",
}

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"ID3", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}


@dataclass(frozen=True, kw_only=True)
class InputFile:
    """A file that can be uploaded.

    Attributes:
        data: Its bytes.
        content_type: What they are, by their first bytes; a file's name is not believed.
    """

    data: bytes = field(repr=False)
    content_type: str


Download = Callable[[str, int], Awaitable[bytes]]
"""Fetches a URL; raises ProtocolError when there are more bytes than the number given."""


async def read_input(
    source: object, what: str, media: Media = "image", *, download: Download
) -> InputFile:
    """Reads an input file.

    Args:
        source: An `ImageSource` or `MediaSource`, other than True.
        what: The setting it was given for; for messages.
        media: What it must be.
        download: What fetches URLs.

    Raises:
        UnreadableMedia: It is missing, not readable, empty, too large, or of another kind.
        NotFound: Its URL leads nowhere, or not any more.
        ConnectionFailed: Nobody answers at its URL.
    """
    most = MAX_INPUT_BYTES if media == "image" else MAX_MEDIA_INPUT_BYTES
    if isinstance(source, str) and source.startswith(_URLS):
        name = f"what {source.partition('?')[0]} leads to"  # what follows may be a signature
        try:
            data = await download(source, most)
        except ProtocolError as error:
            raise UnreadableMedia(f"{name} cannot be taken: {error}") from None
    else:
        data, name = await asyncio.to_thread(_read, source, what, most)
    if not data:
        raise UnreadableMedia(f"{name} is empty")
    if len(data) > most:
        raise UnreadableMedia(
            f"{name} has more than the {most // 2**20} MiB allowed: make it smaller"
        )
    content_type = content_type_of(data, media)
    if content_type is None or not content_type.startswith(media):
        raise UnreadableMedia(f"{name} is no {_ALLOWED[media]}")
    return InputFile(data=data, content_type=content_type)


def content_type_of(data: bytes, media: Media) -> str | None:
    """What the first bytes of a file say that it is; containers may hold sound or video."""
    for magic, content_type in _MAGIC:
        if data.startswith(magic):
            return content_type
    kind = "audio" if media == "audio" else "video"
    if data[4:12] == b"ftypqt  " and kind == "video":
        return "video/quicktime"
    containers = {b"ftyp": "mp4", b"OggS": "ogg", b"\x1aE\xdf\xa3": "webm"}
    name = containers.get(data[:4]) or containers.get(data[4:8])
    if name or data[:4] == b"RIFF":
        return f"{kind}/{name}" if name else _RIFF.get(data[8:12])
    # The sync word of an MPEG audio frame, layers 1 to 3.
    if len(data) > 1 and data[0] == 0xFF and data[1] & 0xE0 == 0xE0 and data[1] & 0x06:
        return "audio/mpeg"
    return None


def _read(source: object, what: str, most: int) -> tuple[bytes, str]:
    """The bytes, one more than allowed at most, and what to call them in a message."""
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source[: most + 1]), f"the {what}"
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        try:
            with path.open("rb") as file:
                return file.read(most + 1), f"'{path}'"
        except FileNotFoundError:
            raise UnreadableMedia(f"there is no file '{path}'") from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UnreadableMedia(f"cannot read '{path}': {reason}") from None
    # Somebody who passes a Pillow image has imported Pillow; nobody else needs it.
    pillow = sys.modules.get("PIL.Image")
    if pillow is not None and isinstance(source, pillow.Image):
        return _as_png(source), f"the {what}"
    if hasattr(source, "read"):
        try:
            data = source.read(most + 1)
        except (OSError, ValueError) as error:
            raise UnreadableMedia(f"cannot read the {what}: {error}") from None
        if not isinstance(data, bytes):
            raise UnreadableMedia(f"the {what} is open as text: use open(path, 'rb')")
        return data, f"the {what}"
    raise UnreadableMedia(
        f"{what} is a path, a URL, bytes, an open binary file or a Pillow image, "
        f"not {type(source).__name__}"
    )


def _as_png(picture: "PillowImage") -> bytes:
    buffer = io.BytesIO()
    try:
        picture.save(buffer, "PNG")
    except (OSError, ValueError):
        # Modes that PNG cannot hold, such as CMYK.
        buffer = io.BytesIO()
        picture.convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()
