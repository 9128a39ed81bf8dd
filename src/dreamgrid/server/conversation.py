"""What app and worker sockets share: how a conversation ends that the peer did not end."""

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from aiohttp import web

from dreamgrid.errors import AuthenticationFailed, DreamgridError, NotAllowed, TooManyRequests
from dreamgrid.protocol.scopes import Scope
from dreamgrid.protocol.socket import CLOSE_AUTHENTICATION, CLOSE_NOT_ALLOWED, CLOSE_TRY_AGAIN
from dreamgrid.server.auth import Account
from dreamgrid.server.http import credential_of, refusal_of
from dreamgrid.server.outbox import close_reason
from dreamgrid.server.services import Services

CLOSE_SURPRISE = 1011
"""Something failed here. Clients and workers take it for a lost network and connect again."""

_log = logging.getLogger("dreamgrid.sockets")


async def hold(ws: web.WebSocketResponse, conversation: Awaitable[None]) -> web.WebSocketResponse:
    """Waits for a conversation to end.

    After the upgrade an HTTP error could no longer be answered: the peer would read it as a broken
    frame. So the connection is closed with a code instead.
    """
    try:
        await conversation
    except ConnectionError:  # the peer went away, such as while its ping was answered
        _log.debug("a peer went away without a word")
    except AuthenticationFailed as error:
        await ws.close(code=CLOSE_AUTHENTICATION, message=close_reason(str(error)))
    except NotAllowed as error:
        await ws.close(code=CLOSE_NOT_ALLOWED, message=close_reason(str(error)))
    except TooManyRequests as error:
        await ws.close(code=CLOSE_TRY_AGAIN, message=close_reason(str(error)))
    except DreamgridError as error:  # such as a database that cannot be read just now
        _log.warning("a connection ended: %s", error)
        await ws.close(code=CLOSE_SURPRISE, message=close_reason(str(error)))
    except Exception:  # the top of a connection; the others go on
        _log.exception("a connection failed")
        await ws.close(code=CLOSE_SURPRISE, message=b"the server made a mistake; see its log")
    return ws


async def authenticated(
    services: Services, request: web.Request, scope: Scope
) -> tuple[str, Account]:
    """Who opens a socket: the credential, and the account behind it.

    A refused upgrade would look like a lost network, so all of this comes after it.

    Raises:
        AuthenticationFailed: There is no valid credential.
        NotAllowed: It is a key that may not do what this socket is for.
        TooManyRequests: They open sockets too fast.
    """
    credential = credential_of(request)
    account = await services.authenticate(credential) if credential else None
    services.limits.request(account, services.address(request))
    if credential is None or account is None:
        raise AuthenticationFailed(refusal_of(credential))
    account.require(scope)
    return credential, account


@contextmanager
def ended_by_ban(
    services: Services, end: Callable[[int, str], None], *subjects: str
) -> Iterator[None]:
    """Ends a conversation, while the block runs, when its account or app id is banned.

    Args:
        services: The server.
        end: Is called with the close code and the reason.
        subjects: What the ban may be about; see `ban_subject`.
    """

    def banned(frame: bytes, key: str | None) -> None:
        del key
        code, _, reason = frame.decode().partition(" ")
        end(int(code), reason)

    unsubscribes = [services.bus.subscribe(subject, banned) for subject in subjects]
    try:
        yield
    finally:
        for unsubscribe in unsubscribes:
            unsubscribe()


@contextmanager
def ended_with_credential(
    services: Services, credential: str, end: Callable[[str], None]
) -> Iterator[None]:
    """Ends a conversation, while the block runs, when its key is revoked or its sign-in ends.

    Enter it in the same turn of the event loop in which the credential was found valid.

    Args:
        services: The server.
        credential: What the conversation began with.
        end: Is called with the reason.
    """

    def ended(frame: bytes, key: str | None) -> None:
        del frame, key
        end(refusal_of(credential))

    unsubscribe = services.bus.subscribe(services.end_subject(credential), ended)
    try:
        yield
    finally:
        unsubscribe()
