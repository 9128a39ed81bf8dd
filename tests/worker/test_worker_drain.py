"""An orderly end: what a stopped, canceled or drained worker does with its jobs."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from dreamgrid.protocol.worker import Drain, Draining, Failed, Finished, Progress, Released
from dreamgrid.worker import events
from tests.support.real_servers import free_port
from tests.worker.gate import Gate
from tests.worker.server_room import (
    RunningWorker,
    ServerRoom,
    config_of,
    running_worker,
)


@pytest.fixture
async def room() -> AsyncIterator[ServerRoom]:
    async with ServerRoom().open() as room:
        yield room


@pytest.fixture
async def worker(room: ServerRoom, tmp_path: Path) -> AsyncIterator[RunningWorker]:
    config = config_of(room.url, tmp_path / "data", slots=2, drain_grace_s=0.05)
    async with running_worker(config) as worker:
        yield worker


async def test_a_stopped_worker_hands_back_what_it_cannot_finish(
    room: ServerRoom, worker: RunningWorker
) -> None:
    room.held["slow"] = asyncio.Event()
    line = await room.line()
    await line.send(room.assign("1", "endless"))
    await line.send(room.assign("2", inputs=("slow",)))
    await line.expect(Progress, "1")
    await room.arrival("GET slow")
    worker.stop.set()
    await line.expect(Draining)
    assert (await line.expect(Released)).job_id == "2"  # at once: it has not begun
    assert (await line.expect(Released)).job_id == "1"  # after the grace period
    await worker.ended()
    assert not any(isinstance(message, Failed) for message in line.seen)
    assert [type(e) for e in worker.told if isinstance(e, events.JobReleased)]


async def test_a_stopped_worker_finishes_what_it_can(room: ServerRoom, tmp_path: Path) -> None:
    config = config_of(room.url, tmp_path / "data", drain_grace_s=60.0)
    gate = Gate(tmp_path)
    async with running_worker(config) as worker:
        line = await room.line()
        await line.send(room.assign("1", gate.prompt))
        await line.expect(Progress)
        worker.stop.set()
        await line.expect(Draining)
        await line.send(room.assign("2"))
        assert (await line.expect(Released)).job_id == "2"
        await gate.open()
        await line.expect(Finished, "1")
        await worker.ended()


async def test_stopping_leaves_nothing_behind_and_waits_for_no_deaf_engine(
    room: ServerRoom, tmp_path: Path
) -> None:
    before = asyncio.all_tasks()
    config = config_of(room.url, tmp_path)  # the default grace period
    async with running_worker(config) as worker:
        line = await room.line()
        await line.send(room.assign("1", "deaf"))
        await line.expect(Progress)
        worker.stop.set()
        await worker.ended()
        left = {task for task in asyncio.all_tasks() - before if "worker" in repr(task.get_coro())}
        assert left == set()


async def test_canceling_the_worker_ends_its_engine_too(room: ServerRoom, tmp_path: Path) -> None:
    async with running_worker(config_of(room.url, tmp_path)) as worker:
        line = await room.line()
        await line.send(room.assign("1", "deaf"))
        await line.expect(Progress)
        children = psutil.Process().children()
        engine = [child for child in children if "dreamgrid.worker.child" in child.cmdline()]
        worker.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await worker.ended()
        assert [child.is_running() for child in engine] == [False]


async def test_a_worker_that_never_reached_its_server_stops_too(tmp_path: Path) -> None:
    config = config_of(f"http://127.0.0.1:{free_port()}", tmp_path)
    async with running_worker(config) as worker:
        await worker.event(events.Disconnected)
        worker.stop.set()
        await worker.ended()


async def test_a_drain_of_the_server_lasts_until_the_next_connection(
    room: ServerRoom, worker: RunningWorker, tmp_path: Path
) -> None:
    gate = Gate(tmp_path)
    line = await room.line()
    await line.send(room.assign("1", gate.prompt))
    await line.expect(Progress)
    await line.send(Drain())
    await line.expect(Draining)
    await line.send(room.assign("2"))
    assert (await line.expect(Released)).job_id == "2"
    await gate.open()
    await line.expect(Finished, "1")
    await line.close(1001)
    line = await room.line()
    await line.send(room.assign("2", attempt=2))
    await line.expect(Finished, "2")
