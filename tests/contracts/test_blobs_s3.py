"""What only media in an S3-compatible store have to care for: others, and who else may answer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from dreamgrid.errors import ServerUnavailable
from dreamgrid.server.blobs.s3 import S3Blobs
from dreamgrid.server.blobs.s3_settings import parse
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


OBJECT = "<List><Contents><Key>results/P1/a.png</Key>{}</Contents></List>"
DATED = OBJECT.format("<Size>1</Size><LastModified>2020-01-01T00:00:00Z</LastModified>")


@asynccontextmanager
async def pretender(**answers: str) -> AsyncIterator[S3Blobs]:
    """A media store in whose place somebody else answers: by method, always with status 200."""

    async def answered(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()  # so a HEAD says no length
        await response.prepare(request)
        if request.method in answers:
            await response.write(answers[request.method].encode())
        return response

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answered)
    keys = {"AWS_ACCESS_KEY_ID": "public", "AWS_SECRET_ACCESS_KEY": "secret"}
    async with TestServer(app) as server:
        origin = str(server.make_url("/")).rstrip("/")
        blobs = S3Blobs(parse(f"s3://media?endpoint={origin}", keys))
        await blobs.open()
        yield blobs
        await blobs.close()


VERSIONS = "<VersioningConfiguration><Status>{}</Status></VersioningConfiguration>"


@pytest.mark.parametrize(
    ("answer", "warned"),
    [
        (VERSIONS.format("Enabled"), True),
        (VERSIONS.format("Suspended"), False),
        (VERSIONS.format("Enabled") + "<NoncurrentVersionExpiration>", False),
        ("please sign in", False),
    ],
)
async def test_a_bucket_that_would_keep_what_is_removed_is_told(
    answer: str, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with pretender(GET=answer):
        assert ("keeps a version of every file" in caplog.text) is warned


@pytest.mark.parametrize("answer", ["please sign in", OBJECT.format(""), OBJECT.format("<Size/>")])
async def test_an_answer_that_no_store_gives_means_that_the_store_is_away(answer: str) -> None:
    async with pretender(GET=answer) as blobs:
        for asked in (
            blobs.stat(KEY),
            blobs.usage(),
            blobs.expire(0, keep=lambda key: False),
            blobs.delete_prefix("results/P1"),
        ):
            with pytest.raises(ServerUnavailable, match="cannot be read"):
                await asked


async def test_a_removal_that_no_store_confirms_is_not_done() -> None:
    async with pretender(GET=DATED, POST="please sign in") as blobs:
        with pytest.raises(ServerUnavailable, match="cannot be read"):
            await blobs.expire(0, keep=lambda key: False)
