"""What every store promises about the workers that it remembers."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dreamgrid.server.store.base import Store, WorkerRow
from tests.support.stores import ADA, BACKENDS, NOW, Backend


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    return BACKENDS[request.param](tmp_path)


@pytest.fixture
async def store(backend: Backend) -> AsyncIterator[Store]:
    """An open, empty store."""
    store = backend.store()
    await store.open()
    yield store
    await store.close()


def worker(worker_id: str = "ADA/1", *, seen_ms: int = NOW, **fields: Any) -> WorkerRow:
    given = {"name": "box", "network": "fast", "models": ("m1", "m2")} | fields
    return WorkerRow(id=worker_id, account_id=ADA, owner="ada", seen_ms=seen_ms, **given)


async def test_a_worker_is_remembered_as_it_was(store: Store) -> None:
    odd = worker(name='kääpiö\'s "box"', network="relaxed", models=())
    await store.note_workers([worker("ADA/2", seen_ms=NOW - 1), odd])
    assert await store.workers(0) == [worker("ADA/2", seen_ms=NOW - 1), odd]


async def test_a_worker_that_comes_again_is_remembered_as_it_is_now(store: Store) -> None:
    await store.note_workers([worker()])
    again = worker(seen_ms=NOW + 5, name="other", network="relaxed", models=("m3",))
    await store.note_workers([again])
    assert await store.workers(0) == [again]


async def test_an_older_sight_of_a_worker_changes_nothing(store: Store) -> None:
    await store.note_workers([worker()])
    await store.note_workers([worker(seen_ms=NOW - 1, models=())])
    assert await store.workers(0) == [worker()]


async def test_workers_are_found_by_when_they_were_last_seen(store: Store) -> None:
    old, new = worker("ADA/1"), worker("ADA/2", seen_ms=NOW + 10)
    await store.note_workers([new, old])
    assert await store.workers(NOW) == [old, new]
    assert await store.workers(NOW + 1) == [new]
    assert await store.workers(NOW + 11) == []


async def test_workers_that_were_not_seen_for_long_are_forgotten(store: Store) -> None:
    old, new = worker("ADA/1"), worker("ADA/2", seen_ms=NOW + 10)
    await store.note_workers([old, new])
    await store.forget_workers(NOW + 10)
    assert await store.workers(0) == [new]


async def test_workers_are_still_known_to_the_next_process(backend: Backend, store: Store) -> None:
    await store.note_workers([worker()])
    await store.close()
    again = backend.store()
    await again.open()
    try:
        assert await again.workers(0) == [worker()]
    finally:
        await again.close()
