"""Webhooks against a real receiver: signed, in order, retried, given up, and sent again by hand."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from dreamgrid.protocol.project_events import EventType
from dreamgrid.server import webhook_addresses, webhook_sender
from dreamgrid.server.config import ServerConfig
from tests.server.conftest import MakeGrid
from tests.support.grid import Grid
from tests.support.receiver import Receiver, receiving
from tests.support.wire import PATIENCE_S, PNG, App, Worker

DAY_S = 24 * 60 * 60
WHOLE_LIFE = ["queued", "assigned", "started", "job_completed", "completed"]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_sender, "LOOK_EVERY_S", 0.01)
    # Who gives up tries again when the clock has moved on, which stands still here.
    monkeypatch.setattr(webhook_sender, "ANSWER_WITHIN_S", 2 * PATIENCE_S)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


async def hook(grid: Grid, url: str, key: str | None = None, **fields: Any) -> dict[str, Any]:
    """A new webhook."""
    body = {"url": url, **fields}
    status, answer = await grid.call("POST", "/v1/webhooks", key=key, json=body)
    assert status == 201, answer
    made = answer["data"]
    assert isinstance(made, dict)
    return made


async def rendered(app: App, worker: Worker) -> str:
    project = await app.request()
    job = await worker.assigned()
    await worker.start(job)
    await worker.finish(job)
    await app.wait_state("jobCompleted", jobID=project)
    return project


async def deliveries(grid: Grid, made: dict[str, Any]) -> list[dict[str, Any]]:
    found = (await grid.data(f"/v1/webhooks/{made['id']}/deliveries"))["deliveries"]
    assert isinstance(found, list)
    return found


async def settled(grid: Grid, made: dict[str, Any], *states: str) -> list[dict[str, Any]]:
    """The deliveries, newest first, once they are in these states."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = await deliveries(grid, made)
            if [one["state"] for one in found] == list(states):
                return found
            await grid.ticked()


async def state_of(grid: Grid, made: dict[str, Any]) -> dict[str, Any]:
    found = await grid.data(f"/v1/webhooks/{made['id']}")
    assert isinstance(found, dict)
    return found


async def test_every_event_comes_once_in_order_and_signed(grid: Grid, receiver: Receiver) -> None:
    made = await hook(grid, receiver.url)
    app, worker = await grid.app(), await grid.worker()
    project = await rendered(app, worker)
    messages = await receiver.count(5)
    assert [message.type for message in messages] == WHOLE_LIFE
    assert [message.id for message in messages] == [f"{project}-{n}" for n in range(1, 6)]
    for message in messages:
        assert message.is_signed_with(made["secret"])
        assert int(message.headers["webhook-timestamp"]) == int(grid.clock())
        assert message.json["data"]["projectId"] == project
        assert message.json["data"]["type"] == message.type
        assert message.headers["content-type"] == "application/json"
    async with grid.http.get(messages[3].json["data"]["resultUrl"]) as answer:
        assert await answer.read() == PNG
    found = await settled(grid, made, *["delivered"] * 5)
    assert [one["type"] for one in found] == WHOLE_LIFE[::-1]
    assert len(receiver.messages) == 5


async def test_only_the_events_that_were_asked_for_come(grid: Grid, receiver: Receiver) -> None:
    await hook(grid, receiver.url, events=["job_completed", "failed"])
    app, worker = await grid.app(), await grid.worker()
    await rendered(app, worker)
    await rendered(app, worker)
    messages = await receiver.count(2)
    assert [message.type for message in messages] == ["job_completed"] * 2


async def test_nobody_is_told_of_others_projects(grid: Grid, receiver: Receiver) -> None:
    bob = await grid.account("bob")
    await hook(grid, f"{receiver.url}/bob", key=bob)
    await hook(grid, f"{receiver.url}/ours")
    await rendered(await grid.app(), await grid.worker())
    messages = await receiver.count(5)
    assert {message.path for message in messages} == {"/hook/ours"}


async def test_what_is_not_accepted_comes_again_later_with_the_same_id(
    grid: Grid, receiver: Receiver
) -> None:
    receiver.status = 500
    made = await hook(grid, receiver.url, events=["queued"])
    await (await grid.app()).request()
    await receiver.count(1)
    (delivery,) = await settled(grid, made, "pending")
    while delivery["attempts"] == 0:
        (delivery,) = await deliveries(grid, made)
    assert (delivery["status"], delivery["error"]) == (500, "HTTP 500")
    assert delivery["nextTime"] - delivery["lastTime"] == 5_000
    grid.clock.advance(4.9)
    await grid.ticked()
    assert len(receiver.messages) == 1
    receiver.status = 200
    grid.clock.advance(0.2)
    first, second = await receiver.count(2)
    assert first.id == second.id
    assert second.is_signed_with(made["secret"])
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]
    await settled(grid, made, "delivered")


async def test_later_events_of_a_project_wait_for_its_earlier_ones(
    grid: Grid, receiver: Receiver
) -> None:
    receiver.status = 503
    made = await hook(grid, receiver.url)
    await rendered(await grid.app(), await grid.worker())
    await receiver.count(1)
    await settled(grid, made, *["pending"] * 5)
    assert {message.type for message in receiver.messages} == {"queued"}
    receiver.status = 200
    grid.clock.advance(6)
    messages = await receiver.count(6)
    assert [message.type for message in messages[1:]] == WHOLE_LIFE


async def test_a_server_that_ends_in_the_middle_sends_it_again(
    grid: Grid, receiver: Receiver
) -> None:
    """The answer never arrived, so it is sent again: at least once, and known by its id."""
    receiver.gate.clear()
    made = await hook(grid, receiver.url, events=["queued"])
    await (await grid.app()).request()
    await receiver.count(1)
    await grid.stop()
    receiver.gate.set()
    await grid.start()
    first, again = await receiver.count(2)
    assert first.id == again.id
    await settled(grid, made, "delivered")


async def test_a_dead_endpoint_is_disabled_and_says_why(grid: Grid, receiver: Receiver) -> None:
    receiver.status = 500
    made = await hook(grid, receiver.url, events=["queued"])
    await (await grid.app()).request()
    for attempt in range(1, 60):
        await receiver.count(attempt)
        while (delivery := (await deliveries(grid, made))[0])["attempts"] < attempt:
            await grid.ticked()
        if delivery["state"] == "failed":
            break
        grid.clock.advance((delivery["nextTime"] - delivery["lastTime"]) / 1_000)
    first_s, last_s = delivery["createTime"] / 1_000, delivery["lastTime"] / 1_000
    assert 2 * DAY_S < last_s - first_s <= 3 * DAY_S
    assert delivery["attempts"] > 10
    state = await state_of(grid, made)
    assert state["disabled"] is True
    assert "HTTP 500" in state["disabledReason"]
    assert str(delivery["attempts"]) in state["disabledReason"]


async def disabled(grid: Grid, receiver: Receiver, made: dict[str, Any]) -> None:
    """Returns when a webhook was given up."""
    receiver.status = 500
    await (await grid.app("gives-up")).request()
    sent = len(receiver.messages) + 1
    await receiver.count(sent)
    while not (await deliveries(grid, made))[0]["attempts"]:
        await grid.ticked()
    grid.clock.advance(3 * DAY_S)
    await grid.ticked_until(lambda: len(receiver.messages) > sent)
    while not (await state_of(grid, made))["disabled"]:
        await grid.ticked()


async def test_a_webhook_that_is_enabled_again_works(grid: Grid, receiver: Receiver) -> None:
    made = await hook(grid, receiver.url, events=["queued"])
    await disabled(grid, receiver, made)
    sent = len(receiver.messages)
    app = await grid.app()
    unheard = await app.request()
    await app.wait_state("queued", jobID=unheard)
    receiver.status = 200
    status, answer = await grid.call("POST", f"/v1/webhooks/{made['id']}/enable", json={})
    assert (status, answer["data"]["disabled"]) == (200, False)
    heard = await app.request()
    messages = await receiver.count(sent + 1)
    assert messages[-1].json["data"]["projectId"] == heard


async def test_an_endpoint_that_works_is_not_disabled_for_one_event(
    grid: Grid, receiver: Receiver
) -> None:
    made = await hook(grid, receiver.url, events=["queued"])
    receiver.status = 400
    app = await grid.app()
    await app.request()
    await receiver.count(1)
    while not (await deliveries(grid, made))[0]["attempts"]:
        await grid.ticked()
    receiver.status = 200
    await app.request()  # of another project, so it need not wait
    await receiver.count(2)
    receiver.status = 400
    grid.clock.advance(3 * DAY_S)
    while "failed" not in {one["state"] for one in await deliveries(grid, made)}:
        await grid.ticked()
    assert (await state_of(grid, made))["disabled"] is False


async def test_a_delivery_is_sent_anew_by_hand(grid: Grid, receiver: Receiver) -> None:
    made = await hook(grid, receiver.url, events=["queued"])
    await (await grid.app()).request()
    await receiver.count(1)
    (delivery,) = await settled(grid, made, "delivered")
    path = f"/v1/webhooks/{made['id']}/deliveries/{delivery['id']}/redeliver"
    assert (await grid.call("POST", path, json={}))[0] == 200
    first, again = await receiver.count(2)
    assert first.id == again.id
    for wrong in ("nonsense", "X-1", f"{delivery['projectId']}-99"):
        wrong_path = f"/v1/webhooks/{made['id']}/deliveries/{wrong}/redeliver"
        assert (await grid.call("POST", wrong_path, json={}))[0] == 404


async def test_a_webhook_that_was_removed_hears_nothing_more(
    grid: Grid, receiver: Receiver
) -> None:
    gone = await hook(grid, f"{receiver.url}/gone", events=["queued"])
    await hook(grid, f"{receiver.url}/kept", events=["queued"])
    assert (await grid.call("DELETE", f"/v1/webhooks/{gone['id']}"))[0] == 200
    assert (await grid.call("DELETE", f"/v1/webhooks/{gone['id']}"))[0] == 404
    await (await grid.app()).request()
    messages = await receiver.count(1)
    assert [message.path for message in messages] == ["/hook/kept"]


async def test_one_that_does_not_answer_delays_no_other(grid: Grid, receiver: Receiver) -> None:
    async with receiving() as stuck:
        stuck.gate.clear()
        await hook(grid, stuck.url)
        await hook(grid, receiver.url)
        await rendered(await grid.app(), await grid.worker())
        assert len(await receiver.count(5)) == 5
        assert len(stuck.messages) == 1


async def test_a_redirect_is_not_followed(grid: Grid, receiver: Receiver) -> None:
    receiver.status, receiver.headers = 307, {"Location": f"{receiver.url}/elsewhere"}
    made = await hook(grid, receiver.url, events=["queued"])
    await (await grid.app()).request()
    await receiver.count(1)
    while not (delivery := (await deliveries(grid, made))[0])["attempts"]:
        await grid.ticked()
    assert "redirects" in delivery["error"]
    assert [message.path for message in receiver.messages] == ["/hook"]


async def test_an_account_has_only_so_many(make_grid: MakeGrid, receiver: Receiver) -> None:
    async with make_grid(max_webhooks=2) as grid:
        for _ in range(2):
            made = await hook(grid, receiver.url)
        status, body = await grid.call("POST", "/v1/webhooks", json={"url": receiver.url})
        assert status == 403
        assert "2 webhooks" in body["message"]
        await grid.call("DELETE", f"/v1/webhooks/{made['id']}")
        await hook(grid, receiver.url)


async def test_the_secret_is_shown_once(grid: Grid, receiver: Receiver) -> None:
    made = await hook(grid, receiver.url, description="my shop", events=["failed", "failed"])
    assert made["secret"].startswith("whsec_")
    (listed,) = (await grid.data("/v1/webhooks"))["webhooks"]
    assert "secret" not in listed
    assert (listed["description"], listed["events"]) == ("my shop", ["failed"])


# ── addresses ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/x",
        "file:///etc/passwd",
        "https://",
        "nothing",
        "http://user:secret@example.org/",
        "http://example.org:99999/",
        "http://[::1/",
        "http://example.org/a b",
        "http://example.org/\n",
        "",
        "http://example.org/" + "x" * 2_000,
    ],
)
async def test_what_is_no_url_for_a_webhook_is_refused(grid: Grid, url: str) -> None:
    status, _ = await grid.call("POST", "/v1/webhooks", json={"url": url})
    assert status == 400


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "api.localhost",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "[::1]",
        "[::]",
        "[fe80::1]",
        "[fd00::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
    ],
)
async def test_private_addresses_are_refused_where_strangers_can_connect(
    make_grid: MakeGrid, host: str
) -> None:
    async with make_grid(webhook_private_addresses=False) as grid:
        body = {"url": f"http://{host}:8080/hook"}
        status, answer = await grid.call("POST", "/v1/webhooks", json=body)
        assert status == 400
        assert "own machine or network" in answer["message"]


@pytest.mark.parametrize("host", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
def test_public_addresses_are_not_private(host: str) -> None:
    assert not webhook_addresses.is_private(host)


async def test_a_name_that_leads_to_a_private_address_is_not_connected_to(
    make_grid: MakeGrid, receiver: Receiver
) -> None:
    """Whatever was allowed when the webhook was made, and wherever the name led then."""
    async with make_grid(webhook_private_addresses=True) as grid:
        url = receiver.url.replace("127.0.0.1", "localhost")
        made = await hook(grid, url, events=["queued"])
        await (await grid.app()).request()
        await receiver.count(1)
        grid.config = replace(grid.config, webhook_private_addresses=False)
        await grid.restart()
        await (await grid.app()).request()
        while (delivery := (await deliveries(grid, made))[0])["attempts"] == 0:
            await grid.ticked()
        assert "private address" in delivery["error"]
        assert len(receiver.messages) == 1


@pytest.mark.parametrize(("host", "private"), [("127.0.0.1", True), ("0.0.0.0", False)])
def test_who_listens_for_strangers_protects_its_network(
    tmp_path: Path, host: str, private: bool
) -> None:
    assert ServerConfig(data_dir=tmp_path, host=host).webhooks_reach_private is private


async def test_an_event_that_does_not_exist_is_answered_with_those_that_do(grid: Grid) -> None:
    body = {"url": "https://example.com/hook", "events": ["completed", "finished"]}
    status, answer = await grid.call("POST", "/v1/webhooks", json=body)
    assert status == 400
    assert "'finished'" in answer["message"]
    for event in get_args(EventType):
        assert event in answer["message"]
