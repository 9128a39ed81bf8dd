"""Signing up, in and out with a wallet, and renewing tokens."""

from urllib.parse import urlsplit

from aiohttp import web

from dreamgrid.protocol.rest_account import (
    LoginRequest,
    Nonce,
    NonceRequest,
    RefreshRequest,
    SignupRequest,
    Tokens,
    UsernameRequest,
)
from dreamgrid.server import cookies
from dreamgrid.server.auth import Account
from dreamgrid.server.config import LOOPBACK
from dreamgrid.server.http import answer, body, credential_of, require_account
from dreamgrid.server.services import Services

_OF_PROXIES = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")


def routes(services: Services) -> list[web.RouteDef]:
    """The endpoints under `/v1/account` that need no credential, and logout."""
    sign_in, sessions = services.sign_in, services.sessions

    def signed_in(
        request: web.Request, account: Account, tokens: Tokens, *, remember: bool
    ) -> web.Response:
        response = answer(tokens)
        cookie = sessions.cookie(account, tokens.token, remember=remember)
        cookies.keep(services, request, response, *cookie)
        return response

    async def nonce(request: web.Request) -> web.Response:
        wish = await body(request, NonceRequest)
        return answer(Nonce(nonce=sign_in.nonce(services.address(request), wish.wallet_address)))

    async def create(request: web.Request) -> web.Response:
        wish = await body(request, SignupRequest)
        account, tokens = await sign_in.sign_up(
            services.address(request), wish, from_here=_from_here(request)
        )
        return signed_in(request, account, tokens, remember=bool(wish.remember_me))

    async def login(request: web.Request) -> web.Response:
        wish = await body(request, LoginRequest)
        account, tokens = await sign_in.log_in(services.address(request), wish)
        return signed_in(request, account, tokens, remember=bool(wish.remember_me))

    async def refresh(request: web.Request) -> web.Response:
        wish = await body(request, RefreshRequest)
        return answer(await sessions.refresh(wish.refresh_token))

    async def logout(request: web.Request) -> web.Response:
        require_account(request)
        credential = credential_of(request)
        assert credential is not None, "it was just checked"
        await sessions.end(credential)  # a key has no session, and stays good
        response = answer({})
        cookies.forget(response)
        return response

    async def validate(request: web.Request) -> web.Response:
        wish = await body(request, UsernameRequest)
        await sign_in.check_username(wish.username)
        return answer(None)

    return [
        web.post("/v1/account/nonce", nonce),
        web.post("/v1/account/create", create),
        web.post("/v1/account/login", login),
        web.post("/v1/account/refresh-token", refresh),
        web.post("/v1/account/logout", logout),
        web.post("/v1/account/username/validate", validate),
    ]


def _from_here(request: web.Request) -> bool:
    """Whether a program or page of this machine asks, as far as a request can tell.

    Loopback alone is no proof: any page that is open in the browser of this machine can reach it,
    also under a name of its own, and so can everybody behind a reverse proxy.
    """
    if any(header in request.headers for header in _OF_PROXIES):
        return False
    urls = [f"//{request.host}", request.headers.get("Origin", f"//{request.host}")]
    try:
        return all(urlsplit(url).hostname in LOOPBACK for url in urls)
    except ValueError:  # such as half of an IPv6 address
        return False
