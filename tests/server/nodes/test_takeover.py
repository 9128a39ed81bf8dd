"""One node coordinates; when it dies, stops or falls silent, another one goes on."""

import asyncio
import threading
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from dreamgrid.errors import ConfigError
from dreamgrid.protocol.socket import CLOSE_RESTART
from dreamgrid.protocol.worker import RunningJob
from dreamgrid.server.app import run_server
from dreamgrid.server.config import NodeSettings, ServerConfig
from dreamgrid.server.nodes import watch
from dreamgrid.server.nodes.lease import Beats
from dreamgrid.server.store.postgres import PostgresStore
from dreamgrid.server.store.postgres_connection import PostgresConnection
from dreamgrid.server.store.postgres_nodes import PostgresNodes
from tests.server.nodes.conftest import MakeNode
from tests.support.grid import Grid
from tests.support.wire import PATIENCE_S

LONG_S = 1000.0
"""Longer than any test."""


async def answers(grid: Grid) -> None:
    """Returns when the node answers what only a coordinator knows."""
    async with asyncio.timeout(PATIENCE_S):
        while (await grid.get("/v4/account/balance"))[0] != 200:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_a_stop_hands_over_and_loses_nothing(make_node: MakeNode) -> None:
    one, two = await make_node(), await make_node()
    app, worker = await two.app(), await two.worker()
    project = await app.request()
    job = await worker.assigned()
    await one.stop()
    assert await app.closed() == CLOSE_RESTART
    assert await worker.closed() == CLOSE_RESTART
    held = RunningJob(job_id=job.job_id, attempt=job.attempt)
    worker = await two.worker(worker_id=worker.hello.worker_id, running=(held,))
    app = await two.app()
    await worker.fail(job, retryable=False)
    await app.wait_for("jobError", jobID=project)
    back = await make_node()
    assert (await back.live(project))["status"] == "failed"


async def metrics(grid: Grid) -> str:
    headers = {"api-key": grid.key}
    async with grid.http.get(f"{grid.url}/metrics", headers=headers) as answer:
        return await answer.text()


async def test_who_watches_a_node_sees_that_it_decides_now(make_node: MakeNode) -> None:
    """Also over a connection from before, as Prometheus keeps it."""
    one, two = await make_node(), await make_node()
    await answers(two)
    assert "dreamgrid_coordinates 0.0" in await metrics(two)
    await one.stop()
    await answers(two)
    told = await metrics(two)
    assert "dreamgrid_coordinates 1.0" in told
    assert "dreamgrid_waiting_jobs" in told


async def test_who_has_signed_in_stays_so_and_the_key_stays_good(make_node: MakeNode) -> None:
    one, two = await make_node(), await make_node()
    key = one.key
    await one.stop()
    await answers(two)
    assert (await two.get("/v4/account/balance", key=key))[0] == 200
    secrets = {(grid.config.data_dir / "token-secret").read_bytes() for grid in (one, two)}
    assert len(secrets) == 1


async def test_a_coordinator_that_falls_silent_is_replaced_writes_nothing_and_relays(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "SILENT_S", LONG_S)  # nobody is replaced before we say so
    one = await make_node()
    assert one.config.node is not None
    silenced, speaks = one.config.node.address, threading.Event()
    original = PostgresNodes.beat

    def beat(nodes: PostgresNodes, reign: int, node: str) -> bool:
        if node == silenced:
            speaks.wait()
        return original(nodes, reign, node)

    two = await make_node()
    await answers(two)
    app = await one.app()
    monkeypatch.setattr(PostgresNodes, "beat", beat)
    try:
        gateway = await two.app("app-2")
        monkeypatch.setattr(watch, "SILENT_S", 0.5)
        assert await gateway.closed() == CLOSE_RESTART, "the other node takes over"
        await answers(two)
        status, said = await one.call("POST", "/v1/account/keys", json={"name": "never"})
        assert status == 503, said
        made = await two.call("POST", "/v1/account/keys", json={"name": "once"})
        assert made[0] < 300, made
    finally:
        monkeypatch.setattr(watch, "SILENT_S", LONG_S)  # from now on `one` watches `two`
        speaks.set()
    assert await app.closed() == CLOSE_RESTART, "it has noticed"
    await answers(one)
    names = [key["name"] for key in (await one.data("/v1/account/keys"))["keys"]]
    assert "once" in names
    assert "never" not in names


async def test_a_coordinator_that_cannot_say_that_it_lives_gives_up(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def beat(nodes: PostgresNodes, reign: int, node: str) -> bool:
        raise ConfigError("this role may do nothing")

    monkeypatch.setattr(PostgresNodes, "beat", beat)
    lost = asyncio.Event()
    beats = Beats(address, PostgresStore(address, alone=True), lost)
    beats.start()
    async with asyncio.timeout(PATIENCE_S):
        await lost.wait()
    await beats.stop()


async def test_a_database_that_goes_away_as_a_node_takes_over_does_not_end_the_node(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, tried = PostgresNodes.keep_secret, 0

    def keep(nodes: PostgresNodes, name: str, value: str) -> None:
        nonlocal tried
        tried += 1
        if tried == 1:
            raise psycopg.OperationalError("gone for a moment")
        original(nodes, name, value)

    monkeypatch.setattr(PostgresNodes, "keep_secret", keep)
    node = await make_node()
    await answers(node)
    assert tried == 2


async def test_a_node_says_at_once_that_its_port_is_taken(
    make_node: MakeNode, tmp_path: Path
) -> None:
    coordinator, waiting = await make_node(), await make_node()
    for other in (coordinator, waiting):
        config = replace(other.config, data_dir=tmp_path / "late", port=0)
        with pytest.raises(ConfigError, match="choose another with --node"):
            await run_server(config, stop=asyncio.Event(), on_ready=lambda ready: None)
    await coordinator.stop()
    await answers(waiting)


def test_several_nodes_need_what_all_of_them_reach(tmp_path: Path) -> None:
    node = NodeSettings(address="10.0.0.5:8771")
    with pytest.raises(ConfigError, match="several nodes need"):
        ServerConfig(data_dir=tmp_path, store="postgresql://db/grid", node=node).validate()
    for address in ("10.0.0.5", "10.0.0.5:", ":8771", "10.0.0.5:0", "10.0.0.5:http"):
        with pytest.raises(ConfigError, match="HOST:PORT"):
            ServerConfig(data_dir=tmp_path, node=NodeSettings(address=address)).validate()


async def test_a_takeover_that_is_broken_off_leaves_no_connection(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, made = PostgresStore._connect, list[PostgresConnection]()
    connects, may_connect = threading.Event(), threading.Event()

    def connect(store: PostgresStore) -> PostgresConnection:
        connects.set()
        may_connect.wait()
        made.append(original(store))
        return made[-1]

    monkeypatch.setattr(PostgresStore, "_connect", connect)
    store = PostgresStore(address, alone=True)
    opening = asyncio.create_task(store.open())
    await asyncio.to_thread(connects.wait)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    may_connect.set()
    await asyncio.to_thread(store._reader.shutdown)
    assert len(made) == 2
    assert all(connection.lost for connection in made)
