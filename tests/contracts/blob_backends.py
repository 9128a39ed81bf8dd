"""Media stores behind real HTTP, for the contract suites. A new backend joins `BACKENDS`."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from dreamgrid.server.blobs.base import Blobs
from dreamgrid.server.blobs.local import LocalBlobs
from dreamgrid.server.http import add_cors_headers, cors_middleware, errors_middleware

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
    app.on_response_prepare.append(add_cors_headers)
    app.add_routes(blobs.routes())
    async with TestServer(app) as server, aiohttp.ClientSession() as http:
        yield Store(blobs, clock, str(server.make_url("/")).rstrip("/"), http)


BACKENDS: dict[str, Callable[[Path], AbstractAsyncContextManager[Store]]] = {"local": local}


async def refused(response: aiohttp.ClientResponse, status: int) -> str:
    """Checks the one error shape; returns the message."""
    assert response.status == status, await response.text()
    body = await response.json()
    assert body["status"] == "error"
    assert isinstance(body["errorCode"], int)
    message = body["message"]
    assert isinstance(message, str)
    return message
