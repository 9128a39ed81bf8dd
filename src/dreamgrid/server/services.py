"""The parts of one running server, handed to every route and socket. Built only by `app`."""

from dataclasses import dataclass

from aiohttp import web

from dreamgrid.server.accounts import Accounts
from dreamgrid.server.blobs.base import Blobs
from dreamgrid.server.bus.base import Bus
from dreamgrid.server.catalog import Catalog
from dreamgrid.server.clock import Clock
from dreamgrid.server.config import ServerConfig
from dreamgrid.server.projects import Projects
from dreamgrid.server.rendering import Rendering
from dreamgrid.server.store.base import Store
from dreamgrid.server.workers import Workers


@dataclass(frozen=True, kw_only=True)
class Services:
    """Everything that a handler may use."""

    config: ServerConfig
    catalog: Catalog
    blobs: Blobs
    bus: Bus
    store: Store
    accounts: Accounts
    projects: Projects
    rendering: Rendering
    workers: Workers
    clock: Clock

    def origin(self, request: web.Request) -> str:
        """Scheme, host and port under which the peer of `request` reaches this server."""
        return self.config.public_url or f"{request.scheme}://{request.host}"
