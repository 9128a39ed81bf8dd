"""What a store promises only where the bytes pass through this server: limits, HEAD, If-Range."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import aiohttp
import pytest
from yarl import URL

from tests.contracts.blob_backends import KEY, LONG, PNG, Store, refused


async def test_a_body_of_unknown_length_is_taken(served: Store) -> None:
    async def body() -> AsyncIterator[bytes]:
        for start in range(0, len(LONG), 100_000):
            yield LONG[start : start + 100_000]

    async with served.http.put(served.put_url(), data=body()) as response:
        assert response.status < 300
    assert await served.get() == LONG


async def test_a_declared_oversize_is_refused(served: Store) -> None:
    await served.put(PNG)
    async with served.http.put(served.put_url(max_bytes=len(LONG) - 1), data=LONG) as response:
        assert str(len(LONG) - 1) in await refused(response, 413)
    assert await served.get() == PNG


async def test_an_undeclared_oversize_is_refused_while_it_arrives(served: Store) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += len(LONG)
            yield LONG

    await served.put(PNG)
    try:
        async with served.http.put(served.put_url(max_bytes=500_000), data=endless()) as response:
            await refused(response, 413)
    except aiohttp.ClientConnectionError:
        pass  # the server may hang up on who goes on sending
    assert sent < 200 * len(LONG)
    assert await served.get() == PNG


async def test_a_compressed_upload_is_refused(served: Store) -> None:
    headers = {"Content-Encoding": "gzip"}
    async with served.http.put(served.put_url(), data=PNG, headers=headers) as response:
        assert response.status >= 400
    assert await served.blobs.stat(KEY) is None


@pytest.mark.parametrize("data", [PNG, LONG], ids=["small", "long"])
async def test_head_tells_size_and_type_without_the_bytes(served: Store, data: bytes) -> None:
    await served.put(data)
    async with served.http.head(served.get_url()) as response:
        assert response.status == 200
        assert response.content_length == len(data)
        assert response.content_type == "image/png"
        assert await response.read() == b""
    assert await served.get() == data  # on the same connection: nothing was left in it


async def test_a_range_of_a_file_that_changed_gives_the_whole_new_one(served: Store) -> None:
    await served.put(LONG)
    async with served.http.get(served.get_url()) as response:
        etag = response.headers["ETag"]
    headers = {"Range": "bytes=5-9", "If-Range": etag}
    async with served.http.get(served.get_url(), headers=headers) as response:
        assert response.status == 206
    await served.put(PNG)
    async with served.http.get(served.get_url(), headers=headers) as response:
        assert response.status == 200
        assert await response.read() == PNG


@pytest.mark.parametrize(
    "path",
    [
        "../blob-secret",
        "%2e%2e/blob-secret",
        "..%2fblob-secret",
        "results/../../blob-secret",
        "results/%2e%2e/%2e%2e/blob-secret",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "results/P1/J1-1.png%00",
        "results/P1/%0aJ1-1.png",
        "results\\P1\\J1-1.png",
        ".uploads/x",
        "%ff%fe",
        "x" * 5000,
    ],
)
async def test_no_path_leads_out_of_the_store(served: Store, path: str) -> None:
    await served.put(PNG)
    query = urlsplit(served.get_url()).query
    url = URL(f"{served.origin}/blobs/{path}?{query}", encoded=True)
    async with served.http.get(url) as response:
        assert response.status in (400, 403, 404)
        assert response.content_type in ("application/json", "text/plain")
