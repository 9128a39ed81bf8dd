"""Is the server there, can it take work, and how is it."""

from collections.abc import Callable
from functools import partial

from aiohttp import web

from dreamgrid.errors import ServerUnavailable
from dreamgrid.protocol.rest_about import Health, Ready
from dreamgrid.server.admin import Admin
from dreamgrid.server.auth import Account
from dreamgrid.server.endpoint import Endpoints
from dreamgrid.server.exposition import exposed
from dreamgrid.server.http import Refused
from dreamgrid.server.readiness import Readiness
from dreamgrid.server.release import version
from dreamgrid.server.services import Services

_TEXT = ("text/plain",)


def routes(services: Services) -> Endpoints:
    """`/healthz`, `/readyz` and `/metrics`, for machines."""
    api = Endpoints("Server", "Is it there, can it take work, and how is it.")
    about = version()
    readiness = Readiness(services.store, services.blobs, services.projects)
    admin = Admin(services)

    @api.get("/healthz", bare=True)
    async def healthz() -> Health:
        """Whether the server answers, which version it is, and how many workers it has."""
        return Health(version=about, workers=len(services.workers.all()))

    @api.get("/readyz", bare=True, errors=(ServerUnavailable,))
    async def readyz() -> Ready:
        """Whether the server can take work: it is not stopping, and database and media answer."""
        missing = await readiness.missing()
        if missing:
            raise ServerUnavailable(f"not ready: {'; '.join(missing)}")
        return Ready()

    @api.get("/metrics", content_types=_TEXT, also={501: "The extra `metrics` is missing."})
    async def metrics(account: Account, request: web.Request) -> web.Response:
        """What there is to measure, as Prometheus reads it. For administrators."""
        admin.require(account)
        if request.method == "HEAD":  # nodes ask so whether a caller may know theirs
            return web.Response(content_type="text/plain")
        return metrics_answer(partial(exposed, services))

    return api


def metrics_answer(tell: Callable[[], tuple[bytes, str]]) -> web.Response:
    """What there is to measure, if the library is there.

    Raises:
        Refused: It is not.
    """
    try:
        body, media_type = tell()
    except ImportError as error:
        raise Refused(
            501,
            f"this server cannot tell its metrics ({error}): install the extra with "
            "pip install -e '.[metrics]' in the clone",
        ) from None
    return web.Response(body=body, headers={"Content-Type": media_type})
