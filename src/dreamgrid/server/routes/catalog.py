"""What this grid offers: models, tiers, sizes, and how many workers serve each. All public."""

from aiohttp import web

from dreamgrid.server.catalog import check_network
from dreamgrid.server.http import answer, bare_answer
from dreamgrid.server.services import Services


def routes(services: Services) -> list[web.RouteDef]:
    """The catalogue endpoints of both hosts."""
    catalog = services.catalog

    async def models(_: web.Request) -> web.Response:
        return bare_answer(catalog.models())

    async def tiers(_: web.Request) -> web.Response:
        return bare_answer(catalog.tiers())

    async def size_presets(request: web.Request) -> web.Response:
        network, model = request.match_info["network"], request.match_info["model"]
        return bare_answer(catalog.size_presets(network, model))

    async def status(request: web.Request) -> web.Response:
        network = check_network(request.match_info["network"])
        counts = services.workers.counts(network)
        # Clients know models by their short number here, written as text.
        return bare_answer(
            {str(catalog.entry(model).sid): count for model, count in counts.items()}
        )

    async def loras(_: web.Request) -> web.Response:
        return answer({"loras": []})

    return [
        web.get("/api/v1/models/list", models),
        web.get("/api/v2/models/tiers", tiers),
        web.get("/api/v1/size-presets/network/{network}/model/{model}", size_presets),
        web.get("/api/v1/status/network/{network}/models", status),
        web.get("/v1/loras/comfy", loras),
    ]
