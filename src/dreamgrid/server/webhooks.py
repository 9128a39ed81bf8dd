"""Webhooks of accounts: made, listed, removed, and looked at."""

import base64
import secrets
import uuid

from dreamgrid.errors import InvalidRequest, NotAllowed, NotFound
from dreamgrid.protocol.webhooks import (
    SECRET_PREFIX,
    DeliveriesQuery,
    DeliveryInfo,
    DeliveryList,
    NewWebhook,
    WebhookInfo,
    event_of,
    message_id,
)
from dreamgrid.server import webhook_addresses
from dreamgrid.server.auth import Account
from dreamgrid.server.clock import Clock, milliseconds
from dreamgrid.server.config import ServerConfig
from dreamgrid.server.store.webhooks import DeliveryRow, WebhookRow, WebhookStore


class Webhooks:
    """What the endpoints under `/v1/webhooks` do."""

    def __init__(self, config: ServerConfig, store: WebhookStore, clock: Clock) -> None:
        self._config = config
        self._store = store
        self._clock = clock

    async def create(self, account: Account, wish: NewWebhook) -> WebhookInfo:
        """A new webhook; the only answer that ever holds its secret.

        Raises:
            InvalidRequest: The URL is none that a webhook may have.
            NotAllowed: The account has as many as it may have.
        """
        webhook_addresses.check(wish.url, private=self._config.webhooks_reach_private)
        row = WebhookRow(
            id=str(uuid.uuid4()).upper(),
            account_id=account.id,
            url=wish.url,
            events=tuple(dict.fromkeys(wish.events)),
            description=wish.description,
            secret=SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode(),
            created_ms=milliseconds(self._clock),
        )
        if not await self._store.add(row, most=self._config.max_webhooks):
            raise NotAllowed(
                f"you have {self._config.max_webhooks} webhooks, the most that this server keeps "
                "for one account; delete one first"
            )
        return _told(row, secret=row.secret)

    async def all(self, account: Account) -> tuple[WebhookInfo, ...]:
        """The account's webhooks, oldest first."""
        return tuple(map(_told, await self._store.of_account(account.id)))

    async def one(self, account: Account, webhook_id: str) -> WebhookInfo:
        """A webhook of the account.

        Raises:
            NotFound: It has no such webhook; so of all that follow.
        """
        return _told(await self._find(account, webhook_id))

    async def remove(self, account: Account, webhook_id: str) -> None:
        """Removes a webhook; nothing more is sent to it."""
        await self._find(account, webhook_id)
        await self._store.remove(account.id, webhook_id.upper())

    async def enable(self, account: Account, webhook_id: str) -> WebhookInfo:
        """Takes a webhook into use again; what it had not accepted is sent now."""
        row = await self._find(account, webhook_id)
        await self._store.enable(account.id, row.id, milliseconds(self._clock))
        return await self.one(account, webhook_id)

    async def deliveries(
        self, account: Account, webhook_id: str, query: DeliveriesQuery
    ) -> DeliveryList:
        """What was, is or will be sent to a webhook, newest first."""
        row = await self._find(account, webhook_id)
        found = await self._store.deliveries(row.id, query.limit, query.offset)
        return DeliveryList(
            deliveries=tuple(map(_told_delivery, found)), next=query.offset + len(found)
        )

    async def redeliver(self, account: Account, webhook_id: str, delivery_id: str) -> None:
        """Sends an event anew, whatever became of it.

        Raises:
            InvalidRequest: The webhook is disabled.
            NotFound: There is no such delivery.
        """
        row = await self._find(account, webhook_id)
        if row.disabled_ms is not None:
            raise InvalidRequest(
                f"this webhook is disabled; POST /v1/webhooks/{row.id}/enable first"
            )
        event = event_of(delivery_id)
        at_ms = milliseconds(self._clock)
        if event is None or not await self._store.redeliver(row.id, *event, at_ms):
            raise NotFound(f"this webhook has no delivery {delivery_id[:80]}, or no longer")

    async def _find(self, account: Account, webhook_id: str) -> WebhookRow:
        row = await self._store.find(account.id, webhook_id.upper())
        if row is None:
            raise NotFound(f"you have no webhook {webhook_id[:80]}")
        return row


def _told(row: WebhookRow, *, secret: str | None = None) -> WebhookInfo:
    return WebhookInfo(
        id=row.id,
        url=row.url,
        events=row.events,
        description=row.description,
        create_time=row.created_ms,
        disabled=row.disabled_ms is not None,
        secret=secret,
        disabled_reason=row.disabled_reason,
        last_success_time=row.succeeded_ms or None,
    )


def _told_delivery(row: DeliveryRow) -> DeliveryInfo:
    return DeliveryInfo(
        id=message_id(row.project_id, row.number),
        type=row.kind,
        project_id=row.project_id,
        state=row.state,
        attempts=row.attempts,
        create_time=row.created_ms,
        next_time=row.next_ms if row.state == "pending" else None,
        last_time=row.tried_ms,
        status=row.status,
        error=row.error,
    )
