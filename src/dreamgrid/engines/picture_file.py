"""Picture files with the settings inside. Needs pillow."""

import io
import json

from PIL import ExifTags, Image, PngImagePlugin

from dreamgrid.protocol.params import OutputFormat

_METADATA_KEY = "dreamgrid"

_MAX_TEXT_CHARACTERS = 4000

# A JPEG holds at most 64 KiB of EXIF, and the software and the headers are in there too. A text can
# take twelve bytes a character once escaped.
_MAX_METADATA_BYTES = 60_000

# Says in the vocabulary of the IPTC that the picture was made by a trained model.
_XMP = b"""<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF \
xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" \
xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" \
Iptc4xmpExt:DigitalSourceType=\
"http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"/></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""


def encode(
    picture: Image.Image, file_format: OutputFormat, settings: dict[str, str | int | float]
) -> bytes:
    """The file, with the settings inside as JSON.

    PNG holds them in the text chunk `dreamgrid`, JPEG and WebP in the EXIF field UserComment. Texts
    that are too long for that are shortened. All of them carry an XMP packet that says that a
    trained model made the picture.
    """
    told = _told(settings)
    software = f"dreamgrid {settings['model']}"
    if file_format == "png":
        chunks = PngImagePlugin.PngInfo()
        chunks.add_text("Software", software)
        chunks.add_itxt(_METADATA_KEY, json.dumps(told, ensure_ascii=False))
        chunks.add_itxt("XML:com.adobe.xmp", _XMP.decode())
        return _saved(picture, "PNG", pnginfo=chunks)
    exif = Image.Exif()
    exif[ExifTags.Base.Software] = software
    comment = b"ASCII\0\0\0" + json.dumps(told).encode("ascii")
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = comment
    kind = {"jpg": "JPEG", "webp": "WEBP"}[file_format]
    return _saved(picture, kind, quality=92, exif=exif, xmp=_XMP)


def _told(settings: dict[str, str | int | float]) -> dict[str, str | int | float]:
    """The settings, their texts as long as there is room for them."""
    characters = _MAX_TEXT_CHARACTERS
    while True:
        told = {
            name: value[:characters] if isinstance(value, str) else value
            for name, value in settings.items()
        }
        if len(json.dumps(told)) <= _MAX_METADATA_BYTES:
            return told
        if not characters:
            return {}
        characters //= 2


def _saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()
