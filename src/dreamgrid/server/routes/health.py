"""Is the server there, and what is it."""

from importlib.metadata import version

from dreamgrid.protocol.rest_about import Health
from dreamgrid.server.endpoint import Endpoints
from dreamgrid.server.services import Services


def routes(services: Services) -> Endpoints:
    """`/healthz`, for machines."""
    api = Endpoints("Server", "Is it there, and what is it.")
    about = version("dreamgrid")

    @api.get("/healthz", bare=True)
    async def healthz() -> Health:
        """Whether the server answers, which version it is, and how many workers it has."""
        return Health(version=about, workers=len(services.workers.all()))

    return api
