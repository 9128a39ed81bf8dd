"""A worker over the real worker protocol that renders nothing and does what a test tells it."""

import asyncio
import hashlib
import uuid
from contextlib import suppress
from dataclasses import replace
from typing import Literal

import aiohttp
import msgspec

from dreamgrid.protocol import codec
from dreamgrid.protocol.params import Network
from dreamgrid.protocol.renders import AnyRender
from dreamgrid.protocol.worker import (
    WORKER_PATH,
    WORKER_PROTOCOL,
    Assign,
    Cancel,
    Failed,
    Finished,
    Heartbeat,
    Hello,
    Progress,
    Released,
    RunningJob,
    Settled,
    Started,
    Upload,
    Welcome,
    WorkerMessage,
)
from dreamgrid.testing.behaviour import Behaviour
from dreamgrid.testing.clock import ManualClock
from dreamgrid.testing.files import stored, tiny_file

STEPS_TOLD = 4
_FORBIDDEN, _SERVER_ERROR = 403, 500
_UPLOAD_AGAIN_S = 0.05


class ScriptedWorker:
    """One worker of a test's grid; `Grid.worker` makes them.

    Attributes:
        name: As apps see it.
        behaviour: What it does; a test may change it at any time.
        renders: What it was asked to make, in order: prompts, sizes, steps as they arrive here.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        clock: ManualClock,
        *,
        name: str,
        models: tuple[str, ...],
        slots: int,
        network: Network,
        behaviour: Behaviour,
    ) -> None:
        self.name = name
        self.behaviour = behaviour
        self.renders: list[AnyRender] = []
        self._http = http
        self._clock = clock
        self._id = str(uuid.uuid4()).upper()
        self._models = models
        self._slots = slots
        self._network = network
        self._held: dict[str, Assign] = {}
        self._outcomes: dict[str, WorkerMessage] = {}
        self._rendering: dict[str, asyncio.Task[None]] = {}
        self._fences: dict[str, asyncio.Future[None]] = {}
        self._silent = False
        self._fell_silent = asyncio.Event()
        self._crashed = asyncio.Event()
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._reader: asyncio.Task[None] | None = None
        self._welcomed = asyncio.Event()

    # ── its connection ───────────────────────────────────────────────────────────────────────────

    async def connect(self, url: str, key: str) -> None:
        """Dials the server, names what it still holds, and reports what is not settled."""
        self._welcomed.clear()
        self._silent = False
        self._socket = await self._http.ws_connect(f"{url}{WORKER_PATH}", headers={"api-key": key})
        hello = Hello(
            protocol=WORKER_PROTOCOL,
            worker_id=self._id,
            name=self.name,
            version="testing",
            models=self._models,
            slots=self._slots,
            network=self._network,
            running=tuple(
                RunningJob(job_id=job.job_id, attempt=job.attempt) for job in self._held.values()
            ),
        )
        await self._say(hello)
        self._reader = asyncio.create_task(self._read(self._socket), name=f"{self.name} reads")
        await self._welcomed.wait()  # or cut off
        for outcome in list(self._outcomes.values()):
            await self._say(outcome)

    @property
    def cut_off(self) -> bool:
        """Whether its connection has ended although it neither left nor crashed."""
        return self._socket is not None and self._socket.closed and not self._silent

    @property
    def state(self) -> Literal["connected", "silent", "away"]:
        """Whether it is there."""
        if self._socket is None or self._socket.closed:
            return "away"
        return "silent" if self._silent else "connected"

    async def leave(self) -> None:
        """Ends its connection; what it holds is taken from it when the lease ends."""
        if self._socket is not None:
            await self._socket.close()
        await self._ended()

    async def crash(self) -> None:
        """Its connection ends without a word, and it forgets what it held."""
        for task in list(self._rendering.values()):
            if task is not asyncio.current_task():
                task.cancel()
        self._held.clear()
        self._outcomes.clear()
        if self._socket is not None and self._socket._writer.transport is not None:
            self._socket._writer.transport.abort()
        await self._ended()
        self._crashed.set()

    async def _ended(self) -> None:
        reader, self._reader, self._socket = self._reader, None, None
        if reader is not None and reader is not asyncio.current_task():
            await asyncio.wait([reader])

    async def fell_silent(self) -> None:
        """Returns once it has fallen silent, as its behaviour says."""
        await self._fell_silent.wait()

    async def crashed(self) -> None:
        """Returns once it has crashed, as its behaviour says."""
        await self._crashed.wait()

    async def beat(self) -> None:
        """Says that it lives, and returns when the server has heard it; a silent one does not."""
        if self._socket is None or self._socket.closed or self._silent:
            return
        await self._say(Heartbeat())
        # The server answers reports in order, also one about a job that it does not know.
        fence = f"fence {uuid.uuid4()}"
        answered = self._fences[fence] = asyncio.get_running_loop().create_future()
        await self._say(_finished(fence, 1, b"", 0))
        await answered

    async def _say(self, message: WorkerMessage) -> None:
        if self._silent or self._socket is None or self._socket.closed:
            return
        times = 2 if self.behaviour.does == "repeat" and not isinstance(message, Hello) else 1
        with suppress(ConnectionError, aiohttp.ClientError):  # cut off; said again if it matters
            for _ in range(times):
                await self._socket.send_str(codec.encode_worker(message).decode())

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        try:
            async for message in socket:
                self._hear(message.data)
        finally:
            for fence in self._fences.values():
                if not fence.done():
                    fence.set_result(None)
            self._fences.clear()
            self._welcomed.set()

    def _hear(self, data: str) -> None:
        message = codec.decode_from_server(data)
        match message:
            case Welcome():
                self._welcomed.set()
            case Assign():
                self._take(message)
            case Settled() if message.job_id in self._fences:
                self._fences.pop(message.job_id).set_result(None)
            case Settled() | Cancel():
                held = self._held.get(message.job_id)
                if held is not None and held.attempt == message.attempt:
                    self._forget(message.job_id)

    def _forget(self, job_id: str) -> None:
        self._held.pop(job_id, None)
        self._outcomes.pop(job_id, None)
        task = self._rendering.pop(job_id, None)
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    # ── its work ─────────────────────────────────────────────────────────────────────────────────

    def _take(self, job: Assign) -> None:
        self._held[job.job_id] = job
        self.renders.append(job.render)
        behaviour = self.behaviour
        if behaviour.times is not None:
            left = behaviour.times - 1
            self.behaviour = replace(behaviour, times=left) if left > 0 else Behaviour()
        work = asyncio.create_task(self._render(job, behaviour), name=f"{self.name} renders")
        self._rendering[job.job_id] = work

    async def _render(self, job: Assign, behaviour: Behaviour) -> None:
        began_s = self._clock()
        await self._say(Started(job_id=job.job_id, attempt=job.attempt))
        for step in range(1, STEPS_TOLD + 1):
            await self._clock.wait_until(began_s + behaviour.render_s * step / STEPS_TOLD)
            if step == STEPS_TOLD:
                break
            if job.preview is not None:
                await self._put(job.preview, stored("jpg"))
            told = Progress(
                job_id=job.job_id,
                attempt=job.attempt,
                step=step,
                step_count=STEPS_TOLD,
                preview_ready=job.preview is not None,
            )
            await self._say(told)
        await self._end(job, behaviour)

    async def _end(self, job: Assign, behaviour: Behaviour) -> None:
        match behaviour.does:
            case "fall_silent":
                self._silent = True
                self._fell_silent.set()
            case "crash":
                await self.crash()
                return
            case "hand_back":
                self._forget(job.job_id)
                await self._say(Released(job_id=job.job_id, attempt=job.attempt))
                return
        outcome = await self._outcome(job, behaviour)
        self._outcomes[job.job_id] = outcome
        await self._say(outcome)

    async def _outcome(self, job: Assign, behaviour: Behaviour) -> WorkerMessage:
        if behaviour.does in ("fail", "run_out_of_memory"):
            error = "generation_failed" if behaviour.does == "fail" else "out_of_memory"
            return Failed(
                job_id=job.job_id,
                attempt=job.attempt,
                error=error,
                message=f"this worker was told to {behaviour.does.replace('_', ' ')}",
                retryable=behaviour.retryable,
            )
        data = tiny_file(job.render)
        objects = behaviour.does == "object"
        if not objects or job.deliver_sensitive:
            await self._put(job.output, data[:-1] if behaviour.does == "lie" else data)
        report = _finished(job.job_id, job.attempt, data, job.render.steps, sensitive=objects)
        return msgspec.structs.replace(report, render_s=behaviour.render_s or report.render_s)

    async def _put(self, where: Upload, data: bytes) -> None:
        """Uploads a file; again and again while there is no server, as after it was killed."""
        headers = {"Content-Type": where.content_type}
        while True:
            try:
                async with self._http.put(where.url, data=data, headers=headers) as answer:
                    if answer.status == _FORBIDDEN:
                        return  # this attempt is over; the report will be told so
                    if answer.status < _SERVER_ERROR:
                        answer.raise_for_status()
                        return
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(_UPLOAD_AGAIN_S)


def _finished(
    job_id: str, attempt: int, data: bytes, steps: int, *, sensitive: bool = False
) -> Finished:
    return Finished(
        job_id=job_id,
        attempt=attempt,
        seed=7,
        steps=steps,
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
        render_s=0.1,
        sensitive=("image",) if sensitive else (),
    )
