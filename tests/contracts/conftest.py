"""Fixtures of the contract suites: one per boundary, with every backend as a parameter."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contracts.blob_backends import BACKENDS, Store


@pytest.fixture(params=sorted(BACKENDS))
async def media(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """A media store that answers HTTP."""
    async with BACKENDS[request.param](tmp_path) as opened:
        yield opened
