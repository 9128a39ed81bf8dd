"""Media stores behind real HTTP, for the contract suites. A new backend joins `BACKENDS`."""

import os
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from dreamgrid.server.blobs.base import Blobs
from dreamgrid.server.blobs.local import LocalBlobs
from dreamgrid.server.blobs.s3 import S3Blobs
from dreamgrid.server.blobs.s3_settings import parse
from dreamgrid.server.http import add_cors_headers, cors_middleware, errors_middleware
from tests.support.real_servers import S3Server

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
    ours: bool = False
    """Whether this process answers, in our own words."""
    part_status: int = 206
    """How a part of a file is answered."""
    pages_upload: bool = True
    """Whether a browser may put files for pages of other origins."""

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

    async def refused(
        self, response: aiohttp.ClientResponse, says: str = "", why: str = ""
    ) -> None:
        """Checks that a link was not followed, and that we say so in our own words."""
        if self.ours:
            assert says in await refused(response, 403), why
        else:
            assert response.status in (400, 401, 403), (why, await response.text())

    async def get(self, key: str = KEY) -> bytes:
        async with self.http.get(self.get_url(key)) as response:
            assert response.status == 200, await response.text()
            return await response.read()


@asynccontextmanager
async def local(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """A folder that this process serves."""
    folder: Path = request.getfixturevalue("tmp_path")
    clock = Clock()
    blobs = LocalBlobs(folder, clock=clock)
    app = web.Application(middlewares=[cors_middleware, errors_middleware], client_max_size=1000)
    app.on_response_prepare.append(add_cors_headers)
    app.add_routes(blobs.routes())
    async with TestServer(app) as server, aiohttp.ClientSession() as http:
        yield Store(blobs, clock, str(server.make_url("/")).rstrip("/"), http, ours=True)


def s3(
    server: str, part_status: int = 206, *, pages_upload: bool = True
) -> Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[Store]]:
    """A corner of a bucket on one of the real servers."""

    @asynccontextmanager
    async def opened(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
        found: S3Server = request.getfixturevalue(server)
        clock = Clock()
        blobs = S3Blobs(
            parse(found.address(f"corner-{uuid.uuid4()}"), found.environment), clock=clock
        )
        await blobs.open()
        try:
            async with aiohttp.ClientSession() as http:
                yield Store(
                    blobs, clock, "", http, part_status=part_status, pages_upload=pages_upload
                )
        finally:
            await blobs.close()

    return opened


BACKENDS: dict[str, Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[Store]]] = {
    "local": local,
    # The right bytes, the wrong word; and it wants a signature from browsers that only ask.
    "rclone": s3("rclone_server", part_status=200, pages_upload=False),
}
if os.environ.get("DREAMGRID_CEPH"):  # three daemons and 15 s, so only where somebody wants it
    BACKENDS["ceph"] = s3("ceph_server")

REPLACE_WHOLE = sorted(BACKENDS.keys() - {"rclone"})
"""rclone's gives out half a file while it is replaced, and may lose it between two uploads."""


async def refused(response: aiohttp.ClientResponse, status: int) -> str:
    """Checks the one error shape of what we serve ourselves; returns the message."""
    assert response.status == status, await response.text()
    body = await response.json()
    assert body["status"] == "error"
    assert isinstance(body["errorCode"], int)
    message = body["message"]
    assert isinstance(message, str)
    return message
