"""What app and worker sockets share: how a conversation ends that the peer did not end."""

import logging
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager

from aiohttp import web

from dreamgrid.errors import DreamgridError
from dreamgrid.protocol.socket import CLOSE_AUTHENTICATION
from dreamgrid.server.auth import hash_key
from dreamgrid.server.bus.base import Bus, key_subject
from dreamgrid.server.http import refusal_of
from dreamgrid.server.outbox import Outbox, close_reason

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
    except DreamgridError as error:  # such as a database that cannot be read just now
        _log.warning("a connection ended: %s", error)
        await ws.close(code=CLOSE_SURPRISE, message=close_reason(str(error)))
    except Exception:  # the top of a connection; the others go on
        _log.exception("a connection failed")
        await ws.close(code=CLOSE_SURPRISE, message=b"the server made a mistake; see its log")
    return ws


@contextmanager
def closed_on_revocation(bus: Bus, credential: str, outbox: Outbox) -> Iterator[None]:
    """Ends a conversation, while the block runs, when the key that began it is revoked.

    Enter it in the same turn of the event loop in which the key was found valid.
    """

    def close(frame: bytes, key: str | None) -> None:
        del frame, key
        outbox.close(CLOSE_AUTHENTICATION, refusal_of(credential))

    unsubscribe = bus.subscribe(key_subject(hash_key(credential)), close)
    try:
        yield
    finally:
        unsubscribe()
