"""What only the bus over NATS promises: NATS may come late, go, and come back."""

import asyncio
from pathlib import Path

import pytest

from dreamgrid.errors import ConfigError
from dreamgrid.server.bus.nats import NatsBus
from tests.support import nats_server
from tests.support.real_servers import PATIENCE_S, free_port


async def until_connected(*buses: NatsBus, connected: bool = True) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while any(bus.connected is not connected for bus in buses):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_processes_hear_themselves_without_nats_and_each_other_when_it_comes_back(
    tmp_path: Path,
) -> None:
    port, log = free_port(), tmp_path / "log"
    one, other = (NatsBus(f"nats://127.0.0.1:{port}", "g") for _ in range(2))
    heard: list[bytes] = []
    here: list[bytes] = []
    for bus in (one, other):
        await bus.open()
    try:
        one.subscribe("s", lambda frame, key: here.append(frame))
        other.subscribe("s", lambda frame, key: heard.append(frame))
        one.publish("s", b"before there was one")
        for frame in (b"first", b"after a restart"):
            server = nats_server.start(port, log)
            try:
                await until_connected(one, other)
                for bus in (other, one):
                    await bus.settled()
                one.publish("s", frame)
                for bus in (one, other):
                    await bus.settled()
            finally:
                server.kill()
                server.wait()
            await until_connected(one, other, connected=False)
            one.publish("s", b"while it is away")
        assert heard == [b"first", b"after a restart"]
        assert here == [
            b"before there was one",
            *(b"first", b"while it is away"),
            *(b"after a restart", b"while it is away"),
        ]
    finally:
        for bus in (one, other):
            await bus.close()


async def test_grids_that_share_a_nats_do_not_hear_each_other() -> None:
    one, other = (NatsBus(nats_server.server(), nats_server.new_grid()) for _ in range(2))
    heard: list[bytes] = []
    for bus in (one, other):
        await bus.open()
    other.subscribe("s", lambda frame, key: heard.append(frame))
    await other.settled()
    one.publish("s", b"x")
    for bus in (one, other):
        await bus.settled()
        await bus.close()
    assert heard == []


@pytest.mark.parametrize("address", ["", "nats.example.org", "nats://a,b"])
async def test_an_address_that_is_none_is_said_at_once(address: str) -> None:
    with pytest.raises(ConfigError, match="nats://"):
        await NatsBus(address, "g").open()
