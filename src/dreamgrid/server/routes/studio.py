"""The studio: the files of a web page, as they were built from `web-src/`. It has no rights here.

Everything it shows and does goes through the public API, with a cookie.
"""

import gzip
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from aiohttp import web
from msgspec import Meta

from dreamgrid.errors import NotFound
from dreamgrid.server.endpoint import Endpoints
from dreamgrid.server.services import Services

_TYPES = {
    "css": "text/css",
    "html": "text/html",
    "js": "text/javascript",
    "svg": "image/svg+xml",
    "txt": "text/plain",
    "woff2": "font/woff2",
}
_ANY_KEY = "results/any"
_PLAIN = frozenset({"woff2"})
"""What is compressed already."""


class FilePath(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the studio; its name changes with its content."""

    file: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,100}$")]


@dataclass(frozen=True, kw_only=True)
class WebFile:
    """A file of the studio, as it travels."""

    content_type: str
    plain: bytes
    compressed: bytes | None


@cache
def web_files() -> dict[str, WebFile]:
    """Every file of the studio by its name."""
    found = {}
    for file in (resources.files("dreamgrid") / "web").iterdir():
        kind = file.name.rpartition(".")[2]
        if kind in _TYPES:
            content = file.read_bytes()
            found[file.name] = WebFile(
                content_type=_TYPES[kind],
                plain=content,
                compressed=None if kind in _PLAIN else gzip.compress(content, mtime=0),
            )
    return found


def routes(services: Services) -> Endpoints:
    """The files that the first page loads."""
    api = Endpoints("Studio", "The files of the page that `/` shows to browsers.")

    @api.get("/studio/{file}", content_types=tuple(_TYPES.values()), errors=(NotFound,))
    async def studio_file(path: FilePath, request: web.Request) -> web.Response:
        """A script, style, font or picture of the studio."""
        found = web_files().get(path.file)
        if found is None or path.file == "index.html":
            raise NotFound(f"the studio has no file {path.file} (any more); load its page again")
        kept = {"Cache-Control": "public, max-age=31536000, immutable"}
        return _answer(request, found, {"X-Content-Type-Options": "nosniff", **kept})

    @api.get("/favicon.ico", content_types=(_TYPES["svg"],))
    async def favicon(request: web.Request) -> web.Response:
        """The mark that browsers show beside every page of this server."""
        kept = {"Cache-Control": "public, max-age=86400"}
        return _answer(
            request, web_files()["mark.svg"], {"X-Content-Type-Options": "nosniff", **kept}
        )

    return api


def page(services: Services, request: web.Request) -> web.Response:
    """The page itself, and what it may do: load from this server only, run no inline script."""
    return _answer(request, web_files()["index.html"], _page_headers(services, request))


def _page_headers(services: Services, request: web.Request) -> dict[str, str]:
    here = services.origin(request)
    media = " ".join(dict.fromkeys(["'self'", *_media_origins(services, request.host, here)]))
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "font-src": "'self'",
        "img-src": f"{media} blob: data:",
        "media-src": f"{media} blob:",
        "connect-src": f"{media} ws://{request.host} wss://{request.host}",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {what}" for name, what in policy.items()),
        "Cross-Origin-Opener-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
        "Cache-Control": "no-cache",
        "Vary": "Accept, Accept-Encoding",
    }


def _media_origins(services: Services, host: str, here: str) -> list[str]:
    """Where links to media lead, unless that is where the page itself came from."""
    link = urlsplit(services.blobs.get_url(_ANY_KEY, expires_s=1, origin=here))
    places = [here, f"{link.scheme}://{link.netloc}"]
    return [place for place in places if not place.endswith(f"//{host}")]


def _answer(request: web.Request, file: WebFile, headers: dict[str, str]) -> web.Response:
    body = file.plain
    if file.compressed is not None and "gzip" in request.headers.get("Accept-Encoding", ""):
        body = file.compressed
        headers = {**headers, "Content-Encoding": "gzip"}
    return web.Response(
        body=body,
        content_type=file.content_type,
        charset=None if file.compressed is None else "utf-8",
        headers=headers,
    )
