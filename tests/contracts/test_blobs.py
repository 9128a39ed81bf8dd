"""What every media store promises about the bytes: putting, fetching, removing them."""

import asyncio

import pytest

from dreamgrid.errors import NotFound
from tests.contracts.blob_backends import KEY, LONG, PNG, REPLACE_WHOLE, Store

# ── what goes in comes out ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("data", [b"", b"x", PNG, LONG], ids=["empty", "one", "small", "long"])
@pytest.mark.parametrize("durable", [True, False])
async def test_what_was_put_can_be_fetched(media: Store, data: bytes, durable: bool) -> None:
    async with media.http.put(media.put_url(durable=durable), data=data) as response:
        assert response.status < 300
    assert await media.get() == data


@pytest.mark.parametrize("data", [b"", PNG, 2 * LONG], ids=["empty", "small", "long"])
async def test_what_the_server_writes_can_be_fetched(media: Store, data: bytes) -> None:
    await media.blobs.write(KEY, b"before")
    await media.blobs.write(KEY, data)
    assert await media.get() == data


async def test_the_same_key_again_replaces_the_file(media: Store) -> None:
    await media.put(LONG)
    await media.put(PNG)
    assert await media.get() == PNG


async def test_one_upload_url_can_be_used_again_until_it_expires(media: Store) -> None:
    url = media.put_url()
    for data in (b"first", b"second"):
        async with media.http.put(url, data=data) as response:
            assert response.status < 300
    assert await media.get() == b"second"


@pytest.mark.parametrize("media", REPLACE_WHOLE, indirect=True)
async def test_readers_see_one_whole_file_while_several_uploads_replace_it(media: Store) -> None:
    versions = [bytes([letter]) * 600_000 for letter in b"abcdefgh"]
    await media.put(versions[0])

    async def look() -> bytes:
        return await media.get()

    uploads = [media.put(version) for version in versions]
    seen = await asyncio.gather(*uploads, *(look() for _ in range(16)))
    assert all(data in versions for data in seen[len(uploads) :])
    assert await media.get() in versions


async def test_a_stored_file_is_found_with_size_and_type(media: Store) -> None:
    assert await media.blobs.stat(KEY) is None
    await media.put(PNG)
    found = await media.blobs.stat(KEY)
    assert found is not None
    assert found.size_bytes == len(PNG)
    assert found.content_type == "image/png"


async def test_a_file_without_extension_has_the_type_that_its_bytes_show(media: Store) -> None:
    key = "inputs/A1/P1/startingImage"
    await media.put(PNG, key)
    found = await media.blobs.stat(key)
    assert found is not None
    assert found.content_type == "image/png"
    async with media.http.get(media.get_url(key, content_type=found.content_type)) as response:
        assert response.content_type == "image/png"


async def test_bytes_come_back_as_they_were_put_whatever_was_said_about_them(media: Store) -> None:
    headers = {"Content-Type": "text/html", "Content-Encoding": "gzip", "Cache-Control": "public"}
    async with media.http.put(media.put_url(), data=PNG, headers=headers) as response:
        kept = response.status < 300  # to refuse them is as good
    async with media.http.get(media.get_url()) as response:
        assert response.status == (200 if kept else 404)
        if kept:
            assert await response.read() == PNG
            assert response.content_type == "image/png"
            assert response.headers["Content-Disposition"] == "inline"
            assert response.headers["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize("chosen", [None, "text/html", "image/svg+xml"])
async def test_an_uploaded_page_never_runs_in_a_browser(media: Store, chosen: str | None) -> None:
    key = "inputs/A1/P1/startingImage"
    await media.put(b"<html><script>alert(1)</script>", key)
    async with media.http.get(media.get_url(key, content_type=chosen)) as response:
        assert response.content_type == "application/octet-stream"
        assert response.headers["Content-Disposition"] == "attachment"


async def test_a_link_can_choose_the_type_of_the_answer(media: Store) -> None:
    await media.put(PNG)
    async with media.http.get(media.get_url(content_type="image/webp")) as response:
        assert response.content_type == "image/webp"


async def test_the_server_reads_the_beginning_of_a_file(media: Store) -> None:
    await media.put(LONG)
    assert await media.blobs.read(KEY, max_bytes=10) == LONG[:10]
    assert await media.blobs.read(KEY, max_bytes=10 * len(LONG)) == LONG
    with pytest.raises(NotFound):
        await media.blobs.read("results/none.png", max_bytes=10)


# ── limits ───────────────────────────────────────────────────────────────────────────────────────


async def test_a_file_of_exactly_the_limit_is_taken(media: Store) -> None:
    async with media.http.put(media.put_url(max_bytes=len(LONG)), data=LONG) as response:
        assert response.status < 300


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
async def test_a_range_is_served(media: Store, asked: str, start: int, stop: int) -> None:
    await media.put(LONG)
    async with media.http.get(media.get_url(), headers={"Range": asked}) as response:
        assert response.status == media.part_status
        assert await response.read() == LONG[start:stop]
        assert response.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(LONG)}"


@pytest.mark.parametrize("asked", [f"bytes={len(LONG)}-", "bytes=9999999-99999999"])
async def test_a_range_outside_the_file_is_refused(media: Store, asked: str) -> None:
    await media.put(LONG)
    async with media.http.get(media.get_url(), headers={"Range": asked}) as response:
        assert response.status == 416


async def test_an_unchanged_file_is_not_sent_again(media: Store) -> None:
    await media.put(PNG)
    async with media.http.get(media.get_url()) as response:
        known = {"If-None-Match": response.headers["ETag"]}
    async with media.http.get(media.get_url(), headers=known) as response:
        assert response.status == 304
    await media.put(LONG)
    async with media.http.get(media.get_url(), headers=known) as response:
        assert response.status == 200


async def test_a_missing_file_is_a_404(media: Store) -> None:
    async with media.http.get(media.get_url()) as response:
        assert response.status == 404


@pytest.mark.parametrize("data", [PNG, LONG], ids=["small", "long"])
async def test_browsers_of_other_origins_may_fetch(media: Store, data: bytes) -> None:
    await media.put(data)
    headers = {"Origin": "https://app.example"}
    async with media.http.get(media.get_url(), headers=headers) as response:
        assert response.headers["Access-Control-Allow-Origin"] in ("*", "https://app.example")


# ── removing ─────────────────────────────────────────────────────────────────────────────────────


async def test_browsers_of_other_origins_may_upload(media: Store) -> None:
    """They ask first, without credentials."""
    url = media.put_url(content_type="image/png")
    asked = {
        "Origin": "https://app.example",
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "content-type",
    }
    async with media.http.options(url, headers=asked) as response:
        assert (response.status < 300) is media.pages_upload
        if media.pages_upload:
            said = response.headers
            assert said["Access-Control-Allow-Origin"] in ("*", "https://app.example")
            assert "PUT" in said["Access-Control-Allow-Methods"]
            assert "content-type" in said["Access-Control-Allow-Headers"].lower()
    headers = {"Origin": "https://app.example", "Content-Type": "image/png"}
    async with media.http.put(url, data=PNG, headers=headers) as response:
        assert response.status < 300
        assert response.headers["Access-Control-Allow-Origin"] in ("*", "https://app.example")


async def test_a_deleted_file_is_gone(media: Store) -> None:
    await media.put(PNG)
    assert await media.blobs.delete(KEY)
    assert await media.blobs.stat(KEY) is None
    assert not await media.blobs.delete(KEY)


async def test_a_prefix_is_deleted_by_whole_segments(media: Store) -> None:
    keys = ["results/P1/a.png", "results/P1/b/c.png", "results/P10/a.png", "inputs/P1/a.png"]
    for key in keys:
        await media.put(PNG, key)
    assert await media.blobs.delete_prefix("results/P1") == 2
    assert [await media.blobs.stat(key) is not None for key in keys] == [False, False, True, True]
    assert await media.blobs.delete_prefix("results/P1") == 0


async def test_old_files_expire_and_new_ones_stay(media: Store) -> None:
    await media.put(PNG)
    await media.put(PNG, "inputs/A1/P1/startingImage")
    assert await media.blobs.expire(older_than_s=3600, keep=_none) == 0
    media.clock.now_s += 3700
    assert await media.blobs.expire(older_than_s=7200, keep=_none) == 0
    assert await media.blobs.expire(older_than_s=3600, keep=_none) == 2
    assert await media.blobs.stat(KEY) is None


async def test_old_files_that_are_still_needed_stay(media: Store) -> None:
    needed = "inputs/A1/P1/startingImage"
    await media.put(PNG)
    await media.put(PNG, needed)
    media.clock.now_s += 3700
    assert await media.blobs.expire(older_than_s=3600, keep=lambda key: key == needed) == 1
    assert await media.blobs.stat(needed) is not None
    assert await media.blobs.stat(KEY) is None


def _none(key: str) -> bool:
    del key
    return False


async def test_usage_counts_files_and_bytes(media: Store) -> None:
    empty = await media.blobs.usage()
    assert (empty.count, empty.size_bytes) == (0, 0)
    await media.put(PNG)
    await media.put(LONG, "previews/P1/J1-1.jpg")
    usage = await media.blobs.usage()
    assert (usage.count, usage.size_bytes) == (2, len(PNG) + len(LONG))
