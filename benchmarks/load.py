"""The load: apps and fake workers that cost little, on raw WebSocket frames.

One process plays both ends. Apps keep a number of projects outstanding (closed loop) or send them
at a fixed rate (open loop). A worker answers each assignment with `started`, 20 `progress` and
`finished`, each a write of its own, back to back or with pauses. Since both ends share one clock,
latencies are one-way: from the sender's write to the receiver's parsed frame.
"""

import asyncio
import functools
import os
import struct
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar, cast
from urllib.parse import urlsplit

import msgspec

from benchmarks.machine import Address
from benchmarks.request import MODEL, STEPS, new_request
from dreamgrid.protocol import codec, worker
from dreamgrid.server.blobs.keys import result_key

RESULT = b"\x89PNG\r\n\x1a\n, or so it says"

_now = time.perf_counter
_envelope = msgspec.json.Decoder(codec.Envelope)


class _About(msgspec.Struct):
    """What the load reads in a frame to an app."""

    project_id: str = msgspec.field(name="jobID", default="")
    step: int = 0
    type: str = ""


class _Order(msgspec.Struct):
    """What the load reads in a frame to a worker."""

    type: str
    project_id: str = ""
    job_id: str = ""
    attempt: int = 0


_about = msgspec.json.Decoder(_About)
_order = msgspec.json.Decoder(_Order)


@dataclass(slots=True)
class Sent:
    """A project on its way, with the times at which things were written."""

    submitted: float
    steps: int = 0
    step_at: list[float] = field(default_factory=list)
    finished: float = 0.0


class Run:
    """What apps and workers of one run share: the projects under way, and what was seen."""

    def __init__(self, *, gap_s: float = 0.0, results: str | None = None) -> None:
        self.gap_s = gap_s
        self.results = results
        self.projects: dict[str, Sent] = {}
        self.stopping = False
        self.closed_loop = False
        self.problems: list[str] = []
        self.peers: list[Peer] = []
        self.assigned: Callable[[str], None] = lambda project_id: None
        self.messages = 0
        self.completed = 0
        self.progress = 0
        self.reset()

    def close(self) -> None:
        """Ends all connections."""
        self.stopping = True
        for peer in self.peers:
            peer.close()

    def reset(self) -> None:
        """Forgets the samples of the warm-up."""
        self.accepted_s: list[float] = []
        self.assigned_s: list[float] = []
        self.progressed_s: list[float] = []
        self.delivered_s: list[float] = []


class Peer(asyncio.Protocol):
    """One WebSocket: whole frames in, frames masked with zeros out."""

    def __init__(self, run: Run, path: str, key: str) -> None:
        self.run = run
        run.peers.append(self)
        self.open: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._request = (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            f"Sec-WebSocket-Version: 13\r\napi-key: {key}\r\n\r\n"
        )
        self._buffer = b""
        self._upgraded = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asks for the upgrade."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._request.encode())

    def data_received(self, data: bytes) -> None:
        """Finds the frames."""
        data = self._buffer + data
        if not self._upgraded:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self._buffer = head
                return
            if b" 101 " not in head[:40]:
                raise ConnectionError(f"no upgrade: {head[:200]!r}")
            self._upgraded = True
            self.on_open()
        self._buffer = self._take_frames(data)

    def _take_frames(self, data: bytes) -> bytes:
        """Handles every whole frame; the bytes of the one that has not come entirely."""
        start = 0
        while len(data) - start >= 2:
            length, head = data[start + 1], 2
            if length >= 126:
                head = 4 if length == 126 else 10
                if len(data) - start < head:
                    break
                length = int.from_bytes(data[start + 2 : start + head])
            end = start + head + length
            if end > len(data):
                break
            if data[start] in (0x81, 0x82):  # text or binary
                self.on_frame(data[start + head : end])
            elif data[start] == 0x88:
                self.run.problems.append(f"closed: {data[start + head : end]!r}")
            start = end
        return data[start:]

    def connection_lost(self, error: Exception | None) -> None:
        """A broken connection spoils the run."""
        if not self.run.stopping:
            self.run.problems.append(f"connection lost: {error}")

    def send(self, payload: bytes) -> None:
        """Writes one message at once."""
        size = len(payload)
        head = bytes((0x81, 0x80 | size)) if size < 126 else struct.pack("!BBH", 0x81, 0xFE, size)
        self._transport.write(head + b"\0\0\0\0" + payload)

    def close(self) -> None:
        """Ends the connection."""
        self._transport.close()

    def on_open(self) -> None:
        """Called after the upgrade."""

    def on_frame(self, frame: bytes) -> None:
        """Called with the payload of each message."""
        raise NotImplementedError


P = TypeVar("P", bound=Peer)


class App(Peer):
    """Sends projects and counts what comes back."""

    def submit(self) -> str:
        """Sends one project; its id."""
        project_id, request = new_request()
        self.run.projects[project_id] = Sent(_now())
        self.send(request)
        return project_id

    def on_frame(self, frame: bytes) -> None:
        """Counts a message, and follows its project."""
        run = self.run
        run.messages += 1
        envelope = _envelope.decode(frame)
        match envelope.type:
            case "jobProgress":
                about = _about.decode(envelope.data)
                sent = run.projects[about.project_id]
                sent.steps += 1
                run.progressed_s.append(_now() - sent.step_at[about.step - 1])
            case "jobResult":
                self._completed(_about.decode(envelope.data).project_id)
            case "jobState":
                about = _about.decode(envelope.data)
                if about.type == "queued" and about.project_id in run.projects:
                    run.accepted_s.append(_now() - run.projects[about.project_id].submitted)
            case "authenticated":
                self.open.set_result(None)
            case "jobError" | "jobRetry" | "toastMessage":
                run.problems.append(f"{envelope.type}: {envelope.data[:300]!r}")

    def _completed(self, project_id: str) -> None:
        run = self.run
        sent = run.projects.pop(project_id)
        run.delivered_s.append(_now() - sent.finished)
        run.completed += 1
        run.progress += sent.steps
        if run.closed_loop and not run.stopping:
            self.submit()


class Worker(Peer):
    """Renders nothing, and says that it does."""

    def on_open(self) -> None:
        """Says hello."""
        hello = worker.Hello(
            protocol=worker.WORKER_PROTOCOL,
            worker_id=str(uuid.uuid4()).upper(),
            name="fake",
            version="0",
            models=(MODEL,),
        )
        self.send(codec.encode_worker(hello))

    def on_frame(self, frame: bytes) -> None:
        """Renders what it is given."""
        order = _order.decode(frame)
        match order.type:
            case "assign":
                self._assigned(order)
            case "welcome":
                self.open.set_result(None)
            case "cancel":
                self.run.problems.append(f"canceled: {order}")

    def _assigned(self, order: _Order) -> None:
        run = self.run
        run.assigned(order.project_id)
        sent = run.projects.get(order.project_id)
        if sent is None:  # somebody else's, such as the SDK's
            sent = run.projects[order.project_id] = Sent(_now())
        else:
            run.assigned_s.append(_now() - sent.submitted)
        render = self._render(order, sent)
        if run.gap_s:
            self._go_on(render)
        else:
            for _ in render:
                pass

    def _go_on(self, render: Iterator[None]) -> None:
        for _ in render:
            asyncio.get_running_loop().call_later(self.run.gap_s, self._go_on, render)
            return

    def _render(self, order: _Order, sent: Sent) -> Iterator[None]:
        """Says everything about one render, a message each turn."""
        job, attempt = order.job_id, order.attempt
        self._say(worker.Started(job_id=job, attempt=attempt))
        for step in range(1, STEPS + 1):
            yield
            sent.step_at.append(_now())
            self._say(worker.Progress(job_id=job, attempt=attempt, step=step, step_count=STEPS))
        yield
        self._deliver(order)
        sent.finished = _now()
        self._say(
            worker.Finished(
                job_id=job,
                attempt=attempt,
                seed=1,
                steps=STEPS,
                sha256="0" * 64,
                size_bytes=len(RESULT),
                render_s=0.1,
            )
        )

    def _say(self, message: worker.WorkerMessage) -> None:
        self.send(codec.encode_worker(message))

    def _deliver(self, order: _Order) -> None:
        """Puts the result straight into the server's folder: uploads are not measured here."""
        if self.run.results is not None:
            key = result_key(order.project_id, order.job_id, order.attempt, "png")
            path = f"{self.run.results}/{key}"
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(RESULT)


async def connect(run: Run, server: Address, *, apps: int, workers: int) -> tuple[App, ...]:
    """Opens the sockets, workers first, and waits until each was greeted."""
    for number in range(workers):
        key = server.keys[number % len(server.keys)]
        await _open(server, functools.partial(Worker, run, worker.WORKER_PATH, key))
    return tuple(
        [
            await _open(server, functools.partial(App, run, f"/?appId={uuid.uuid4()}", key))
            for key in server.keys[:apps]
        ]
    )


async def _open(server: Address, make: Callable[[], P]) -> P:
    address = urlsplit(server.url)
    assert address.hostname is not None
    assert address.port is not None
    loop = asyncio.get_running_loop()
    _, peer = await loop.create_connection(make, address.hostname, address.port)
    async with asyncio.timeout(10):
        await peer.open
    return peer
