"""What app and worker sockets share: a peer is told in its own language that something failed."""

import logging
from collections.abc import Awaitable

from aiohttp import web

from dreamgrid.errors import DreamgridError
from dreamgrid.server.outbox import close_reason

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
