"""Messages of workers that are dealt with as soon as they are read, and those that come after."""

import asyncio
import importlib
import sys
from collections.abc import Callable, Iterator

import pytest

from dreamgrid.protocol import codec
from dreamgrid.protocol.worker import (
    WORKER_PATH,
    AnyWorkerMessage,
    Draining,
    Heartbeat,
    Progress,
    WorkerMessage,
)
from dreamgrid.server import short_way
from dreamgrid.server.app_sockets import AppSession, AppSockets
from dreamgrid.server.limits import Limits
from dreamgrid.server.projects import Projects
from dreamgrid.server.short_way import ShortWay
from dreamgrid.server.worker_sockets import WorkerSockets
from dreamgrid.server.workers import WorkerSession
from tests.server.conftest import MakeGrid
from tests.support.grid import Grid
from tests.support.wire import PNG, App, hello_of, new_id

Take = Callable[[WorkerSockets, WorkerSession, bytes], bool]
Apply = Callable[[WorkerSockets, WorkerSession, AnyWorkerMessage], bool]


def frame(message: WorkerMessage) -> bytes:
    """A message as a client puts it on the wire; its mask is zero."""
    data = codec.encode_worker(message)
    return b"\x81\xfe" + len(data).to_bytes(2, "big") + bytes(4) + data


def taken(_: bytes) -> bool:
    return True


def left(_: bytes) -> bool:
    return False


def broken(_: bytes) -> bool:
    raise RuntimeError("a bug")


def test_before_anybody_is_ready_messages_go_the_usual_way() -> None:
    way = ShortWay()
    assert not way.offer(b"hello")
    way.take = taken
    assert not way.offer(b"overtakes the hello")
    way.dealt_with()
    way.dealt_with()
    assert way.offer(b"progress")


@pytest.mark.parametrize("take", [left, broken])
def test_what_follows_a_message_that_was_not_taken_waits_behind_it(
    take: Callable[[bytes], bool],
) -> None:
    way = ShortWay()
    way.take = take
    assert not way.offer(b"finished")
    way.take = taken
    assert not way.offer(b"progress")
    way.dealt_with()
    assert not way.offer(b"progress")
    way.dealt_with()
    way.dealt_with()
    assert way.offer(b"progress")


def test_what_failed_half_way_is_raised_where_the_connection_is_held() -> None:
    way = ShortWay()
    way.take = left
    way.offer(b"finished")
    way.raise_failure()
    way.dealt_with()
    way.take = broken
    assert not way.offer(b"progress")
    with pytest.raises(RuntimeError, match="a bug"):
        way.raise_failure()


def test_nothing_is_taken_from_a_connection_that_closes() -> None:
    way = ShortWay()
    way.take = taken
    way.end()
    assert not way.offer(b"progress")
    way.dealt_with()
    assert not way.offer(b"progress")


async def test_reports_take_the_short_way(grid: Grid, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the proof that aiohttp still looks inside as we think it does."""
    found: list[tuple[str, bool]] = []
    original: Take = WorkerSockets._take

    def take(sockets: WorkerSockets, session: WorkerSession, data: bytes) -> bool:
        done = original(sockets, session, data)
        found.append((data.decode().split('"')[3], done))
        return done

    monkeypatch.setattr(WorkerSockets, "_take", take)
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    job = await worker.assigned()
    await worker.start(job)
    await worker.progress(job, 1)
    await worker.progress(job, 2)
    await worker.finish(job)
    await app.wait_state("jobCompleted")
    assert found == [
        ("started", True),
        ("progress", True),
        ("progress", True),
        ("finished", True),
    ]
    assert app.told(project) == [
        "queued",
        "initiatingModel",
        "jobStarted",
        "jobProgress 1/4",
        "jobProgress 2/4",
        "jobResult",
        "jobCompleted",
    ]


async def app_that_is_listened_to(grid: Grid) -> App:
    """An app whose messages are read: what it sends right after the greeting may come before."""
    app = await grid.app()
    await app.wait_state("queued", jobID=await app.request())
    return app


async def test_requests_take_the_short_way_unless_they_bring_inputs(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its inputs have to be looked at, which may take a while."""
    found: list[bool] = []
    original: Callable[[AppSockets, AppSession, bytes], bool] = AppSockets._take

    def take(sockets: AppSockets, session: AppSession, data: bytes) -> bool:
        found.append(original(sockets, session, data))
        return found[-1]

    monkeypatch.setattr(AppSockets, "_take", take)
    app, project = await app_that_is_listened_to(grid), new_id()
    found.clear()
    asked = f"/v1/image/uploadUrl?imageId=X&jobId={project}&type=startingImage"
    async with grid.http.put((await grid.data(asked))["uploadUrl"], data=PNG) as answer:
        assert answer.status == 200
    await app.wait_state("queued", jobID=await app.request())
    assert found == [True]
    await app.request(project, hasStartingImage=True, strength=0.5)
    await app.wait_state("queued", jobID=project)
    assert found == [True, False]


async def test_a_request_that_the_server_fails_at_ends_its_connection(
    grid: Grid, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(projects: Projects, *asked: object) -> None:
        raise RuntimeError("a bug in the middle")

    app = await app_that_is_listened_to(grid)
    monkeypatch.setattr(Projects, "submit_at_once", fail)
    await app.request()
    assert await app.closed() == 1011
    assert "a bug in the middle" in caplog.text


@pytest.mark.parametrize("kind", [Progress, Heartbeat])
async def test_a_report_that_the_server_fails_at_is_counted_and_dealt_with_once(
    grid: Grid,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kind: type[WorkerMessage],
) -> None:
    """And it ends the connection as any failure does: told to both sides."""
    tried: list[WorkerMessage] = []
    counted: list[str] = []
    apply: Apply = WorkerSockets._apply
    may_send = Limits.may_send

    def fail(sockets: WorkerSockets, session: WorkerSession, message: AnyWorkerMessage) -> bool:
        tried.append(message)
        if isinstance(message, kind):
            raise RuntimeError("a bug in the middle")
        return apply(sockets, session, message)

    def count(limits: Limits, worker_id: str, size_bytes: int) -> bool:
        counted.append("at once")
        return may_send(limits, worker_id, size_bytes)

    def wait(limits: Limits, worker_id: str, size_bytes: int) -> float:
        counted.append("later")
        return 0.0

    worker = await grid.worker()
    monkeypatch.setattr(WorkerSockets, "_apply", fail)
    monkeypatch.setattr(Limits, "may_send", count)
    monkeypatch.setattr(Limits, "worker_message", wait)
    progress = Progress(job_id="j", attempt=1, step=1, step_count=4)
    failing = progress if kind is Progress else Heartbeat()
    await worker.send(failing)
    await worker.send(progress)
    assert await worker.closed() == 1011
    assert tried == [failing]
    assert counted == ["at once"]
    assert "a bug in the middle" in caplog.text
    await grid.without_workers()


async def test_a_message_that_cannot_be_read_is_refused_on_the_usual_way(grid: Grid) -> None:
    worker = await grid.worker()
    await worker.ws.send_str("nonsense")
    assert await worker.closed() == 4400


async def test_what_comes_together_with_the_upgrade_is_neither_lost_nor_overtaken(
    grid: Grid,
) -> None:
    """A hello and the half of a report are here before anybody can stand in their way."""
    host, port = grid.url.removeprefix("http://").split(":")
    asks = [
        f"GET {WORKER_PATH} HTTP/1.1",
        f"Host: {host}",
        f"api-key: {grid.key}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    ]
    first, second = (frame(Draining(reason=reason)) for reason in ("first", "second"))
    upgrade = "\r\n".join([*asks, "", ""]).encode()
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(upgrade + frame(hello_of()) + first[:-3])
    await grid.ticked_until(lambda: bool(grid.sessions))
    (session,) = grid.sessions
    assert not session.draining
    writer.write(first[-3:])
    await grid.ticked_until(lambda: session.rests_because == "first")
    writer.write(second)
    await grid.ticked_until(lambda: session.rests_because == "second")
    writer.close()
    await writer.wait_closed()
    await grid.without_workers()


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An aiohttp that keeps its insides somewhere else."""
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "aiohttp._websocket.reader", None)
        patch.delitem(sys.modules, "dreamgrid.server.inlet")
        importlib.reload(short_way)
        yield
    importlib.reload(short_way)
    assert short_way.NO_SHORT_WAY is None


async def test_with_another_aiohttp_all_reports_go_the_usual_way(
    elsewhere: None,
    make_grid: MakeGrid,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def take(sockets: WorkerSockets, session: WorkerSession, data: bytes) -> bool:
        raise AssertionError("nothing is offered")

    monkeypatch.setattr(WorkerSockets, "_take", take)
    async with make_grid() as grid:
        app, (one, two) = await grid.app(), [await grid.worker(name) for name in ("w1", "w2")]
        await two.leave()
        project = await app.request()
        job = await one.assigned()
        await one.start(job)
        await one.progress(job, 1)
        await one.finish(job)
        await app.wait_state("jobCompleted")
        assert app.told(project)[2:] == [
            "jobStarted",
            "jobProgress 1/4",
            "jobResult",
            "jobCompleted",
        ]
    (told,) = [line for line in caplog.messages if "reports of workers cost more" in line]
    assert "aiohttp._websocket.reader" in told
