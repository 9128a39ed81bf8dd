"""`client.webhooks` against a whole server and a real receiver."""

import time
from datetime import UTC, datetime, timedelta

import pytest

import dreamgrid
from dreamgrid.protocol import webhooks as wire
from dreamgrid.server import webhook_sender
from tests.client.mill import PICTURE, working
from tests.support.grid import Grid
from tests.support.receiver import receiving

BODY = b'{"type":"queued","timestamp":"2026-11-22T12:00:00.000+00:00",'
BODY += b'"data":{"number":1,"type":"queued","time":1795348800000,"projectId":"P"}}'
SECRET = "whsec_c2VjcmV0"


def signed(body: bytes = BODY, *, secret: str = SECRET, age_s: float = 0) -> dict[str, str]:
    sent = int(time.time() - age_s)
    signature = wire.signature(secret, "P-1", sent, body)
    return {"Webhook-Id": "P-1", "Webhook-Timestamp": str(sent), "Webhook-Signature": signature}


async def test_a_server_is_told_and_reads_what_it_is_told(
    house: Grid, guest: dreamgrid.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_sender, "LOOK_EVERY_S", 0.01)
    async with receiving() as receiver, working(house):
        made = await guest.webhooks.create(
            receiver.url, events=["completed", "failed"], description="shop"
        )
        assert made.secret is not None
        assert (made.url, made.events, made.description) == (
            receiver.url,
            ("completed", "failed"),
            "shop",
        )
        assert datetime.now(UTC) - made.created_at < timedelta(minutes=1)
        assert made.secret not in repr(made)
        (image,) = await guest.projects.generate(model=PICTURE, prompt="x", timeout_s=45)
        (came,) = await receiver.count(1)
        told = dreamgrid.read_webhook(made.secret, came.headers, came.body)
        assert (told.type, told.data.project_id) == ("completed", image.project_id)
        assert [one.id for one in await guest.webhooks.list()] == [made.id]
        page = await guest.webhooks.deliveries(made.id, limit=1)
        assert (page.entries[0].id, page.next) == (came.id, 1)
        await guest.webhooks.redeliver(made.id, came.id)
        again = (await receiver.count(2))[1]
        assert (again.id, again.body) == (came.id, came.body)
        assert (await guest.webhooks.enable(made.id)).disabled is False
        assert (await guest.webhooks.get(made.id)).secret is None
        await guest.webhooks.delete(made.id)
        assert await guest.webhooks.list() == ()
        with pytest.raises(dreamgrid.NotFound):
            await guest.webhooks.get(made.id)


async def test_an_address_that_is_none_is_refused(guest: dreamgrid.AsyncClient) -> None:
    with pytest.raises(dreamgrid.InvalidRequest):
        await guest.webhooks.create("ftp://example.org")


def test_headers_are_read_in_any_case_and_may_hold_several_signatures() -> None:
    headers = {name.upper(): value for name, value in signed().items()}
    headers["WEBHOOK-SIGNATURE"] = "v1,of-another-secret " + headers["WEBHOOK-SIGNATURE"]
    assert dreamgrid.read_webhook(SECRET, headers, BODY).data.project_id == "P"


@pytest.mark.parametrize(
    ("headers", "body", "problem"),
    [
        (signed(), BODY + b" ", "not signed with this webhook's secret"),
        (signed(secret="whsec_b3RoZXI="), BODY, "not signed with this webhook's secret"),
        (signed() | {"Webhook-Signature": "\u2603"}, BODY, "not signed with this"),
        (signed(age_s=3600), BODY, "signed more than 300 s ago"),
        (signed(age_s=-3600), BODY, "signed more than 300 s ago"),
        (signed() | {"Webhook-Timestamp": "yesterday"}, BODY, "webhook-timestamp is missing"),
        ({}, BODY, "webhook-timestamp is missing"),
    ],
)
def test_what_is_not_genuine_is_refused(headers: dict[str, str], body: bytes, problem: str) -> None:
    with pytest.raises(dreamgrid.AuthenticationFailed, match=problem):
        dreamgrid.read_webhook(SECRET, headers, body)


def test_a_genuine_message_of_something_else_is_a_protocol_error() -> None:
    with pytest.raises(dreamgrid.ProtocolError, match="the webhook's message is odd"):
        dreamgrid.read_webhook(SECRET, signed(b"[1]"), b"[1]")
