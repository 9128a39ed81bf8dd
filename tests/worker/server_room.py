"""A small server that speaks the worker protocol and keeps files, for the tests of the worker.

It runs in the test's own event loop on a real port. Nothing here decides anything: tests send what
they like and say which uploads fail.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer

from dreamgrid.engines.registry import FoundEngine, Registry
from dreamgrid.protocol import codec
from dreamgrid.protocol.renders import AnyRender, ImageRender
from dreamgrid.protocol.worker import (
    WORKER_PATH,
    AnyWorkerMessage,
    Assign,
    Download,
    Failed,
    Finished,
    Hello,
    ServerMessage,
    Settled,
    Upload,
    Welcome,
)
from dreamgrid.worker import events
from dreamgrid.worker.config import WorkerConfig
from dreamgrid.worker.worker import run_worker
from tests.worker import puppet_engine

PATIENCE_S = 60.0
"""How long a test waits for what must come; only a failing test waits so long."""

KEY = "the-key-of-the-worker"
M = TypeVar("M", bound=AnyWorkerMessage)
E = TypeVar("E", bound=events.WorkerEvent)


class Line:
    """One connection of a worker."""

    def __init__(self, request: web.Request, socket: web.WebSocketResponse, hello: Hello) -> None:
        self.hello = hello
        self.seen: list[AnyWorkerMessage] = []
        self._request = request
        self._socket = socket
        self._messages: asyncio.Queue[AnyWorkerMessage] = asyncio.Queue()

    async def send(self, message: ServerMessage) -> None:
        await self._socket.send_bytes(codec.encode_worker(message))

    async def send_text(self, text: str) -> None:
        await self._socket.send_str(text)

    async def expect(self, kind: type[M], job_id: str | None = None) -> M:
        """The next message of a kind (about one job); others are kept in `seen`."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                message = await self._messages.get()
                about = getattr(message, "job_id", None)
                if isinstance(message, kind) and job_id in (None, about):
                    return message

    async def close(self, code: int, reason: str = "") -> None:
        await self._socket.close(code=code, message=reason.encode())

    def cut(self) -> None:
        """Breaks the connection without a goodbye."""
        assert self._request.transport is not None
        self._request.transport.abort()

    async def listen(self, *, settles: bool) -> None:
        async for frame in self._socket:
            assert frame.type is WSMsgType.TEXT
            message = codec.decode_from_worker(frame.data)
            self.seen.append(message)
            self._messages.put_nowait(message)
            if settles and isinstance(message, Finished | Failed):
                await self.send(Settled(job_id=message.job_id, attempt=message.attempt))


@dataclass
class ServerRoom:
    """The server and its file store.

    Attributes:
        settles: Answer outcomes with `settled` at once.
        refuse_with: Close code and reason for every new connection.
        heartbeat_s: What the welcome says.
        unknown_models: What the welcome says.
        trials: What the welcome says.
        files: What was uploaded, and what can be downloaded, by key.
        answers: Statuses for the next requests to a key, before it works.
        held: Requests to these keys wait until the event is set.
        requests: How often each `METHOD key` was asked for.
        raw_paths: Request targets as they came.
    """

    settles: bool = True
    refuse_with: tuple[int, str] | None = None
    heartbeat_s: float = 5.0
    unknown_models: tuple[str, ...] = ()
    trials: tuple[AnyRender, ...] = ()
    files: dict[str, bytes] = field(default_factory=dict)
    answers: dict[str, list[int]] = field(default_factory=dict)
    held: dict[str, asyncio.Event] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)
    raw_paths: list[str] = field(default_factory=list)
    url: str = ""

    def __post_init__(self) -> None:
        self._lines: asyncio.Queue[Line] = asyncio.Queue()
        self._arrivals: asyncio.Queue[str] = asyncio.Queue()

    @asynccontextmanager
    async def open(self, port: int | None = None) -> AsyncIterator["ServerRoom"]:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_get(WORKER_PATH, self._connect)
        app.router.add_get("/files/{key:.*}", self._get)
        app.router.add_put("/files/{key:.*}", self._put)
        async with TestServer(app, port=port) as server:
            self.url = str(server.make_url("/"))
            try:
                yield self
            finally:
                for held in self.held.values():
                    held.set()

    async def line(self) -> Line:
        """The next connection that a worker opens and that is welcomed."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._lines.get()

    async def arrival(self, request: str) -> None:
        """Waits until a request such as `PUT result/1` has come."""
        async with asyncio.timeout(PATIENCE_S):
            while await self._arrivals.get() != request:
                pass

    async def _connect(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        if self.refuse_with is not None or request.headers.get("api-key") != KEY:
            code, reason = self.refuse_with or (4021, "unknown key")
            await socket.close(code=code, message=reason.encode())
            return socket
        hello = codec.decode_from_worker((await socket.receive()).data)
        assert isinstance(hello, Hello)
        line = Line(request, socket, hello)
        await line.send(
            Welcome(
                lease_s=30.0,
                heartbeat_s=self.heartbeat_s,
                unknown_models=self.unknown_models,
                trials=self.trials,
            )
        )
        self._lines.put_nowait(line)
        await line.listen(settles=self.settles)
        return socket

    async def _answer(self, request: web.Request) -> tuple[str, web.Response | None]:
        key = request.match_info["key"]
        self.requests[f"{request.method} {key}"] += 1
        self.raw_paths.append(request.raw_path)
        self._arrivals.put_nowait(f"{request.method} {key}")
        if key in self.held:
            await self.held[key].wait()
        statuses = self.answers.get(key, [])
        if not statuses:
            return key, None
        status = statuses.pop(0)
        if status == 0:  # the connection breaks
            assert request.transport is not None
            request.transport.abort()
        return key, web.Response(status=status or 500)

    async def _get(self, request: web.Request) -> web.StreamResponse:
        key, answer = await self._answer(request)
        if answer is not None:
            return answer
        if key not in self.files:
            return web.Response(status=404)
        response = web.StreamResponse()
        if key.startswith("lengthless"):
            response.enable_chunked_encoding()
        else:
            response.content_length = len(self.files[key])
        await response.prepare(request)
        await response.write(self.files[key])
        return response

    async def _put(self, request: web.Request) -> web.Response:
        body = await request.read()
        key, answer = await self._answer(request)
        if answer is not None:
            return answer
        assert "api-key" not in request.headers
        assert request.content_length == len(body)
        self.files[key] = body
        self.files[f"{key}:type"] = request.headers["Content-Type"].encode()
        return web.Response(status=200)

    def assign(  # a test names what it is about
        self,
        job_id: str = "1",
        prompt: str = "",
        *,
        attempt: int = 1,
        model: str = "puppet-v1",
        steps: int = 3,
        previews: int = 0,
        inputs: tuple[str, ...] = (),
        content_type: str = "image/png",
        max_bytes: int = 32 * 1024 * 1024,
    ) -> Assign:
        """An assignment whose result goes to `result/JOB` and previews to `preview/JOB`."""
        return Assign(
            job_id=job_id,
            project_id="P",
            attempt=attempt,
            render=ImageRender(
                model=model,
                prompt=prompt,
                width=8,
                height=8,
                steps=steps,
                guidance=1.0,
                seed=77,
                previews=previews,
            ),
            inputs=tuple(Download(role=key, url=f"{self.url}files/{key}") for key in inputs),
            output=Upload(
                url=f"{self.url}files/result/{job_id}",
                content_type=content_type,
                max_bytes=max_bytes,
            ),
            preview=Upload(
                url=f"{self.url}files/preview/{job_id}", content_type="image/jpeg", max_bytes=1000
            ),
        )


PUPPETS = Registry(
    engines=(
        FoundEngine(
            name="puppet",
            reference=puppet_engine.REFERENCE,
            spec=puppet_engine.ENGINE,
            models=puppet_engine.MODELS,
        ),
    )
)


class RunningWorker:
    """A worker in the test's loop, with what it told its owner."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.told: list[events.WorkerEvent] = []
        self.readied: list[events.Joined] = []
        self.task: asyncio.Task[None]
        self._events: asyncio.Queue[events.WorkerEvent] = asyncio.Queue()

    def tell(self, event: events.WorkerEvent) -> None:
        self.told.append(event)
        self._events.put_nowait(event)

    async def event(self, kind: type[E]) -> E:
        """The next event of a kind."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                event = await self._events.get()
                if isinstance(event, kind):
                    return event

    async def ended(self) -> None:
        """Waits for the end of the worker; raises what ended it."""
        async with asyncio.timeout(PATIENCE_S):
            await self.task


def config_of(url: str, data_dir: Path, **changes: object) -> WorkerConfig:
    defaults: dict[str, object] = {
        "server_url": url,
        "api_key": KEY,
        "data_dir": data_dir,
        "name": "Ada's worker",
        "threads": 1,
        "slots": 1,
        "transfer_retry_s": 0.01,
        "reconnect_min_s": 0.01,
        "reconnect_max_s": 0.02,
    }
    return WorkerConfig(**(defaults | changes))  # type: ignore[arg-type]


@asynccontextmanager
async def running_worker(
    config: WorkerConfig, registry: Registry = PUPPETS
) -> AsyncIterator[RunningWorker]:
    worker = RunningWorker()
    worker.task = asyncio.create_task(
        run_worker(
            config,
            stop=worker.stop,
            on_ready=worker.readied.append,
            on_event=worker.tell,
            registry=registry,
        )
    )
    try:
        yield worker
    finally:
        worker.stop.set()
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(worker.task, return_exceptions=True)
