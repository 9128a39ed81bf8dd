"""What one account or address may take up: others notice nothing, and no project is dropped."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from dreamgrid.errors import TooManyRequests
from dreamgrid.protocol import socket, socket_messages
from dreamgrid.protocol.worker import WORKER_PATH
from dreamgrid.server import app as server_app
from dreamgrid.server import http, limits
from dreamgrid.server.auth import Account
from dreamgrid.server.config import Rate, ServerConfig
from tests.server.conftest import MakeGrid
from tests.support.grid import Grid, ManualClock
from tests.support.wire import PATIENCE_S, hello_of

# ── requests ─────────────────────────────────────────────────────────────────────────────────────


async def test_requests_beyond_the_rate_are_told_how_long_to_wait(make_grid: MakeGrid) -> None:
    async with make_grid(requests=Rate(2, burst=3)) as grid:
        bob = await grid.account("bob")
        statuses = [(await grid.get("/v1/account/me"))[0] for _ in range(3)]
        assert statuses == [200] * 3
        headers = {"api-key": grid.key, "Origin": "http://page.example"}
        async with grid.http.get(f"{grid.url}/v1/account/me", headers=headers) as answer:
            body = await answer.json()
            assert (answer.status, body["errorCode"], body["retryAfter"]) == (429, 429, 0.5)
            assert answer.headers["Retry-After"] == "1"
            assert answer.headers["Access-Control-Allow-Origin"] == "http://page.example"
            assert "0.5 s" in body["message"]
        assert (await grid.get("/v1/account/me", key=bob))[0] == 200
        assert (await grid.get("/healthz", key=""))[0] == 200
        grid.clock.advance(0.5)
        assert (await grid.get("/v1/account/me"))[0] == 200


async def test_strangers_are_counted_by_address_and_wrong_keys_are_strangers(
    make_grid: MakeGrid,
) -> None:
    async with make_grid(stranger_requests=Rate(1, burst=3)) as grid:
        assert (await grid.get("/healthz", key=""))[0] == 200
        assert (await grid.get("/v1/account/me", key="dgk_wrong"))[0] == 401
        assert (await grid.get("/nowhere", key=""))[0] == 404
        for key in ("", "dgk_wrong"):
            assert (await grid.get("/v1/account/me", key=key))[0] == 429
        assert (await grid.get("/v1/account/me"))[0] == 200


async def test_behind_a_proxy_that_is_trusted_each_stranger_has_an_address(
    make_grid: MakeGrid,
) -> None:
    settings = {"stranger_requests": Rate(1, burst=1), "trusted_proxies": ("127.0.0.1",)}
    async with make_grid(**settings) as grid:

        async def ask(told: str) -> int:
            headers = {"X-Forwarded-For": told}
            return (await grid.call("GET", "/healthz", key="", headers=headers))[0]

        assert await ask("192.0.2.1") == 200
        assert await ask("192.0.2.2") == 200
        assert await ask("192.0.2.1") == 429
        assert await ask("192.0.2.77, 192.0.2.1") == 429, "only what the proxy itself wrote counts"


async def test_what_a_stranger_says_about_its_address_is_not_believed(make_grid: MakeGrid) -> None:
    async with make_grid(stranger_requests=Rate(1, burst=1)) as grid:
        statuses = [
            await grid.call("GET", "/healthz", key="", headers={"X-Forwarded-For": f"192.0.2.{n}"})
            for n in range(2)
        ]
        assert [status for status, _ in statuses] == [200, 429]


async def test_files_with_a_signed_link_are_not_counted(make_grid: MakeGrid) -> None:
    async with make_grid(stranger_requests=Rate(1, burst=1)) as grid:
        app, worker = await grid.app(), await grid.worker()
        await app.request()
        await worker.finish(await worker.assigned())
        url = (await app.wait_for("jobResult"))["resultUrl"]
        for _ in range(5):
            async with grid.http.get(url) as answer:
                assert answer.status == 200


async def test_a_connection_that_asks_nothing_is_closed(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_app, "SILENT_S", 0.05)
    await grid.restart()
    host, port = grid.url.removeprefix("http://").split(":")
    for begun in (b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(begun)
        async with asyncio.timeout(PATIENCE_S):
            await reader.read()
        writer.close()
        await writer.wait_closed()


async def test_a_body_that_never_ends_is_given_up(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def trickle() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    monkeypatch.setattr(http, "BODY_WITHIN_S", 0.05)
    status, body = await grid.call("POST", "/v1/account/keys", data=trickle())
    assert (status, body["errorCode"]) == (408, 408)


# ── connections ──────────────────────────────────────────────────────────────────────────────────


async def test_an_account_has_only_so_many_apps_connected(make_grid: MakeGrid) -> None:
    async with make_grid(max_apps=2) as grid:
        first, second = await grid.app("app-1"), await grid.app("app-2")
        third = await grid.socket(appId="app-3")
        assert await third.closed() == socket.CLOSE_TRY_AGAIN
        stranger = await grid.app("app-3", key=await grid.account("bob"))
        for app in (first, second, stranger):
            await app.fence()
        await second.leave()
        await (await grid.app("app-3")).fence()


async def test_an_app_that_lost_its_network_comes_back_even_at_the_limit(
    make_grid: MakeGrid,
) -> None:
    async with make_grid(max_apps=1) as grid:
        old = await grid.app("app-1")
        new = await grid.app("app-1")
        assert await old.closed() == socket.CLOSE_REPLACED
        await new.fence()


async def test_an_account_has_only_so_many_workers_connected(make_grid: MakeGrid) -> None:
    async with make_grid(max_workers=1, max_apps=1) as grid:
        app, worker = await grid.app(), await grid.worker("first")
        second = await grid.worker_socket(hello_of("second"))
        assert await second.closed() == socket.CLOSE_TRY_AGAIN
        again = await grid.worker("first", worker_id=worker.hello.worker_id)
        assert await worker.closed() == socket.CLOSE_REPLACED
        await app.request()
        await again.finish(await again.assigned())
        await app.wait_state("jobCompleted")


async def test_an_account_has_only_so_many_event_streams_open(make_grid: MakeGrid) -> None:
    async with make_grid(max_streams=1) as grid:
        app = await grid.app()
        project = await app.request()
        await app.wait_state("queued")
        path = f"/v1/projects/{project}/events"
        async with grid.http.get(grid.url + path, headers={"api-key": grid.key}) as first:
            assert first.status == 200
            status, body = await grid.get(path)
            assert (status, body["retryAfter"] > 0) == (429, True)
            # However short it is, whoever does not read keeps it open.
            assert (await grid.get(f"{path}?follow=false"))[0] == 429
            await app.cancel(project)
            assert "canceled" in await first.text()
        assert (await grid.get("/v1/account/me"))[0] == 200


async def test_sockets_are_not_opened_faster_than_requests(make_grid: MakeGrid) -> None:
    async with make_grid(requests=Rate(1, burst=2)) as grid:
        await grid.app("app-1")
        await grid.worker()
        for path in ("/?appId=app-2", WORKER_PATH):
            headers = {"api-key": grid.key}
            async with grid.http.ws_connect(grid.url + path, headers=headers) as ws:
                message = await ws.receive()
                assert message.type is aiohttp.WSMsgType.CLOSE
                assert (message.data, "1.0 s" in str(message.extra)) == (1013, True)
        grid.clock.advance(1)
        await grid.app("app-2")


# ── messages ─────────────────────────────────────────────────────────────────────────────────────


async def test_an_app_that_sends_too_fast_is_slowed_down_and_loses_nothing(
    make_grid: MakeGrid,
) -> None:
    async with make_grid(messages=Rate(1000, burst=5)) as grid:
        app = await grid.app()
        projects = [await app.request() for _ in range(20)]
        for project in projects:
            await app.wait_state("queued", jobID=project)
        (notice,) = [frame for frame in app.frames if frame.type == "toastMessage"]
        assert notice["type"] == "warning"
        assert 0 < notice["retryAfter"] <= 0.001
        assert "none is lost" in notice["message"]


async def test_a_fast_account_slows_no_other(make_grid: MakeGrid) -> None:
    async with make_grid(messages=Rate(0.01, burst=2)) as grid:
        greedy, calm = await grid.app(), await grid.app(key=await grid.account("bob"))
        for _ in range(10):
            await greedy.send("unknown", {})
        await greedy.wait_for("toastMessage")
        await calm.fence()
        await grid.stop()


async def test_a_long_message_counts_more_than_a_short_one(make_grid: MakeGrid) -> None:
    async with make_grid(messages=Rate(1000, burst=20)) as grid:
        app = await grid.app()
        await app.send("unknown", "x" * 600_000)
        notice = await app.wait_for("toastMessage")
        assert notice["retryAfter"] > 0.02
        await app.fence()


async def test_a_worker_that_reports_too_fast_is_slowed_down_and_loses_nothing(
    make_grid: MakeGrid,
) -> None:
    async with make_grid(worker_messages=Rate(1000, burst=2)) as grid:
        app, worker = await grid.app(), await grid.worker()
        project = await app.request()
        job = await worker.assigned()
        await worker.start(job)
        for _ in range(5):
            for step in (1, 2, 3):
                await worker.progress(job, step)
        await worker.finish(job)
        await app.wait_state("jobCompleted", jobID=project)
        told = Counter(app.told(project))
        assert [told[f"jobProgress {step}/4"] for step in (1, 2, 3)] == [5, 5, 5]


async def test_a_socket_that_is_slowed_down_can_be_closed(make_grid: MakeGrid) -> None:
    async with make_grid(messages=Rate(0.01, burst=1)) as grid:
        slow = await grid.app()
        for _ in range(3):
            await slow.send("unknown", {})
        await slow.wait_for("toastMessage")
        await grid.app("app-1")
        assert await slow.closed() == socket.CLOSE_REPLACED


# ── event switches and keys ──────────────────────────────────────────────────────────────────────


def names(count: int, prefix: str = "event") -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


@pytest.mark.parametrize(
    "change",
    [
        {"subscriptions": dict.fromkeys(names(socket.MAX_SWITCHES + 1), True)},
        {"subscribe": names(socket.MAX_SWITCHES + 1)},
        {"unsubscribe": names(socket.MAX_SWITCHES + 1)},
        {"event": "x" * 65},
        {"subscribe": "x" * 65},
        {"subscriptions": {"x" * 65: True}},
    ],
    ids=["map", "on", "off", "name", "name on", "name in map"],
)
async def test_too_many_or_too_long_event_switches_change_nothing(
    grid: Grid, change: dict[str, object]
) -> None:
    app = await grid.app()
    await app.send("setSocketEventSubscriptions", change)
    assert (await app.wait_for("toastMessage"))["type"] == "error"
    await app.send("setSocketEventSubscriptions", {})
    answer = await app.wait_for("socketEventSubscriptionsUpdated")
    assert answer["socketEventSubscriptions"] == socket_messages.switches_in_force({})


async def test_event_switches_do_not_grow_little_by_little(grid: Grid) -> None:
    app = await grid.app()
    await app.send("setSocketEventSubscriptions", {"subscribe": names(socket.MAX_SWITCHES)})
    await app.wait_for("socketEventSubscriptionsUpdated")
    await app.send("setSocketEventSubscriptions", {"event": "one more"})
    assert "reset" in (await app.wait_for("toastMessage"))["message"]
    await app.send("setSocketEventSubscriptions", {"reset": True, "event": "one more"})
    answer = await app.wait_for("socketEventSubscriptionsUpdated")
    assert answer["socketEventSubscriptions"] == socket_messages.switches_in_force(
        {"one more": True}
    )


async def test_an_account_has_only_so_many_keys(make_grid: MakeGrid) -> None:
    async with make_grid(max_keys=3) as grid:

        async def create() -> int:
            return (await grid.call("POST", "/v1/account/keys", json={"name": "k"}))[0]

        statuses = await asyncio.gather(*(create() for _ in range(6)))
        assert Counter(statuses) == {201: 2, 403: 4}, "the key that the owner began with counts"
        keys = (await grid.data("/v1/account/keys"))["keys"]
        spare = next(key["id"] for key in keys if key["name"] == "k")
        await grid.call("DELETE", f"/v1/account/keys/{spare}")
        assert await create() == 201


# ── forms ────────────────────────────────────────────────────────────────────────────────────────


def test_forms_that_arrive_at_once_share_the_room_of_their_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_FORMS_BYTES", 10)
    counted = limits.Limits(ServerConfig(data_dir=tmp_path), ManualClock())
    one, other = (Account(id=name, username=name, address="") for name in ("one", "other"))
    with counted.form(one) as first:
        first(6)
        with counted.form(one) as second, counted.form(other) as of_other:
            second(4)
            of_other(10)
            with pytest.raises(TooManyRequests, match="more than 10"):
                first(1)
        first(4)
    with counted.form(one) as first:
        first(10)
