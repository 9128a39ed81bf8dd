from collections.abc import AsyncIterator

import pytest

import dreamgrid
from tests.client import stub as wire


@pytest.fixture
async def stub() -> AsyncIterator[wire.Stub]:
    async with wire.running() as server:
        yield server


@pytest.fixture
async def client(stub: wire.Stub) -> AsyncIterator[dreamgrid.AsyncClient]:
    async with wire.client_of(stub) as one:
        yield one
