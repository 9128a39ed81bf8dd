"""The pytest plugin: the fixture `dreamgrid_grid`. Loads nothing before a test asks for it."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from dreamgrid.testing.local_grid import Grid

try:
    from pytest_asyncio import fixture as _fixture
except ImportError:  # then another plugin runs coroutines, such as anyio's
    _fixture: Any = pytest.fixture  # type: ignore[no-redef]


@_fixture
async def dreamgrid_grid() -> "AsyncIterator[Grid]":
    """A whole grid for one test, without workers yet: `await dreamgrid_grid.worker()`."""
    from dreamgrid.testing.local_grid import grid  # noqa: PLC0415 (loads server and client)

    async with grid() as running:
        yield running
