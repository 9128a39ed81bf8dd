"""Messages of workers that are dealt with as soon as they are read, and those that come after."""

from collections.abc import Callable

import pytest

from dreamgrid.server.short_way import ShortWay
from dreamgrid.server.worker_sockets import WorkerSockets
from dreamgrid.server.workers import WorkerSession
from tests.support.grid import Grid

Take = Callable[[WorkerSockets, WorkerSession, bytes], bool]


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


async def test_progress_takes_the_short_way_and_results_do_not(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
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
        ("finished", False),
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
