"""What a project would cost, asked by path. Public; the same numbers as a real request is charged.

The picture estimate has three lengths: the oldest clients leave the size out when they know none,
the newest add guidance, sampler and context images.
"""

from datetime import UTC, datetime

from dreamgrid.errors import UnknownModel
from dreamgrid.protocol.assets import CONTEXT_IMAGE, CONTROL_NET_IMAGE
from dreamgrid.protocol.params import STARTING_IMAGE, ImageParams
from dreamgrid.protocol.rest import Estimate
from dreamgrid.protocol.rest_estimates import EstimateQuery, ImageEstimatePath, template
from dreamgrid.server import pricing
from dreamgrid.server.endpoint import Endpoints
from dreamgrid.server.services import Services

_UNSET = "_"
_IMAGE_PATHS = tuple(
    f"/api/{version}/job/estimate/{template(ImageEstimatePath, segments)}"
    for version in ("v2", "v3", "v1")
    for segments in (8, 10, 13)
)


def routes(services: Services) -> Endpoints:
    """The estimate endpoints."""
    api = Endpoints("Prices", "What a project would cost, before it is sent.")

    @api.get(*_IMAGE_PATHS, bare=True, errors=(UnknownModel,))
    async def estimate_images(path: ImageEstimatePath, query: EstimateQuery) -> Estimate:
        """What pictures would cost. All versions of the path answer the same."""
        del query
        params = params_of(path)
        renders = services.catalog.resolve(params, services.config, lambda: 0)
        model = services.catalog.model(params.model)
        quote = pricing.quote(model, renders, network=path.network, assets=params.assets)
        return pricing.to_wire(
            model,
            quote,
            renders[0],
            token=path.token_type,
            asked_at=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            control_net=CONTROL_NET_IMAGE in params.assets,
        )

    return api


def params_of(asked: ImageEstimatePath) -> ImageParams:
    """The request whose price is asked for."""
    assets: list[str] = []
    denoise = round(asked.denoise, 6)
    if denoise:  # 0 means that there is no starting image
        assets.append(STARTING_IMAGE)
    if asked.cn_enabled:
        assets.append(CONTROL_NET_IMAGE)
    assets += [f"{CONTEXT_IMAGE}{slot + 1}" for slot in range(asked.context_images)]
    return ImageParams(
        model=asked.model,
        prompt="an estimate",  # a price does not depend on the words, but there must be some
        count=asked.image_count,
        steps=asked.step_count or None,
        guidance=asked.guidance or None,
        width=asked.width or None,
        height=asked.height or None,
        assets=tuple(assets),
        strength=denoise or None,
        sampler=None if asked.sampler == _UNSET else asked.sampler,
        previews=asked.preview_count,
        network=asked.network,
    )
