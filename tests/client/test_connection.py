import asyncio
import contextlib
import logging
from collections.abc import Awaitable

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

import dreamgrid
from dreamgrid.client.connection import Backoff
from dreamgrid.client.endpoint import Endpoint
from dreamgrid.protocol import codec, socket
from dreamgrid.protocol.codec import MAX_SERVER_MESSAGE_BYTES
from tests.client import stub as wire
from tests.client.stub import KEY, Stub


async def test_a_wrong_key_is_told_at_once_and_not_tried_again(stub: Stub) -> None:
    async with wire.client_of(stub, "wrong") as client:
        for _ in range(2):
            with pytest.raises(dreamgrid.AuthenticationFailed, match="DREAMGRID_API_KEY"):
                await client.connect()
    assert len(stub.upgrades) == 1


async def test_no_server_is_told_at_once(unused_tcp_port: int) -> None:
    async with dreamgrid.AsyncClient(f"http://127.0.0.1:{unused_tcp_port}", KEY) as client:
        async with asyncio.timeout(60):
            with pytest.raises(dreamgrid.ConnectionFailed, match="cannot reach"):
                await client.connect()


async def test_a_server_that_was_not_there_can_be_tried_again(stub: Stub) -> None:
    async with wire.client_of(stub) as client:
        right = client._http.endpoint
        client._http.endpoint = Endpoint.resolve("http://127.0.0.1:9", KEY)
        with pytest.raises(dreamgrid.ConnectionFailed):
            await client.connect()
        client._http.endpoint = right
        await client.connect()


async def test_something_that_is_no_dreamgrid_server_is_named(stub: Stub) -> None:
    stub.greeting = [codec.encode_raw("hello", {})]
    async with wire.client_of(stub) as client:
        with pytest.raises(dreamgrid.ProtocolError, match="no dreamgrid server"):
            await client.connect()


async def test_a_page_that_is_no_socket_is_named(stub: Stub) -> None:
    stub.answer("/", lambda _: web.Response(text="welcome to my homepage"))
    async with wire.client_of(stub) as client:
        with pytest.raises(dreamgrid.ConnectionFailed, match="no dreamgrid server"):
            await client.connect()


async def test_a_redirected_upgrade_does_not_carry_our_key_away(stub: Stub) -> None:
    moved = web.Response(status=307, headers={"Location": stub.url + "/elsewhere"})
    stub.answer("/", lambda _: moved)
    async with wire.client_of(stub) as client:
        with pytest.raises(dreamgrid.ProtocolError, match="redirects"):
            await client.connect()
    assert not stub.upgrades


@pytest.mark.parametrize("code", [1000, 1001, 1006, 1011, 1012, 3000])
async def test_a_lost_connection_comes_back(
    stub: Stub, client: dreamgrid.AsyncClient, code: int
) -> None:
    await client.connect()
    if code == 1006:
        transport = stub.upgrades[-1].transport
        assert transport is not None
        transport.abort()
    else:
        await stub.drop(code)
    await stub.connected(2)
    await client.connect()


async def test_a_proxy_under_repair_ends_no_healthy_project(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    project = await wire.submitted(stub, client)
    moved = web.Response(status=302, headers={"Location": stub.url + "/maintenance"})
    stub.answer("/", lambda _: moved)
    await stub.drop(1001)
    await stub.connected(2)
    await client.connect()
    assert not project.finished


@pytest.mark.parametrize("code", [4010, 4015, 4999])
async def test_a_final_close_code_is_final(
    stub: Stub, client: dreamgrid.AsyncClient, code: int
) -> None:
    project = await wire.submitted(stub, client)
    await stub.drop(code)
    with pytest.raises(dreamgrid.NotAllowed):
        await project.wait(timeout_s=45)
    with pytest.raises(dreamgrid.NotAllowed):
        await client.connect()
    assert len(stub.upgrades) == 1


@pytest.mark.parametrize("when", ["at once", "later"])
async def test_why_a_connection_was_closed_for_good_is_told(
    stub: Stub, client: dreamgrid.AsyncClient, when: str
) -> None:
    waiting: Awaitable[object]
    if when == "later":
        project = await wire.submitted(stub, client)
        await stub.sockets[-1].close(code=4403, message=b"banned: it was spam")
        waiting = project.wait(timeout_s=45)
    else:

        async def refuse(request: web.Request) -> web.StreamResponse:
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            await socket.close(code=4403, message=b"banned: it was spam")
            return socket

        stub.answer("/", refuse)
        waiting = client.connect()
    with pytest.raises(dreamgrid.NotAllowed, match="for good: banned: it was spam"):
        await waiting


async def test_frames_that_make_no_sense_cost_only_themselves(
    stub: Stub, client: dreamgrid.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "dreamgrid.client")
    project = await wire.submitted(stub, client)
    for nonsense in (
        b"",
        b"\xff\xfe",
        b"[]",
        b'{"type":"jobState"}',
        b'{"type":"jobState","data":"!!!"}',
        codec.encode_raw("jobState", {"type": "queued"}),
        codec.encode_raw("jobProgress", {"jobID": project.id, "imgID": 3}),
        codec.encode_raw("jobResult", None),
        codec.encode_raw("jobResult", {"jobID": project.id, "imgID": "x", "lastSeed": "9" * 5000}),
        codec.encode_raw("appAlert", {"anything": 1}),
    ):
        await stub.sockets[-1].send_bytes(nonsense)
    await stub.send(wire.started(project.id), wire.result(project.id), wire.completed(project.id))
    assert len(await project.wait(timeout_s=45)) == 1
    assert len(stub.upgrades) == 1


TOO_MUCH = bytes(MAX_SERVER_MESSAGE_BYTES + 1)


async def test_a_frame_without_end_is_refused_and_the_connection_renewed(
    stub: Stub, client: dreamgrid.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "dreamgrid.client")
    await client.connect()
    with contextlib.suppress(ConnectionError):  # hung up on in the middle of it
        await stub.sockets[-1].send_bytes(TOO_MUCH)
    await stub.connected(2)
    assert "more than the 16 MiB allowed" in caplog.text


async def test_a_first_frame_that_is_too_large_is_named_with_the_limit(stub: Stub) -> None:
    stub.greeting = [TOO_MUCH]
    async with wire.client_of(stub) as client:
        with pytest.raises(dreamgrid.ConnectionFailed, match="more than the 16 MiB allowed"):
            await client.connect()


async def test_a_large_first_frame_is_read(stub: Stub) -> None:
    filler = "x" * (MAX_SERVER_MESSAGE_BYTES // 2)
    stub.greeting = [codec.encode_raw("authenticated", {"filler": filler})]
    async with wire.client_of(stub) as client:
        await client.connect()


async def test_frames_about_projects_of_others_are_ignored(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    project = await wire.submitted(stub, client)
    await stub.send(
        wire.completed("CCCCCCCC-CCCC-4CCC-8CCC-CCCCCCCCCCCC"), wire.queued(project.id, 4)
    )
    async for event in project.events():
        if isinstance(event, dreamgrid.Queued) and event.position == 4:
            break
    assert project.queue_position == 4


async def test_more_jobs_than_were_asked_for_are_ignored(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    project = await wire.submitted(stub, client)
    await stub.send(
        wire.started(project.id, wire.JOB_A),
        wire.started(project.id, wire.JOB_B, 1),
        wire.result(project.id, wire.JOB_A),
        wire.completed(project.id),
    )
    assert len(await project.wait(timeout_s=45)) == 1
    assert len(project.jobs) == 1


async def test_changing_the_network_empties_the_list_of_models(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    await client.connect()
    await stub.sockets[-1].send_bytes(codec.encode_raw(socket.SWARM_MODELS, {wire.MODEL: 1}))
    await client.projects.wait_for_models()
    project = await wire.submitted(stub, client)
    await stub.send(socket.ChangeNetwork(network="fast"), wire.queued(project.id, 2))
    async for event in project.events():
        if isinstance(event, dreamgrid.Queued) and event.position == 2:
            break
    assert not client.projects.available_models


@given(failures=st.integers(1, 10_000))
def test_waits_double_up_to_a_limit_and_are_spread(failures: int) -> None:
    base_s = min(2 ** (failures - 1), 15)
    assert base_s * 0.8 <= Backoff().delay_s(failures) <= base_s * 1.2
