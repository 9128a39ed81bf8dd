"""What the server says of itself: the OpenAPI document and pages made from structs; and `/`."""

from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

from aiohttp import web

from dreamgrid.protocol.rest_about import About
from dreamgrid.server import openapi
from dreamgrid.server.endpoint import JSON, Endpoints
from dreamgrid.server.pages import api as api_page
from dreamgrid.server.pages import socket as socket_page
from dreamgrid.server.pages.html import HEADERS, response
from dreamgrid.server.release import version
from dreamgrid.server.routes import studio
from dreamgrid.server.services import Services

ABOUT = (
    "An open, self-hostable network for AI image, video and audio generation. Apps send projects, "
    "workers render them. Projects are made over the socket; everything else is here."
)
_HTML = ("text/html",)


def routes(services: Services, others: Sequence[Endpoints]) -> Endpoints:
    """`/`, `/openapi.json` and everything below `/docs`.

    Args:
        services: The parts of the server.
        others: All other endpoints, which the document describes beside these.
    """
    release = version()
    api = Endpoints("Documentation", "What this server says about itself.")

    @cache
    def document() -> openapi.Json:
        return openapi.document([*others, api], about=ABOUT, version=release)

    @cache
    def api_html() -> str:
        return api_page.render(document())

    @cache
    def socket_html() -> str:
        return socket_page.render()

    @api.get("/", bare=True, content_types=(JSON, "text/html"))
    async def about(request: web.Request) -> About | web.Response:
        """What this is: the studio for browsers, JSON for programs."""
        if "text/html" in request.headers.get("Accept", ""):
            return studio.page(services, request)
        return About(version=release, openapi="/openapi.json", docs=("/docs/api", "/docs/socket"))

    @api.get("/openapi.json", bare=True)
    async def openapi_document() -> dict[str, Any]:
        """This document: OpenAPI 3.1."""
        return document()

    @api.get("/docs", "/docs/api", content_types=_HTML)
    async def api_docs() -> web.Response:
        """The HTTP endpoints, for people."""
        return response(api_html())

    @api.get("/docs/socket", content_types=_HTML)
    async def socket_docs() -> web.Response:
        """The messages of the app socket, for people."""
        return response(socket_html())

    @api.get("/docs/style.css", content_types=("text/css",))
    async def style() -> web.Response:
        """How the pages look."""
        return web.Response(text=style_sheet(), content_type="text/css", headers=HEADERS)

    return api


@cache
def style_sheet() -> str:
    """The style of all pages, from its file."""
    return (resources.files("dreamgrid.server.pages") / "style.css").read_text("utf-8")
