"""Our signatures are those of the library that Amazon writes, for everything that we sign."""

import time
from calendar import timegm
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as TheirCredentials
from hypothesis import given
from hypothesis import strategies as st

from dreamgrid.server.blobs.sigv4 import MAX_EXPIRES_S, Credentials, Presigner

SEGMENT = st.from_regex(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,30}", fullmatch=True)
NAMES = st.sampled_from(["list-type", "prefix", "response-content-type", "cors", "delete"])
VALUES = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=30)
SECRETS = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1, max_size=40)


@given(
    method=st.sampled_from(["GET", "PUT", "HEAD", "DELETE", "POST"]),
    host=st.sampled_from(["s3.example.org", "localhost:9000", "media.s3.example.org"]),
    segments=st.lists(SEGMENT, min_size=1, max_size=4),
    parameters=st.dictionaries(NAMES, VALUES),
    content_type=st.none() | st.sampled_from(["image/png", "application/octet-stream"]),
    secret=SECRETS,
    token=st.just("") | st.sampled_from(["a/token+with=signs==", "plain"]),
    region=st.sampled_from(["us-east-1", "auto", "eu-central-003"]),
    expires_s=st.integers(1, MAX_EXPIRES_S),
)
def test_a_url_is_signed_as_the_library_signs_it(
    *,
    method: str,
    host: str,
    segments: list[str],
    parameters: dict[str, str],
    content_type: str | None,
    secret: str,
    token: str,
    region: str,
    expires_s: int,
) -> None:
    path = "/" + "/".join(segments)
    ordered = tuple(sorted(parameters.items()))
    theirs = AWSRequest(method, f"http://{host}{path}", params=dict(ordered))
    if content_type is not None:
        theirs.headers["Content-Type"] = content_type
    keys = TheirCredentials("AKIAEXAMPLE/+", secret, token or None)
    S3SigV4QueryAuth(keys, "s3", region, expires=expires_s).add_auth(theirs)
    wanted = parse_qs(urlsplit(theirs.url).query, keep_blank_values=True)
    ours = Presigner(
        Credentials(access_key="AKIAEXAMPLE/+", secret_key=secret, session_token=token), region
    ).query(
        method,
        host,
        path,
        at_s=timegm(time.strptime(wanted["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ")) + 0.7,
        expires_s=expires_s,
        content_type=content_type,
        parameters=ordered,
    )
    assert parse_qs(ours, keep_blank_values=True) == wanted


def test_no_link_is_good_for_longer_than_stores_take() -> None:
    presigner = Presigner(Credentials(access_key="a", secret_key="b"), "auto")
    query = presigner.query("GET", "h", "/p", at_s=0, expires_s=10 * MAX_EXPIRES_S)
    assert parse_qs(query)["X-Amz-Expires"] == [str(MAX_EXPIRES_S)]


@pytest.mark.parametrize("shown", [repr, str])
def test_secrets_are_never_shown(shown: type[str]) -> None:
    keys = Credentials(access_key="public", secret_key="hush", session_token="hush")
    assert "hush" not in shown(keys)
