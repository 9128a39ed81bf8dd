"""The parts of one running server, handed to every route and socket. Built only by `app`."""

from dataclasses import dataclass

from aiohttp import web

from dreamgrid.server.accounts import Accounts
from dreamgrid.server.auth import Account, is_key
from dreamgrid.server.blobs.base import Blobs
from dreamgrid.server.bus.base import Bus
from dreamgrid.server.catalog import Catalog
from dreamgrid.server.clock import Clock
from dreamgrid.server.config import ServerConfig
from dreamgrid.server.projects import Projects
from dreamgrid.server.rendering import Rendering
from dreamgrid.server.sessions import Sessions
from dreamgrid.server.sign_in import SignIn
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
    sessions: Sessions
    sign_in: SignIn
    clock: Clock

    async def authenticate(self, credential: str) -> Account | None:
        """The account behind an API key or an access token; None when it is not valid."""
        if is_key(credential):
            return await self.accounts.authenticate(credential)
        return await self.sessions.authenticate(credential)

    def origin(self, request: web.Request) -> str:
        """Scheme, host and port under which the peer of `request` reaches this server."""
        return (self.config.public_url or f"{request.scheme}://{request.host}").rstrip("/")
