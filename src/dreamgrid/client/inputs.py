"""Input files of a project: whatever the caller has, as bytes with a known type.

Checked before anything is sent: a file that is missing, empty, too large or no picture is refused
here, with nothing uploaded and nothing charged.
"""

import asyncio
import io
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias

from dreamgrid.errors import UnreadableMedia
from dreamgrid.protocol.params import MAX_INPUT_BYTES

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

    ImageSource: TypeAlias = str | os.PathLike[str] | bytes | bytearray | IO[bytes] | PillowImage
else:
    ImageSource: TypeAlias = Any
"""A path, the bytes of a file, an open binary file, or a Pillow image."""


@dataclass(frozen=True, kw_only=True)
class InputFile:
    """A file that can be uploaded.

    Attributes:
        data: Its bytes.
        content_type: What they are, by their first bytes; a file's name is not believed.
    """

    data: bytes = field(repr=False)
    content_type: str


async def read_image(source: ImageSource) -> InputFile:
    """Reads an input image.

    Raises:
        UnreadableMedia: It is missing, not readable, empty, too large, or no picture.
    """
    data, name = await asyncio.to_thread(_read, source)
    if not data:
        raise UnreadableMedia(f"{name} is empty")
    if len(data) > MAX_INPUT_BYTES:
        raise UnreadableMedia(
            f"{name} has more than the {MAX_INPUT_BYTES // 2**20} MiB allowed: make it smaller"
        )
    content_type = _content_type(data)
    if content_type is None:
        raise UnreadableMedia(f"{name} is no PNG, JPEG, WebP or GIF picture")
    return InputFile(data=data, content_type=content_type)


def _read(source: ImageSource) -> tuple[bytes, str]:
    """The bytes, one more than allowed at most, and what to call them in a message."""
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source[: MAX_INPUT_BYTES + 1]), "the starting image"
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        try:
            with path.open("rb") as file:
                return file.read(MAX_INPUT_BYTES + 1), f"'{path}'"
        except FileNotFoundError:
            raise UnreadableMedia(f"there is no file '{path}'") from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UnreadableMedia(f"cannot read '{path}': {reason}") from None
    # Somebody who passes a Pillow image has imported Pillow; nobody else needs it.
    pillow = sys.modules.get("PIL.Image")
    if pillow is not None and isinstance(source, pillow.Image):
        return _as_png(source), "the starting image"
    if hasattr(source, "read"):
        try:
            data = source.read(MAX_INPUT_BYTES + 1)
        except (OSError, ValueError) as error:
            raise UnreadableMedia(f"cannot read the starting image: {error}") from None
        if not isinstance(data, bytes):
            raise UnreadableMedia("the starting image is open as text: use open(path, 'rb')")
        return data, "the starting image"
    raise UnreadableMedia(
        "a starting image is a path, bytes, an open binary file or a Pillow image, "
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


def _content_type(data: bytes) -> str | None:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[:6] in {b"GIF87a", b"GIF89a"}:
        return "image/gif"
    return None
