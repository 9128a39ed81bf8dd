"""The pytest plugin: the fixture `dreamgrid_grid`. Loads nothing before a test asks for it.

The mark `dreamgrid` gives the fixture's grid other settings, those of `dreamgrid.testing.grid`.
"""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from dreamgrid.testing.local_grid import Grid

try:
    from pytest_asyncio import fixture as _fixture
except ImportError:  # then another plugin runs coroutines, such as anyio's
    _fixture: Any = pytest.fixture  # type: ignore[no-redef]


def pytest_configure(config: pytest.Config) -> None:
    """Makes the mark known."""
    config.addinivalue_line(
        "markers",
        "dreamgrid(balance=, catalog_files=, faults=): settings of this test's dreamgrid_grid",
    )


@_fixture
async def dreamgrid_grid(request: pytest.FixtureRequest) -> "AsyncIterator[Grid]":
    """A whole grid for one test, without workers yet: `await dreamgrid_grid.worker()`."""
    from dreamgrid.testing.local_grid import grid  # noqa: PLC0415 (loads server and client)

    mark = request.node.get_closest_marker("dreamgrid")
    async with grid(**mark.kwargs if mark is not None else {}) as running:
        yield running
