"""Answers that take long: how many an account may wait for, and what ends them early."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from aiohttp import web

from dreamgrid.server.auth import Account
from dreamgrid.server.bus.base import ban_subject
from dreamgrid.server.conversation import ended_by_ban, ended_with_credential
from dreamgrid.server.http import credential_of
from dreamgrid.server.refusals import Connection
from dreamgrid.server.services import Services


@contextmanager
def long_answer(services: Services, request: web.Request, account: Account) -> Iterator[None]:
    """Counts an answer while the block runs, and hangs up when its credential is good no longer.

    Enter it in the same turn of the event loop in which the credential was found valid.

    Raises:
        TooManyRequests: The account waits for as many as it may.
    """
    credential = credential_of(request) or ""
    with (
        services.limits.connection("streams", account),
        ended_with_credential(services, credential, partial(_hang_up, request)),
        ended_by_ban(
            services,
            lambda _, reason: _hang_up(request, reason),
            ban_subject("account", account.id),
        ),
    ):
        yield


@contextmanager
def told_when_lost(request: web.Request, lost: Callable[[], object]) -> Iterator[None]:
    """Calls `lost` when the connection of a request ends while the block runs, or has ended."""
    connection = request.protocol
    assert isinstance(connection, Connection), "only our own runner says when a peer goes away"
    if connection.transport is None:  # nobody will say so again
        lost()
    connection.when_lost.append(lost)
    try:
        yield
    finally:
        connection.when_lost.remove(lost)


def _hang_up(request: web.Request, reason: str) -> None:
    del reason  # an answer that has begun has no room for it
    if request.transport is not None:
        request.transport.close()
