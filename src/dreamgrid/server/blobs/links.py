"""Signed links to files: made and checked. Pure but for the clock that it is given.

A link carries everything that it allows, and an HMAC-SHA256 over all of it. The signed text has one
field a line and no field can hold a line break, so no two different links share a text.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

from dreamgrid.errors import NotAllowed
from dreamgrid.server.blobs.keys import check_key

PATH = "/blobs/"
"""Every link's path is this and the key."""

_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+", re.ASCII)
_SIGNED_FIELDS = ("expires", "type", "max", "durable")


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What a checked link allows.

    Attributes:
        content_type: Of the upload, where it is pinned; of the answer, where it was chosen.
        max_bytes: Longest upload.
        durable: The upload must survive a power cut.
    """

    content_type: str | None
    max_bytes: int
    durable: bool


class Links:
    """Signs and checks links.

    Args:
        secrets: Each at least 32 random bytes. The first one signs, all of them are believed.
        clock: Seconds since 1970.
    """

    def __init__(self, secrets: Sequence[bytes], clock: Callable[[], float]) -> None:
        # Keyed once: copying a prepared HMAC costs a third of making one.
        self._keyed = [hmac.new(secret, digestmod=hashlib.sha256) for secret in secrets]
        self._clock = clock

    def upload(
        self,
        key: str,
        *,
        content_type: str | None,
        max_bytes: int,
        expires_s: float,
        durable: bool,
        origin: str,
    ) -> str:
        """A link that takes one file by PUT."""
        expires = str(int(self._clock() + expires_s))
        kind, pinned = _type(content_type)
        limit, sync = str(max_bytes), "1" if durable else "0"
        signature = self._sign("PUT", check_key(key), (expires, kind, limit, sync))
        return (
            f"{origin}{PATH}{key}?expires={expires}{pinned}"
            f"&max={limit}&durable={sync}&signature={signature}"
        )

    def download(self, key: str, *, content_type: str | None, expires_s: float, origin: str) -> str:
        """A link that gives one file by GET or HEAD."""
        expires = str(int(self._clock() + expires_s))
        kind, chosen = _type(content_type)
        signature = self._sign("GET", check_key(key), (expires, kind, "", ""))
        return f"{origin}{PATH}{key}?expires={expires}{chosen}&signature={signature}"

    def check(self, method: str, key: str, query: Mapping[str, str]) -> Grant:
        """What the link of a request allows. HEAD counts as GET.

        Raises:
            NotAllowed: The link was altered, is for another method, or has expired.
        """
        fields = tuple(query.get(name, "") for name in _SIGNED_FIELDS)
        given = query.get("signature", "").encode("utf-8", "replace")
        signed = _text("GET" if method == "HEAD" else method, key, fields)
        if not any(
            hmac.compare_digest(_signature(keyed, signed).encode(), given) for keyed in self._keyed
        ):
            raise NotAllowed(
                f"the signature of this link is wrong for {method}: it was altered or cut off; "
                "ask for a new link"
            )
        expires, kind, limit, sync = fields
        if self._clock() >= int(expires):
            raise NotAllowed("this link has expired; ask for a new link")
        return Grant(content_type=kind or None, max_bytes=int(limit or 0), durable=sync == "1")

    def _sign(self, method: str, key: str, fields: tuple[str, ...]) -> str:
        return _signature(self._keyed[0], _text(method, key, fields))


def _text(method: str, key: str, fields: tuple[str, ...]) -> bytes:
    """What is signed of a link."""
    return "\n".join((method, key, *fields)).encode("utf-8", "replace")


def _signature(keyed: hmac.HMAC, text: bytes) -> str:
    mac = keyed.copy()
    mac.update(text)
    return mac.hexdigest()


@lru_cache(maxsize=256)  # a handful of kinds in practice
def _type(content_type: str | None) -> tuple[str, str]:
    """A media type as it is signed, and as the link carries it."""
    if content_type is None:
        return "", ""
    if not _MEDIA_TYPE.fullmatch(content_type):
        raise ValueError(f"{content_type[:80]!r} is no media type")
    return content_type, f"&type={quote(content_type, safe='')}"
