"""Presigned URLs of S3: AWS Signature Version 4 in the query. Pure.

Our own because signing with botocore takes about fifty times as long, twice for every job;
`tests/server/test_sigv4.py` holds it to the same signatures as botocore. It signs
less than they do: names of objects are keys, which need no quoting, and the payload is never
signed.
"""

import hashlib
import hmac
import time
from dataclasses import dataclass, field
from urllib.parse import quote

_ALGORITHM = "AWS4-HMAC-SHA256"
_SAFE = "-_.~"
MAX_EXPIRES_S = 7 * 24 * 60 * 60
"""S3 refuses URLs that are good for longer."""


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Who signs.

    Attributes:
        access_key: The public half.
        secret_key: The secret half.
        session_token: Comes with temporary credentials; else empty.
    """

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)


class Presigner:
    """Signs the queries of URLs.

    Args:
        credentials: Who signs.
        region: Of the bucket, as the store calls it.
    """

    def __init__(self, credentials: Credentials, region: str) -> None:
        self._credentials = credentials
        self._region = region
        token = credentials.session_token
        self._token = f"&X-Amz-Security-Token={quote(token, safe=_SAFE)}" if token else ""
        self._now: _Moment | None = None

    def query(
        self,
        method: str,
        host: str,
        path: str,
        *,
        at_s: float,
        expires_s: float,
        content_type: str | None = None,
        parameters: tuple[tuple[str, str], ...] = (),
    ) -> str:
        """The query of a presigned URL, without the question mark.

        Args:
            method: The only method that it is good for.
            host: As the Host header will carry it, with a port that is not the scheme's own.
            path: With the slash in front, made of letters that need no quoting.
            at_s: When it is signed, in seconds since 1970.
            expires_s: How long it is good for.
            content_type: The Content-Type that the request must carry. None: any, or none.
            parameters: Further parameters, in the order of their names, which begin in lower case.
        """
        now = self._moment(int(at_s))
        signed = "host" if content_type is None else "content-type%3Bhost"
        query = (
            f"{now.query}&X-Amz-Expires={min(int(expires_s), MAX_EXPIRES_S)}{self._token}"
            f"&X-Amz-SignedHeaders={signed}"
        )
        for name, value in parameters:
            query += f"&{name}={quote(value, safe=_SAFE)}"
        headers = f"host:{host}\n\nhost"
        if content_type is not None:
            headers = f"content-type:{content_type}\nhost:{host}\n\ncontent-type;host"
        request = f"{method}\n{path}\n{query}\n{headers}\nUNSIGNED-PAYLOAD"
        mac = now.key.copy()
        mac.update(f"{now.signed}{hashlib.sha256(request.encode()).hexdigest()}".encode())
        return f"{query}&X-Amz-Signature={mac.hexdigest()}"

    def _moment(self, at_s: int) -> "_Moment":
        """What all URLs of one second share; most of the work is here."""
        if self._now is None or self._now.at_s != at_s:
            stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at_s))
            scope = f"{stamp[:8]}/{self._region}/s3/aws4_request"
            credential = quote(f"{self._credentials.access_key}/{scope}", safe=_SAFE)
            key = f"AWS4{self._credentials.secret_key}".encode()
            for step in scope.split("/"):
                key = hmac.digest(key, step.encode(), "sha256")
            self._now = _Moment(
                at_s=at_s,
                query=(
                    f"X-Amz-Algorithm={_ALGORITHM}&X-Amz-Credential={credential}&X-Amz-Date={stamp}"
                ),
                signed=f"{_ALGORITHM}\n{stamp}\n{scope}\n",
                key=hmac.new(key, digestmod=hashlib.sha256),
            )
        return self._now


@dataclass(frozen=True, kw_only=True)
class _Moment:
    """What the URLs of one second share.

    Attributes:
        at_s: The second.
        query: How their queries begin.
        signed: How the text that is signed begins.
        key: A prepared HMAC; copying it is cheaper than making one.
    """

    at_s: int
    query: str
    signed: str
    key: hmac.HMAC
