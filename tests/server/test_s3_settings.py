"""The address of a store: every provider's spelling, and what is wrong with the others."""

from pathlib import Path

import pytest

from dreamgrid.errors import ConfigError
from dreamgrid.server.blobs import s3_settings
from dreamgrid.server.blobs.s3_bucket import Bucket
from dreamgrid.server.blobs.s3_settings import parse
from dreamgrid.server.clock import system_clock

KEYS = {"AWS_ACCESS_KEY_ID": "public", "AWS_SECRET_ACCESS_KEY": "secret"}


@pytest.mark.parametrize(
    ("address", "link"),
    [
        ("s3://media", "https://media.s3.us-east-1.amazonaws.com/k"),
        ("s3://media/grid?region=eu-west-1", "https://media.s3.eu-west-1.amazonaws.com/grid/k"),
        ("s3://my.media?style=path", "https://s3.us-east-1.amazonaws.com/my.media/k"),
        (
            "s3://media?endpoint=https://ACCOUNT.r2.cloudflarestorage.com&region=auto",
            "https://account.r2.cloudflarestorage.com/media/k",
        ),
        (
            "s3://media?endpoint=https://s3.us-west-004.backblazeb2.com&style=virtual",
            "https://media.s3.us-west-004.backblazeb2.com/k",
        ),
        ("s3://media/a/b/?endpoint=http://minio:9000/", "http://minio:9000/media/a/b/k"),
        ("s3://media?endpoint=https://ceph:443", "https://ceph/media/k"),
        (
            "s3://media?endpoint=http://minio:9000&public=https://media.example.org",
            "https://media.example.org/media/k",
        ),
        ("s3://media?endpoint=http://[::1]:9000", "http://[::1]:9000/media/k"),
    ],
)
def test_every_providers_spelling_leads_to_the_object(address: str, link: str) -> None:
    settings = parse(address, KEYS)
    bucket = Bucket(settings, system_clock)
    assert parse(s3_settings.address(settings), KEYS) == settings
    url, _, query = bucket.link("GET", settings.prefix + "k", expires_s=60).partition("?")
    assert url == link
    assert "X-Amz-Credential=public%2F" in query
    assert f"%2F{settings.region}%2Fs3" in query


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("media", "names no bucket"),
        ("https://media", "names no bucket"),
        ("s3://", "names no bucket"),
        ("s3://Media_Files", "'Media_Files' is no name of a bucket"),
        ("s3://m", "3 to 63"),
        ("s3://media/a b", "prefix"),
        ("s3://media/../other", "prefix"),
        ("s3://media?endpont=https://x", "'endpont' is no option"),
        ("s3://media?endpoint=minio:9000", "no address of a store"),
        ("s3://media?endpoint=https://x/path", "no address of a store"),
        ("s3://media?endpoint=https://user@x", "no address of a store"),
        ("s3://media?public=x", "no address of a store"),
        ("s3://media?style=dns", "use path or virtual"),
    ],
)
def test_what_is_wrong_with_an_address_is_said(address: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse(address, KEYS)


@pytest.mark.parametrize("missing", KEYS)
def test_a_missing_key_is_named(missing: str) -> None:
    with pytest.raises(ConfigError, match=missing):
        parse("s3://media", {name: value for name, value in KEYS.items() if name != missing})


def test_keys_may_lie_in_files(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from-a-file\n")
    environment = {**KEYS, "AWS_SECRET_ACCESS_KEY_FILE": str(tmp_path / "secret")}
    assert parse("s3://media", environment).credentials.secret_key == "from-a-file"
    with pytest.raises(ConfigError, match="cannot be read"):
        parse("s3://media", {**KEYS, "AWS_SESSION_TOKEN_FILE": str(tmp_path / "none")})
