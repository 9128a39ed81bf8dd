"""The socket of workers: who gets in, hello, bad messages, and other people's workers."""

import json
from pathlib import Path

import aiohttp
import msgspec
import pytest

from dreamgrid.protocol import codec
from dreamgrid.protocol.worker import (
    WORKER_PATH,
    Cancel,
    Draining,
    Heartbeat,
    Progress,
    RunningJob,
    Settled,
    Started,
    Welcome,
)
from dreamgrid.server import worker_sockets
from tests.server.conftest import MakeGrid
from tests.support.grid import LEASE_S, Grid
from tests.support.wire import PNG, finished, hello_of, welcomed

HELLO = codec.encode_worker(hello_of()).decode()


async def test_a_worker_is_welcomed_with_lease_and_heartbeat(grid: Grid) -> None:
    worker = await grid.worker_socket(hello_of(models=("pattern-v1", "unheard-of", "other")))
    welcome = await worker.expect(Welcome)
    assert welcome == Welcome(
        lease_s=LEASE_S,
        heartbeat_s=5.0,
        unknown_models=("other", "unheard-of"),
        trials=welcome.trials,
    )
    assert [trial.model for trial in welcome.trials] == ["pattern-v1"]


async def test_a_worker_gets_no_jobs_for_models_that_the_grid_does_not_know(grid: Grid) -> None:
    app = await grid.app()
    worker = await grid.worker(models=("unheard-of",))
    await app.request()
    assert (await app.wait_state("queued"))["queueStatus"] == "no-workers"
    await worker.fence()


async def test_a_model_under_a_second_id_is_held_as_often_as_what_it_runs_as(
    make_grid: MakeGrid, tmp_path: Path
) -> None:
    entry = {"id": "second", "like": "pattern-v1", "name": "Second", "SID": 5001}
    entry["servedAs"] = "pattern-v1"
    (tmp_path / "models.json").write_text(json.dumps({"models": [entry]}))
    async with make_grid(catalog_files=(tmp_path / "models.json",)) as grid:
        slots_of = {"pattern-v1": 3, "unheard-of": 9, "second": 9}
        hello = msgspec.structs.replace(hello_of(), slots_of=slots_of)
        await welcomed(await grid.worker_socket(hello))
        (session,) = grid.sessions
        assert session.slots_of == {"pattern-v1": 3, "second": 3}


@pytest.mark.parametrize("key", ["", "wrong", "ключ"])
async def test_a_worker_with_a_wrong_key_is_told_by_the_close_code(grid: Grid, key: str) -> None:
    headers = {"api-key": key} if key else {}
    async with grid.http.ws_connect(grid.url + WORKER_PATH, headers=headers) as ws:
        await ws.send_str(HELLO)
        message = await ws.receive()
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 4021)


@pytest.mark.parametrize("protocol", [0, 2, -1, 10**6])
async def test_another_protocol_version_is_refused_with_what_to_do(
    grid: Grid, protocol: int
) -> None:
    headers = {"api-key": grid.key}
    async with grid.http.ws_connect(grid.url + WORKER_PATH, headers=headers) as ws:
        await ws.send_bytes(codec.encode_worker(hello_of(protocol=protocol)))
        message = await ws.receive()
        assert message.data == 4400
        assert message.extra is not None
        assert f"you speak {protocol}" in message.extra


@pytest.mark.parametrize(
    "first",
    [
        "",
        "hello",
        "{}",
        "[" * 100_000,
        '{"type":"heartbeat"}',
        '{"type":"hello"}',
        '{"type":"nothing"}',
        HELLO.replace('"slots":1', '"slots":"many"'),
        HELLO.replace('"network":"fast"', '"network":"slow"'),
        HELLO.replace('["pattern-v1"]', '"pattern-v1"'),
    ],
    ids=lambda first: first[:40],
)
async def test_the_first_message_must_be_a_hello(grid: Grid, first: str) -> None:
    headers = {"api-key": grid.key}
    async with grid.http.ws_connect(grid.url + WORKER_PATH, headers=headers) as ws:
        await ws.send_str(first)
        assert (await ws.receive()).data == 4400
    await (await grid.worker()).fence()


async def test_a_worker_that_never_says_hello_is_let_go(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_sockets, "HELLO_WITHIN_S", 0.02)
    headers = {"api-key": grid.key}
    async with grid.http.ws_connect(grid.url + WORKER_PATH, headers=headers) as ws:
        message = await ws.receive()
        assert (message.data, message.extra) == (4400, "no hello came")


async def test_a_peer_that_leaves_before_its_hello_is_no_trouble(grid: Grid) -> None:
    headers = {"api-key": grid.key}
    async with grid.http.ws_connect(grid.url + WORKER_PATH, headers=headers) as ws:
        await ws.close()
    await (await grid.worker()).fence()


@pytest.mark.parametrize(
    "message",
    [
        "rubbish",
        "{}",
        "[" * 100_000,
        '{"type":"hello"}',
        HELLO,
        '{"type":"settled","job_id":"J","attempt":1}',
        '{"type":"progress","job_id":"J","attempt":1,"step":-1,"step_count":4}',
        '{"type":"finished","job_id":"J","attempt":1}',
        '{"type":"started","job_id":null,"attempt":1}',
    ],
    ids=lambda message: message[:40],
)
async def test_a_worker_that_breaks_the_protocol_loses_its_connection_not_its_job(
    grid: Grid, message: str
) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    job = await worker.assigned()
    await worker.ws.send_str(message)
    assert await worker.closed() == 4400
    held = RunningJob(job_id=job.job_id, attempt=1)
    back = await grid.worker(worker_id=worker.hello.worker_id, running=(held,))
    await back.finish(job)
    await app.wait_state("jobCompleted", jobID=project)


async def test_a_result_with_an_impossible_seed_does_not_stick(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker("odd")
    project = await app.request()
    job = await worker.assigned()
    await worker.upload(job)
    report = codec.encode_worker(finished(job.job_id, 1, PNG)).decode()
    await worker.ws.send_str(report.replace('"seed":7', f'"seed":{10**30}'))
    assert await worker.closed() == 4400
    grid.clock.advance(LEASE_S + 1)
    other = await grid.worker("other")
    await other.finish(await other.assigned())
    await app.wait_state("jobCompleted", jobID=project)


async def test_a_message_beyond_the_limit_ends_the_connection(grid: Grid) -> None:
    worker, other = await grid.worker("big"), await grid.worker("other")
    await worker.ws.send_str("x" * (codec.MAX_WORKER_MESSAGE_BYTES + 1))
    assert await worker.closed() == 1009
    await other.fence()


async def test_reports_about_jobs_that_never_were_are_harmless(grid: Grid) -> None:
    worker = await grid.worker()
    await worker.send(Started(job_id="nothing", attempt=1))
    await worker.send(Progress(job_id="nothing", attempt=1, step=1, step_count=1))
    await worker.send(Heartbeat())
    await worker.fence()


async def test_what_a_worker_keeps_in_memory_is_believed_of_what_it_rendered(grid: Grid) -> None:
    app = await grid.app()
    models = ("pattern-v1", "dreamlet-v1")
    worker = await grid.worker(models=models)
    (session,) = grid.sessions
    await worker.send(Heartbeat(kept=models))
    await worker.fence()
    assert session.kept == frozenset()
    await app.request()
    await worker.finish(await worker.assigned())
    await worker.send(Heartbeat(kept=models))
    await worker.fence()
    assert session.kept == {"pattern-v1"}
    await worker.send(Heartbeat())
    await worker.fence()
    assert session.kept == frozenset()


async def test_binary_frames_are_read_like_text(grid: Grid) -> None:
    worker = await grid.worker()
    await worker.ws.send_bytes(codec.encode_worker(finished("nothing", 1, b"")))
    assert not (await worker.expect(Settled)).accepted


@pytest.mark.parametrize(("slots", "gets"), [(0, 1), (-5, 1), (3, 3), (10**30, 4)])
async def test_slots_are_kept_within_reason(grid: Grid, slots: int, gets: int) -> None:
    app, worker = await grid.app(), await grid.worker(slots=slots)
    await app.request(numberOfImages=4)
    for _ in range(gets):
        await worker.assigned()
    await worker.fence()


# ── other people's workers ───────────────────────────────────────────────────────────────────────


async def test_nobody_takes_over_the_worker_of_another_owner(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker("mine")
    project = await app.request()
    job = await worker.assigned()
    held = RunningJob(job_id=job.job_id, attempt=1)
    bob = await grid.account("bob")
    thief = await grid.worker(
        "thief", key=bob, worker_id=worker.hello.worker_id, models=(), running=(held,)
    )
    assert (await thief.expect(Cancel)).job_id == job.job_id
    await worker.fence()
    await thief.upload(job, b"not what was asked for")
    for message in (
        Started(job_id=job.job_id, attempt=1),
        Progress(job_id=job.job_id, attempt=1, step=3, step_count=4),
        finished(job.job_id, 1, b"not what was asked for"),
    ):
        await thief.send(message)
    assert not (await thief.expect(Settled)).accepted
    await worker.finish(job)
    await app.wait_state("jobCompleted", jobID=project)
    assert "jobProgress 3/4" not in app.told(project)
    assert "jobStarted" not in app.told(project)


async def test_the_owner_of_a_worker_need_not_be_the_owner_of_the_project(grid: Grid) -> None:
    bob = await grid.account("bob")
    app, worker = await grid.app(), await grid.worker("bob's", key=bob)
    project = await app.request()
    await worker.finish(await worker.assigned())
    await app.wait_state("jobCompleted", jobID=project)
    assert (await grid.spark(bob))["net"] == "1000.000000"


async def test_a_worker_cannot_write_to_the_place_of_another_job(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker(slots=2)
    await app.request(numberOfImages=2)
    one, two = await worker.assigned(), await worker.assigned()
    other_place = one.output.url.replace(one.job_id, two.job_id)
    headers = {"Content-Type": "image/png"}
    async with grid.http.put(other_place, data=PNG, headers=headers) as answer:
        assert answer.status == 403
    async with grid.http.get(one.output.url) as answer:
        assert answer.status == 403


async def test_a_draining_worker_that_comes_back_takes_jobs_again(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    await worker.send(Draining())
    await worker.fence()
    await worker.leave()
    back = await grid.worker(worker_id=worker.hello.worker_id)
    project = await app.request()
    assert (await back.assigned()).project_id == project
