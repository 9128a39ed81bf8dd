"""The floor: the life-cycle of a project with nothing else in it.

The least that a server in Python does when it loses nothing and charges once: typed decoding of
every message, two durable transactions a project (group commit), signed URLs, and every progress
event decoded, checked and encoded anew. No accounts, catalogue, prices, fairness, leases, retries,
cancels, reconnects or restarts. It speaks the wire of the real server, so that one load generator
drives both, and the difference between the two is what dreamgrid's own work costs.
"""

import argparse
import asyncio
import hashlib
import hmac
import queue
import sqlite3
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path

import msgspec
import uvloop
from aiohttp import WSMsgType, web

from benchmarks import machine
from dreamgrid.protocol import codec, socket
from dreamgrid.protocol.job_request import JobRequest
from dreamgrid.protocol.renders import ImageRender
from dreamgrid.protocol.worker import (
    WORKER_PATH,
    Assign,
    Finished,
    Progress,
    Started,
    Upload,
    Welcome,
)

PRICE = 10
_SCHEMA = """
CREATE TABLE project (id TEXT PRIMARY KEY, account TEXT, state INT, request BLOB,
                      created REAL, updated REAL) WITHOUT ROWID;
CREATE TABLE job (id TEXT PRIMARY KEY, project TEXT, state INT, worker TEXT,
                  updated REAL) WITHOUT ROWID;
CREATE INDEX job_open ON job (state) WHERE state < 2;
CREATE TABLE ledger (id INTEGER PRIMARY KEY, project TEXT, account TEXT, amount INT, at REAL);
CREATE TABLE balance (account TEXT PRIMARY KEY, amount INT) WITHOUT ROWID;
"""
_request = msgspec.json.Decoder(JobRequest)
_KEYED = hmac.new(b"a secret", digestmod=hashlib.sha256)


class Link:
    """One WebSocket; one task sends what was queued for it."""

    def __init__(self, ws: web.WebSocketResponse) -> None:
        self.name = f"peer-{id(self)}"
        self._ws = ws
        self._frames: list[bytes] = []
        self._ready = asyncio.Event()

    def send(self, frame: bytes) -> None:
        """Queues a frame."""
        self._frames.append(frame)
        self._ready.set()

    async def run(self) -> None:
        """Sends what is queued, until it is cancelled."""
        while True:
            await self._ready.wait()
            self._ready.clear()
            frames, self._frames = self._frames, []
            for frame in frames:
                await self._ws.send_frame(frame, WSMsgType.TEXT)


class Job:
    """A project with its one job, from the request to the result."""

    __slots__ = ("app", "raw", "request", "step", "worker")

    def __init__(self, app: Link, request: JobRequest, raw: bytes) -> None:
        self.app = app
        self.request = request
        self.raw = raw
        self.worker: Link | None = None
        self.step = 0


Write = tuple[Job, bool, Callable[[], None]]
"""A job, whether it has ended (or else was just accepted), and what to do once it is stored."""


class Writer:
    """Group commit: one thread, one transaction for everything that waits."""

    def __init__(self, path: Path, synchronous: str) -> None:
        self._path = path
        self._synchronous = synchronous
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[Write] = queue.SimpleQueue()
        threading.Thread(target=self._run, daemon=True).start()

    def write(self, job: Job, ended: bool, then: Callable[[], None]) -> None:
        """Stores the beginning or the end of a job."""
        self._queue.put((job, ended, then))

    def _run(self) -> None:
        connection = sqlite3.connect(self._path, isolation_level=None)
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        connection.execute("PRAGMA wal_autocheckpoint = 4000")
        connection.execute("PRAGMA cache_size = -65536")
        connection.executescript(_SCHEMA)
        while True:
            batch = [self._queue.get()]
            while not self._queue.empty() and len(batch) < 4000:
                batch.append(self._queue.get_nowait())
            _commit(connection, batch)
            self._loop.call_soon_threadsafe(_follow_up, batch)


def _commit(connection: sqlite3.Connection, batch: list[Write]) -> None:
    now = time.time()
    projects, jobs, ended, finished, entries = [], [], [], [], []
    balances: Counter[str] = Counter()
    for job, is_over, _ in batch:
        key, account = job.request.project_id, job.app.name
        if is_over:
            worker = job.worker.name if job.worker is not None else ""
            ended.append((2, worker, now, key))
            finished.append((2, now, key))
            moves = ((worker, PRICE), ("escrow", -PRICE))
        else:
            projects.append((key, account, 0, job.raw, now, now))
            jobs.append((key, key, 0, None, now))
            moves = ((account, -PRICE), ("escrow", PRICE))
        for owner, amount in moves:
            entries.append((key, owner, amount, now))
            balances[owner] += amount
    run = connection.executemany
    connection.execute("BEGIN IMMEDIATE")
    run("INSERT INTO project VALUES (?, ?, ?, ?, ?, ?)", projects)
    run("INSERT INTO job VALUES (?, ?, ?, ?, ?)", jobs)
    run("UPDATE job SET state = ?, worker = ?, updated = ? WHERE id = ?", ended)
    run("UPDATE project SET state = ?, updated = ? WHERE id = ?", finished)
    run("INSERT INTO ledger (project, account, amount, at) VALUES (?, ?, ?, ?)", entries)
    run(
        "INSERT INTO balance VALUES (?, ?)"
        " ON CONFLICT DO UPDATE SET amount = amount + excluded.amount",
        list(balances.items()),
    )
    connection.execute("COMMIT")


def _follow_up(batch: list[Write]) -> None:
    for _, _, then in batch:
        then()


class Floor:
    """Jobs and idle workers in memory, and what happens to them."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._jobs: dict[str, Job] = {}
        self._idle: deque[Link] = deque()
        self._waiting: deque[Job] = deque()

    def on_app(self, app: Link, frame: bytes) -> None:
        """Takes a request."""
        raw = codec.open_envelope(frame).data
        job = Job(app, _request.decode(raw), raw)
        self._jobs[job.request.project_id] = job
        self._writer.write(job, False, lambda: self._accepted(job))

    def _accepted(self, job: Job) -> None:
        project_id = job.request.project_id
        position = len(self._waiting) + 1
        _tell(job, socket.JobState(type="queued", project_id=project_id, queue_position=position))
        self._waiting.append(job)
        if self._idle:
            self.free(self._idle.popleft())

    def free(self, worker: Link) -> None:
        """Gives a worker the next job, if there is one."""
        if not self._waiting:
            self._idle.append(worker)
            return
        job = self._waiting.popleft()
        job.worker = worker
        worker.send(codec.encode_worker(_assignment(job.request)))

    def left(self, worker: Link) -> None:
        """Forgets a worker that has gone."""
        if worker in self._idle:
            self._idle.remove(worker)

    def on_worker(self, worker: Link, frame: bytes) -> None:
        """Takes a report, if it is about the job that this worker has."""
        message = codec.decode_from_worker(frame)
        if not isinstance(message, Progress | Started | Finished):
            return
        job = self._jobs.get(message.job_id)
        if job is None or job.worker is not worker:
            return
        key = message.job_id
        match message:
            case Progress():
                job.step = message.step
                _tell(
                    job,
                    socket.JobProgress(
                        project_id=key,
                        job_id=key,
                        step=message.step,
                        step_count=message.step_count,
                        has_image=message.preview_ready,
                    ),
                )
            case Started():
                _tell(job, socket.JobState(type="jobStarted", project_id=key, job_id=key))
            case Finished():
                del self._jobs[key]
                done = message
                self._writer.write(job, True, lambda: self._completed(job, worker, done))

    def _completed(self, job: Job, worker: Link, message: Finished) -> None:
        key = message.job_id
        _tell(
            job,
            socket.JobResult(
                project_id=key,
                job_id=key,
                performed_step_count=message.steps,
                last_seed=str(message.seed),
                result_url=_signed("GET", f"results/{key}/{key}-1.png"),
            ),
        )
        self.free(worker)


def _tell(job: Job, message: codec.Message) -> None:
    job.app.send(codec.encode(message))


def _assignment(request: JobRequest) -> Assign:
    wish, key = request.key_frames[0], request.project_id
    render = ImageRender(
        model=wish.model_id,
        prompt=f"{wish.positive_prompt}, {wish.style_prompt}",
        negative_prompt=wish.negative_prompt or "",
        width=int(wish.width or 512),
        height=int(wish.height or 512),
        steps=int(wish.steps or 20),
        guidance=wish.guidance_scale or 1.0,
        seed=int(wish.seed or 0),
    )
    url = _signed("PUT", f"results/{key}/{key}-1.png")
    output = Upload(url=url, content_type="image/png", max_bytes=100_000_000)
    return Assign(job_id=key, project_id=key, attempt=1, render=render, output=output)


def _signed(method: str, key: str) -> str:
    expires = int(time.time()) + 900
    mac = _KEYED.copy()
    mac.update(f"{method}\n{key}\n{expires}".encode())
    return f"http://127.0.0.1/blobs/{key}?expires={expires}&signature={mac.hexdigest()}"


async def _serve_socket(request: web.Request, floor: Floor) -> web.StreamResponse:
    ws = web.WebSocketResponse(compress=False, max_msg_size=0, decode_text=False)
    await ws.prepare(request)
    link = Link(ws)
    sender = asyncio.create_task(link.run())
    is_worker = request.path == WORKER_PATH
    if is_worker:
        await ws.receive()
        link.send(codec.encode_worker(Welcome(lease_s=3600, heartbeat_s=5)))
        floor.free(link)
    else:
        link.send(codec.encode(socket.Authenticated(id="", username=link.name, address="")))
    receive = floor.on_worker if is_worker else floor.on_app
    async for message in ws:
        if message.type is WSMsgType.TEXT:
            receive(link, message.data)
    floor.left(link)
    sender.cancel()
    return ws


async def _serve(data: Path, synchronous: str, accounts: int) -> None:
    floor = Floor(Writer(data / "floor.sqlite", synchronous))
    app = web.Application()
    app.router.add_get("/{path:.*}", lambda request: _serve_socket(request, floor))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    address = machine.Address(url=url, keys=("none",) * accounts)
    print(msgspec.json.encode(address).decode(), flush=True)
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--accounts", type=int, default=1)
    parser.add_argument("--synchronous", choices=("full", "normal"), default="full")
    given = parser.parse_args()
    machine.pin(machine.SERVER_CORE)
    uvloop.run(_serve(given.data, given.synchronous, given.accounts))


if __name__ == "__main__":
    main()
