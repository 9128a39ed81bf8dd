"""The parts of one running server, handed to every route and socket. Built only by `app`."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import web

from dreamgrid.server import relays
from dreamgrid.server.accounts import LOCAL_ACCOUNT, Accounts
from dreamgrid.server.addresses import place
from dreamgrid.server.auth import Account, hash_key, is_key
from dreamgrid.server.blobs.base import Blobs
from dreamgrid.server.bus.base import Bus, key_subject, session_subject
from dreamgrid.server.catalog import Catalog
from dreamgrid.server.clock import Clock
from dreamgrid.server.config import ServerConfig
from dreamgrid.server.event_feed import EventFeeds
from dreamgrid.server.known_workers import KnownWorkers
from dreamgrid.server.limits import Limits
from dreamgrid.server.open_projects import OpenProjects
from dreamgrid.server.projects import Projects
from dreamgrid.server.queue_notices import QueueNotices
from dreamgrid.server.recovery import Recovery
from dreamgrid.server.rendering import Rendering
from dreamgrid.server.rules import Rules
from dreamgrid.server.sessions import Sessions
from dreamgrid.server.sign_in import SignIn
from dreamgrid.server.sign_in_links import SignInLinks
from dreamgrid.server.store.base import Store
from dreamgrid.server.uploads import Uploads
from dreamgrid.server.webhook_sender import WebhookSender
from dreamgrid.server.webhooks import Webhooks
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
    recovery: Recovery
    rendering: Rendering
    queue: QueueNotices
    workers: Workers
    known_workers: KnownWorkers
    sessions: Sessions
    sign_in: SignIn
    sign_in_links: SignInLinks
    limits: Limits
    uploads: Uploads
    feeds: EventFeeds
    rules: Rules
    open_projects: OpenProjects
    webhooks: Webhooks
    webhook_sender: WebhookSender
    clock: Clock

    async def authenticate(self, credential: str) -> Account | None:
        """The account behind an API key or an access token; None when it is not valid.

        Raises:
            NotAllowed: The account is banned.
        """
        if is_key(credential):
            found = await self.accounts.authenticate(credential)
        else:
            found = await self.sessions.authenticate(credential)
        if found is not None:
            self.rules.check_account(found.id)
        return found

    def is_administrator(self, username: str) -> bool:
        """Whether an account may run the grid: of whoever started it, or named in the settings."""
        admins = {LOCAL_ACCOUNT, *(name.casefold() for name in self.config.admins)}
        return username.casefold() in admins

    def end_subject(self, credential: str) -> str:
        """Where it is told that a valid credential is good no longer."""
        if not is_key(credential) and (session_id := self.sessions.session_of(credential)):
            return session_subject(session_id)
        return key_subject(hash_key(credential))

    def origin(self, request: web.Request) -> str:
        """Scheme, host and port under which the peer of `request` reaches this server."""
        return (self.config.public_url or f"{request.scheme}://{request.host}").rstrip("/")

    def address(self, request: web.Request) -> str:
        """Where a request comes from, for limits.

        Through another node or behind a proxy that is trusted: what that one says.
        """
        if self.config.node is not None:
            relayed = relays.caller_of(request, self.config.node.relay_secret)
            if relayed is not None:
                return relayed
        said = request.headers.get("X-Forwarded-For", "")
        return place(self.config.proxies.behind(request.remote or "", said))

    def may_use_cookie(self, request: web.Request) -> bool:
        """Whether a request comes from a page that may act for whoever is signed in.

        Browsers name a page's origin with all that could change something and with every socket.
        Requests without one are from no page, or from a page of this server.
        """
        origin = request.headers.get("Origin")
        if origin is None or origin in self.config.web_origins:
            return True
        try:
            page, here = urlsplit(origin), urlsplit(self.origin(request))
        except ValueError:  # such as half of an IPv6 address
            return False
        # A page that came without TLS could be anybody's.
        safe = page.scheme == "https" or here.scheme != "https"
        return safe and page.hostname is not None and page.hostname == here.hostname
