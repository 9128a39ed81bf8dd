"""The socket of apps: the greeting, who gets in, bad frames, networks, event switches."""

import asyncio
import base64
import json
import random
import sqlite3
from typing import Any

import aiohttp
import pytest
from yarl import URL

from dreamgrid.protocol import codec
from dreamgrid.server import app_sockets
from dreamgrid.server.auth import Account
from dreamgrid.server.live import LiveProject
from dreamgrid.server.recovery import Recovery
from tests.support.grid import Grid
from tests.support.wire import App, Frame, job_request, new_id

# ── the greeting ─────────────────────────────────────────────────────────────────────────────────


async def test_an_app_is_greeted_with_who_it_is_what_it_owns_and_what_there_is(grid: Grid) -> None:
    await grid.worker()
    app = await grid.app()
    await app.fence()
    greeting, balance, models = app.frames[:3]
    assert greeting.type == "authenticated"
    assert (greeting["username"], greeting["clientType"]) == ("local", "artist")
    assert greeting["subscriptionEntitlement"]["active"] is False
    assert greeting["activeProjects"] == greeting["unclaimedCompletedProjects"] == []
    assert balance.type == "balanceUpdate"
    assert sorted(balance.payload) == ["sogni", "spark"]
    assert balance["spark"]["net"] == "1000.000000"
    assert all(isinstance(value, str) for value in balance["sogni"].values())
    assert models == Frame("swarmModels", {"pattern-v1": 1})


async def test_without_a_worker_nothing_is_said_about_models(grid: Grid) -> None:
    """An empty list makes the oldest SDK give up at once."""
    app = await grid.app()
    await app.fence()
    assert "swarmModels" not in [frame.type for frame in app.frames]


async def test_frames_that_come_before_the_greeting_are_not_lost(grid: Grid) -> None:
    """The oldest SDKs send as soon as the socket is open."""
    key = await grid.account("early")
    app = await grid.socket(key, appId="app-1")
    projects = [await app.request() for _ in range(3)]
    for project in projects:
        await app.wait_state("queued", jobID=project)
    assert app.frames[0].type == "authenticated"


async def test_an_app_may_upgrade_at_any_path(grid: Grid) -> None:
    for path in ("/", "/socket", "/some/where?appId=x", "/v9/whatever"):
        async with grid.http.ws_connect(grid.url + path, headers={"api-key": grid.key}) as ws:
            frame = codec.open_envelope((await ws.receive()).data)
            assert frame.type == "authenticated"


@pytest.mark.parametrize("header", ["api-key", "Authorization", "Bearer", "bearer"])
async def test_a_key_is_accepted_as_every_sdk_sends_it(grid: Grid, header: str) -> None:
    headers = {
        "api-key": {"api-key": grid.key},
        "Authorization": {"Authorization": grid.key},
        "Bearer": {"Authorization": f"Bearer {grid.key}"},
        "bearer": {"authorization": f"bearer {grid.key}"},
    }[header]
    async with grid.http.ws_connect(grid.url, headers=headers) as ws:
        assert codec.open_envelope((await ws.receive()).data).type == "authenticated"
    async with grid.http.get(f"{grid.url}/v1/account/me", headers=headers) as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    "key", ["", "wrong", "dgk_" + "A" * 43, "ключ", "\udcff\udcfe", "x" * 4000]
)
async def test_a_wrong_key_is_told_by_the_close_code(grid: Grid, key: str) -> None:
    """A refused upgrade would look like a lost network, and the SDKs would try for ever."""
    headers = {"api-key": key} if key else {}
    async with grid.http.ws_connect(grid.url, headers=headers) as ws:
        message = await ws.receive()
        assert message.type is aiohttp.WSMsgType.CLOSE
        assert (message.data, ws.close_code) == (4021, 4021)
        assert message.extra is not None
        assert "key" in message.extra


@pytest.mark.parametrize("header", [b"api-key", b"Authorization"])
async def test_a_key_of_bytes_that_are_no_letters_is_wrong_and_no_surprise(
    grid: Grid, header: bytes
) -> None:
    host = grid.url.removeprefix("http://").encode()
    handshake = [
        b"GET / HTTP/1.1",
        b"Host: " + host,
        header + b": \xff\xfe.\xff.\xff",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    ]
    reader, writer = await asyncio.open_connection(*host.decode().split(":"))
    writer.write(b"\r\n".join(handshake) + b"\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    opcode, _, *code = await reader.readexactly(4)
    assert (opcode, int.from_bytes(code, "big")) == (0x88, 4021)
    writer.close()
    await writer.wait_closed()


async def test_a_key_that_was_revoked_does_not_get_in(grid: Grid) -> None:
    _, made = await grid.call("POST", "/v1/account/keys", json={"name": "old"})
    app = await grid.app(key=made["data"]["key"])
    await grid.call("DELETE", f"/v1/account/keys/{made['data']['id']}")
    assert await app.closed() == 4021
    late = await grid.socket(made["data"]["key"], appId="app-2")
    assert await late.closed() == 4021
    assert late.frames == []


async def test_a_broken_handshake_is_answered_in_json(grid: Grid) -> None:
    status, body = await grid.call("GET", "/", headers={"Upgrade": "websocket"})
    assert status == 400
    assert body["status"] == "error"


async def test_a_fault_of_the_server_ends_a_connection_so_that_it_is_tried_again(
    grid: Grid, caplog: pytest.LogCaptureFixture
) -> None:
    """An HTTP error after the upgrade would reach the app as a broken frame."""
    await grid.app("app-1")
    vandal = sqlite3.connect(grid.config.data_dir / "dreamgrid.sqlite")
    vandal.execute("ALTER TABLE project RENAME TO gone")
    vandal.commit()
    app = await grid.socket(appId="app-2")
    assert await app.closed() == 1011
    assert "a connection failed" in caplog.text
    vandal.execute("ALTER TABLE gone RENAME TO project")
    vandal.commit()
    vandal.close()
    await (await grid.app("app-2")).fence()


async def test_an_app_that_comes_while_nothing_can_be_stored_is_asked_to_come_again(
    grid: Grid,
) -> None:
    grid.store.break_down()
    app = await grid.socket(appId="app-1")
    assert await app.closed() == 1011
    grid.store.recover()
    await (await grid.app("app-1")).fence()


# ── one connection for each app ──────────────────────────────────────────────────────────────────


async def test_a_newer_connection_of_an_app_replaces_the_older(grid: Grid) -> None:
    old, other = await grid.app("app-1"), await grid.app("app-2")
    stranger = await grid.app("app-1", key=await grid.account("bob"))
    new = await grid.app("app-1")
    assert await old.closed() == 4015
    for app in (other, stranger, new):
        await app.fence()
    project = await new.request()
    await new.wait_state("queued", jobID=project)


async def test_an_app_that_is_replaced_while_it_talks_hears_why(grid: Grid) -> None:
    old = await grid.app("app-1")
    for _ in range(500):
        await old.send("unknown", {"filler": "x" * 500})
    new = await grid.app("app-1")
    assert await old.closed() == 4015
    await new.fence()


async def test_many_connections_of_one_app_at_once_leave_one(grid: Grid) -> None:
    apps = await asyncio.gather(*(grid.socket(appId="app-1") for _ in range(8)))

    ends = {asyncio.create_task(app.closed()): app for app in apps}
    pending, codes = set(ends), []
    while len(pending) > 1:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        codes += [end.result() for end in done]
    assert codes == [4015] * 7
    (last,) = pending
    survivor = ends[last]
    await survivor.fence()
    project = await survivor.request()
    await survivor.wait_state("queued", jobID=project)
    last.cancel()


async def test_an_older_connection_that_was_held_up_does_not_replace_a_newer_one(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    unclaimed = Recovery.unclaimed
    held_up, let_go = asyncio.Event(), asyncio.Event()

    async def slow(recovery: Recovery, account: Account, app_id: str | None) -> list[LiveProject]:
        monkeypatch.setattr(Recovery, "unclaimed", unclaimed)  # only the first one waits
        held_up.set()
        await let_go.wait()
        return await unclaimed(recovery, account, app_id)

    monkeypatch.setattr(Recovery, "unclaimed", slow)
    old = await grid.socket(appId="app-1")
    await held_up.wait()
    new = await grid.app("app-1")
    let_go.set()
    assert await old.closed() == 4015
    assert old.frames == []
    project = await new.request()
    await new.wait_state("queued", jobID=project)


async def test_connections_without_an_app_id_are_apart(grid: Grid) -> None:
    one, two = await grid.socket(), await grid.socket()
    await one.fence()
    await two.fence()


# ── frames ───────────────────────────────────────────────────────────────────────────────────────


async def test_binary_frames_are_read_like_text(grid: Grid) -> None:
    app, project = await grid.app(), new_id()
    await app.ws.send_bytes(codec.encode_raw("jobRequest", job_request(project)))
    await app.wait_state("queued", jobID=project)


def enveloped(payload: bytes, kind: str = "jobRequest") -> str:
    return json.dumps({"type": kind, "data": base64.b64encode(payload).decode()})


PROJECT = "44BABD98-2112-412D-91DA-B5429A1DF233"
BAD_FRAMES = [
    "",
    "hello",
    "null",
    "[]",
    "7",
    "{}",
    '"text"',
    '{"type":"jobRequest"}',
    '{"type":"jobRequest","data":null}',
    '{"type":"jobRequest","data":{}}',
    '{"type":"jobRequest","data":""}',
    '{"type":"jobRequest","data":"not base64!"}',
    '{"type":"jobRequest","data":"e30"}',
    '{"type":null,"data":"e30="}',
    '{"type":7,"data":"e30="}',
    '{"data":"e30="}',
    "[" * 100_000,
    '{"type":"jobRequest","data":"e30=","more":' + "[" * 100_000,
    enveloped(b"[" * 100_000),
    enveloped(b'{"jobID":' + b"[" * 50_000),
    enveloped(b"null"),
    enveloped(b"[]"),
    enveloped(b"\xff\xfe"),
    enveloped(b'"\xed\xa0\x80"'),
    enveloped(b"{}", "jobError"),
    enveloped(b"[1]", "jobError"),
    enveloped(b'{"jobID":null}', "jobError"),
    enveloped(b"{}", "changeNetwork"),
    enveloped(b"7", "setSocketEventSubscriptions"),
    enveloped(b'{"subscriptions":{"a":"yes"}}', "setSocketEventSubscriptions"),
    enveloped(b'{"subscribe":[1]}', "setSocketEventSubscriptions"),
]
REFUSED_FRAMES = [
    f'"keyFrames":{frames}'
    for frames in (
        "null",
        "[null]",
        "[[]]",
        '[{"modelID":"pattern-v1","steps":1e999}]',
        '[{"modelID":"pattern-v1","steps":NaN}]',
        '[{"modelID":"pattern-v1","guidanceScale":Infinity}]',
        '[{"modelID":"pattern-v1","width":' + "9" * 10_000 + "}]",
        '[{"modelID":"pattern-v1","currentControlNetsJob":' + "[" * 10_000 + "]" * 10_000 + "}]",
        '[{"modelID":"pattern-v1","currentControlNetsJob":[[]]}]',
        '[{"modelID":"pattern-v1","loras":{}}]',
    )
]


@pytest.mark.parametrize("frame", BAD_FRAMES, ids=lambda frame: frame[:40])
async def test_a_frame_that_cannot_be_read_gets_a_notice_and_nothing_else(
    grid: Grid, frame: str
) -> None:
    app = await grid.app()
    await app.ws.send_str(frame)
    notice = await app.wait_for("toastMessage")
    assert notice["type"] == "error"
    assert len(notice["message"]) <= 600
    await app.fence()
    project = await app.request()
    await app.wait_state("queued", jobID=project)


@pytest.mark.parametrize("fields", REFUSED_FRAMES, ids=lambda fields: fields[:60])
async def test_a_request_whose_rest_cannot_be_read_is_refused_or_noticed(
    grid: Grid, fields: str
) -> None:
    app = await grid.app()
    await app.ws.send_str(enveloped(f'{{"jobID":"{PROJECT}",{fields}}}'.encode()))
    answer = await app.wait_until(
        lambda frame: frame.type == "toastMessage" or frame.has({"jobID": PROJECT}), "answer"
    )
    assert answer.type == "toastMessage" or answer["error"] == 4000
    await app.fence()
    assert (await grid.spark())["debit"] == "0.000000"


async def test_random_bytes_never_break_a_connection(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_sockets, "MAX_BAD_FRAMES", 1_000_000)
    app = await grid.app()
    chance = random.Random(20)
    good = codec.encode_raw("jobRequest", job_request(PROJECT, modelID="none"))
    for _ in range(400):
        frame = bytearray(good)
        for _ in range(chance.randint(1, 5)):
            frame[chance.randrange(len(frame))] = chance.randrange(256)
        await app.ws.send_bytes(bytes(frame))
    await app.fence()


async def test_json_of_any_shape_never_breaks_a_connection(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_sockets, "MAX_BAD_FRAMES", 1_000_000)
    app = await grid.app()
    chance = random.Random(21)
    kinds = ["jobRequest", "jobError", "changeNetwork", "setSocketEventSubscriptions", "other"]
    odd: list[Any] = [None, True, -1, 10**30, 0.5, "", "x", [], {}, [[]], {"a": None}, "fast"]
    names = ["jobID", "keyFrames", "modelID", "error", "reset", "subscribe", "event", "network"]
    for _ in range(400):
        payload = {chance.choice(names): chance.choice(odd) for _ in range(chance.randint(0, 5))}
        await app.send(chance.choice(kinds), payload)
    await app.fence()


async def test_an_app_that_sends_only_rubbish_is_disconnected(grid: Grid) -> None:
    app = await grid.app()
    for _ in range(app_sockets.MAX_BAD_FRAMES):
        await app.ws.send_str("rubbish")
    assert await app.closed() == 1008
    assert len([frame for frame in app.frames if frame.type == "toastMessage"]) <= 100
    await (await grid.app()).fence()


async def test_a_frame_beyond_the_limit_ends_the_connection_and_no_other(grid: Grid) -> None:
    app, other = await grid.app("app-1"), await grid.app("app-2")
    await app.ws.send_str("x" * (codec.MAX_CLIENT_MESSAGE_BYTES + 1))
    assert await app.closed() == 1009
    await other.fence()
    assert (await grid.get("/healthz"))[0] == 200


async def test_a_frame_just_within_the_limit_is_answered(grid: Grid) -> None:
    app, project = await grid.app(), new_id()
    frame = codec.encode_raw("jobRequest", job_request(project, positivePrompt="x" * 700_000))
    assert 900_000 < len(frame) < codec.MAX_CLIENT_MESSAGE_BYTES
    await app.ws.send_bytes(frame)
    assert (await app.wait_for("jobError", jobID=project))["error"] == 4000


async def test_messages_of_unknown_types_are_ignored(grid: Grid) -> None:
    app = await grid.app()
    before = len(app.frames)
    await app.send("orderTea", {"jobID": new_id()})
    await app.send("authenticated", {})
    await app.send("jobState", {"type": "jobCompleted", "jobID": new_id()})
    await app.send("", {})
    await app.fence()
    assert len(app.frames) == before + 1


# ── networks ─────────────────────────────────────────────────────────────────────────────────────


async def test_an_app_changes_its_network(grid: Grid) -> None:
    await grid.worker("fast one")
    relaxed = await grid.worker("relaxed one", models=("dreamlet-v1",), network="relaxed")
    app = await grid.app()
    await app.send("changeNetwork", "relaxed")
    assert (await app.wait_for("changeNetwork")).payload == {"network": "relaxed"}
    assert (await app.wait_for("swarmModels")).payload == {"dreamlet-v1": 1}
    project = await app.request(modelID="dreamlet-v1")
    assert (await relaxed.assigned()).project_id == project
    await app.send("changeNetwork", "fast")
    assert (await app.wait_for("changeNetwork")).payload == {"network": "fast"}
    assert (await app.wait_for("swarmModels")).payload == {"pattern-v1": 1}


async def test_models_of_other_networks_are_not_announced(grid: Grid) -> None:
    app = await grid.app(forceWorkerId="")
    await grid.worker("fast one")
    await grid.worker("relaxed one", models=("dreamlet-v1",), network="relaxed")
    await app.wait_for("swarmModels", **{"dreamlet-v1": 1})
    swarms = [frame.payload for frame in app.frames if frame.type == "swarmModels"]
    assert not any("pattern-v1" in swarm for swarm in swarms)


@pytest.mark.parametrize("wanted", ["slow", "", "FAST", "x" * 10_000])
async def test_an_unknown_network_is_answered_with_the_unchanged_one(
    grid: Grid, wanted: str
) -> None:
    app = await grid.app()
    await app.send("changeNetwork", wanted)
    assert (await app.wait_for("changeNetwork")).payload == {"network": "fast"}


async def test_the_network_of_a_connection_is_that_of_its_projects(grid: Grid) -> None:
    app = await grid.app(forceWorkerId="")
    fast = await grid.worker("fast one")
    relaxed = await grid.worker("relaxed one", network="relaxed")
    project = await app.request()
    assert (await relaxed.assigned()).project_id == project
    override = await app.request(network="fast")
    assert (await fast.assigned()).project_id == override


# ── event switches ───────────────────────────────────────────────────────────────────────────────


async def test_events_that_are_switched_off_are_not_sent(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    await app.send("setSocketEventSubscriptions", {"unsubscribe": ["jobProgress", "balanceUpdate"]})
    answer = await app.wait_for("socketEventSubscriptionsUpdated")
    switches = answer["socketEventSubscriptions"]
    assert {name for name, on in switches.items() if not on} == {
        *("jobProgress", "balanceUpdate"),
        *("projectQueue", "appAlert", "subscriptionLimitNotice"),  # which apps have to ask for
    }
    assert {"authenticated", "jobState", "jobResult", "modelAvailability"} < set(switches)
    project = await app.request()
    job = await worker.assigned()
    await worker.start(job)
    await worker.progress(job, 1)
    await worker.fence()
    await app.send("setSocketEventSubscriptions", {"subscribe": "jobProgress"})
    await app.wait_for("socketEventSubscriptionsUpdated")
    await worker.progress(job, 2)
    await worker.finish(job)
    await app.wait_state("jobCompleted")
    await app.fence()
    assert [word for word in app.told(project) if word.startswith("jobProgress")] == [
        "jobProgress 2/4"
    ]
    assert [frame.type for frame in app.frames].count("balanceUpdate") == 1


async def test_switches_of_the_connection_count_from_the_start(grid: Grid) -> None:
    await grid.worker()
    app = await grid.app(socketEventSubscriptions='{"modelAvailability":false}')
    await grid.worker("another", models=("dreamlet-v1",))
    await app.fence()
    assert "swarmModels" not in [frame.type for frame in app.frames]
    await app.send("setSocketEventSubscriptions", {"reset": True})
    answer = await app.wait_for("socketEventSubscriptionsUpdated")
    assert answer["socketEventSubscriptions"]["modelAvailability"] is True
    swarm = await app.wait_for("swarmModels")
    assert swarm.payload == {"dreamlet-v1": 1, "pattern-v1": 1}


async def test_the_switches_that_an_app_is_told_mean_the_same_when_it_comes_back(
    grid: Grid,
) -> None:
    app = await grid.app()
    await app.send("setSocketEventSubscriptions", {"unsubscribe": ["modelAvailability", "jobETA"]})
    told = (await app.wait_for("socketEventSubscriptionsUpdated"))["socketEventSubscriptions"]
    again = await grid.app(socketEventSubscriptions=json.dumps(told))
    await grid.worker()
    await again.send("setSocketEventSubscriptions", {})
    answer = await again.wait_for("socketEventSubscriptionsUpdated")
    assert answer["socketEventSubscriptions"] == told
    assert "swarmModels" not in [frame.type for frame in again.frames]


@pytest.mark.parametrize(
    "switches", ["", "{", "[]", "7", '{"a":1}', "[" * 2_500, '{"projectQueue":true}', "\udcff"]
)
async def test_odd_switches_of_the_connection_change_nothing(grid: Grid, switches: str) -> None:
    query = "".join(f"%{byte:02X}" for byte in switches.encode("utf-8", "surrogateescape"))
    url = f"{grid.url}/?appId=app-1&socketEventSubscriptions={query}"
    async with grid.http.ws_connect(URL(url, encoded=True), headers={"api-key": grid.key}) as ws:
        assert codec.open_envelope((await ws.receive()).data).type == "authenticated"


@pytest.mark.parametrize(
    "app_id", ["ü", "a b", "../..", "'; DROP TABLE project;--", "\udcff", "x" * 2_500, "\0"]
)
async def test_an_app_may_be_called_anything(grid: Grid, app_id: str) -> None:
    query = "".join(f"%{byte:02X}" for byte in app_id.encode("utf-8", "surrogateescape"))
    url = URL(f"{grid.url}/?appId={query}", encoded=True)
    async with grid.http.ws_connect(url, headers={"api-key": grid.key}) as ws:
        app = App(ws)
        project = await app.request()
        await app.wait_state("queued", jobID=project)
    async with grid.http.ws_connect(url, headers={"api-key": grid.key}) as ws:
        app = App(ws)
        await app.fence()
        assert [one["id"] for one in app.frames[0]["activeProjects"]] == [project]


async def test_a_chat_is_refused_at_once_because_there_is_none(grid: Grid) -> None:
    app = await grid.app()
    await app.send("llmJobRequest", {"jobID": PROJECT, "model": "any", "messages": []})
    refused = await app.wait_for("llmJobError", jobID=PROJECT)
    assert refused["error_code"] == "4000"
    assert refused["isFromWorker"] is False
    assert "it has no chat" in refused["error_message"]
