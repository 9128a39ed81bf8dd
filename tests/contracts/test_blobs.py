"""What every media store promises, through real HTTP. A new backend joins by adding itself here."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from dreamgrid.errors import NotFound
from dreamgrid.server.blobs.base import Blobs
from dreamgrid.server.blobs.local import LocalBlobs
from dreamgrid.server.http import cors_middleware, errors_middleware

KEY = "results/P1/J1-1.png"
PNG = b"\x89PNG\r\n\x1a\n" + b"a small picture" * 10
LONG = bytes(range(256)) * 4096  # 1 MiB: written and read in several steps
MAX_BYTES = 2 * 1024 * 1024


class Clock:
    """Time that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now_s = time.time()

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Store:
    """A backend that answers HTTP, and a client for it."""

    blobs: Blobs
    clock: Clock
    origin: str
    http: aiohttp.ClientSession

    def put_url(
        self,
        key: str = KEY,
        *,
        content_type: str | None = None,
        max_bytes: int = MAX_BYTES,
        durable: bool = True,
    ) -> str:
        return self.blobs.put_url(
            key,
            content_type=content_type,
            max_bytes=max_bytes,
            expires_s=60,
            origin=self.origin,
            durable=durable,
        )

    def get_url(self, key: str = KEY, *, content_type: str | None = None) -> str:
        return self.blobs.get_url(key, expires_s=60, origin=self.origin, content_type=content_type)

    async def put(self, data: bytes, key: str = KEY) -> None:
        async with self.http.put(self.put_url(key), data=data) as response:
            assert response.status < 300, await response.text()

    async def get(self, key: str = KEY) -> bytes:
        async with self.http.get(self.get_url(key)) as response:
            assert response.status == 200, await response.text()
            return await response.read()


@asynccontextmanager
async def local(folder: Path) -> AsyncIterator[Store]:
    clock = Clock()
    blobs = LocalBlobs(folder, clock=clock)
    app = web.Application(middlewares=[cors_middleware, errors_middleware], client_max_size=1000)
    app.add_routes(blobs.routes())
    async with TestServer(app) as server, aiohttp.ClientSession() as http:
        yield Store(blobs, clock, str(server.make_url("/")).rstrip("/"), http)


BACKENDS: dict[str, Callable[[Path], AbstractAsyncContextManager[Store]]] = {"local": local}


@pytest.fixture(params=sorted(BACKENDS))
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with BACKENDS[request.param](tmp_path) as opened:
        yield opened


async def refused(response: aiohttp.ClientResponse, status: int) -> str:
    """Checks the one error shape; returns the message."""
    assert response.status == status, await response.text()
    body = await response.json()
    assert body["status"] == "error"
    assert isinstance(body["errorCode"], int)
    message = body["message"]
    assert isinstance(message, str)
    return message


# ── what goes in comes out ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("data", [b"", b"x", PNG, LONG], ids=["empty", "one", "small", "long"])
@pytest.mark.parametrize("durable", [True, False])
async def test_what_was_put_can_be_fetched(store: Store, data: bytes, durable: bool) -> None:
    async with store.http.put(store.put_url(durable=durable), data=data) as response:
        assert response.status < 300
    assert await store.get() == data


async def test_a_body_of_unknown_length_is_taken(store: Store) -> None:
    async def body() -> AsyncIterator[bytes]:
        for start in range(0, len(LONG), 100_000):
            yield LONG[start : start + 100_000]

    async with store.http.put(store.put_url(), data=body()) as response:
        assert response.status < 300
    assert await store.get() == LONG


async def test_the_same_key_again_replaces_the_file(store: Store) -> None:
    await store.put(LONG)
    await store.put(PNG)
    assert await store.get() == PNG


async def test_one_upload_url_can_be_used_again_until_it_expires(store: Store) -> None:
    url = store.put_url()
    for data in (b"first", b"second"):
        async with store.http.put(url, data=data) as response:
            assert response.status < 300
    assert await store.get() == b"second"


async def test_readers_see_one_whole_file_while_several_uploads_replace_it(store: Store) -> None:
    versions = [bytes([letter]) * 600_000 for letter in b"abcdefgh"]
    await store.put(versions[0])

    async def look() -> bytes:
        return await store.get()

    uploads = [store.put(version) for version in versions]
    seen = await asyncio.gather(*uploads, *(look() for _ in range(16)))
    assert all(data in versions for data in seen[len(uploads) :])
    assert await store.get() in versions


async def test_a_stored_file_is_found_with_size_and_type(store: Store) -> None:
    assert await store.blobs.stat(KEY) is None
    await store.put(PNG)
    found = await store.blobs.stat(KEY)
    assert found is not None
    assert found.size_bytes == len(PNG)
    assert found.content_type == "image/png"


async def test_a_file_without_extension_has_the_type_that_its_bytes_show(store: Store) -> None:
    key = "inputs/A1/P1/startingImage"
    await store.put(PNG, key)
    found = await store.blobs.stat(key)
    assert found is not None
    assert found.content_type == "image/png"
    async with store.http.get(store.get_url(key)) as response:
        assert response.content_type == "image/png"


async def test_a_link_can_choose_the_type_of_the_answer(store: Store) -> None:
    await store.put(PNG)
    async with store.http.get(store.get_url(content_type="image/webp")) as response:
        assert response.content_type == "image/webp"


async def test_the_server_reads_the_beginning_of_a_file(store: Store) -> None:
    await store.put(LONG)
    assert await store.blobs.read(KEY, max_bytes=10) == LONG[:10]
    assert await store.blobs.read(KEY, max_bytes=10 * len(LONG)) == LONG
    with pytest.raises(NotFound):
        await store.blobs.read("results/none.png", max_bytes=10)


# ── links ────────────────────────────────────────────────────────────────────────────────────────


async def test_a_pinned_link_takes_only_its_content_type(store: Store) -> None:
    url = store.put_url(content_type="image/png")
    for wrong in ("image/jpeg", "text/html", "application/octet-stream"):
        async with store.http.put(url, data=PNG, headers={"Content-Type": wrong}) as response:
            assert "image/png" in await refused(response, 403)
    async with store.http.put(url, data=PNG, skip_auto_headers=["Content-Type"]) as response:
        await refused(response, 403)
    assert await store.blobs.stat(KEY) is None
    async with store.http.put(url, data=PNG, headers={"Content-Type": "image/png"}) as response:
        assert response.status < 300


async def test_an_unpinned_link_takes_any_content_type_and_none(store: Store) -> None:
    url = store.put_url()
    async with store.http.put(url, data=PNG, headers={"Content-Type": "text/html"}) as response:
        assert response.status < 300
    async with store.http.put(url, data=PNG, skip_auto_headers=["Content-Type"]) as response:
        assert response.status < 300


async def test_a_link_is_for_one_method(store: Store) -> None:
    await store.put(PNG)
    async with store.http.put(store.get_url(), data=b"changed") as response:
        await refused(response, 403)
    async with store.http.get(store.put_url()) as response:
        await refused(response, 403)
    assert await store.get() == PNG


def altered(url: str) -> list[str]:
    """The link with each of its parts changed, left out or taken from another key."""
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    queries = []
    for index, (name, value) in enumerate(query):
        before, after = query[:index], query[index + 1 :]
        changed = value[:-1] + ("0" if value[-1] != "0" else "1")
        others = (changed, "", value + "0", "-1", "ü", "9" * 5000)
        queries += [[*before, (name, other), *after] for other in others]
        queries.append([*before, *after])
    queries.append([])
    if "type" not in dict(query):
        queries.append([*query, ("type", "text/html")])
    urls = [urlunsplit(parts._replace(query=urlencode(changed))) for changed in queries]
    paths = (parts.path + "x", parts.path[:-1], parts.path.replace("J1", "J2"))
    return urls + [urlunsplit(parts._replace(path=path)) for path in paths]


async def test_a_link_altered_in_any_part_is_refused(store: Store) -> None:
    await store.put(PNG)
    await store.put(b"secret", KEY.replace("J1", "J2"))
    for url in itertools.chain(
        altered(store.get_url()), altered(store.get_url(content_type="image/png"))
    ):
        async with store.http.get(URL(url, encoded=True)) as response:
            assert "altered" in await refused(response, 403), url
    for url in itertools.chain(
        altered(store.put_url()), altered(store.put_url(content_type="image/png"))
    ):
        headers = {"Content-Type": "image/png"}
        async with store.http.put(
            URL(url, encoded=True), data=b"evil", headers=headers
        ) as response:
            assert "altered" in await refused(response, 403), url
    assert await store.get() == PNG


async def test_an_expired_link_is_refused_and_says_so(store: Store) -> None:
    await store.put(PNG)
    get, put = store.get_url(), store.put_url()
    store.clock.now_s += 58
    async with store.http.get(get) as response:
        assert response.status == 200
    store.clock.now_s += 3
    async with store.http.get(get) as response:
        assert "expired" in await refused(response, 403)
    async with store.http.put(put, data=b"late") as response:
        assert "expired" in await refused(response, 403)
    assert await store.get() == PNG


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
async def test_no_path_leads_out_of_the_store(store: Store, path: str) -> None:
    await store.put(PNG)
    query = urlsplit(store.get_url()).query
    url = URL(f"{store.origin}/blobs/{path}?{query}", encoded=True)
    async with store.http.get(url) as response:
        assert response.status in (400, 403, 404)
        assert response.content_type in ("application/json", "text/plain")


@pytest.mark.parametrize("key", ["../x", "/x", "a//b", ".hidden", "a/.b", "a b", "", "a/", "ä"])
async def test_a_bad_key_is_a_bug_and_never_becomes_a_link(store: Store, key: str) -> None:
    with pytest.raises(ValueError, match="no blob key"):
        store.put_url(key)
    with pytest.raises(ValueError, match="no blob key"):
        store.get_url(key)
    with pytest.raises(ValueError, match="no blob key"):
        await store.blobs.stat(key)
    with pytest.raises(ValueError, match="no blob key"):
        await store.blobs.delete_prefix(key)


# ── limits ───────────────────────────────────────────────────────────────────────────────────────


async def test_a_file_of_exactly_the_limit_is_taken(store: Store) -> None:
    async with store.http.put(store.put_url(max_bytes=len(LONG)), data=LONG) as response:
        assert response.status < 300


async def test_a_declared_oversize_is_refused(store: Store) -> None:
    await store.put(PNG)
    async with store.http.put(store.put_url(max_bytes=len(LONG) - 1), data=LONG) as response:
        assert str(len(LONG) - 1) in await refused(response, 413)
    assert await store.get() == PNG


async def test_an_undeclared_oversize_is_refused_while_it_arrives(store: Store) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += len(LONG)
            yield LONG

    await store.put(PNG)
    try:
        async with store.http.put(store.put_url(max_bytes=500_000), data=endless()) as response:
            await refused(response, 413)
    except aiohttp.ClientConnectionError:
        pass  # the server may hang up on who goes on sending
    assert sent < 200 * len(LONG)
    assert await store.get() == PNG


async def test_a_compressed_upload_is_refused(store: Store) -> None:
    headers = {"Content-Encoding": "gzip"}
    async with store.http.put(store.put_url(), data=PNG, headers=headers) as response:
        assert response.status >= 400
    assert await store.blobs.stat(KEY) is None


# ── fetching ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=1000000-", 1_000_000, len(LONG)),
        ("bytes=-7", len(LONG) - 7, len(LONG)),
        ("bytes=100-99999999", 100, len(LONG)),
        ("bytes=1-700000", 1, 700_001),
    ],
)
async def test_a_range_is_served(store: Store, asked: str, start: int, stop: int) -> None:
    await store.put(LONG)
    async with store.http.get(store.get_url(), headers={"Range": asked}) as response:
        assert response.status == 206
        assert await response.read() == LONG[start:stop]
        assert response.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(LONG)}"


@pytest.mark.parametrize("asked", [f"bytes={len(LONG)}-", "bytes=9999999-99999999"])
async def test_a_range_outside_the_file_is_refused(store: Store, asked: str) -> None:
    await store.put(LONG)
    async with store.http.get(store.get_url(), headers={"Range": asked}) as response:
        assert response.status == 416
        assert response.headers["Content-Range"] == f"bytes */{len(LONG)}"


@pytest.mark.parametrize("data", [PNG, LONG], ids=["small", "long"])
async def test_head_tells_size_and_type_without_the_bytes(store: Store, data: bytes) -> None:
    await store.put(data)
    async with store.http.head(store.get_url()) as response:
        assert response.status == 200
        assert response.content_length == len(data)
        assert response.content_type == "image/png"
        assert await response.read() == b""
    assert await store.get() == data  # on the same connection: nothing was left in it


async def test_an_unchanged_file_is_not_sent_again(store: Store) -> None:
    await store.put(PNG)
    async with store.http.get(store.get_url()) as response:
        known = {"If-None-Match": response.headers["ETag"]}
    async with store.http.get(store.get_url(), headers=known) as response:
        assert response.status == 304
    await store.put(LONG)
    async with store.http.get(store.get_url(), headers=known) as response:
        assert response.status == 200


async def test_a_range_of_a_file_that_changed_gives_the_whole_new_one(store: Store) -> None:
    await store.put(LONG)
    async with store.http.get(store.get_url()) as response:
        etag = response.headers["ETag"]
    headers = {"Range": "bytes=5-9", "If-Range": etag}
    async with store.http.get(store.get_url(), headers=headers) as response:
        assert response.status == 206
    await store.put(PNG)
    async with store.http.get(store.get_url(), headers=headers) as response:
        assert response.status == 200
        assert await response.read() == PNG


async def test_a_missing_file_is_a_404(store: Store) -> None:
    async with store.http.get(store.get_url()) as response:
        assert response.status == 404


@pytest.mark.parametrize("data", [PNG, LONG], ids=["small", "long"])
async def test_browsers_of_other_origins_may_fetch(store: Store, data: bytes) -> None:
    await store.put(data)
    headers = {"Origin": "https://app.example"}
    async with store.http.get(store.get_url(), headers=headers) as response:
        assert response.headers["Access-Control-Allow-Origin"] in ("*", "https://app.example")


# ── removing ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_deleted_file_is_gone(store: Store) -> None:
    await store.put(PNG)
    assert await store.blobs.delete(KEY)
    assert await store.blobs.stat(KEY) is None
    assert not await store.blobs.delete(KEY)


async def test_a_prefix_is_deleted_by_whole_segments(store: Store) -> None:
    keys = ["results/P1/a.png", "results/P1/b/c.png", "results/P10/a.png", "inputs/P1/a.png"]
    for key in keys:
        await store.put(PNG, key)
    assert await store.blobs.delete_prefix("results/P1") == 2
    assert [await store.blobs.stat(key) is not None for key in keys] == [False, False, True, True]
    assert await store.blobs.delete_prefix("results/P1") == 0


async def test_old_files_expire_and_new_ones_stay(store: Store) -> None:
    await store.put(PNG)
    await store.put(PNG, "inputs/A1/P1/startingImage")
    assert await store.blobs.expire(older_than_s=3600) == 0
    store.clock.now_s += 3700
    assert await store.blobs.expire(older_than_s=7200) == 0
    assert await store.blobs.expire(older_than_s=3600) == 2
    assert await store.blobs.stat(KEY) is None


async def test_usage_counts_files_and_bytes(store: Store) -> None:
    empty = await store.blobs.usage()
    assert (empty.count, empty.size_bytes) == (0, 0)
    await store.put(PNG)
    await store.put(LONG, "previews/P1/J1-1.jpg")
    usage = await store.blobs.usage()
    assert (usage.count, usage.size_bytes) == (2, len(PNG) + len(LONG))
