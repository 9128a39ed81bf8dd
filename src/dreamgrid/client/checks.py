"""Plain mistakes in a request, found before anything is sent or uploaded.

The limits come from the server's catalogue. What it does not limit is left to the server,
and so are the names of samplers and schedules: servers know aliases that no catalogue lists.
"""

from typing import Any

import msgspec

from dreamgrid.client.catalog import Catalog
from dreamgrid.errors import InvalidRequest
from dreamgrid.protocol.params import MAX_SEED, ImageParams
from dreamgrid.protocol.rest import NumberRange


def params_from(settings: dict[str, Any]) -> ImageParams:
    """The caller's settings as the type that travels, each checked for its kind.

    Raises:
        InvalidRequest: A setting has the wrong type or an unknown name; the message says which.
    """
    try:
        params = msgspec.convert(settings, ImageParams)
    except msgspec.ValidationError as error:
        raise InvalidRequest(_readable(str(error))) from None
    if (params.width is None) != (params.height is None):
        raise InvalidRequest("give width and height together, or neither")
    if params.width is not None and params.size_preset is not None:
        raise InvalidRequest("give either width and height or a size_preset, not both")
    if params.count < 1:
        raise InvalidRequest(f"count is {params.count}: ask for at least 1 picture")
    if params.seed is not None and not 0 <= params.seed <= MAX_SEED:
        raise InvalidRequest(f"seed is {params.seed}: allowed is 0 to {MAX_SEED}")
    if params.strength is not None and not 0 <= params.strength <= 1:
        raise InvalidRequest(
            f"strength is {params.strength}: allowed is 0 (keep the starting image) "
            "to 1 (ignore it)"
        )
    if params.previews < 0:
        raise InvalidRequest(f"previews is {params.previews}: allowed is 0 or more")
    return params


async def check(catalog: Catalog, params: ImageParams) -> None:
    """Compares `params` with what the catalogue allows for its model.

    Raises:
        UnknownModel: The catalogue has no such model.
        InvalidRequest: A setting is out of its range; the message says the range.
    """
    options = await catalog.options(params.model)
    for name in ("steps", "guidance", "width", "height", "strength"):
        limit: NumberRange | None = getattr(options, name)
        value: float | None = getattr(params, name)
        if limit is not None and value is not None and not limit.min <= value <= limit.max:
            raise InvalidRequest(
                f"{name} is {value:g}: {params.model} allows {limit.min:g} to {limit.max:g}"
            )
    if params.size_preset is not None:
        await catalog.preset(params.model, params.size_preset, params.network or "fast")


def _readable(message: str) -> str:
    """`Expected int, got str - at $.steps` as a person would say it."""
    what, _, where = message.replace(" | null", "").partition(" - at `$.")
    what = what.replace("`", "")
    return f"{where.rstrip('`')}: {what[:1].lower()}{what[1:]}" if where else what
