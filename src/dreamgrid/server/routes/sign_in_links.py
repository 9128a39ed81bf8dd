"""Links that sign a browser of the server's machine in."""

from dataclasses import replace

from aiohttp import web

from dreamgrid.errors import NotAllowed
from dreamgrid.protocol.rest_account import LinkSecret, Nothing, SignInLink
from dreamgrid.server import cookies, sign_in_links
from dreamgrid.server.auth import Account
from dreamgrid.server.clock import milliseconds
from dreamgrid.server.config import LOOPBACK
from dreamgrid.server.endpoint import Endpoints
from dreamgrid.server.http import from_here
from dreamgrid.server.services import Services


def routes(services: Services) -> Endpoints:
    """Making such a link, and using it."""
    api = Endpoints(
        "Sign-in links", "How whoever started a server opens its studio, without a password."
    )

    @api.post("/v1/account/sign-in-links", status=201, errors=(NotAllowed,))
    async def make_sign_in_link(account: Account, request: web.Request) -> SignInLink:
        """A link that opens the studio, signed in; good once, for ten minutes, on this machine.

        Programs of other machines are refused, and so is whatever comes through a proxy.
        """
        _require_here(request)
        account.require_uncapped()
        secret = services.sign_in_links.make(replace(account, key_id=None, scope="all"))
        return SignInLink(
            url=sign_in_links.address(f"http://{request.host}", secret),
            expire_time=milliseconds(services.clock) + sign_in_links.LINK_S * 1000,
        )

    @api.post("/v1/account/sign-in-links/use", errors=(NotAllowed,))
    async def use_sign_in_link(
        body: LinkSecret, request: web.Request, response: web.Response
    ) -> Nothing:
        """Exchanges what a link says for the cookie of a browser. Nobody can use it again."""
        _require_here(request)
        account = services.sign_in_links.use(body.secret)
        tokens = await services.sessions.begin(account)
        cookie = services.sessions.cookie(account, tokens.token, remember=True)
        cookies.keep(services, request, response, *cookie)
        return Nothing()

    return api


def _require_here(request: web.Request) -> None:
    """Lets only connections of this machine through, however else it can be reached.

    Raises:
        NotAllowed: It is none.
    """
    if request.remote not in LOOPBACK or not from_here(request):
        raise NotAllowed("sign-in links work on the machine of the server only, without a proxy")
