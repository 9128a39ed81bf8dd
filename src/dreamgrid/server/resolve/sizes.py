"""Width and height: as asked for, by name, or the model's own. Pure."""

from collections.abc import Mapping

from dreamgrid.errors import InvalidRequest
from dreamgrid.protocol.params import ImageParams, VideoParams
from dreamgrid.server.catalog_entries import Preset


def size_asked(
    model: str, presets: Mapping[str, Preset], params: ImageParams | VideoParams
) -> tuple[int, int] | None:
    """The pixels that a request names, by itself or by a preset. None: it leaves them open.

    Raises:
        InvalidRequest: There is no such preset, or the request contradicts itself.
    """
    width, height = params.width, params.height
    if params.size_preset is not None:
        if width is not None or height is not None:
            raise InvalidRequest("give a size preset, or width and height, but not both")
        preset = presets.get(params.size_preset)
        if preset is None:
            raise InvalidRequest(
                f"{model} has no size preset {params.size_preset[:64]!r}: "
                f"use {', '.join(presets) or 'width and height'}"
            )
        return preset.width, preset.height
    if width is None and height is None:
        return None
    if width is None or height is None:
        raise InvalidRequest("width and height are given together or not at all")
    return width, height


def stepped(side: int, step: float | None) -> int:
    """A side brought down to what the model can make: a multiple of its step.

    Clients let people ask for any size between the limits.
    """
    return side - side % int(step or 1)


def check_pixels(model: str, width: int, height: int, most: int | None) -> None:
    """The area is not too large.

    Raises:
        InvalidRequest: It is.
    """
    if most is not None and width * height > most:
        raise InvalidRequest(
            f"{width}x{height} is {width * height} pixels; {model} makes at most {most}"
        )
