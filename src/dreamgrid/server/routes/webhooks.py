"""Webhooks: where an account wants to be told of events."""

from dreamgrid.errors import NotAllowed, NotFound
from dreamgrid.protocol.rest_account import Nothing
from dreamgrid.protocol.webhooks import (
    DeliveriesQuery,
    DeliveryList,
    DeliveryPath,
    NewWebhook,
    WebhookInfo,
    WebhookList,
    WebhookPath,
)
from dreamgrid.server.auth import Account
from dreamgrid.server.endpoint import Endpoints
from dreamgrid.server.services import Services


def routes(services: Services) -> Endpoints:
    """The endpoints under `/v1/webhooks`."""
    webhooks = services.webhooks
    api = Endpoints("Webhooks", "Being told of events by HTTP; docs/webhooks.md tells the rest.")

    @api.get("/v1/webhooks")
    async def list_webhooks(account: Account) -> WebhookList:
        """Your webhooks, oldest first, without their secrets."""
        return WebhookList(webhooks=await webhooks.all(account))

    @api.post("/v1/webhooks", status=201, errors=(NotAllowed,))
    async def create_webhook(account: Account, body: NewWebhook) -> WebhookInfo:
        """Makes a webhook. Its secret is in this answer and is never shown again."""
        return await webhooks.create(account, body)

    @api.get("/v1/webhooks/{webhookId}", errors=(NotFound,))
    async def webhook(account: Account, path: WebhookPath) -> WebhookInfo:
        """One of your webhooks."""
        return await webhooks.one(account, path.webhook_id)

    @api.delete("/v1/webhooks/{webhookId}", errors=(NotFound,))
    async def delete_webhook(account: Account, path: WebhookPath) -> Nothing:
        """Removes a webhook; nothing more is sent to it."""
        await webhooks.remove(account, path.webhook_id)
        return Nothing()

    @api.post("/v1/webhooks/{webhookId}/enable", errors=(NotFound,))
    async def enable_webhook(account: Account, path: WebhookPath) -> WebhookInfo:
        """Takes a disabled webhook into use again; what it had not accepted is sent now."""
        return await webhooks.enable(account, path.webhook_id)

    @api.get("/v1/webhooks/{webhookId}/deliveries", errors=(NotFound,))
    async def list_deliveries(
        account: Account, path: WebhookPath, query: DeliveriesQuery
    ) -> DeliveryList:
        """What was, is or will be sent to a webhook, newest first."""
        return await webhooks.deliveries(account, path.webhook_id, query)

    @api.post("/v1/webhooks/{webhookId}/deliveries/{deliveryId}/redeliver", errors=(NotFound,))
    async def redeliver(account: Account, path: DeliveryPath) -> Nothing:
        """Sends an event anew, with the same id, whatever became of it before."""
        await webhooks.redeliver(account, path.webhook_id, path.delivery_id)
        return Nothing()

    return api
