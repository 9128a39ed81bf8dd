"""Fixtures of the contract suites: one per boundary, with every backend as a parameter."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dreamgrid.server.store.base import Store
from tests.contracts import blob_backends
from tests.support.stores import ADA, BACKENDS, BOB, GRANT, Backend, account


@pytest.fixture(params=sorted(blob_backends.BACKENDS))
async def media(request: pytest.FixtureRequest) -> AsyncIterator[blob_backends.Store]:
    """A media store that answers HTTP."""
    async with blob_backends.BACKENDS[request.param](request) as opened:
        yield opened


@pytest.fixture
async def served(request: pytest.FixtureRequest) -> AsyncIterator[blob_backends.Store]:
    """A media store that this process serves itself."""
    async with blob_backends.local(request) as opened:
        yield opened


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    """The databases of each store in turn."""
    return BACKENDS[request.param](tmp_path)


@pytest.fixture
async def store(backend: Backend) -> AsyncIterator[Store]:
    """An open store with two accounts that own 1000 spark each."""
    store = backend.store()
    await store.open()
    for owner in (ADA, BOB):
        assert await store.create_account(account(owner), {"spark": GRANT})
    yield store
    await store.close()
