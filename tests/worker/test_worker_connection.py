"""The line to the server: joining, losing it, coming back, and the three ends."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import dreamgrid.errors
from dreamgrid.errors import AuthenticationFailed, DreamgridError, ProtocolError, WorkerReplaced
from dreamgrid.protocol.worker import (
    WORKER_PROTOCOL,
    Cancel,
    Failed,
    Finished,
    Heartbeat,
    Progress,
    Released,
    RunningJob,
    Settled,
    Started,
)
from dreamgrid.worker import events
from tests.support.real_servers import free_port
from tests.worker import puppet_engine
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


async def test_hello_says_who_the_worker_is_and_what_it_serves(
    room: ServerRoom, tmp_path: Path
) -> None:
    room.unknown_models = ("puppet-v2",)
    config = config_of(room.url, tmp_path, slots=3, network="relaxed")
    async with running_worker(config) as worker:
        hello = (await room.line()).hello
        joined = await worker.event(events.Joined)
    assert (hello.protocol, hello.name, hello.slots) == (WORKER_PROTOCOL, "Ada's worker", 3)
    assert (hello.models, hello.network) == (puppet_engine.MODELS, "relaxed")
    assert hello.running == ()
    assert hello.device.memory_bytes > 0
    assert joined.worker_id == hello.worker_id == (tmp_path / "worker_id").read_text().strip()
    assert joined.models == ("puppet-v1", "unloadable-v1")
    assert joined.unknown_models == ("puppet-v2",)
    assert worker.readied == [joined]


async def test_a_worker_without_a_name_gets_one_from_its_id(
    room: ServerRoom, tmp_path: Path
) -> None:
    async with running_worker(config_of(room.url, tmp_path, name="")):
        hello = (await room.line()).hello
    assert hello.name == f"worker-{hello.worker_id[:6].lower()}"


async def test_heartbeats_come_as_often_as_the_welcome_says(
    room: ServerRoom, tmp_path: Path
) -> None:
    room.heartbeat_s = 0.02
    async with running_worker(config_of(room.url, tmp_path)):
        line = await room.line()
        for _ in range(3):
            await line.expect(Heartbeat)


async def test_an_unsettled_outcome_is_sent_again_until_it_is_settled(
    room: ServerRoom, worker: RunningWorker
) -> None:
    room.settles = False
    first = await room.line()
    await first.send(room.assign("1"))
    finished = await first.expect(Finished)
    await first.send(room.assign("2", "bug"))
    failed = await first.expect(Failed)
    first.cut()
    second = await room.line()
    assert set(second.hello.running) == {
        RunningJob(job_id="1", attempt=1),
        RunningJob(job_id="2", attempt=1),
    }
    assert await second.expect(Finished) == finished
    assert await second.expect(Failed) == failed
    await second.send(Settled(job_id="1", attempt=1))
    await second.send(Settled(job_id="2", attempt=1, accepted=False))
    await second.send(room.assign("3"))  # answered after what was said before it
    await second.expect(Finished, "3")
    await second.send(Settled(job_id="3", attempt=1))
    await second.send(room.assign("4", "endless"))
    await second.expect(Started, "4")
    second.cut()
    third = await room.line()
    assert third.hello.running == (RunningJob(job_id="4", attempt=1),)


async def test_an_outcome_that_the_server_cancels_is_forgotten(
    room: ServerRoom, worker: RunningWorker
) -> None:
    room.settles = False
    first = await room.line()
    await first.send(room.assign("1"))
    await first.expect(Finished)
    await first.send(Cancel(job_id="1", attempt=1))
    await first.send(room.assign("2", "endless"))
    await first.expect(Started, "2")
    first.cut()
    assert (await room.line()).hello.running == (RunningJob(job_id="2", attempt=1),)


async def test_a_render_goes_on_while_the_connection_is_gone(
    room: ServerRoom, worker: RunningWorker, tmp_path: Path
) -> None:
    gate = Gate(tmp_path)
    first = await room.line()
    await first.send(room.assign("1", gate.prompt))
    await first.expect(Progress)
    first.cut()
    lost = await worker.event(events.Disconnected)
    assert 0 < lost.retry_in_s <= 0.02
    second = await room.line()
    assert second.hello.running == (RunningJob(job_id="1", attempt=1),)
    await second.expect(Started)  # told again: the first one may be lost
    await gate.open()
    await second.expect(Finished)
    assert worker.readied == [e for e in worker.told if isinstance(e, events.Joined)][:1]


async def test_a_job_that_the_server_gave_away_meanwhile_can_be_canceled_after_hello(
    room: ServerRoom, worker: RunningWorker
) -> None:
    first = await room.line()
    await first.send(room.assign("1", "endless"))
    await first.expect(Progress)
    first.cut()
    second = await room.line()
    await second.send(Cancel(job_id="1", attempt=1))
    await worker.event(events.JobCanceled)
    await second.send(room.assign("1", attempt=2))
    assert (await second.expect(Finished)).attempt == 2


async def test_the_worker_waits_for_a_server_that_is_not_there_yet(tmp_path: Path) -> None:
    port = free_port()
    async with running_worker(config_of(f"http://127.0.0.1:{port}", tmp_path)) as worker:
        lost = await worker.event(events.Disconnected)
        assert lost.reason == f"cannot reach http://127.0.0.1:{port}: nobody listens there"
        assert worker.readied == []
        async with ServerRoom().open(port) as room:
            await room.line()
            await worker.event(events.Joined)
            worker.stop.set()
            await worker.ended()


async def test_a_server_that_hangs_up_on_plain_http_may_speak_tls(tmp_path: Path) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with running_worker(config_of(f"http://127.0.0.1:{port}", tmp_path)) as worker:
            lost = await worker.event(events.Disconnected)
            assert lost.reason.endswith("write https:// if it speaks TLS")


async def test_the_pause_between_two_tries_doubles_up_to_its_limit(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    config = config_of(url, tmp_path, reconnect_min_s=0.01, reconnect_max_s=0.05)
    async with running_worker(config) as worker:
        pauses = [(await worker.event(events.Disconnected)).retry_in_s for _ in range(6)]
    for pause_s, most_s in zip(pauses, (0.01, 0.02, 0.04, 0.05, 0.05, 0.05), strict=True):
        assert most_s / 2 <= pause_s <= most_s
    assert len(set(pauses)) == 6  # no two workers, and no two pauses, in step


async def test_a_welcome_makes_the_next_pause_short_again(room: ServerRoom, tmp_path: Path) -> None:
    room.refuse_with = (1001, "not yet")
    config = config_of(room.url, tmp_path, reconnect_min_s=0.01, reconnect_max_s=0.08)
    async with running_worker(config) as worker:
        for _ in range(4):
            lost = await worker.event(events.Disconnected)
        assert lost.retry_in_s >= 0.04
        room.refuse_with = None
        (await room.line()).cut()
        while lost.reason.endswith("not yet"):
            lost = await worker.event(events.Disconnected)
        assert lost.retry_in_s <= 0.01


async def test_a_server_that_is_no_dreamgrid_server_is_named(
    room: ServerRoom, tmp_path: Path
) -> None:
    async with running_worker(config_of(f"{room.url}elsewhere", tmp_path)) as worker:
        lost = await worker.event(events.Disconnected)
    assert "answered 404" in lost.reason
    assert "is it a dreamgrid server?" in lost.reason


@pytest.mark.parametrize("code", [1001, 1011, 4400 + 1])
async def test_other_close_codes_are_followed_by_a_new_connection(
    room: ServerRoom, worker: RunningWorker, code: int
) -> None:
    line = await room.line()
    await line.close(code, "restarting")
    assert f"code {code}: restarting" in (await worker.event(events.Disconnected)).reason
    await room.line()


ENDS = [
    (4021, AuthenticationFailed, "that key was revoked"),
    (4015, WorkerReplaced, "another worker connected with the same id"),
    (4400, ProtocolError, "please update"),
]


@pytest.mark.parametrize(("code", "kind", "message"), ENDS)
async def test_some_close_codes_end_the_worker_at_the_door(
    room: ServerRoom, tmp_path: Path, code: int, kind: type[DreamgridError], message: str
) -> None:
    room.refuse_with = (code, message)
    async with running_worker(config_of(room.url, tmp_path)) as worker:
        with pytest.raises(kind, match=message):
            await worker.ended()
    assert worker.told == []


@pytest.mark.parametrize(("code", "kind", "message"), ENDS)
async def test_some_close_codes_end_the_worker_in_the_middle_of_a_job(
    room: ServerRoom,
    worker: RunningWorker,
    code: int,
    kind: type[DreamgridError],
    message: str,
) -> None:
    line = await room.line()
    await line.send(room.assign("1", "deaf"))
    await line.expect(Progress)
    await line.close(code, message)
    with pytest.raises(kind, match=message):
        await worker.ended()
    assert room.requests["PUT result/1"] == 0


async def test_a_wrong_key_ends_the_worker(room: ServerRoom, tmp_path: Path) -> None:
    async with running_worker(config_of(room.url, tmp_path, api_key="wrong")) as worker:
        with pytest.raises(AuthenticationFailed, match="unknown key"):
            await worker.ended()


async def test_the_same_assignment_twice_is_rendered_once(
    room: ServerRoom, worker: RunningWorker, tmp_path: Path
) -> None:
    gate = Gate(tmp_path)
    line = await room.line()
    await line.send(room.assign("1", gate.prompt))
    await line.expect(Progress, "1")
    await line.send(room.assign("1", gate.prompt))
    await gate.open()
    await line.expect(Finished, "1")
    await line.send(room.assign("2"))
    await line.expect(Finished, "2")
    assert room.requests["PUT result/1"] == 1
    assert len([m for m in line.seen if isinstance(m, Started) and m.job_id == "1"]) == 1


async def test_a_newer_attempt_takes_the_place_of_an_older_one(
    room: ServerRoom, worker: RunningWorker
) -> None:
    line = await room.line()
    await line.send(room.assign("1", "endless", attempt=1))
    await line.expect(Progress)
    await line.send(room.assign("1", attempt=2))
    assert (await line.expect(Finished)).attempt == 2


async def test_more_jobs_than_slots_are_handed_back(
    room: ServerRoom, worker: RunningWorker
) -> None:
    line = await room.line()
    for job_id in ("1", "2", "3"):
        await line.send(room.assign(job_id, "endless"))
    assert (await line.expect(Released)).job_id == "3"


async def test_an_assignment_that_cannot_be_read_is_answered(
    room: ServerRoom, worker: RunningWorker
) -> None:
    line = await room.line()
    await line.send_text('{"type":"assign","job_id":"9","attempt":4,"render":{"kind":"hologram"}}')
    failed = await line.expect(Failed)
    assert (failed.job_id, failed.attempt, failed.retryable) == ("9", 4, True)
    await line.send_text('{"type":"compliment","text":"well done"}')  # from a newer server
    await line.send(room.assign("1"))
    await line.expect(Finished, "1")


async def test_what_is_no_message_at_all_ends_the_connection_not_the_worker(
    room: ServerRoom, worker: RunningWorker
) -> None:
    line = await room.line()
    await line.send_text("hello?")
    assert "no message" in (await worker.event(events.Disconnected)).reason
    await room.line()


def test_the_error_of_a_replaced_worker_stands_in_the_tree() -> None:
    assert "WorkerReplaced" in (dreamgrid.errors.__doc__ or "")
