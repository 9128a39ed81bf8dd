"""Nodes of one grid in the test's own process, over a real PostgreSQL, NATS and S3."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from dreamgrid.server.blobs.s3_settings import parse
from dreamgrid.server.config import NodeSettings
from tests.support import nats_server, postgres, real_servers
from tests.support.grid import Grid
from tests.support.real_servers import S3Server

MakeNode = Callable[..., Awaitable[Grid]]


@pytest.fixture
def address() -> str:
    """An empty database."""
    return postgres.new_database()


@pytest.fixture
async def make_node(
    address: str, tmp_path: Path, rclone_server: S3Server
) -> AsyncIterator[MakeNode]:
    """Starts one more node of a grid; all are stopped at the end."""
    blobs = parse(rclone_server.address(tmp_path.name), rclone_server.environment)
    async with AsyncExitStack() as stack:
        made = 0

        async def make(**settings: Any) -> Grid:
            nonlocal made
            made += 1
            node = NodeSettings(
                address=f"127.0.0.1:{real_servers.free_port()}", bus=nats_server.server()
            )
            given: dict[str, Any] = {"store": address, "blobs": blobs, "node": node}
            grid = Grid(tmp_path / f"node-{made}", known_models=(), **given | settings)
            return await stack.enter_async_context(grid)

        yield make
