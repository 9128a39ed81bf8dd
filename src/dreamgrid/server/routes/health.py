"""Is the server there, and what is it."""

from importlib.metadata import version

from aiohttp import web

from dreamgrid.server.http import bare_answer
from dreamgrid.server.services import Services


def routes(services: Services) -> list[web.RouteDef]:
    """`/healthz` for machines and `/` for people."""
    about = {"name": "dreamgrid", "version": version("dreamgrid")}

    async def healthz(request: web.Request) -> web.Response:
        del request
        return bare_answer({"status": "ok", **about, "workers": len(services.workers.all())})

    return [web.get("/healthz", healthz)]
