"""Prompt, seed and settings inside a picture file, so that it can tell how it was made. Pure.

PNG holds them in the text chunk `dreamgrid`, JPEG and WebP in the EXIF field UserComment: as JSON,
the same as our embedded engine writes. The pixels are not touched, and neither is a file that has
such a field already.
"""

import json
import struct
import zlib

import msgspec

from dreamgrid.protocol.params import AnyParams

_PNG = b"\x89PNG\r\n\x1a\n"
_KEYWORD = b"dreamgrid"
_HEAD_BYTES = 8 + 25
"""Signature and first chunk of a PNG; the text goes after them."""

_MAX_TEXT_CHARACTERS = 4000

_MAX_BYTES = 60_000
"""Longest JSON that is written; an EXIF block of a JPEG has room for 64 KiB in all."""

_ASCII, _LONG, _UNDEFINED = 2, 4, 7
_SOFTWARE, _EXIF_POINTER, _USER_COMMENT = 0x0131, 0x8769, 0x9286

_UNSAID = frozenset(
    {"assets", "network", "token_type", "output_format", "count", "previews"}
    | {"workers", "preferred_workers", "skip_workers"}
)


def embedded(data: bytes, params: AnyParams, *, seed: int | None) -> bytes:
    """The file with its settings inside, texts shortened until they fit.

    It stays as it was if it is of another kind, tells already, or has no room even so.
    """
    text = _told(params, seed)
    if not text:
        return data
    if data.startswith(_PNG):
        return _in_png(data, text)
    if data.startswith(b"\xff\xd8\xff"):
        return _in_jpeg(data, text)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _in_webp(data, text)
    return data


def _told(params: AnyParams, seed: int | None) -> str:
    """The settings as JSON; "" if there is too much of them, however short their texts are."""
    given = {
        name: value
        for name, value in msgspec.to_builtins(params).items()
        if name not in _UNSAID and _says_something(value)
    }
    if seed is not None:
        given["seed"] = seed
    characters = _MAX_TEXT_CHARACTERS
    while True:
        text = json.dumps(
            {
                name: value[:characters] if isinstance(value, str) else value
                for name, value in given.items()
            }
        )
        if len(text) <= _MAX_BYTES:
            return text
        if not characters:
            return ""
        characters //= 2


def _says_something(value: object) -> bool:
    return value is not None and value is not False and value not in ("", (), [])


# ── PNG ──────────────────────────────────────────────────────────────────────────────────────────


def _in_png(data: bytes, text: str) -> bytes:
    has_words = any(b"%s\0" % word in data for word in (_KEYWORD, b"parameters"))
    if data[12:16] != b"IHDR" or has_words:
        return data
    # Keyword, not compressed, no language, no translated keyword, text.
    body = b"iTXt" + _KEYWORD + b"\0\0\0\0\0" + text.encode()
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return data[:_HEAD_BYTES] + chunk + data[_HEAD_BYTES:]


# ── EXIF ─────────────────────────────────────────────────────────────────────────────────────────


def _exif(text: str) -> bytes:
    """A TIFF block with two entries: the software, and the comment."""
    software = b"dreamgrid\0"
    comment = b"ASCII\0\0\0" + text.encode("ascii", "replace")
    first_at, second_at = 8, 8 + 2 + 2 * 12 + 4
    software_at = second_at + 2 + 12 + 4
    comment_at = software_at + len(software)
    first = _entry(_SOFTWARE, _ASCII, len(software), software_at)
    first += _entry(_EXIF_POINTER, _LONG, 1, second_at)
    second = _entry(_USER_COMMENT, _UNDEFINED, len(comment), comment_at)
    return b"".join(
        (
            struct.pack("<2sHI", b"II", 42, first_at),
            struct.pack("<H", 2) + first + bytes(4),
            struct.pack("<H", 1) + second + bytes(4),
            software,
            comment,
        )
    )


def _entry(tag: int, kind: int, count: int, value: int) -> bytes:
    return struct.pack("<HHII", tag, kind, count, value)


def _in_jpeg(data: bytes, text: str) -> bytes:
    if b"Exif\0\0" in data[: 256 * 1024]:
        return data
    body = b"Exif\0\0" + _exif(text)
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]


# ── WebP ─────────────────────────────────────────────────────────────────────────────────────────

_HAS_EXIF = 0x08
_HAS_ALPHA = 0x10


def _in_webp(data: bytes, text: str) -> bytes:
    """A WebP with extra chunks begins with VP8X, which says how large it is and what it has."""
    chunks = _chunks(data)
    names = [name for name, _ in chunks]
    if not chunks or b"EXIF" in names:
        return data
    if names[0] == b"VP8X":
        head = chunks.pop(0)[1]
        flags = bytes([head[0] | _HAS_EXIF]) + head[1:]
    else:
        size = _size(*chunks[0])
        if size is None:
            return data
        width, height, alpha = size
        flags = bytes([_HAS_EXIF | (_HAS_ALPHA if alpha else 0), 0, 0, 0])
        flags += (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"".join(
        name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)
        for name, content in ((b"VP8X", flags), *chunks, (b"EXIF", _exif(text)))
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Names and contents; empty if the file is not in order."""
    found, at = [], 12
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + size > len(data):
            return []
        found.append((name, data[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2
    return found


def _size(name: bytes, content: bytes) -> tuple[int, int, bool] | None:
    """Width, height and whether there is alpha, of the two simple kinds of WebP."""
    if name == b"VP8 " and content[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", content, 6)
        return width & 0x3FFF, height & 0x3FFF, False
    if name == b"VP8L" and content[:1] == b"\x2f":
        bits = int.from_bytes(content[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bool(bits >> 28 & 1)
    return None
