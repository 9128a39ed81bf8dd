import asyncio

import pytest

import dreamgrid
from dreamgrid.client.listeners import Listeners
from dreamgrid.protocol import codec, socket
from tests.client import stub as wire
from tests.client.stub import Stub


async def finish(stub: Stub, project: dreamgrid.Project[dreamgrid.Result]) -> None:
    await stub.send(wire.started(project.id), wire.result(project.id), wire.completed(project.id))
    await project.wait(timeout_s=45)


async def test_listeners_hear_the_kinds_that_they_want(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    heard: list[str] = []
    client.projects.on(dreamgrid.JobCompleted, lambda event: heard.append(event.job_id))
    client.projects.on(dreamgrid.Event, lambda event: heard.append(type(event).__name__))
    project = await wire.submitted(stub, client)
    project.on(dreamgrid.Completed, lambda event: heard.append(f"done {event.project_id}"))
    await finish(stub, project)
    assert heard == [
        "Queued",
        "Started",
        wire.JOB_A,
        "JobCompleted",
        f"done {project.id}",
        "Completed",
    ]


async def test_once_is_once_and_off_is_off(stub: Stub, client: dreamgrid.AsyncClient) -> None:
    heard: list[str] = []
    client.projects.once(dreamgrid.Started, lambda _: heard.append("once"))
    off = client.projects.on(dreamgrid.Started, lambda _: heard.append("taken away"))
    off()
    client.projects.on(dreamgrid.Completed, lambda _: heard.append("never"))
    client.projects.off(dreamgrid.Completed)
    for _ in range(2):
        await finish(stub, await wire.submitted(stub, client))
    assert heard == ["once"]
    client.projects.on(dreamgrid.Queued, lambda _: heard.append("gone as well"))
    client.projects.remove_all_listeners()
    await wire.submitted(stub, client)
    assert heard == ["once"]


async def test_a_listener_that_fails_harms_nobody(
    stub: Stub, client: dreamgrid.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[str] = []

    def fail(_: object) -> None:
        raise ValueError("a bug of the app")

    async def fail_later(_: object) -> None:
        await asyncio.sleep(0)
        raise ValueError("another bug of the app")

    for listener in (fail, fail_later, lambda _: heard.append("heard")):
        client.projects.on(dreamgrid.Started, listener)
    await finish(stub, await wire.submitted(stub, client))
    assert heard == ["heard"]
    for _ in range(3):  # the coroutine is called, fails, and is logged
        await asyncio.sleep(0)
    assert "a bug of the app" in caplog.text
    assert "another bug of the app" in caplog.text


async def test_a_coroutine_that_listens_is_ended_with_the_client(stub: Stub) -> None:
    ended = []

    async def listen(_: object) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async with wire.client_of(stub) as client:
        client.on(dreamgrid.Connected, listen)
        await client.connect()
        await asyncio.sleep(0)
    assert ended == [True]


async def test_the_client_tells_of_connection_balance_and_models(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    heard: list[str] = []
    lost = asyncio.Event()
    client.on(dreamgrid.Connected, lambda event: heard.append(f"connected as {event.username}"))
    client.on(dreamgrid.Disconnected, lambda event: lost.set() if not event.final else None)
    client.on(dreamgrid.BalanceChanged, lambda event: heard.append(f"{event.balance.spark} spark"))
    came = asyncio.Event()
    client.projects.on(dreamgrid.ModelsChanged, lambda event: came.set() if event.models else None)
    await client.connect()
    amount = socket.TokenBalance(settled="5", credit="0", debit="0", net="5")
    await stub.send(socket.BalanceUpdate(spark=amount, sogni=amount))
    await stub.sockets[-1].send_bytes(codec.encode_raw(socket.SWARM_MODELS, {wire.MODEL: 1}))
    await asyncio.wait_for(came.wait(), 10)
    assert heard == ["connected as alice", "5 spark"]
    now = client.current_account
    assert (now.username, now.network_status, now.is_authenticated) == ("alice", "connected", True)
    assert now.balance is not None
    await stub.drop()
    await asyncio.wait_for(lost.wait(), 10)


def test_a_bound_method_can_be_taken_away() -> None:
    class App:
        def hear(self, event: object) -> None:
            raise AssertionError(event)

    app, listeners = App(), Listeners()
    listeners.add(str, app.hear, once=False)
    listeners.remove(str, app.hear)
    listeners.tell("nobody hears this")
