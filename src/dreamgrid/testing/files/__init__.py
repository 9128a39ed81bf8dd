"""Tiny valid files of every format that a render can have."""

import struct
import zlib
from importlib import resources

from dreamgrid.protocol.params import OutputFormat
from dreamgrid.protocol.renders import AnyRender, ImageRender

COLOUR = (186, 85, 58)
"""Red, green and blue of every pixel."""


def tiny_file(render: AnyRender) -> bytes:
    """A result for a render: a PNG is as large as was asked for; the others are the smallest."""
    if isinstance(render, ImageRender) and render.output_format == "png":
        return png(render.width, render.height)
    return stored(render.output_format)


def stored(output_format: OutputFormat) -> bytes:
    """The file of a format: 16 x 16 pixels, or some milliseconds of silence."""
    return resources.files(__name__).joinpath(f"tiny.{output_format}").read_bytes()


def png(width: int, height: int) -> bytes:
    """A picture of one colour."""
    rows = (b"\0" + bytes(COLOUR) * width) * height  # each begins with its filter: none
    head = struct.pack("!IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits of red, green and blue
    chunks = (b"IHDR", head), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack("!I", len(data)) + kind + data + struct.pack("!I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
