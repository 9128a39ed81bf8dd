"""Raw peers of a server over real sockets: an app, and a worker that does what a test says."""

import asyncio
import base64
import hashlib
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp

from dreamgrid.protocol import codec, worker
from dreamgrid.protocol.params import Network
from dreamgrid.protocol.worker import (
    WORKER_PROTOCOL,
    Assign,
    Failed,
    Finished,
    Hello,
    MeasuredSpeed,
    Progress,
    RunningJob,
    Settled,
    Started,
    Welcome,
)

PATIENCE_S = 60.0
"""How long a test waits for what must come, on a machine that has other things to do."""

PNG = b"\x89PNG\r\n\x1a\n" + b"a small picture"
CANCELED = {"error": "artistCanceled", "error_message": "artistCanceled", "isFromWorker": False}

M = TypeVar("M", bound=worker.ServerMessage)


def new_id() -> str:
    """A project id as apps mint them."""
    return str(uuid.uuid4()).upper()


@dataclass(frozen=True)
class Frame:
    """One message to an app, opened."""

    type: str
    payload: Any

    def __getitem__(self, field: str) -> Any:
        return self.payload[field]

    @property
    def short(self) -> str:
        """What it says, in a word: `queued`, `jobProgress 3/8`, `jobError`, ..."""
        if self.type == "jobState":
            return str(self.payload["type"])
        if self.type == "jobProgress":
            return f"{self.type} {self.payload['step']}/{self.payload['stepCount']}"
        return self.type

    def has(self, fields: dict[str, Any]) -> bool:
        """Whether the payload is a map with these values."""
        return isinstance(self.payload, dict) and fields.items() <= self.payload.items()


def opened(message: aiohttp.WSMessage) -> Frame:
    """A frame of the server, held to the rules of the envelope."""
    assert message.type is aiohttp.WSMsgType.BINARY, "browsers fail on text frames"
    envelope = json.loads(message.data)
    assert sorted(envelope) == ["data", "type"]
    payload = json.loads(base64.b64decode(envelope["data"], validate=True))
    assert payload is not None, "clients drop empty payloads"
    return Frame(envelope["type"], payload)


class App:
    """An app on a raw socket. Everything that the server sends is kept in `frames`."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws
        self.frames: list[Frame] = []
        self._read = 0
        self._came = asyncio.Event()
        self._reader = asyncio.create_task(self._collect())

    async def _collect(self) -> None:
        try:
            async for message in self.ws:
                self.frames.append(opened(message))
                self._came.set()
        finally:
            self._came.set()

    # ── to the server ────────────────────────────────────────────────────────────────────────────

    async def send(self, kind: str, payload: Any) -> None:
        """Sends a message as clients do: a text frame."""
        await self.ws.send_str(codec.encode_raw(kind, payload).decode())

    async def request(self, project_id: str | None = None, **fields: Any) -> str:
        """Asks for a project of the test pattern; returns its id."""
        project_id = project_id or new_id()
        await self.send("jobRequest", job_request(project_id, **fields))
        return project_id

    async def cancel(self, project_id: str) -> None:
        """Cancels a project; returns when the server has confirmed it."""
        await self.send("jobError", {"jobID": project_id, **CANCELED})
        answer = await self.wait_for("artistCancelConfirmation", jobID=project_id)
        assert answer["didCancel"] is True

    # ── from the server ──────────────────────────────────────────────────────────────────────────

    async def wait_for(self, kind: str, /, **fields: Any) -> Frame:
        """The next frame of this kind whose payload has these values; skips all before it."""
        return await self.wait_until(lambda frame: frame.type == kind and frame.has(fields), kind)

    async def wait_state(self, state: str, /, **fields: Any) -> Frame:
        """The next `jobState` of this type."""
        return await self.wait_for("jobState", type=state, **fields)

    async def wait_until(self, wanted: Callable[[Frame], bool], what: str) -> Frame:
        """The next frame that is wanted; skips all before it."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    while self._read < len(self.frames):
                        frame = self.frames[self._read]
                        self._read += 1
                        if wanted(frame):
                            return frame
                    assert not self._reader.done(), self._ending()
                    self._came.clear()
                    await self._came.wait()
        except TimeoutError:
            raise AssertionError(f"no {what} came; {self._tail()}") from None

    def _ending(self) -> str:
        error = self._reader.exception()
        return f"the connection ended ({self.ws.close_code}, {error!r}); {self._tail()}"

    def _tail(self) -> str:
        return "the last frames: " + "; ".join(map(repr, self.frames[-8:]))

    async def fence(self) -> None:
        """Returns when the server has dealt with everything sent so far and its frames are here."""
        try:
            await self.send("setSocketEventSubscriptions", {})
        except ConnectionError:
            await asyncio.wait([self._reader])
            raise AssertionError(self._ending()) from None
        await self.wait_for("socketEventSubscriptionsUpdated")

    def about(self, project_id: str) -> list[Frame]:
        """Every frame about a project that has come, oldest first."""
        return [frame for frame in self.frames if frame.has({"jobID": project_id})]

    def told(self, project_id: str) -> list[str]:
        """The same, each in a word."""
        return [frame.short for frame in self.about(project_id)]

    async def closed(self) -> int:
        """The code with which the server ends the connection."""
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.wait([self._reader])
        self._reader.result()
        assert self.ws.close_code is not None
        return self.ws.close_code

    async def leave(self) -> None:
        """Closes the connection."""
        await self.ws.close()
        await asyncio.wait([self._reader])

    async def drop(self) -> None:
        """Ends the connection without a word, as a lost network does."""
        await drop(self.ws)
        await asyncio.wait([self._reader])


async def drop(ws: aiohttp.ClientWebSocketResponse) -> None:
    """Cuts a connection off without a closing handshake."""
    transport = ws._writer.transport
    assert transport is not None
    transport.abort()


def job_request(project_id: str, **fields: Any) -> dict[str, Any]:
    """A job request with a small, cheap picture; fields go where they belong."""
    top = {
        "numberOfImages",
        "previews",
        "tokenType",
        "outputFormat",
        "network",
        "jobID",
        "disableSafety",
        "appSource",
        "workers",
        "preferredWorkers",
        "skipWorkers",
    }
    frame = {
        "modelID": "pattern-v1",
        "positivePrompt": "a cat",
        "steps": 4,
        "sizePreset": "custom",
        "width": 64,
        "height": 64,
    }
    request: dict[str, Any] = {"jobID": project_id, "numberOfImages": 1}
    for name, value in fields.items():
        (request if name in top else frame)[name] = value
    return request | {"keyFrames": [frame]}


class Worker:
    """A worker that does nothing by itself."""

    def __init__(
        self, ws: aiohttp.ClientWebSocketResponse, http: aiohttp.ClientSession, hello: Hello
    ) -> None:
        self.ws = ws
        self.hello = hello
        self._http = http
        self.received: list[worker.AnyServerMessage] = []
        self._read = 0
        self._came = asyncio.Event()
        self._reader = asyncio.create_task(self._collect())

    async def _collect(self) -> None:
        try:
            async for message in self.ws:
                assert message.type is aiohttp.WSMsgType.TEXT
                self.received.append(codec.decode_from_server(message.data))
                self._came.set()
        finally:
            self._came.set()

    async def send(self, message: worker.WorkerMessage) -> None:
        await self.ws.send_str(codec.encode_worker(message).decode())

    async def expect(self, kind: type[M]) -> M:
        """The next message, which must be of this kind."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while self._read == len(self.received):
                    assert not self._reader.done(), f"the server closed: {self.ws.close_code}"
                    self._came.clear()
                    await self._came.wait()
        except TimeoutError:
            raise AssertionError(f"no {kind.__name__} came; so far: {self.received}") from None
        message = self.received[self._read]
        self._read += 1
        assert isinstance(message, kind), f"expected {kind.__name__}, got {message}"
        return message

    async def expect_settled(self, job: Assign) -> None:
        """The next message: the outcome of this job is stored."""
        settled = await self.expect(Settled)
        assert (settled.job_id, settled.attempt) == (job.job_id, job.attempt)
        assert settled.accepted

    async def assigned(self) -> Assign:
        """The next job."""
        return await self.expect(Assign)

    async def fence(self) -> None:
        """Returns when the server has dealt with everything sent so far.

        Asks about a job that does not exist, and fails if anything else came before the answer.
        """
        job_id = f"fence {new_id()}"
        await self.send(finished(job_id, 1, b""))
        answer = await self.expect(Settled)
        assert (answer.job_id, answer.accepted) == (job_id, False)

    async def start(self, job: Assign) -> None:
        await self.send(Started(job_id=job.job_id, attempt=job.attempt))

    async def progress(self, job: Assign, step: int, *, preview_ready: bool = False) -> None:
        await self.send(
            Progress(
                job_id=job.job_id,
                attempt=job.attempt,
                step=step,
                step_count=job.render.steps,
                preview_ready=preview_ready,
            )
        )

    async def upload(self, job: Assign, data: bytes = PNG) -> None:
        """Puts the result where the assignment says."""
        await self._put(job.output, data)

    async def upload_late(self, job: Assign, data: bytes = PNG) -> None:
        """Tries to put the result of an attempt that is over."""
        assert await self.try_upload(job, data) == 403

    async def try_upload(self, job: Assign, data: bytes = PNG) -> int:
        """Puts the result where the assignment says, if that may still be; the answer's status."""
        headers = {"Content-Type": job.output.content_type}
        async with self._http.put(job.output.url, data=data, headers=headers) as answer:
            await answer.read()
            return answer.status

    async def upload_preview(self, job: Assign, data: bytes = b"\xff\xd8\xff preview") -> None:
        assert job.preview is not None
        await self._put(job.preview, data)

    async def upload_last_frame(self, job: Assign, data: bytes) -> None:
        assert job.last_frame is not None
        await self._put(job.last_frame, data)

    async def _put(self, where: worker.Upload, data: bytes) -> None:
        headers = {"Content-Type": where.content_type}
        async with self._http.put(where.url, data=data, headers=headers) as answer:
            assert answer.status == 200, await answer.text()

    async def finish(self, job: Assign, data: bytes = PNG) -> None:
        """Uploads a result and reports it; returns when the server has stored that."""
        await self.upload(job, data)
        await self.send(finished(job.job_id, job.attempt, data, seed=job.render.seed))
        await self.expect_settled(job)

    async def fail(self, job: Assign, *, retryable: bool = True) -> None:
        """Gives a job up; returns when that is stored."""
        await self.give_up(job, retryable=retryable)
        await self.expect_settled(job)

    async def give_up(self, job: Assign, *, retryable: bool = True) -> None:
        """Says that there will be no result, and does not wait for an answer."""
        await self.send(
            Failed(
                job_id=job.job_id,
                attempt=job.attempt,
                error="out_of_memory",
                message="the picture is too large for this device",
                retryable=retryable,
            )
        )

    async def closed(self) -> int:
        """The code with which the server ends the connection."""
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.wait([self._reader])
        self._reader.result()
        assert self.ws.close_code is not None
        return self.ws.close_code

    async def leave(self) -> None:
        await self.ws.close()
        await asyncio.wait([self._reader])

    async def drop(self) -> None:
        """Ends the connection without a word."""
        await drop(self.ws)
        await asyncio.wait([self._reader])


def hello_of(
    name: str = "w1",
    *,
    models: tuple[str, ...] = ("pattern-v1",),
    slots: int = 1,
    network: Network = "fast",
    worker_id: str | None = None,
    running: tuple[RunningJob, ...] = (),
    protocol: int = WORKER_PROTOCOL,
    speeds: tuple[MeasuredSpeed, ...] = (),
) -> Hello:
    """The first message of a worker."""
    return Hello(
        protocol=protocol,
        worker_id=worker_id or new_id(),
        name=name,
        version="0.0.0",
        models=models,
        slots=slots,
        network=network,
        running=running,
        speeds=speeds,
    )


def finished(job_id: str, attempt: int, data: bytes, *, seed: int = 7) -> Finished:
    """The report of a result."""
    return Finished(
        job_id=job_id,
        attempt=attempt,
        seed=seed,
        steps=4,
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
        render_s=0.1,
    )


async def welcomed(peer: Worker) -> Worker:
    """A worker that the server has taken in."""
    await peer.expect(Welcome)
    return peer
