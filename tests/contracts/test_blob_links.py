"""What every media store promises about its links: they allow what they say and nothing else."""

import itertools
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import pytest
from yarl import URL

from tests.contracts.blob_backends import KEY, PNG, Store, refused

# ── links ────────────────────────────────────────────────────────────────────────────────────────


async def test_a_pinned_link_takes_only_its_content_type(media: Store) -> None:
    url = media.put_url(content_type="image/png")
    for wrong in ("image/jpeg", "text/html", "application/octet-stream"):
        async with media.http.put(url, data=PNG, headers={"Content-Type": wrong}) as response:
            assert "image/png" in await refused(response, 403)
    async with media.http.put(url, data=PNG, skip_auto_headers=["Content-Type"]) as response:
        await refused(response, 403)
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
        await refused(response, 403)
    async with media.http.get(media.put_url()) as response:
        await refused(response, 403)
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
            assert "altered" in await refused(response, 403), url
    for url in itertools.chain(
        altered(media.put_url()), altered(media.put_url(content_type="image/png"))
    ):
        headers = {"Content-Type": "image/png"}
        async with media.http.put(
            URL(url, encoded=True), data=b"evil", headers=headers
        ) as response:
            assert "altered" in await refused(response, 403), url
    assert await media.get() == PNG


async def test_an_expired_link_is_refused_and_says_so(media: Store) -> None:
    await media.put(PNG)
    get, put = media.get_url(), media.put_url()
    media.clock.now_s += 58
    async with media.http.get(get) as response:
        assert response.status == 200
    media.clock.now_s += 3
    async with media.http.get(get) as response:
        assert "expired" in await refused(response, 403)
    async with media.http.put(put, data=b"late") as response:
        assert "expired" in await refused(response, 403)
    assert await media.get() == PNG


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
async def test_no_path_leads_out_of_the_store(media: Store, path: str) -> None:
    await media.put(PNG)
    query = urlsplit(media.get_url()).query
    url = URL(f"{media.origin}/blobs/{path}?{query}", encoded=True)
    async with media.http.get(url) as response:
        assert response.status in (400, 403, 404)
        assert response.content_type in ("application/json", "text/plain")


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
