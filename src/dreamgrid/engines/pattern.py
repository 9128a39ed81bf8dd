"""The engine that is always there: a test picture, drawn without any model or dependency.

Coloured waves whose shape and colours follow from prompt and seed alone. Each step paints its share
of the rows, so progress, previews and cancellation are as real as with a diffusion model, but take
milliseconds. PNG is written here; everything else (other file types, previews, a starting image)
uses pillow where it is installed and is refused clearly where it is not.
"""

import hashlib
import io
import math
import struct
import zlib
from collections.abc import Iterator, Mapping
from itertools import islice

from dreamgrid.engines.base import Artifact, EngineSpec, OnStep, Step
from dreamgrid.errors import EngineError, ModelNotAvailable
from dreamgrid.protocol.params import CONTENT_TYPES, STARTING_IMAGE
from dreamgrid.protocol.renders import AnyRender, ImageRender

try:
    from PIL import Image

    from dreamgrid.engines.starting_image import Start, start_of
except ImportError:
    _HAS_PILLOW = False
else:
    _HAS_PILLOW = True

MODEL = "pattern-v1"
MAX_PIXELS = 64 * 1024 * 1024
"""Largest result: 192 MB of pixels in memory."""

PREVIEW_SIDE = 128
"""Longest side of a preview in pixels."""

_LEVELS = 16  # shades per channel: few, because flat areas make the PNG small and quick to write
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class PatternEngine:
    """Draws coloured waves. Needs no loading and holds nothing between jobs."""

    def load(self, model: str) -> None:
        """Checks the id; there is nothing to load.

        Raises:
            ModelNotAvailable: It is not `pattern-v1`.
        """
        if model != MODEL:
            raise ModelNotAvailable(f"the pattern engine serves {MODEL}, not {model}")

    def generate(self, render: AnyRender, inputs: Mapping[str, bytes], on_step: OnStep) -> Artifact:
        """Paints one picture.

        With a starting image, `strength` is how much of the pattern covers it: 0 shows the image,
        1 only the pattern.

        Raises:
            RenderCanceled: Raised by `on_step` and passed on.
            EngineError: It is no picture, the size is not positive or has more than `MAX_PIXELS`
                pixels, or there is a starting image without strength.
            ModelNotAvailable: The job needs pillow, and it is not installed.
            UnreadableMedia: The starting image cannot be read or is too large.
        """
        if not isinstance(render, ImageRender):
            raise EngineError(f"{MODEL} makes pictures only")
        width, height, steps = render.width, render.height, max(1, render.steps)
        if width < 1 or height < 1 or width * height > MAX_PIXELS:
            raise EngineError(f"{width}x{height} is no size between 1 and {MAX_PIXELS} pixels")
        if not _HAS_PILLOW and (render.output_format != "png" or STARTING_IMAGE in inputs):
            raise ModelNotAvailable(
                f"{MODEL} makes only PNG files on this worker, and none from a starting image\n"
                "other files need pillow: pip install -e '.[embedded]' in the clone"
            )
        start = start_of(render, inputs) if STARTING_IMAGE in inputs else None
        rows: list[bytes] = []
        brush = _rows(width, height, _digest(render))
        for step in range(1, steps + 1):
            rows.extend(islice(brush, height * step // steps - len(rows)))
            preview = (lambda: _preview(rows, width, height)) if _HAS_PILLOW else None
            on_step(Step(step=step, step_count=steps, preview=preview))
        return Artifact(
            data=_file(rows, render, start),
            content_type=CONTENT_TYPES[render.output_format],
            steps=steps,
        )


def _digest(render: ImageRender) -> bytes:
    """32 bytes that decide the picture. A small one shows the same waves as a large one."""
    words = (render.prompt, render.negative_prompt, str(render.seed))
    return hashlib.sha256("\0".join(words).encode(errors="surrogatepass")).digest()


def _rows(width: int, height: int, digest: bytes) -> Iterator[bytes]:
    """The picture row by row, RGB, `3 * width` bytes each.

    Each channel is `shade[(across[x] + down[y]) % 256]`: `bytes.translate` with a table that
    begins at `down[y]` computes a whole row at C speed, without numpy.
    """
    channels = []
    for channel in range(3):
        bend, turns, drift, phase, hue = digest[channel * 5 : channel * 5 + 5]
        across = _curve(width, 10 + bend % 70, 1 + turns % 4, drift % 200)
        down = _curve(height, 10 + drift % 70, 1 + bend % 4, turns % 200)
        channels.append((across, down, _shades(phase, hue) * 2))
    row = bytearray(3 * width)
    for y in range(height):
        for channel, (across, down, shades) in enumerate(channels):
            row[channel::3] = across.translate(shades[down[y] : down[y] + 256])
        yield bytes(row)


def _curve(length: int, bend: int, turns: int, drift: int) -> bytes:
    """A wavy ramp over `length` pixels, modulo 256."""
    return bytes(
        int(bend * math.sin(math.tau * turns * i / length) + drift * i / length) & 255
        for i in range(length)
    )


def _shades(phase: int, hue: int) -> bytes:
    """One smooth period of brightness in `_LEVELS` shades."""
    waves = 1 + hue % 3
    return bytes(
        round((_LEVELS - 1) * (0.5 + 0.5 * math.sin(math.tau * (waves * i + phase) / 256)))
        * (255 // (_LEVELS - 1))
        for i in range(256)
    )


def _file(rows: list[bytes], render: ImageRender, start: "Start | None") -> bytes:
    size = (render.width, render.height)
    if start is None and render.output_format == "png":
        return _png(rows, *size)
    picture = Image.frombytes("RGB", size, b"".join(rows))
    if start is not None:
        picture = Image.blend(start.picture.resize(size), picture, start.strength)
    return _encoded(picture, "jpeg" if render.output_format == "jpg" else render.output_format)


def _preview(rows: list[bytes], width: int, height: int) -> bytes:
    """What is painted so far as a small JPEG; the rest is grey."""
    painted = b"".join(rows)
    grey = b"\x80" * (3 * width * height - len(painted))
    picture = Image.frombytes("RGB", (width, height), painted + grey)
    picture.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    return _encoded(picture, "jpeg")


def _encoded(picture: "Image.Image", file_format: str) -> bytes:
    out = io.BytesIO()
    picture.save(out, format=file_format)
    return out.getvalue()


def _png(rows: list[bytes], width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits, RGB, not interlaced
    pixels = zlib.compress(b"\0" + b"\0".join(rows), 1)  # filter 0 before each row
    return b"".join(
        (_PNG_SIGNATURE, _chunk(b"IHDR", header), _chunk(b"IDAT", pixels), _chunk(b"IEND", b""))
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


ENGINE = EngineSpec(
    name="pattern",
    models=lambda: (MODEL,),
    create=lambda _threads: PatternEngine(),
)
