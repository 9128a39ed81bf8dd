"""What all HTTP handlers share: answers, errors in one shape, CORS, and who is asking."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from dreamgrid.errors import AuthenticationFailed, DreamgridError, InvalidRequest, NotFound
from dreamgrid.protocol import codec, failures
from dreamgrid.protocol.rest import Success
from dreamgrid.protocol.rest_account import SESSION_COOKIE
from dreamgrid.server.auth import Account, is_key

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ACCOUNT = web.RequestKey("account", Account)
COOKIE_COUNTS = web.RequestKey("cookie_counts", bool)
"""Whether the page that a request comes from may use the cookie; set before anything reads it."""

_json = msgspec.json.Encoder()
_log = logging.getLogger("dreamgrid.server")


def answer(data: Any, *, status: int = 200) -> web.Response:
    """A REST host answer: `{"status": "success", "data": ...}`."""
    return bare_answer(Success(data=data), status=status)


def bare_answer(data: Any, *, status: int = 200) -> web.Response:
    """A socket host answer: the value itself."""
    return web.Response(
        body=_json.encode(data), status=status, content_type="application/json", charset="utf-8"
    )


def error_answer(error: DreamgridError) -> web.Response:
    """An error as every client expects it."""
    body = failures.body_of(error)
    response = bare_answer(body, status=failures.http_status_of(error))
    if body.retry_after is not msgspec.UNSET:
        response.headers["Retry-After"] = str(max(1, round(body.retry_after)))
    return response


def credential_of(request: web.Request) -> str | None:
    """The API key or token of a request, with or without `Bearer`; None when there is none.

    Browsers that hold no token themselves send a cookie.
    """
    cookie = request.cookies.get(SESSION_COOKIE) if request.get(COOKIE_COUNTS, False) else None
    given = request.headers.get("api-key") or request.headers.get("Authorization") or cookie or ""
    scheme, _, rest = given.partition(" ")
    if scheme.lower() == "bearer":
        given = rest
    # No key or token has other letters; one that has is simply wrong, not a surprise further in.
    return given.strip().encode("ascii", "backslashreplace").decode("ascii") or None


def is_websocket(request: web.Request) -> bool:
    """Whether a request wants to become a WebSocket; some plain ones offer other upgrades."""
    return request.headers.get("Upgrade", "").lower() == "websocket"


def refusal_of(credential: str | None) -> str:
    """Why a credential that was looked up in vain is refused, and what to do about it."""
    if credential is None:
        return "this needs a credential: send your key in the header api-key"
    if is_key(credential):
        return "this key is not valid here: it is mistyped or was revoked"
    return "this sign-in is not valid (any more): sign in again, or use an API key"


def require_account(request: web.Request) -> Account:
    """The account behind the request's credential.

    Raises:
        AuthenticationFailed: There is none.
    """
    if ACCOUNT in request:
        return request[ACCOUNT]
    raise AuthenticationFailed(refusal_of(credential_of(request)))


def query(request: web.Request, name: str) -> str:
    """A query parameter that must be there.

    Raises:
        InvalidRequest: It is not.
    """
    value = request.query.get(name)
    if not value:
        raise InvalidRequest(f"the query parameter '{name}' is missing")
    return value


async def body(request: web.Request, kind: type[T]) -> T:
    """The JSON body as `kind`.

    Raises:
        InvalidRequest: It does not have that shape; the message names the field.
    """
    try:
        return msgspec.json.decode(await request.read() or b"{}", type=kind)
    except codec.UNREADABLE as error:
        raise InvalidRequest(f"the body is not what {request.path} takes: {error}") from None


@web.middleware
async def errors_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns every failure into the one error shape; surprises are logged with their trace."""
    try:
        return await handler(request)
    except DreamgridError as error:
        return error_answer(error)
    except web.HTTPNotFound:
        return error_answer(NotFound(f"there is nothing at {request.method} {request.path}"))
    except web.HTTPRequestEntityTooLarge:
        return bare_answer(
            failures.ErrorBody(message="the request body is too large", error_code=413), status=413
        )
    except web.HTTPException as error:
        return bare_answer(
            failures.ErrorBody(message=error.reason, error_code=error.status), status=error.status
        )
    except Exception:
        _log.exception("request failed: %s %s", request.method, request.path)
        return bare_answer(
            failures.ErrorBody(message="the server made a mistake; see its log", error_code=500),
            status=500,
        )


_CORS_HEADERS = {
    "Access-Control-Allow-Credentials": "true",
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
    "Access-Control-Expose-Headers": "Retry-After, Content-Range, Content-Length",
    "Access-Control-Max-Age": "600",
    "Vary": "Origin",
}


@web.middleware
async def cors_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Lets browsers of any origin call the API; credentials still decide what they may do."""
    origin = request.headers.get("Origin")
    preflight = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
    response = web.Response(status=204) if preflight else await handler(request)
    if origin and not response.prepared:
        response.headers.update(_CORS_HEADERS)
        response.headers["Access-Control-Allow-Origin"] = origin
        asked = request.headers.get("Access-Control-Request-Headers")
        response.headers["Access-Control-Allow-Headers"] = asked or "Content-Type"
    return response
