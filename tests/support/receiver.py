"""A real HTTP server that receives webhooks and answers as a test says."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.support.wire import PATIENCE_S


@dataclass(frozen=True)
class Message:
    """A request that came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def type(self) -> str:
        return str(self.json["type"])

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def is_signed_with(self, secret: str) -> bool:
        """Whether the signature is right: written after the specification, not with our code."""
        key = base64.b64decode(secret[len("whsec_") :])
        signed = b".".join(
            (self.id.encode(), self.headers["webhook-timestamp"].encode(), self.body)
        )
        made = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
        return self.headers["webhook-signature"].split(" ") == [f"v1,{made}"]


@dataclass
class Receiver:
    """What came so far.

    Attributes:
        url: Where to send webhooks.
        status: The answer to whatever comes.
        gate: While it is closed, requests wait for their answer.
    """

    url: str = ""
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    _came: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def take(self, request: web.Request) -> web.Response:
        message = Message(request.path, dict(request.headers), await request.read())
        lower = {name.lower(): value for name, value in message.headers.items()}
        async with self._came:
            self.messages.append(Message(message.path, lower, message.body))
            self._came.notify_all()
        await self.gate.wait()
        return web.Response(status=self.status, headers=self.headers)

    async def until(self, condition: Callable[[list[Message]], bool]) -> list[Message]:
        """Returns what has come when it fulfils a condition."""
        async with asyncio.timeout(PATIENCE_S), self._came:
            await self._came.wait_for(lambda: condition(self.messages))
        return list(self.messages)

    async def count(self, number: int) -> list[Message]:
        """Returns when so many messages have come."""
        return await self.until(lambda messages: len(messages) >= number)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver on a port of its own."""
    receiver = Receiver()
    receiver.gate.set()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        yield receiver
    finally:
        receiver.gate.set()
        await runner.cleanup()
