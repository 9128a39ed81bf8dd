"""Requests that reach the coordinator through another node of the grid: who sent them there.

A node tells the address of whoever asked it, in a header that carries a secret of the nodes.
"""

import hmac

from aiohttp import web

HEADER = "X-Dreamgrid-Relay"


def header(secret: str, caller: str) -> str:
    """What the header says of a request from there."""
    return f"{secret} {caller}"


def caller_of(request: web.BaseRequest, secret: str) -> str | None:
    """Where a relayed request comes from. None: no node has relayed it.

    Args:
        request: The request.
        secret: What nodes know and nobody else. Empty: there are no nodes.
    """
    said = request.headers.get(HEADER)
    if said is None or not secret:
        return None
    told, _, caller = said.partition(" ")
    return caller if hmac.compare_digest(told.encode(errors="replace"), secret.encode()) else None
