"""Small versions of pictures that workers delivered, for pages that show many at once.

Made when somebody looks at one and kept in memory, the ones last looked at: they cost less to make
again than to store, and there is nothing to clean up.
"""

import asyncio
import io
from collections import OrderedDict

from dreamgrid.server.blobs.base import Blobs

SIDE_PX = 512
"""Of the longer side; a smaller picture stays as it is."""

CONTENT_TYPE = "image/webp"
_QUALITY = 80
_MOST_PIXELS = 64 * 1024 * 1024
"""A file of a few bytes can claim to be a picture of gigabytes."""
_MOST_BYTES = 64 * 1024 * 1024
_KEPT_BYTES = 32 * 1024 * 1024
_FORMATS = ("PNG", "JPEG", "WEBP")


class Thumbnails:
    """Makes one at a time: whoever looks at many must not slow down what is rendered."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._made: OrderedDict[str, bytes] = OrderedDict()
        self._kept_bytes = 0
        self._making: dict[str, asyncio.Task[bytes | None]] = {}
        self._turn = asyncio.Lock()

    async def of(self, key: str) -> bytes | None:
        """The small version of a stored picture; None: it can only be shown as it is.

        Args:
            key: Of a result. Results never change under their key.

        Raises:
            NotFound: There is no such file (any more).
        """
        if key in self._made:
            self._made.move_to_end(key)
            return self._made[key]
        task = self._making.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._make(key))
            self._making[key] = task
        return await asyncio.shield(task)  # others may wait for the same one

    async def _make(self, key: str) -> bytes | None:
        try:
            async with self._turn:
                data = await self._blobs.read(key, max_bytes=_MOST_BYTES)
                made = await asyncio.to_thread(smaller, data)
            if made is not None:
                self._keep(key, made)
            return made
        finally:
            del self._making[key]

    def _keep(self, key: str, made: bytes) -> None:
        self._made[key] = made
        self._kept_bytes += len(made)
        while self._kept_bytes > _KEPT_BYTES:
            _, oldest = self._made.popitem(last=False)
            self._kept_bytes -= len(oldest)


def smaller(data: bytes) -> bytes | None:
    """A picture with at most `SIDE_PX` on its longer side, as WebP.

    None where there is nothing to gain or to read: it is small already, damaged, too large to be
    unpacked, of a kind that is not known, or Pillow is not installed.
    """
    try:
        from PIL import Image  # noqa: PLC0415 (a server that only schedules never needs it)
    except ImportError:
        return None
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            width, height = picture.size
            if max(width, height) <= SIDE_PX or width * height > _MOST_PIXELS:
                return None
            picture.draft("RGB", (SIDE_PX, SIDE_PX))  # JPEG: unpacks no more than is needed
            kind = "RGBA" if picture.has_transparency_data else "RGB"
            small = picture.convert(kind)
            small.thumbnail((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)
            made = io.BytesIO()
            small.save(made, "WEBP", quality=_QUALITY)
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError):
        return None  # whoever asks gets the file itself, which browsers may still know how to show
    return made.getvalue()
