"""Webhooks: the endpoints under `/v1/webhooks`, and what is sent to their URLs.

Messages and signatures follow Standard Webhooks 1.0, so that its libraries in many languages verify
them: github.com/standard-webhooks/standard-webhooks, `spec/standard-webhooks.md`.
"""

import base64
import hashlib
import hmac
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from dreamgrid.protocol.project_events import EventType, ProjectEvent

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"
SECRET_PREFIX = "whsec_"

_Url = Annotated[str, Meta(min_length=1, max_length=2_000)]
_Text = Annotated[str, Meta(max_length=200)]


class _Body(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Base of all of them; unknown fields are ignored."""


class NewWebhook(_Body, frozen=True, kw_only=True):
    """Body of `POST /v1/webhooks`.

    Attributes:
        url: Where events are sent, by POST: https, or http.
        events: Which ones; none means all.
        description: For people.
    """

    url: _Url
    events: tuple[EventType, ...] = ()
    description: _Text = ""


class WebhookInfo(_Body, frozen=True, kw_only=True):
    """A webhook as its owner sees it; times in milliseconds.

    Attributes:
        events: Which events it is told; empty: all.
        secret: What its messages are signed with: shown once, when it is made.
        disabled: Whether it was given up, because nothing was accepted for too long.
        disabled_reason: Why.
        last_success_time: When a message was last accepted.
    """

    id: str
    url: str
    events: tuple[str, ...]
    description: str
    create_time: int
    disabled: bool
    secret: str | None = None
    disabled_reason: str | None = None
    last_success_time: int | None = None


class WebhookList(_Body, frozen=True, kw_only=True):
    """`GET /v1/webhooks`, oldest first."""

    webhooks: tuple[WebhookInfo, ...]


class WebhookPath(_Body, frozen=True, kw_only=True):
    """A webhook of the caller."""

    webhook_id: str


class DeliveryPath(WebhookPath, frozen=True, kw_only=True):
    """A delivery of a webhook of the caller."""

    delivery_id: str


class DeliveriesQuery(_Body, frozen=True, kw_only=True):
    """Which deliveries; newest first.

    Attributes:
        limit: Most of the answer.
        offset: How many of the newest to leave out.
    """

    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    offset: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 0


class DeliveryInfo(_Body, frozen=True, kw_only=True):
    """One event on its way to a webhook; times in milliseconds.

    Attributes:
        id: Of the message, the same at every attempt: its header `webhook-id`.
        type: What happened.
        state: `pending`: it is (still) to be sent. `delivered`: accepted. `failed`: given up.
        attempts: How often it was sent.
        next_time: When it is sent next, if it is pending.
        last_time: When it was sent last.
        status: HTTP status of the last answer, if there was one.
        error: What went wrong last.
    """

    id: str
    type: str
    project_id: str
    state: Literal["pending", "delivered", "failed"]
    attempts: int
    create_time: int
    next_time: int | None = None
    last_time: int | None = None
    status: int | None = None
    error: str | None = None


class DeliveryList(_Body, frozen=True, kw_only=True):
    """`GET /v1/webhooks/:id/deliveries`. `next` is the offset of the following page."""

    deliveries: tuple[DeliveryInfo, ...]
    next: int


class WebhookMessage(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent to a webhook.

    Attributes:
        type: What happened, as in `data`.
        timestamp: When, ISO 8601.
        data: The event, as the event stream of its project tells it.
    """

    type: EventType
    timestamp: str
    data: ProjectEvent


def message_id(project_id: str, number: int) -> str:
    """The id of the message about an event."""
    return f"{project_id}-{number}"


def event_of(text: str) -> tuple[str, int] | None:
    """The project and the number of the event that a message id means."""
    project_id, _, number = text.rpartition("-")
    if not project_id or not number.isdecimal() or not number.isascii() or len(number) > 15:
        return None
    return project_id.upper(), int(number)


def signature(secret: str, message: str, timestamp_s: int, body: bytes) -> str:
    """The signature header of a message: HMAC-SHA256 over id, timestamp and body.

    Args:
        secret: `whsec_` and the key in base64.
        message: The message's id.
        timestamp_s: Seconds since 1970, as in its header.
        body: The body, byte for byte.
    """
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = f"{message}.{timestamp_s}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
