"""Helpers to ask the engine for pictures and to read them."""

import io
import json
from collections.abc import Callable
from typing import Any

from PIL import ExifTags, Image

from dreamgrid.engines.base import Artifact
from dreamgrid.engines.dreamlet import MODEL
from dreamgrid.protocol.renders import ImageRender

Paint = Callable[..., Artifact]


def render_of(**settings: Any) -> ImageRender:
    values = {
        "model": MODEL,
        "prompt": "a red apple",
        "width": 64,
        "height": 64,
        "steps": 8,
        "guidance": 2.0,
        "seed": 1,
    }
    return ImageRender(**{**values, **settings})


def ignore(_: object) -> None:
    """An `on_step` that wants nothing."""


def open_picture(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        return picture.copy()


def encode_picture(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def read_settings(data: bytes) -> dict[str, str | int | float]:
    """The settings inside a file; empty when there are none."""
    with Image.open(io.BytesIO(data)) as picture:
        text = picture.info.get("dreamgrid")
        if text is None:
            comment = picture.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment)
            text = comment[8:].decode("ascii") if comment else "{}"
    found: dict[str, str | int | float] = json.loads(text)
    return found
