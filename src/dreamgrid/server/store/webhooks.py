"""The contract of a store for webhooks: endpoints of accounts, and the outbox of events for them.

A delivery is added by the store itself, in the transaction of its event, for every endpoint of the
project's account that wants events of that kind and is not disabled. It is gone when its project is
pruned, or its endpoint removed.
"""

import asyncio
from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from dreamgrid.server.store.rows import EventRow

DeliveryState = Literal["pending", "delivered", "failed"]


class WebhookRow(msgspec.Struct, frozen=True, kw_only=True):
    """Where an account wants to be told of events.

    Attributes:
        events: Kinds of events that are told; empty: all.
        secret: What deliveries are signed with.
        succeeded_ms: When a delivery was last accepted. 0: never.
        disabled_ms: When it was given up. None: it is in use.
        disabled_reason: Why.
    """

    id: str
    account_id: str
    url: str
    events: tuple[str, ...]
    description: str
    secret: str
    created_ms: int
    succeeded_ms: int = 0
    disabled_ms: int | None = None
    disabled_reason: str | None = None


class DeliveryRow(msgspec.Struct, frozen=True, kw_only=True):
    """One event on its way to one endpoint.

    Attributes:
        number: Of the event in its project.
        attempts: How often it was sent.
        created_ms: When the event happened.
        since_ms: When its time to be delivered began: then, or when it was sent anew.
        next_ms: When it is sent next, if it is pending.
        tried_ms: When it was sent last.
        status: HTTP status of the last answer. None: there was none.
        error: What went wrong last.
    """

    project_id: str
    webhook_id: str
    number: int
    kind: str
    state: DeliveryState
    attempts: int
    created_ms: int
    since_ms: int
    next_ms: int
    tried_ms: int | None = None
    status: int | None = None
    error: str | None = None


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery whose time has come, with its event."""

    delivery: DeliveryRow
    event: EventRow


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an attempt.

    Attributes:
        state: `pending`: it is tried again at `next_ms`. `failed`: it is given up; if its endpoint
            has accepted nothing since the delivery began, the endpoint is disabled.
    """

    delivery: DeliveryRow
    state: DeliveryState
    at_ms: int
    next_ms: int
    status: int | None = None
    error: str | None = None


class WebhookStore(Protocol):
    """See the module's text."""

    def add(self, webhook: WebhookRow, *, most: int) -> asyncio.Future[bool]:
        """Adds an endpoint, unless its account has `most` or more; whether it was added."""

    async def of_account(self, account_id: str) -> list[WebhookRow]:
        """The endpoints of an account, oldest first."""

    async def find(self, account_id: str, webhook_id: str) -> WebhookRow | None:
        """An endpoint of this account."""

    def remove(self, account_id: str, webhook_id: str) -> asyncio.Future[bool]:
        """Removes an endpoint of this account with its deliveries; whether there was one."""

    def enable(self, account_id: str, webhook_id: str, at_ms: int) -> asyncio.Future[bool]:
        """Takes an endpoint into use again; what was pending is sent from now on."""

    async def deliveries(self, webhook_id: str, limit: int, offset: int) -> list[DeliveryRow]:
        """What was, is or will be sent to an endpoint, newest first."""

    def redeliver(
        self, webhook_id: str, project_id: str, number: int, at_ms: int
    ) -> asyncio.Future[bool]:
        """Sends an event anew; False when there is no such delivery.

        What else of the project is pending waits for its turn only, not for a time any more.
        """

    async def due(self, at_ms: int) -> list[WebhookRow]:
        """The endpoints in use for which something is to be sent."""

    async def due_deliveries(self, webhook_id: str, at_ms: int, most: int) -> list[Due]:
        """What is to be sent to an endpoint: of each project the first event that is pending."""

    def note(self, tried: Sequence[Tried]) -> asyncio.Future[None]:
        """Stores what became of attempts."""
