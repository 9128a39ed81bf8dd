"""What all HTTP handlers share: answers, errors in one shape, CORS, and who is asking."""

import asyncio
import logging
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, TypeVar, get_args, get_origin
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from dreamgrid.errors import AuthenticationFailed, DreamgridError, InvalidRequest, NotFound
from dreamgrid.protocol import codec, failures
from dreamgrid.protocol.rest import Success
from dreamgrid.protocol.rest_account import SESSION_COOKIE
from dreamgrid.protocol.scopes import Scope
from dreamgrid.server import relays
from dreamgrid.server.auth import Account, is_key
from dreamgrid.server.config import LOOPBACK

T = TypeVar("T")
Parameters = TypeVar("Parameters", bound=msgspec.Struct)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ACCOUNT = web.RequestKey("account", Account)
COOKIE_COUNTS = web.RequestKey("cookie_counts", bool)
"""Whether the page that a request comes from may use the cookie; set before anything reads it."""

_UNSET = ("", "undefined")
"""What clients write for a parameter that they leave out; the second is the oldest client's."""

_FIELD = re.compile(r"(?:required|unknown) field `([^`]+)`|at `\$\.(?P<place>[^`.\[]+)")
_MISSING = re.compile(r"missing required field `(\w+)`")
_OF_PROXIES = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via", relays.HEADER)
BODY_WITHIN_S = 30.0
"""How long the body of a request may take to arrive, all of it."""

ERROR = web.ResponseKey("error", DreamgridError)
"""What an answer that is an error stands for, where it has a class."""

REFUSAL = web.ResponseKey("refusal", str)
"""The message of an answer that is an error without a class."""

_json = msgspec.json.Encoder()
_log = logging.getLogger("dreamgrid.server")


def answer(data: Any, *, status: int = 200) -> web.Response:
    """A REST host answer: `{"status": "success", "data": ...}`."""
    return bare_answer(Success(data=data), status=status)


def bare_answer(data: Any, *, status: int = 200) -> web.Response:
    """A socket host answer: the value itself."""
    return web.Response(
        body=encoded(data), status=status, content_type="application/json", charset="utf-8"
    )


def encoded(data: Any) -> bytes:
    """A value as JSON."""
    return _json.encode(data)


def error_answer(error: DreamgridError) -> web.Response:
    """An error as every client expects it."""
    body = failures.body_of(error)
    response = bare_answer(body, status=failures.http_status_of(error))
    response[ERROR] = error
    if body.retry_after is not msgspec.UNSET:
        response.headers["Retry-After"] = str(max(1, round(body.retry_after)))
    return response


class Refused(Exception):
    """A refusal that only HTTP knows, such as a body that is too long.

    Args:
        status: HTTP status, and the error code as well.
        message: What happened and what to do.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def refusal(status: int, message: str) -> web.Response:
    """An error that has no class in `dreamgrid.errors`; its code is the HTTP status."""
    response = bare_answer(failures.ErrorBody(message=message, error_code=status), status=status)
    response[REFUSAL] = message
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


def require_account(request: web.Request, scope: Scope | None) -> Account:
    """The account behind the request's credential.

    Args:
        request: The request.
        scope: What an API key must be allowed to do; None: nothing in particular.

    Raises:
        AuthenticationFailed: There is none.
        NotAllowed: The key may not do this.
    """
    if ACCOUNT in request:
        account = request[ACCOUNT]
        if scope is not None:
            account.require(scope)
        return account
    raise AuthenticationFailed(refusal_of(credential_of(request)))


def parameters(place: str, given: Mapping[str, str], kind: type[Parameters]) -> Parameters:
    """The parameters of a request as `kind`; each is text, so "7" and "true" mean 7 and True.

    Args:
        place: `path` or `query`, for messages.
        given: What the request carries. Names that `kind` lacks are ignored.
        kind: A struct.

    Raises:
        InvalidRequest: One is missing, wrong or there twice; names it, and says what it may be.
    """
    once = dict(given.items())
    if len(once) < len(given):
        _refuse_repeats(place, given, kind)
    known = {name: text for name, text in once.items() if text not in _UNSET}
    try:
        return msgspec.convert(known, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _wrong(_explained(place, str(error), kind), str(error)) from None


def _refuse_repeats(place: str, given: Mapping[str, str], kind: type[msgspec.Struct]) -> None:
    names = Counter(name for name, _ in given.items())
    for field in msgspec.structs.fields(kind):
        if names[field.encode_name] > 1:
            raise InvalidRequest(f"{place} parameter '{field.encode_name}': send it once only")


def _wrong(message: str, problem: str) -> InvalidRequest:
    """The error for what a decoder found, with the name of the field."""
    error = InvalidRequest(message)
    found = _FIELD.search(problem)
    if found is not None:
        error.field = found[1] or found["place"]
    return error


def _explained(place: str, problem: str, kind: Any) -> str:
    """What is wrong with which parameter."""
    missing = _MISSING.search(problem)
    if missing:
        return f"the {place} parameter '{missing[1]}' is missing"
    what, _, where = problem.partition(" - at `$.")
    return f"{place} parameter '{where.rstrip('`')}': {what}{_hint(problem, kind)}"


def _hint(problem: str, kind: Any) -> str:
    """The words that the field allows in which a problem was found, if it is a choice of words."""
    _, _, where = problem.partition(" - at `$.")
    name = re.split(r"[.\[`]", where)[0]
    if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        return ""
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    choices = [one for one in _choices(fields[name].type) if one] if name in fields else []
    return f"; use {' or '.join(choices)}" if choices else ""


def _choices(kind: Any) -> list[str]:
    """The words that a type allows, if it is a choice of words."""
    if get_origin(kind) is Literal:
        return [str(one) for one in get_args(kind)]
    return [word for part in get_args(kind) for word in _choices(part)]


async def body(request: web.Request, kind: type[T]) -> T:
    """The JSON body as `kind`.

    Raises:
        InvalidRequest: It does not have that shape; the message names the field.
    """
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            raw = await request.read()
    except TimeoutError:
        raise Refused(408, f"the body took longer than {BODY_WITHIN_S:g} seconds") from None
    try:
        return msgspec.json.decode(raw or b"{}", type=kind)
    except codec.UNREADABLE as error:
        raise _wrong(
            f"the body is not what {request.path} takes: {error}{_hint(str(error), kind)}",
            str(error),
        ) from None


@web.middleware
async def errors_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns every failure into the one error shape; surprises are logged with their trace."""
    try:
        return await handler(request)
    except DreamgridError as error:
        return error_answer(error)
    except Refused as error:
        return refusal(error.status, str(error))
    except web.HTTPException as error:
        return _told(request, error)
    except ConnectionError:  # the peer went away, such as during its handshake; nobody reads this
        return refusal(400, "the connection was lost")
    except Exception:
        _log.exception("request failed: %s %s", request.method, request.path)
        return refusal(500, "the server made a mistake; its log says which")


def _told(request: web.Request, error: web.HTTPException) -> web.Response:
    """What aiohttp refuses by itself, and what to do about it."""
    match error:
        case web.HTTPNotFound():
            where = f"there is nothing at {request.path[:200]}"
            return error_answer(NotFound(f"{where}; /docs/api lists what there is"))
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            response = refusal(405, f"{request.path[:200]} takes no {error.method}: use {allowed}")
            response.headers["Allow"] = allowed
            return response
        case web.HTTPRequestEntityTooLarge():
            return refusal(413, f"the body is too large: at most {request.client_max_size} bytes")
        case _:
            return refusal(error.status, error.text or error.reason)


_CORS_HEADERS = {
    "Access-Control-Allow-Credentials": "true",
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
    "Access-Control-Expose-Headers": (
        "Retry-After, Content-Range, Content-Length, x-request-id, x-should-retry"
    ),
    "Access-Control-Max-Age": "600",
    "Vary": "Origin",
}


@web.middleware
async def cors_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Lets browsers of any origin ask whether they may call the API; see `add_cors_headers`."""
    preflight = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
    if not preflight:
        return await handler(request)
    return web.Response(status=204)


async def add_cors_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Marks every answer to a page of another origin, streams included; a signal of aiohttp."""
    origin = request.headers.get("Origin")
    if origin:
        response.headers.update(_CORS_HEADERS)
        response.headers["Access-Control-Allow-Origin"] = origin
        asked = request.headers.get("Access-Control-Request-Headers")
        response.headers["Access-Control-Allow-Headers"] = asked or "Content-Type"


def from_here(request: web.Request) -> bool:
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
