from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import dreamgrid
from dreamgrid.client.connection import Backoff
from dreamgrid.server import app_sockets, upkeep
from tests.client import mill
from tests.client import stub as wire
from tests.support.grid import Grid


@pytest.fixture
async def stub() -> AsyncIterator[wire.Stub]:
    async with wire.running() as server:
        yield server


@pytest.fixture
async def client(stub: wire.Stub) -> AsyncIterator[dreamgrid.AsyncClient]:
    async with wire.client_of(stub) as one:
        yield one


@pytest.fixture
async def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Grid]:
    """A whole server in this process, which has known workers for all kinds of media."""
    monkeypatch.setattr(upkeep, "LEASES_EVERY_S", 0.01)
    monkeypatch.setattr(app_sockets, "SWARM_EVERY_S", 0.01)
    grid = Grid(tmp_path / "data", known_models=mill.ALL)
    grid.tap(monkeypatch)
    async with grid:
        yield grid


@pytest.fixture
async def guest(house: Grid) -> AsyncIterator[dreamgrid.AsyncClient]:
    """A client of that server."""
    async with dreamgrid.AsyncClient(house.url, house.key) as one:
        one._tracker._tick_s = 0.02
        one._tracker.connection.backoff = Backoff(first_s=0.01, limit_s=0.05)
        yield one
