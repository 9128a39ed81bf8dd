"""Signing up, in and out with a wallet, and renewing tokens."""

from aiohttp import web

from dreamgrid.errors import (
    AuthenticationFailed,
    NotAllowed,
    UsernameTaken,
)
from dreamgrid.protocol.rest_account import (
    LoginRequest,
    Nonce,
    NonceRequest,
    Nothing,
    RefreshRequest,
    SignupRequest,
    Tokens,
    UsernameRequest,
    WaysIn,
)
from dreamgrid.server import cookies
from dreamgrid.server.auth import Account
from dreamgrid.server.endpoint import Endpoints
from dreamgrid.server.http import credential_of, from_here
from dreamgrid.server.services import Services


def routes(services: Services) -> Endpoints:
    """The endpoints under `/v1/account` that need no credential, and logout."""
    sign_in, sessions = services.sign_in, services.sessions
    api = Endpoints(
        "Sign-in",
        "With name and password, which never leave the app: they make a key that signs a nonce.",
    )

    def keep_cookie(
        request: web.Request, response: web.Response, account: Account, token: str, remember: bool
    ) -> None:
        cookie = sessions.cookie(account, token, remember=remember)
        cookies.keep(services, request, response, *cookie)

    @api.get("/v1/account/sign-in")
    async def ways_in(request: web.Request) -> WaysIn:
        """Whether one can sign in by name and password here, and make an account."""
        return sign_in.ways_in(from_here=from_here(request))

    @api.post("/v1/account/nonce")
    async def nonce(body: NonceRequest, request: web.Request) -> Nonce:
        """A text to sign, good for one use within five minutes."""
        return Nonce(nonce=sign_in.nonce(services.address(request), body.wallet_address))

    @api.post("/v1/account/create", errors=(UsernameTaken, NotAllowed))
    async def sign_up(body: SignupRequest, request: web.Request, response: web.Response) -> Tokens:
        """Makes an account and signs in."""
        account, tokens = await sign_in.sign_up(
            services.address(request), body, from_here=from_here(request)
        )
        keep_cookie(request, response, account, tokens.token, bool(body.remember_me))
        return tokens

    @api.post("/v1/account/login", errors=(NotAllowed,))
    async def log_in(body: LoginRequest, request: web.Request, response: web.Response) -> Tokens:
        """Signs in. Browsers also get a cookie, which scripts cannot read."""
        account, tokens = await sign_in.log_in(services.address(request), body)
        keep_cookie(request, response, account, tokens.token, bool(body.remember_me))
        return tokens

    @api.post("/v1/account/refresh-token", errors=(AuthenticationFailed,))
    async def refresh_tokens(body: RefreshRequest) -> Tokens:
        """Exchanges a refresh token for fresh ones; the old one stays good for two minutes."""
        return await sessions.refresh(body.refresh_token)

    @api.post("/v1/account/logout")
    async def log_out(account: Account, request: web.Request, response: web.Response) -> Nothing:
        """Ends the session of the token that is sent. API keys stay good."""
        del account
        credential = credential_of(request)
        assert credential is not None, "it was just checked"
        await sessions.end(credential)  # a key has no session, and stays good
        cookies.forget(response)
        return Nothing()

    @api.post("/v1/account/username/validate", errors=(UsernameTaken,))
    async def check_username(body: UsernameRequest) -> None:
        """Whether a name is free: `data` is null. Taken: 400 with the error code 108."""
        await sign_in.check_username(body.username)

    return api
