"""Several workers in one process, each with an engine process of its own."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from dreamgrid.engines.gpus import Gpu
from dreamgrid.errors import AuthenticationFailed, EngineCrashed
from dreamgrid.protocol.worker import Draining, Failed, Finished, MeasuredSpeed, Released, Started
from dreamgrid.worker import crew as module
from dreamgrid.worker import events
from dreamgrid.worker.config import WorkerConfig
from dreamgrid.worker.crew import run_crew
from dreamgrid.worker.events import WorkerEvent
from dreamgrid.worker.frames import Setup
from dreamgrid.worker.process import EngineProcess
from dreamgrid.worker.rest import Rest, RestRules, Watch, pause, resume
from tests.worker.server_room import PATIENCE_S, PUPPETS, Line, ServerRoom, config_of

Told = asyncio.Queue[tuple[WorkerConfig, WorkerEvent]]


def lane(room: ServerRoom, folder: Path, index: int) -> WorkerConfig:
    gpu = Gpu(index=index, uuid=f"GPU-{index}", name=f"GPU number {index}", memory_bytes=1024)
    return config_of(room.url, folder / gpu.uuid, gpu=gpu, models=("puppet-v1",), drain_grace_s=0.1)


@asynccontextmanager
async def crew(folder: Path, *lanes: WorkerConfig) -> AsyncIterator[Told]:
    told: Told = asyncio.Queue()
    stop = asyncio.Event()
    working = asyncio.create_task(
        run_crew(
            lanes,
            PUPPETS,
            stop=stop,
            on_event=lambda lane, event: told.put_nowait((lane, event)),
            rules=RestRules(folder=folder, look_every_s=0.01),
            retry_s=0.01,
        )
    )
    try:
        yield told
    finally:
        stop.set()
        async with asyncio.timeout(PATIENCE_S):
            await working


@asynccontextmanager
async def two_gpus(folder: Path) -> AsyncIterator[tuple[ServerRoom, Told]]:
    server = ServerRoom().open()
    async with server as room, crew(folder, lane(room, folder, 0), lane(room, folder, 1)) as told:
        yield room, told


async def lines_of(room: ServerRoom, count: int) -> dict[str, Line]:
    """The connections of that many workers, by the name of their device."""
    lines = [await room.line() for _ in range(count)]
    return {line.hello.device.name: line for line in lines}


async def test_each_gpu_is_a_worker_whose_engine_sees_that_gpu_alone(tmp_path: Path) -> None:
    async with two_gpus(tmp_path) as (room, _):
        lines = await lines_of(room, 2)
        assert len({line.hello.worker_id for line in lines.values()}) == 2
        for index in (0, 1):
            line = lines[f"GPU number {index}"]
            assert (line.hello.device.kind, line.hello.device.memory_bytes) == ("cuda", 1024)
            seen = tmp_path / f"environment-{index}"
            await line.send(room.assign(str(index), f"environment {seen}"))
            await line.expect(Finished)
            assert f"CUDA_VISIBLE_DEVICES=GPU-{index}" in seen.read_text().split("\n")


async def test_a_crash_on_one_gpu_does_not_touch_the_other(tmp_path: Path) -> None:
    async with two_gpus(tmp_path) as (room, _):
        lines = await lines_of(room, 2)
        first, second = lines["GPU number 0"], lines["GPU number 1"]
        await second.send(room.assign("lives", "endless"))
        await first.send(room.assign("dies", "kill"))
        assert (await first.expect(Failed)).error == "engine_crashed"
        await first.send(room.assign("next"))
        await first.expect(Finished, "next")
        assert not [message for message in second.seen if isinstance(message, Failed)]


async def test_an_engine_that_does_not_start_is_tried_again_while_the_others_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = EngineProcess.start
    mended = asyncio.Event()

    async def start(tasks: asyncio.TaskGroup, setup: Setup, *, within_s: float) -> EngineProcess:
        if setup.environment["CUDA_VISIBLE_DEVICES"] == "GPU-0" and not mended.is_set():
            raise EngineCrashed("no such device")
        return await starts(tasks, setup, within_s=within_s)

    monkeypatch.setattr(EngineProcess, "start", start)
    async with two_gpus(tmp_path) as (room, told):
        assert (await room.line()).hello.device.name == "GPU number 1"
        async with asyncio.timeout(PATIENCE_S):
            while not isinstance((await told.get())[1], events.EngineFailed):
                pass
        mended.set()
        assert (await room.line()).hello.device.name == "GPU number 0"


async def test_what_would_meet_every_worker_ends_them_all(tmp_path: Path) -> None:
    async with ServerRoom(refuse_with=(4021, "unknown key")).open() as room:
        with pytest.raises(AuthenticationFailed, match="unknown key"):
            async with asyncio.timeout(PATIENCE_S):
                await run_crew(
                    [lane(room, tmp_path, 0), lane(room, tmp_path, 1)],
                    PUPPETS,
                    stop=asyncio.Event(),
                    rules=RestRules(folder=tmp_path),
                )


async def test_an_error_that_nobody_foresaw_leaves_no_worker_behind(tmp_path: Path) -> None:
    nowhere = ServerRoom(url="http://127.0.0.1:1/")
    pause(tmp_path, None)
    rested: list[WorkerConfig] = []

    def on_event(lane: WorkerConfig, _: WorkerEvent) -> None:
        rested.append(lane)
        if len(rested) == 2:
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk is full"):
        async with asyncio.timeout(PATIENCE_S):
            await run_crew(
                [lane(nowhere, tmp_path, 0), lane(nowhere, tmp_path, 1)],
                PUPPETS,
                stop=asyncio.Event(),
                on_event=on_event,
                rules=RestRules(folder=tmp_path),
            )
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_pause_frees_the_engine_and_hands_back_what_it_renders(tmp_path: Path) -> None:
    async with ServerRoom().open() as room, crew(tmp_path, lane(room, tmp_path, 0)) as told:
        first = await room.line()
        await first.send(room.assign("1", "endless"))
        await first.expect(Started)
        pause(tmp_path, None)
        assert (await first.expect(Draining)).reason == "paused by its owner"
        await first.expect(Released, "1")
        rested = await event(told, events.Rested)
        assert rested.reason == "paused by its owner"
        assert resume(tmp_path)
        await event(told, events.Resumed)
        second = await room.line()
        assert second.hello.worker_id == first.hello.worker_id
        await second.send(room.assign("2"))
        await second.expect(Finished, "2")


async def test_a_paused_worker_does_not_even_join_and_still_ends(tmp_path: Path) -> None:
    pause(tmp_path, None)
    async with ServerRoom().open() as room, crew(tmp_path, lane(room, tmp_path, 0)) as told:
        await event(told, events.Rested)
    kinds = {type(told.get_nowait()[1]) for _ in range(told.qsize())}
    assert not kinds & {events.Joined, events.Resumed}


async def test_outside_its_hours_a_render_under_way_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Rest | None] = [None]
    monkeypatch.setattr(Watch, "look", lambda _watch: calls[-1])
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    async with ServerRoom().open() as room, crew(tmp_path, lane(room, tmp_path, 0)) as told:
        line = await room.line()
        await line.send(room.assign("1", f"gate {gate}"))
        await line.expect(Started)
        calls.append(Rest(reason="outside its hours", urgent=False))
        assert (await line.expect(Draining)).reason == "outside its hours"
        await asyncio.to_thread(gate.write_text, "go on")
        await line.expect(Finished, "1")
        assert (await event(told, events.Rested)).reason == "outside its hours"


TRIAL = {"model": "puppet-v1", "engine": "puppet"}


async def test_a_gpu_is_lent_while_a_trial_or_a_job_is_rendered_and_not_after_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lends: list[Callable[[], bool]] = []
    lent: list[tuple[str, bool]] = []
    over = asyncio.Event()

    class Seen(Watch):
        def __init__(self, rules: RestRules, gpu: Gpu, *, lends_gpu: Callable[[], bool]) -> None:
            super().__init__(rules, gpu, lends_gpu=lends_gpu)
            lends.append(lends_gpu)

    room = ServerRoom(url="http://127.0.0.1:1/")
    render = room.assign("1").render
    happens: list[WorkerEvent] = [
        events.TrialBegan(**TRIAL),
        events.TrialStopped(**TRIAL),
        events.TrialBegan(**TRIAL),
        events.TrialFailed(**TRIAL, reason="out of memory"),
        events.TrialBegan(**TRIAL),
        events.TrialEnded(
            **TRIAL, took_s=1, step_s=1, made="", speed=MeasuredSpeed(render=render, took_s=1)
        ),
        events.JobStarted(job_id="1", render=render),
        events.TrialBegan(**TRIAL),
    ]

    async def works(
        _lane: WorkerConfig, *, on_event: Callable[[WorkerEvent], None], **_rest: object
    ) -> None:
        if lent:  # it is back
            lent.append(("back", lends[0]()))
            over.set()
            return
        for event in happens:
            on_event(event)
            lent.append((type(event).__name__, lends[0]()))
        raise EngineCrashed("in the middle of both")

    monkeypatch.setattr(module, "Watch", Seen)
    monkeypatch.setattr(module, "run_worker", works)
    keeper = module._Keeper(
        replace(lane(room, tmp_path, 0), shares_gpu=True),
        PUPPETS,
        over,
        lambda _lane, _event: None,
        asyncio.Lock(),
        rules=RestRules(folder=tmp_path, look_every_s=0.01),
        retry_s=0.01,
        alone=False,
    )
    async with asyncio.timeout(PATIENCE_S):
        await keeper.run()
    assert lent == [
        ("TrialBegan", True),
        ("TrialStopped", False),
        ("TrialBegan", True),
        ("TrialFailed", False),
        ("TrialBegan", True),
        ("TrialEnded", False),
        ("JobStarted", True),
        ("TrialBegan", True),
        ("back", False),
    ]


E = TypeVar("E", bound=WorkerEvent)


async def event(told: Told, kind: type[E]) -> E:
    """The next event of a kind."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            _, found = await told.get()
            if isinstance(found, kind):
                return found
