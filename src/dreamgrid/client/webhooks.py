"""`client.webhooks`: the grid tells a server of yours what happens; docs/webhooks.md says how."""

import hmac
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote

import msgspec

from dreamgrid.client.http import Http
from dreamgrid.errors import AuthenticationFailed, ProtocolError
from dreamgrid.protocol import webhooks as wire
from dreamgrid.protocol.codec import UNREADABLE
from dreamgrid.protocol.project_events import EventType
from dreamgrid.protocol.webhooks import WebhookMessage

__all__ = ["Deliveries", "Delivery", "Webhook", "WebhookMessage", "Webhooks", "read_webhook"]

_PATH = "/v1/webhooks"
_message = msgspec.json.Decoder(WebhookMessage)


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """An address that is told of events.

    Attributes:
        id: What the other methods take.
        url: Where events are sent, by POST.
        events: Which ones; empty: all.
        description: For people.
        created_at: When it was made, in UTC.
        disabled: Whether it was given up, because nothing was accepted for too long.
        disabled_reason: Why. Empty: it is in use.
        last_success_at: When a message was last accepted, in UTC. None: never.
        secret: What `read_webhook()` takes. Only there when the webhook was just created; it is
            not shown again.
    """

    id: str
    url: str
    events: tuple[str, ...]
    description: str
    created_at: datetime
    disabled: bool
    disabled_reason: str
    last_success_at: datetime | None
    secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One event on its way to a webhook.

    Attributes:
        id: Of the message, the same at every attempt: its header `webhook-id`.
        type: What happened.
        project_id: To which project.
        state: `pending`: it is (still) to be sent. `delivered`: accepted. `failed`: given up.
        attempts: How often it was sent.
        created_at: When it happened, in UTC.
        next_at: When it is sent next, in UTC. None: it is not pending.
        last_at: When it was sent last, in UTC. None: it was not yet.
        status: HTTP status of the last answer. None: there was none.
        error: What went wrong last. Empty: nothing.
    """

    id: str
    type: str
    project_id: str
    state: Literal["pending", "delivered", "failed"]
    attempts: int
    created_at: datetime
    next_at: datetime | None
    last_at: datetime | None
    status: int | None
    error: str


@dataclass(frozen=True, kw_only=True)
class Deliveries:
    """A page of deliveries, newest first.

    Attributes:
        entries: The deliveries.
        next: The `offset` of the following page.
    """

    entries: tuple[Delivery, ...]
    next: int


class Webhooks:
    """`client.webhooks`: where the account wants to be told of events."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def create(
        self, url: str, *, events: Iterable[EventType] = (), description: str = ""
    ) -> Webhook:
        """Makes a webhook. `secret` of the result signs its messages: it is shown this once.

        Args:
            url: Where to send events: https, or http. Where it may lead is up to the grid.
            events: Which ones: `queued`, `assigned`, `started`, `retried`, `job_completed`,
                `job_failed`, `completed`, `failed`, `canceled`. Default: all.
            description: For people.

        Raises:
            InvalidRequest: The address is none, or leads where this grid sends nothing.
            NotAllowed: The account has as many webhooks as it may have.
        """
        wish = wire.NewWebhook(url=url, events=tuple(events), description=description)
        return _webhook(await self._http.rest("POST", _PATH, wire.WebhookInfo, body=wish))

    async def list(self) -> tuple[Webhook, ...]:
        """All webhooks of the account, oldest first, without their secrets."""
        answer = await self._http.rest("GET", _PATH, wire.WebhookList)
        return tuple(_webhook(info) for info in answer.webhooks)

    async def get(self, webhook_id: str) -> Webhook:
        """One webhook.

        Raises:
            NotFound: The account has no webhook of that id.
        """
        return _webhook(await self._http.rest("GET", _path(webhook_id), wire.WebhookInfo))

    async def delete(self, webhook_id: str) -> None:
        """Removes a webhook; nothing more is sent to it.

        Raises:
            NotFound: The account has no webhook of that id.
        """
        await self._http.rest("DELETE", _path(webhook_id), Any)

    async def enable(self, webhook_id: str) -> Webhook:
        """Takes a disabled webhook into use again; what it had not accepted is sent now.

        Raises:
            NotFound: The account has no webhook of that id.
        """
        path = f"{_path(webhook_id)}/enable"
        return _webhook(await self._http.rest("POST", path, wire.WebhookInfo))

    async def deliveries(self, webhook_id: str, *, limit: int = 20, offset: int = 0) -> Deliveries:
        """What was, is or will be sent to a webhook, newest first.

        Args:
            webhook_id: The webhook.
            limit: Most entries, up to 100.
            offset: How many of the newest to leave out; `next` of the page before.

        Raises:
            NotFound: The account has no webhook of that id.
        """
        query = {"limit": str(limit), "offset": str(offset)}
        path = f"{_path(webhook_id)}/deliveries"
        answer = await self._http.rest("GET", path, wire.DeliveryList, query=query)
        entries = tuple(_delivery(info) for info in answer.deliveries)
        return Deliveries(entries=entries, next=answer.next)

    async def redeliver(self, webhook_id: str, delivery_id: str) -> None:
        """Sends an event anew, with the same id, whatever became of it before.

        Raises:
            NotFound: There is no such webhook, or no such delivery.
        """
        path = f"{_path(webhook_id)}/deliveries/{quote(delivery_id, safe='')}/redeliver"
        await self._http.rest("POST", path, Any)


def read_webhook(
    secret: str, headers: Mapping[str, str], body: bytes, *, max_age_s: float = 300.0
) -> WebhookMessage:
    """Checks a message that came to a webhook, and reads it. Needs no client.

    Args:
        secret: The webhook's, as `client.webhooks.create()` gave it.
        headers: Those of the request, in any case.
        body: The request's body, byte for byte.
        max_age_s: Refuse what was signed longer ago, in seconds, or is as far in the future.

    Returns:
        The message; `data` is the event. It may come twice: the header `webhook-id` is the same.

    Raises:
        AuthenticationFailed: It was not signed with this secret, or too long ago: answer 400.
        ProtocolError: It is genuine, and yet not what a grid sends.
    """
    given = {name.lower(): value for name, value in headers.items()}
    message, sent = given.get(wire.ID_HEADER, ""), given.get(wire.TIMESTAMP_HEADER, "")
    if not (sent.isascii() and sent.isdecimal() and len(sent) <= 15):
        raise AuthenticationFailed(f"the header {wire.TIMESTAMP_HEADER} is missing or no time")
    right = wire.signature(secret, message, int(sent), body).encode()
    signatures = given.get(wire.SIGNATURE_HEADER, "").encode().split()
    if not any(hmac.compare_digest(one, right) for one in signatures):
        raise AuthenticationFailed("the message was not signed with this webhook's secret")
    if abs(time.time() - int(sent)) > max_age_s:
        raise AuthenticationFailed(f"the message was signed more than {max_age_s:g} s ago")
    try:
        return _message.decode(body)
    except UNREADABLE as error:
        raise ProtocolError(f"the webhook's message is odd: {error}") from None


def _path(webhook_id: str) -> str:
    return f"{_PATH}/{quote(webhook_id, safe='')}"


def _webhook(info: wire.WebhookInfo) -> Webhook:
    return Webhook(
        id=info.id,
        url=info.url,
        events=info.events,
        description=info.description,
        created_at=_at(info.create_time),
        disabled=info.disabled,
        disabled_reason=info.disabled_reason or "",
        last_success_at=_maybe_at(info.last_success_time),
        secret=info.secret,
    )


def _delivery(info: wire.DeliveryInfo) -> Delivery:
    return Delivery(
        id=info.id,
        type=info.type,
        project_id=info.project_id,
        state=info.state,
        attempts=info.attempts,
        created_at=_at(info.create_time),
        next_at=_maybe_at(info.next_time),
        last_at=_maybe_at(info.last_time),
        status=info.status,
        error=info.error or "",
    )


def _at(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms / 1000, UTC)


def _maybe_at(time_ms: int | None) -> datetime | None:
    return None if time_ms is None else _at(time_ms)
