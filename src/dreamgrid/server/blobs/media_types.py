"""Which type a stored file has: by the extension of its key, else by its first bytes. Pure.

What an uploader claims is never believed when a file is served: only types on this list go out, so
an upload cannot become a page or a script in anybody's browser.
"""

OCTETS = "application/octet-stream"
"""Bytes of an unknown kind; browsers save them and run nothing."""

HEAD_BYTES = 32
"""How much of a file `sniff` looks at."""

_BY_EXTENSION = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "webm": "video/webm",
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "m4a": "audio/mp4",
    "glb": "model/gltf-binary",
}

SERVED_TYPES = frozenset(_BY_EXTENSION.values())
"""Types that a browser may show."""

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"ID3", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"\x1aE\xdf\xa3", "video/webm"),
    (b"glTF", "model/gltf-binary"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}
_ISO_BRANDS = {b"qt  ": "video/quicktime", b"M4A ": "audio/mp4", b"M4B ": "audio/mp4"}
_MPEG_AUDIO_SYNCS = (b"\xff\xfb", b"\xff\xf3", b"\xff\xf2")


def by_extension(key: str) -> str | None:
    """The type that the last segment's extension names, if it names one."""
    _, dot, extension = key.rpartition("/")[2].rpartition(".")
    return _BY_EXTENSION.get(extension.lower()) if dot else None


def sniff(head: bytes) -> str:
    """The type that the first `HEAD_BYTES` of a file show."""
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12], OCTETS)
    if head[4:8] == b"ftyp":
        return _ISO_BRANDS.get(head[8:12], "video/mp4")
    if head.startswith(_MPEG_AUDIO_SYNCS):
        return "audio/mpeg"
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), OCTETS)


def is_image(key: str) -> bool:
    """Whether the extension of a key is that of a picture."""
    return (by_extension(key) or "").startswith("image/")
