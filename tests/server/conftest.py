"""A running server for every test of the folder."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from dreamgrid.server import app_sockets, upkeep
from tests.support.grid import Grid

MakeGrid = Callable[..., Grid]


@pytest.fixture
def make_grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeGrid:
    """Builds a server with settings; the test starts and stops it."""
    monkeypatch.setattr(upkeep, "LEASES_EVERY_S", 0.01)
    monkeypatch.setattr(app_sockets, "SWARM_EVERY_S", 0.01)

    def make(**settings: Any) -> Grid:
        grid = Grid(tmp_path / "data", **settings)
        grid.tap(monkeypatch)
        return grid

    return make


@pytest.fixture
async def grid(make_grid: MakeGrid) -> AsyncIterator[Grid]:
    """A running server with one account."""
    async with make_grid() as grid:
        yield grid
