"""The published client of the OpenAI API, for a server of its own."""

from collections.abc import AsyncIterator

import pytest

pytest.importorskip("openai")

from openai import AsyncOpenAI

from tests.support.grid import Grid
from tests.support.wire import PATIENCE_S


def client_of(grid: Grid, key: str | None = None, *, max_retries: int = 0) -> AsyncOpenAI:
    """A client as apps make it, but for that it does not try again."""
    return AsyncOpenAI(
        base_url=f"{grid.url}/openai/v1",
        api_key=key or grid.key,
        max_retries=max_retries,
        timeout=PATIENCE_S,
    )


@pytest.fixture
async def client(grid: Grid) -> AsyncIterator[AsyncOpenAI]:
    """A client of the grid's account."""
    async with client_of(grid) as client:
        yield client
