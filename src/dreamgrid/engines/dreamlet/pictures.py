"""Pictures of the model's size and of the app's: fitting, and files with the settings inside."""

import io
import json

import numpy as np
from PIL import ExifTags, Image, ImageOps, PngImagePlugin

from dreamgrid.engines.dreamlet.sampler import Floats
from dreamgrid.protocol.params import OutputFormat

PREVIEW_SIDE_PX = 128
MAX_EXTENSION = 4
"""Longer pictures than 4:1 are not only extended but also cropped."""

_PREVIEW_QUALITY = 80
_METADATA_KEY = "dreamgrid"

# A JPEG holds at most 64 KiB of EXIF; a text can take six bytes a character once escaped.
_MAX_METADATA_CHARACTERS = 4000

# Says in the vocabulary of the IPTC that the picture was made by a trained model.
_XMP = b"""<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF \
xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" \
xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" \
Iptc4xmpExt:DigitalSourceType=\
"http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"/></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""


def fit(picture: Image.Image, width_px: int, height_px: int) -> Image.Image:
    """Resamples so that the picture covers the size, and crops what stands out evenly."""
    if picture.size == (width_px, height_px):
        return picture
    return ImageOps.fit(picture, (width_px, height_px), Image.Resampling.LANCZOS)


def extend(pixels: Floats, width_px: int, height_px: int) -> Floats:
    """Continues the edges of a square [3, S, S] until it has the proportions of the size."""
    side = pixels.shape[1]
    longest = MAX_EXTENSION * side
    wide = min(longest, max(side, round(side * width_px / height_px)))
    high = min(longest, max(side, round(side * height_px / width_px)))
    left, top = (wide - side) // 2, (high - side) // 2
    margins = ((0, 0), (top, high - side - top), (left, wide - side - left))
    return np.pad(pixels, margins, mode="edge")


def to_floats(picture: Image.Image) -> Floats:
    """An RGB picture as float32 [3, H, W] in -1..1."""
    pixels = np.asarray(picture, dtype=np.float32) / np.float32(127.5) - np.float32(1)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def from_floats(pixels: Floats) -> Image.Image:
    """float32 [3, H, W] in -1..1 as an RGB picture."""
    levels = np.rint((pixels.clip(-1, 1) + 1) * 127.5).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(levels.transpose(1, 2, 0)))


def encode_preview(pixels: Floats) -> bytes:
    """A small JPEG of a picture that is still being painted."""
    picture = from_floats(pixels)
    scale = PREVIEW_SIDE_PX / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return _saved(picture.resize(size, Image.Resampling.LANCZOS), "JPEG", quality=_PREVIEW_QUALITY)


def encode(
    picture: Image.Image, file_format: OutputFormat, settings: dict[str, str | int | float]
) -> bytes:
    """The file, with the settings inside as JSON.

    PNG holds them in the text chunk `dreamgrid`, JPEG and WebP in the EXIF field UserComment. All
    of them carry an XMP packet that says that a trained model made the picture.
    """
    shortened = {
        name: value[:_MAX_METADATA_CHARACTERS] if isinstance(value, str) else value
        for name, value in settings.items()
    }
    software = f"dreamgrid {settings['model']}"
    if file_format == "png":
        chunks = PngImagePlugin.PngInfo()
        chunks.add_text("Software", software)
        chunks.add_itxt(_METADATA_KEY, json.dumps(shortened, ensure_ascii=False))
        chunks.add_itxt("XML:com.adobe.xmp", _XMP.decode())
        return _saved(picture, "PNG", pnginfo=chunks)
    exif = Image.Exif()
    exif[ExifTags.Base.Software] = software
    comment = b"ASCII\0\0\0" + json.dumps(shortened).encode("ascii")
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = comment
    kind = {"jpg": "JPEG", "webp": "WEBP"}[file_format]
    return _saved(picture, kind, quality=92, exif=exif, xmp=_XMP)


def _saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()
