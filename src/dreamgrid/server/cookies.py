"""The session cookie of browsers, which then need to hold no token themselves.

`SameSite=Lax` keeps other sites from acting for whoever is signed in: a browser sends the cookie
along with nothing that they start but plain links.
"""

from aiohttp import web

from dreamgrid.protocol.rest_account import SESSION_COOKIE
from dreamgrid.server.http import ACCOUNT
from dreamgrid.server.services import Services
from dreamgrid.server.sessions import COOKIE_S


def of(request: web.Request) -> str | None:
    """The token in the cookie of a request."""
    return request.cookies.get(SESSION_COOKIE)


def keep(
    services: Services,
    request: web.Request,
    response: web.StreamResponse,
    value: str,
    lifetime_s: int,
) -> None:
    """Gives the browser a cookie; one that lasts longer than a day survives its closing."""
    response.set_cookie(
        SESSION_COOKIE,
        value,
        max_age=lifetime_s if lifetime_s > COOKIE_S else None,
        httponly=True,
        samesite="Lax",
        secure=services.origin(request).startswith("https:"),
    )


def forget(response: web.StreamResponse) -> None:
    """Takes the cookie away."""
    response.del_cookie(SESSION_COOKIE, httponly=True, samesite="Lax")


async def renew(services: Services, request: web.Request, response: web.StreamResponse) -> None:
    """Gives a browser that comes back now and then a new cookie before the old one expires."""
    token = of(request)
    if token is None or response.prepared or SESSION_COOKIE in response.cookies:
        return
    renewed = await services.sessions.renewed_cookie(request[ACCOUNT], token)
    if renewed is not None:
        keep(services, request, response, *renewed)
