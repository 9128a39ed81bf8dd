"""Picture files with the settings inside. Needs pillow."""

import io
import json

from PIL import ExifTags, Image, PngImagePlugin

from dreamgrid.protocol.params import OutputFormat

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
