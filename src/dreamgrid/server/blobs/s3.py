"""Media in an S3-compatible store: apps and workers put and get their bytes there, not here.

Two things differ from a local folder, because the protocol cannot do better: a presigned PUT
carries no limit for the length of its body, so whoever uses a file looks at its size first; and
what an uploader says about a file is stored with it, so every link overrides it.
"""

import asyncio
import base64
import hashlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from dreamgrid.errors import ConfigError, NotFound, ServerUnavailable
from dreamgrid.server.blobs.base import BlobInfo, Usage
from dreamgrid.server.blobs.keys import FOLDERS, check_key, is_key
from dreamgrid.server.blobs.media_types import (
    HEAD_BYTES,
    OCTETS,
    SERVED_TYPES,
    by_extension,
    sniff,
)
from dreamgrid.server.blobs.s3_bucket import Answer, Bucket, Parameters
from dreamgrid.server.blobs.s3_settings import S3Settings
from dreamgrid.server.clock import Clock, system_clock

_DELETE_MOST = 1_000
"""Most objects that one call may name."""

_PART_BYTES = 1024 * 1024
"""How much of a file is asked for at once where its bytes are compared."""

_ALL_ORIGINS = b"""<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin>\
<AllowedMethod>GET</AllowedMethod><AllowedMethod>HEAD</AllowedMethod>\
<AllowedMethod>PUT</AllowedMethod><AllowedHeader>*</AllowedHeader>\
<ExposeHeader>ETag</ExposeHeader><ExposeHeader>Content-Range</ExposeHeader>\
<MaxAgeSeconds>3600</MaxAgeSeconds></CORSRule></CORSConfiguration>"""
"""Links are for pages of any origin: the signature is what allows something."""

_log = logging.getLogger("dreamgrid.blobs")


@dataclass(frozen=True, kw_only=True)
class _Listed:
    """An object as the store lists it."""

    name: str
    size_bytes: int
    uploaded_s: float


class S3Blobs:
    """The `Blobs` contract on one bucket. `origin` means nothing here: links lead to the store.

    Args:
        settings: Where the bucket is.
        clock: This machine's time.
    """

    def __init__(self, settings: S3Settings, *, clock: Clock = system_clock) -> None:
        self._settings = settings
        self._prefix = settings.prefix
        self._bucket = Bucket(settings, clock)
        self._clock = clock

    async def open(self) -> None:
        """Looks whether the bucket is there, and lets pages of any origin follow links to it.

        Raises:
            ConfigError: It is not there, cannot be reached, or refuses the credentials.
        """
        self._bucket.open()
        where = f"the bucket {self._settings.bucket} at {self._settings.endpoint}"
        try:
            seen = await self._bucket.call("GET", parameters=_listing("", most=1))
        except ServerUnavailable as error:
            raise ConfigError(f"{where} cannot be reached: {error}") from None
        if seen.status == 404:
            raise ConfigError(f"{where} does not exist; make it first")
        if seen.status != 200:
            raise ConfigError(f"{where} refuses these keys: {_reason(seen)}")
        await self._allow_pages()
        await self._look_for_versions()

    async def close(self) -> None:
        """Hangs up."""
        await self._bucket.close()

    async def _allow_pages(self) -> None:
        rules: Parameters = (("cors", ""),)
        if (await self._bucket.call("GET", parameters=rules)).status != 404:
            return  # the operator's own, or a store without them
        answer = await self._bucket.call(
            "PUT", parameters=rules, data=_ALL_ORIGINS, headers=_digest(_ALL_ORIGINS)
        )
        if answer.status >= 300:
            _log.warning(
                "the bucket takes no CORS rules from this server (%s): apps in browsers need them",
                _reason(answer),
            )

    async def _look_for_versions(self) -> None:
        """Says so where what this server removes would stay in the bucket as an older version."""
        kept = await self._bucket.call("GET", parameters=(("versioning", ""),))
        if b"<Status>Enabled</Status>" not in kept.body:
            return
        rules = await self._bucket.call("GET", parameters=(("lifecycle", ""),))
        if b"<NoncurrentVersionExpiration>" not in rules.body:
            _log.warning(
                "the bucket %s keeps a version of every file that this server removes: "
                "docs/scale.md has a lifecycle rule that lets them go",
                self._settings.bucket,
            )

    # ── links ────────────────────────────────────────────────────────────────────────────────────

    def put_url(
        self,
        key: str,
        *,
        content_type: str | None,
        max_bytes: int,
        expires_s: float,
        origin: str,
        durable: bool = True,
    ) -> str:
        del max_bytes, origin, durable
        return self._bucket.link(
            "PUT", self._name(key), expires_s=expires_s, content_type=content_type
        )

    def get_url(
        self, key: str, *, expires_s: float, origin: str, content_type: str | None = None
    ) -> str:
        del origin
        kind = content_type or by_extension(key) or OCTETS
        shown = kind in SERVED_TYPES
        return self._bucket.link(
            "GET",
            self._name(key),
            expires_s=expires_s,
            # An upload must never become a page or a script in a browser, whatever is in it.
            parameters=(
                ("response-cache-control", "private, no-cache"),
                ("response-content-disposition", "inline" if shown else "attachment"),
                ("response-content-encoding", "identity"),
                ("response-content-type", kind if shown else OCTETS),
            ),
        )

    # ── single files ─────────────────────────────────────────────────────────────────────────────

    @property
    def size_at_once(self) -> None:
        """Nothing is known of a file before the store has answered."""
        return None

    async def stat(self, key: str) -> BlobInfo | None:
        answer = await self._bucket.call("HEAD", self._name(key))
        if answer.status == 404:
            return None
        _check(answer)
        kind = by_extension(key)
        if kind is None:  # only its beginning can tell
            try:
                kind = sniff(await self.read(key, max_bytes=HEAD_BYTES))
            except NotFound:  # removed in this moment
                return None
        with _reading():
            size_bytes = int(answer.headers["Content-Length"])
        return BlobInfo(size_bytes=size_bytes, content_type=kind)

    async def read(self, key: str, *, max_bytes: int) -> bytes:
        answer = await self._bucket.call(
            "GET",
            self._name(key),
            headers={"Range": f"bytes=0-{max_bytes - 1}"},
            most_bytes=max_bytes,  # where a store knows no ranges
        )
        if answer.status == 404:
            raise NotFound(f"there is no file {key}")
        if answer.status == 416:  # no first byte: it is empty
            return b""
        _check(answer)
        return answer.body

    async def write(self, key: str, data: bytes) -> None:
        _check(await self._bucket.call("PUT", self._name(key), data=data))

    async def keep(self, key: str, file: Path) -> bool:
        """Stores a file of this machine; False where the store has it already.

        Raises:
            ServerUnavailable: The store does not take it, or what arrived is something else.
        """
        size_bytes, md5 = await asyncio.to_thread(_measured, file)
        if await self._holds(key, size_bytes, md5):
            return False
        headers = {"Content-MD5": base64.b64encode(md5).decode()}
        _check(await self._bucket.call("PUT", self._name(key), data=file, headers=headers))
        if not await self._holds(key, size_bytes, md5):
            raise ServerUnavailable(f"the media store has something else for {key} than was sent")
        return True

    async def _holds(self, key: str, size_bytes: int, md5: bytes) -> bool:
        """Whether the store has the very bytes that have this length and MD5."""
        answer = await self._bucket.call("HEAD", self._name(key))
        if answer.status == 404:
            return False
        _check(answer)
        with _reading():
            if int(answer.headers["Content-Length"]) != size_bytes:
                return False
        if _tag(answer) == md5.hex():
            return True
        # Stores that encrypt have other tags; then the bytes themselves are asked for.
        there = hashlib.md5(usedforsecurity=False)
        for start in range(0, size_bytes, _PART_BYTES):
            last = min(start + _PART_BYTES, size_bytes) - 1
            answer = await self._bucket.call(
                "GET",
                self._name(key),
                headers={"Range": f"bytes={start}-{last}"},
                most_bytes=_PART_BYTES,
            )
            if "Content-Range" not in answer.headers:
                return False
            there.update(answer.body)
        return there.digest() == md5

    async def delete(self, key: str) -> bool:
        name = self._name(key)
        found = await self._bucket.call("HEAD", name)
        if found.status == 404:
            return False
        _check(found)
        _check(await self._bucket.call("DELETE", name))
        return True

    # ── many files ───────────────────────────────────────────────────────────────────────────────

    async def delete_prefix(self, prefix: str) -> int:
        below = f"{self._name(prefix)}/"
        return await self._remove([one async for one in self._list(below)])

    async def expire(self, older_than_s: float, *, keep: Callable[[str], bool]) -> int:
        older_than = self._clock() - older_than_s
        cut = len(self._prefix)
        return await self._remove(
            [
                one
                async for one in self._files()
                if one.uploaded_s < older_than and not keep(one.name[cut:])
            ]
        )

    async def usage(self) -> Usage:
        sizes = [one.size_bytes async for one in self._files()]
        return Usage(count=len(sizes), size_bytes=sum(sizes))

    async def _files(self) -> AsyncIterator[_Listed]:
        """What a server stored; what else lies in the bucket belongs to somebody else."""
        cut = len(self._prefix)
        for folder in FOLDERS:
            async for one in self._list(f"{self._prefix}{folder}/"):
                if is_key(one.name[cut:]):
                    yield one

    async def _list(self, prefix: str) -> AsyncIterator[_Listed]:
        after = ""
        while True:
            answer = await self._bucket.call("GET", parameters=_listing(prefix, after=after))
            _check(answer)
            objects, after = await asyncio.to_thread(_page, answer.body)
            for one in objects:
                yield one
            if not after:
                return

    async def _remove(self, objects: list[_Listed]) -> int:
        for start in range(0, len(objects), _DELETE_MOST):
            names = "".join(
                f"<Object><Key>{escape(one.name)}</Key></Object>"
                for one in objects[start : start + _DELETE_MOST]
            )
            wish = f"<Delete><Quiet>true</Quiet>{names}</Delete>".encode()
            answer = await self._bucket.call(
                "POST", parameters=(("delete", ""),), data=wish, headers=_digest(wish)
            )
            _check(answer)
            with _reading():
                failed = _parsed(answer.body).find("{*}Error") if answer.body else None
            if failed is not None:
                why = failed.findtext("{*}Message") or failed.findtext("{*}Code")
                raise ServerUnavailable(f"the media store did not remove files: {why}")
        return len(objects)

    def _name(self, key: str) -> str:
        return self._prefix + check_key(key)


def _listing(prefix: str, *, most: int = 1_000, after: str = "") -> Parameters:
    """The parameters of a call that lists objects, in the order of their names."""
    more = (("continuation-token", after),) if after else ()
    return (*more, ("list-type", "2"), ("max-keys", str(most)), ("prefix", prefix))


def _digest(data: bytes) -> dict[str, str]:
    """What stores want to see beside a body that changes something."""
    md5 = hashlib.md5(data, usedforsecurity=False)
    return {"Content-MD5": base64.b64encode(md5.digest()).decode()}


def _tag(answer: Answer) -> str:
    return answer.headers.get("ETag", "").strip('"')


def _measured(file: Path) -> tuple[int, bytes]:
    """Length and MD5 of a file."""
    with file.open("rb") as opened:
        hasher = hashlib.file_digest(opened, lambda: hashlib.md5(usedforsecurity=False))
        return opened.tell(), hasher.digest()


@contextmanager
def _reading() -> Iterator[None]:
    """Something that is no such store may answer in its place: a proxy, or a page to sign in."""
    try:
        yield
    except (ElementTree.ParseError, KeyError, ValueError) as error:
        raise ServerUnavailable(f"the media store's answer cannot be read: {error}") from error


def _page(body: bytes) -> tuple[list[_Listed], str]:
    """The objects of a list, and where the next one begins; empty: this was the last."""
    with _reading():
        page = _parsed(body)
        objects = [
            _Listed(
                name=found.findtext("{*}Key", ""),
                size_bytes=int(found.findtext("{*}Size", "0")),
                uploaded_s=datetime.fromisoformat(
                    found.findtext("{*}LastModified", "")
                ).timestamp(),
            )
            for found in page.iterfind("{*}Contents")
        ]
    more = page.findtext("{*}IsTruncated") == "true"
    return objects, page.findtext("{*}NextContinuationToken", "") if more else ""


def _parsed(body: bytes) -> ElementTree.Element:
    return ElementTree.fromstring(body)  # noqa: S314 -- the operator's own store said it


def _check(answer: Answer) -> None:
    """Raises ServerUnavailable unless the store did what it was asked."""
    if answer.status >= 300:
        raise ServerUnavailable(f"the media store refused a call: {_reason(answer)}")


def _reason(answer: Answer) -> str:
    try:
        code = _parsed(answer.body).findtext("{*}Code") or ""
    except ElementTree.ParseError:
        code = ""
    return f"{answer.status} {code}".strip()
