"""What only media in an S3-compatible store have to care for: a bucket that others use too."""

from collections.abc import AsyncIterator

import pytest

from dreamgrid.server.blobs.s3 import S3Blobs
from tests.contracts.blob_backends import KEY, PNG, Store, s3

FOREIGN = (
    "backups/monday.tar",
    "another-grid/results/P1/J1-1.png",
    "results.csv",
    "results/a%26b.png",
    "results/P1/.notes",
)
"""Names of objects that no server stored, as a URL spells them."""


@pytest.fixture
async def shared(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """A store whose files lie beside the objects of others."""
    async with s3("rclone_server", part_status=200)(request) as store:
        for name in FOREIGN:
            async with store.http.put(link(store, "PUT", name), data=b"precious") as answer:
                assert answer.status == 200
        yield store


def link(store: Store, method: str, name: str) -> str:
    assert isinstance(store.blobs, S3Blobs)
    return store.blobs._bucket.link(method, store.blobs._prefix + name, expires_s=60)


async def there(store: Store, name: str) -> bool:
    async with store.http.get(link(store, "GET", name)) as answer:
        return answer.status == 200


async def test_objects_of_others_are_neither_removed_nor_counted(shared: Store) -> None:
    await shared.put(PNG)
    usage = await shared.blobs.usage()
    assert (usage.count, usage.size_bytes) == (1, len(PNG))
    shared.clock.now_s += 3700
    assert await shared.blobs.expire(older_than_s=3600, keep=lambda key: False) == 1
    assert await shared.blobs.stat(KEY) is None
    assert [await there(shared, name) for name in FOREIGN] == [True] * len(FOREIGN)


async def test_a_folder_goes_with_whatever_name_somebody_put_into_it(shared: Store) -> None:
    name = "inputs/A1/P1/you%26me%3C3.png"
    async with shared.http.put(link(shared, "PUT", name), data=PNG) as answer:
        assert answer.status == 200
    assert await shared.blobs.delete_prefix("inputs/A1/P1") == 1
    assert not await there(shared, name)
