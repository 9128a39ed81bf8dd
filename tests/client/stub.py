"""A scripted server that speaks the client side of the wire over real sockets and real HTTP.

It decides nothing: a test says what it answers and when. What clients send is kept for the test to
look at.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec
from aiohttp import WSMsgType, web

import dreamgrid
from dreamgrid.client.connection import Backoff
from dreamgrid.protocol import codec, heard, rest, socket
from dreamgrid.protocol.codec import Message
from dreamgrid.protocol.job_request import JobRequest

T = TypeVar("T")
Answer = Callable[[web.Request], web.StreamResponse | Awaitable[web.StreamResponse]]

KEY = "the-key"
MODEL = "test-model"
JOB_A = "AAAAAAAA-AAAA-4AAA-8AAA-AAAAAAAAAAAA"
JOB_B = "BBBBBBBB-BBBB-4BBB-8BBB-BBBBBBBBBBBB"

_MODELS = [
    rest.ModelEntry(id=MODEL, name="Test model", sid=1, tier="tier", media="image"),
    rest.ModelEntry(id="other-model", name="Other", sid=2, tier="none", media="image"),
]
_TIERS = {
    "tier": {
        "steps": {"min": 1, "max": 50, "default": 20},
        "guidance": {"min": 1, "max": 5.5, "decimals": 1, "default": 2},
        "sampler": {"allowed": ["Euler"], "default": "Euler"},
        "scheduler": {"allowed": ["Simple"], "default": "Simple"},
    },
    "of-a-kind-to-come": {"steps": "many"},
}
_PRESET = rest.SizePreset(label="Wide", id="wide", width=768, height=512, ratio="3:2", aspect="1.5")
_SIGNATURE = "signature=a%2Fb"
"""Has a character that libraries like to write differently."""


class Stub:
    """One server. Made by `running()`."""

    def __init__(self) -> None:
        self.url = ""
        self.app = web.Application(client_max_size=64 * 1024 * 1024)
        self.app.router.add_route("*", "/{path:.*}", self._handle)
        self.sockets: list[web.WebSocketResponse] = []
        self.upgrades: list[web.Request] = []
        self.frames: asyncio.Queue[codec.Envelope] = asyncio.Queue()
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.uploads: dict[str, tuple[bytes, str]] = {}
        self.files: dict[str, bytes] = {}
        self.records: dict[str, rest.ProjectRecord] = {}
        self.answers: dict[str, list[Answer]] = {}
        self.greeting: list[bytes] | None = None
        self.refuse_with: int | None = None
        self._arrived = asyncio.Event()

    # ── what a test does ─────────────────────────────────────────────────────────────────────────

    def answer(self, path: str, *answers: Answer) -> None:
        """The next requests of `path` are answered so; then it is as usual again."""
        self.answers.setdefault(path, []).extend(answers)

    async def received(self, kind: type[T], *, timeout_s: float | None = 10) -> T:
        """The next frame of the client, which must be of this kind."""
        envelope = await asyncio.wait_for(self.frames.get(), timeout_s)
        message_type: str = kind.message_type  # type: ignore[attr-defined]
        assert envelope.type == message_type, envelope
        return codec.decode_payload(envelope, kind)

    async def send(self, *messages: Message) -> None:
        """Sends frames to the newest connection."""
        for message in messages:
            await self.sockets[-1].send_bytes(codec.encode(message))

    async def drop(self, code: int = 1012) -> None:
        """Ends the newest connection."""
        await self.sockets[-1].close(code=code)

    async def connected(self, count: int) -> None:
        """Waits until so many connections were made in all."""
        async with asyncio.timeout(60):
            while len(self.sockets) < count:
                self._arrived.clear()
                await self._arrived.wait()

    def file_url(self, name: str) -> str:
        """A signed address of a file."""
        return f"{self.url}/files/{name}?{_SIGNATURE}"

    def asked(self, path: str) -> list[dict[str, str]]:
        """The queries of all requests of `path`."""
        return [query for _, asked, query in self.requests if asked == path]

    # ── what it does by itself ───────────────────────────────────────────────────────────────────

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        queued = self.answers.get(request.path)
        if queued:
            self.requests.append((request.method, request.path, dict(request.query)))
            answer = queued.pop(0)(request)
            return answer if isinstance(answer, web.StreamResponse) else await answer
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._socket(request)
        self.requests.append((request.method, request.path, dict(request.query)))
        if request.path.startswith("/files/"):
            return await self._file(request, request.match_info["path"].removeprefix("files/"))
        return self._usual_answer(request)

    def _usual_answer(self, request: web.Request) -> web.Response:
        answer = error(404, 404, f"there is nothing at {request.path}")
        match request.path.split("/")[1:]:
            case ["api", "v1", "models", "list"]:
                answer = json(_MODELS)
            case ["api", "v2", "models", "tiers"]:
                answer = json(_TIERS)
            case ["api", "v1", "size-presets", *_]:
                answer = json([_PRESET])
            case ["v1", "image" | "media", "uploadUrl"]:
                name = f"{request.query['jobId']}-{request.query['type']}"
                answer = ok(rest.UploadUrl(upload_url=self.file_url(name)))
            case ["v1", "image" | "media", "downloadUrl"]:
                job_id = request.query.get("imageId") or request.query["id"]
                name = f"{job_id}-{request.query['type']}"
                answer = ok(rest.DownloadUrl(download_url=self.file_url(name)))
            case ["v2", "projects", project_id] if project_id in self.records:
                answer = ok(rest.ProjectAnswer(project=self.records[project_id]))
        return answer

    async def _file(self, request: web.Request, name: str) -> web.Response:
        assert request.rel_url.raw_query_string == _SIGNATURE, "the signature came through changed"
        assert "api-key" not in request.headers, "our key is not for the file store"
        if request.method == "PUT":
            self.uploads[name] = (await request.read(), request.headers["Content-Type"])
            return web.Response()
        if name not in self.files:
            return error(404, 404, "no such file")
        return web.Response(body=self.files[name])

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        self.upgrades.append(request)
        self.sockets.append(ws)
        self._arrived.set()
        if self.refuse_with is not None or request.headers.get("api-key") != KEY:
            await ws.close(code=self.refuse_with or socket.CLOSE_AUTHENTICATION)
            return ws
        for frame in self.greeting or [codec.encode(AUTHENTICATED)]:
            await ws.send_bytes(frame)
        async for message in ws:
            assert message.type is WSMsgType.TEXT, "published clients send text, and so do we"
            self.frames.put_nowait(codec.open_envelope(message.data))
        return ws


AUTHENTICATED = socket.Authenticated(id="C", username="alice", address="0x0")


@asynccontextmanager
async def running() -> AsyncIterator[Stub]:
    """A server for as long as the block runs."""
    stub = Stub()
    runner = web.AppRunner(stub.app, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        stub.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield stub
    finally:
        for ws in stub.sockets:
            await ws.close(code=1001)
        await runner.cleanup()


@asynccontextmanager
async def client_of(stub: Stub, key: str = KEY) -> AsyncIterator[dreamgrid.AsyncClient]:
    """A client that reconnects and looks after its projects a hundred times as fast as usual."""
    async with dreamgrid.AsyncClient(stub.url, key) as client:
        client._tracker._tick_s = 0.02
        client._tracker.connection.backoff = Backoff(first_s=0.01, limit_s=0.05)
        yield client


async def submitted(
    stub: Stub, client: dreamgrid.AsyncClient, **settings: Any
) -> dreamgrid.Project:
    """A project that the server has taken; nothing has happened to it yet but waiting."""
    settings = {"model": MODEL, "prompt": "a red apple"} | settings
    creating = asyncio.create_task(client.projects.create(**settings))
    request = await stub.received(JobRequest)
    await stub.send(queued(request.project_id))
    return await creating


def ok(data: Any) -> web.Response:
    """An answer of the REST host."""
    return json(rest.Success(data=data))


def json(data: Any) -> web.Response:
    """An answer of the socket host."""
    return web.Response(body=msgspec.json.encode(data), content_type="application/json")


def error(status: int, code: int, message: str, **headers: str) -> web.Response:
    """An error, as every host writes it."""
    body = {"status": "error", "message": message, "errorCode": code}
    return web.json_response(body, status=status, headers=headers)


# ── frames ───────────────────────────────────────────────────────────────────────────────────────


def queued(project_id: str, position: int = 1) -> socket.JobState:
    return socket.JobState(type=socket.QUEUED, project_id=project_id, queue_position=position)


def worker_has(project_id: str, job_id: str, index: int, kind: str) -> socket.JobState:
    return socket.JobState(
        type=kind, project_id=project_id, job_id=job_id, worker_name="w1", job_index=index
    )


def initiating(project_id: str, job_id: str = JOB_A, index: int = 0) -> socket.JobState:
    return worker_has(project_id, job_id, index, socket.INITIATING)


def started(project_id: str, job_id: str = JOB_A, index: int = 0) -> socket.JobState:
    return worker_has(project_id, job_id, index, socket.STARTED)


def progress(
    project_id: str, step: int, job_id: str = JOB_A, *, has_image: bool = False
) -> heard.Progress:
    return heard.Progress(
        project_id=project_id, job_id=job_id, step=step, step_count=20, has_image=has_image
    )


def result(
    project_id: str, job_id: str = JOB_A, *, url: str | None = None, sha256: str | None = None
) -> socket.JobResult:
    return socket.JobResult(
        project_id=project_id,
        job_id=job_id,
        performed_step_count=20,
        last_seed="42",
        result_url=url,
        sha256=sha256,
    )


def completed(project_id: str) -> socket.JobState:
    return socket.JobState(type=socket.PROJECT_COMPLETED, project_id=project_id)


def failed(
    project_id: str, error: int | str, message: str, job_id: str | None = None
) -> socket.JobError:
    return socket.JobError(
        project_id=project_id,
        job_id=job_id,
        is_from_worker=False,
        error=error,
        error_message=message,
    )


def record(project_id: str, status: str, **fields: Any) -> rest.ProjectRecord:
    return rest.ProjectRecord(
        id=project_id,
        model=rest.ProjectModel(id=MODEL),
        image_count=1,
        step_count=20,
        status=status,
        finished=status in {"completed", "failed", "canceled"},
        **fields,
    )


def job_record(project_id: str, status: str, job_id: str = JOB_A, **fields: Any) -> rest.JobRecord:
    return rest.JobRecord(
        id=project_id,
        job_id=job_id,
        worker=rest.WorkerInfo(name="w1"),
        status=status,
        **{"job_index": 0} | fields,
    )
