"""What a project would cost, asked by path. Public; the same numbers as a real request is charged.

Three versions of one endpoint: the oldest clients leave the size out when they know none, the
newest add guidance, sampler and context images. Clients write numbers in their own ways (`true` for
1, `0.35000000000000003` for 0.35, 0 for a size that they leave to the model).
"""

import math
import re
from datetime import UTC, datetime

from aiohttp import web

from dreamgrid.errors import InvalidRequest
from dreamgrid.protocol.assets import CONTEXT_IMAGE, CONTROL_NET_IMAGE, MAX_CONTEXT_IMAGES
from dreamgrid.protocol.params import STARTING_IMAGE, TOKEN_TYPES, ImageParams, TokenType
from dreamgrid.server import pricing
from dreamgrid.server.catalog import check_network
from dreamgrid.server.http import bare_answer
from dreamgrid.server.services import Services

FIELDS = (
    "tokenType",
    "network",
    "model",
    "imageCount",
    "stepCount",
    "previewCount",
    "cnEnabled",
    "denoise",
    "width",
    "height",
    "guidance",
    "sampler",
    "contextImages",
)
"""Names of the path segments, in order."""

_LENGTHS = (8, 10, 13)
_WHOLE = re.compile(r"(-?[0-9]{1,18})(?:\.0*)?")
_FLAGS = {"0": False, "1": True, "false": False, "true": True}
_UNSET = "_"


def routes(services: Services) -> list[web.RouteDef]:
    """The estimate endpoints for pictures."""

    async def handle(request: web.Request) -> web.Response:
        asked = _by_name(request.match_info["segments"])
        token = _token(asked["tokenType"])
        params = params_of(asked)
        renders = services.catalog.resolve(params, services.config, lambda: 0)
        model = services.catalog.model(params.model)
        network = check_network(asked["network"])
        quote = pricing.quote(model, renders, network=network, assets=params.assets)
        estimate = pricing.to_wire(
            model,
            quote,
            renders[0],
            token=token,
            asked_at=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            control_net=CONTROL_NET_IMAGE in params.assets,
        )
        return bare_answer(estimate)

    return [
        web.get(f"/api/{version}/job/estimate/{{segments:.+}}", handle)
        for version in ("v1", "v2", "v3")
    ]


def params_of(asked: dict[str, str]) -> ImageParams:
    """The request whose price is asked for.

    Args:
        asked: Path segments by name; those from `width` on may be missing.

    Raises:
        InvalidRequest: A segment cannot be understood; names it.
    """
    assets: list[str] = []
    denoise = round(_number(asked, "denoise"), 6)
    if denoise:  # 0 means that there is no starting image
        assets.append(STARTING_IMAGE)
    if _flag(asked, "cnEnabled"):
        assets.append(CONTROL_NET_IMAGE)
    context_images = _whole(asked, "contextImages")
    if not 0 <= context_images <= MAX_CONTEXT_IMAGES:
        raise InvalidRequest(f"contextImages {context_images} is not 0 to {MAX_CONTEXT_IMAGES}")
    assets += [f"{CONTEXT_IMAGE}{slot + 1}" for slot in range(context_images)]
    sampler = asked.get("sampler", _UNSET)
    return ImageParams(
        model=asked["model"],
        prompt="an estimate",  # a price does not depend on the words, but there must be some
        count=_whole(asked, "imageCount"),
        steps=_whole(asked, "stepCount") or None,
        guidance=_number(asked, "guidance") or None,
        width=_whole(asked, "width") or None,
        height=_whole(asked, "height") or None,
        assets=tuple(assets),
        strength=denoise or None,
        sampler=None if sampler == _UNSET else sampler,
        previews=_whole(asked, "previewCount"),
        network=check_network(asked["network"]),
    )


def _by_name(path: str) -> dict[str, str]:
    segments = path.removesuffix("/").split("/")
    if len(segments) not in _LENGTHS:
        raise InvalidRequest(
            f"an estimate has {', '.join(map(str, _LENGTHS))} path segments, not {len(segments)}: "
            f"{'/'.join(FIELDS)}"
        )
    return dict(zip(FIELDS, segments, strict=False))


def _token(text: str) -> TokenType:
    for token in TOKEN_TYPES:
        if text == token:
            return token
    raise InvalidRequest(f"tokenType {text[:64]!r} does not exist: use {' or '.join(TOKEN_TYPES)}")


def _whole(asked: dict[str, str], name: str) -> int:
    text = asked.get(name, "0")
    match = _WHOLE.fullmatch(text)
    if match is None:
        raise InvalidRequest(f"{name} {text[:64]!r} is no whole number")
    return int(match[1])


def _number(asked: dict[str, str], name: str) -> float:
    text = asked.get(name, "0")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InvalidRequest(f"{name} {text[:64]!r} is no number")
    return value


def _flag(asked: dict[str, str], name: str) -> bool:
    text = asked[name].lower()
    if text not in _FLAGS:
        raise InvalidRequest(f"{name} {text[:64]!r} is not 0, 1, true or false")
    return _FLAGS[text]
