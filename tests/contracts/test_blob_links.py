"""What every media store promises about its links: they allow what they say and nothing else."""

import itertools
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import pytest
from yarl import URL

from tests.contracts.blob_backends import KEY, PNG, Store

# ── links ────────────────────────────────────────────────────────────────────────────────────────


async def test_a_pinned_link_takes_only_its_content_type(media: Store) -> None:
    url = media.put_url(content_type="image/png")
    for wrong in ("image/jpeg", "text/html", "application/octet-stream"):
        async with media.http.put(url, data=PNG, headers={"Content-Type": wrong}) as response:
            await media.refused(response, "image/png")
    async with media.http.put(url, data=PNG, skip_auto_headers=["Content-Type"]) as response:
        await media.refused(response)
    assert await media.blobs.stat(KEY) is None
    async with media.http.put(url, data=PNG, headers={"Content-Type": "image/png"}) as response:
        assert response.status < 300


async def test_an_unpinned_link_takes_any_content_type_and_none(media: Store) -> None:
    url = media.put_url()
    async with media.http.put(url, data=PNG, headers={"Content-Type": "text/html"}) as response:
        assert response.status < 300
    async with media.http.put(url, data=PNG, skip_auto_headers=["Content-Type"]) as response:
        assert response.status < 300


async def test_a_link_is_for_one_method(media: Store) -> None:
    await media.put(PNG)
    async with media.http.put(media.get_url(), data=b"changed") as response:
        await media.refused(response)
    async with media.http.get(media.put_url()) as response:
        await media.refused(response)
    assert await media.get() == PNG


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


async def test_a_link_altered_in_any_part_is_refused(media: Store) -> None:
    await media.put(PNG)
    await media.put(b"secret", KEY.replace("J1", "J2"))
    for url in itertools.chain(
        altered(media.get_url()), altered(media.get_url(content_type="image/png"))
    ):
        async with media.http.get(URL(url, encoded=True)) as response:
            await media.refused(response, "altered", url)
    for url in itertools.chain(
        altered(media.put_url()), altered(media.put_url(content_type="image/png"))
    ):
        headers = {"Content-Type": "image/png"}
        async with media.http.put(
            URL(url, encoded=True), data=b"evil", headers=headers
        ) as response:
            await media.refused(response, "altered", url)
    assert await media.get() == PNG


async def test_an_expired_link_is_refused(media: Store) -> None:
    await media.put(PNG)
    media.clock.now_s -= 40  # links are made now and then, and last a minute
    async with media.http.get(media.get_url()) as response:
        assert response.status == 200
    media.clock.now_s -= 40
    get, put = media.get_url(), media.put_url()
    media.clock.now_s += 80
    async with media.http.get(get) as response:
        await media.refused(response, "expired")
    async with media.http.put(put, data=b"late") as response:
        await media.refused(response, "expired")
    assert await media.get() == PNG


@pytest.mark.parametrize("key", ["../x", "/x", "a//b", ".hidden", "a/.b", "a b", "", "a/", "ä"])
async def test_a_bad_key_is_a_bug_and_never_becomes_a_link(media: Store, key: str) -> None:
    with pytest.raises(ValueError, match="no blob key"):
        media.put_url(key)
    with pytest.raises(ValueError, match="no blob key"):
        media.get_url(key)
    with pytest.raises(ValueError, match="no blob key"):
        await media.blobs.stat(key)
    with pytest.raises(ValueError, match="no blob key"):
        await media.blobs.delete_prefix(key)
