"""Several renders at one engine process: they wait there, share passes, and none hurts another."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dreamgrid.errors import EngineCrashed
from dreamgrid.protocol.renders import ImageRender
from dreamgrid.worker.frames import Render, Setup
from dreamgrid.worker.host import EngineHost
from dreamgrid.worker.tasks import task_group
from dreamgrid.worker.todo import Todo
from tests.worker import puppet_batcher, puppet_engine
from tests.worker.gate import Gate

ENGINES = {
    puppet_batcher.MODEL: (puppet_batcher.REFERENCE,),
    "puppet-v1": (puppet_engine.REFERENCE,),
}


@pytest.fixture
async def host() -> AsyncIterator[EngineHost]:
    async with task_group() as tasks:
        # However slow this machine is: a pass waits until it has as many as it can.
        host = EngineHost(tasks, Setup(engines=ENGINES, threads=1, mates_within_s=60.0))
        try:
            yield host
        finally:
            await host.close()


def puppet(prompt: str, *, seed: int = 1, most: int = 1) -> ImageRender:
    return ImageRender(
        model=puppet_batcher.MODEL, prompt=prompt, negative_prompt=str(most),
        width=8, height=8, steps=2, guidance=1.0, seed=seed,
    )  # fmt: skip


class Asked:
    """A render under way."""

    def __init__(self, host: EngineHost, render: ImageRender) -> None:
        self.begun = asyncio.Event()
        self.stepped = asyncio.Event()
        self.task = asyncio.create_task(
            host.render(
                render,
                {},
                on_begun=self.begun.set,
                on_step=lambda _: self.stepped.set(),
            )
        )

    async def told(self) -> tuple[int, int]:
        """How many shared its pass, and its seed."""
        _pid, count, seed = (await self.task).data.split()
        return int(count), int(seed)


@asynccontextmanager
async def busy(host: EngineHost, folder: Path) -> AsyncIterator[Gate]:
    """The engine stands at a gate, and passes it at the end of the block at the latest."""
    gate = Gate(folder, "busy")
    first = Asked(host, puppet(gate.prompt))
    await first.stepped.wait()
    yield gate
    await gate.open()
    assert await first.told() == (1, 1)


async def test_jobs_of_a_kind_share_a_pass_up_to_the_most_of_them(
    host: EngineHost, tmp_path: Path
) -> None:
    async with busy(host, tmp_path):
        one, two, other, three = (
            Asked(host, puppet("fox", seed=1, most=2)),
            Asked(host, puppet("fox", seed=2, most=2)),
            Asked(host, puppet("sea", seed=3)),
            Asked(host, puppet("bee", seed=4)),
        )
    assert await asyncio.gather(*(asked.told() for asked in (one, two, other, three))) == [
        (2, 1), (2, 2), (1, 3), (1, 4),
    ]  # fmt: skip


async def test_a_job_that_is_canceled_leaves_its_pass_and_the_others_go_on(
    host: EngineHost, tmp_path: Path
) -> None:
    async with busy(host, tmp_path):
        asked = [Asked(host, puppet("leave", seed=seed, most=3)) for seed in (1, 2, 3)]
    await asked[2].stepped.wait()
    asked[1].task.cancel()
    assert await asked[0].told() == (3, 1)
    assert await asked[2].told() == (3, 3)
    with pytest.raises(asyncio.CancelledError):
        await asked[1].task
    assert host.crashes == 0


async def test_a_pass_that_all_of_its_jobs_leave_is_not_begun_again(
    host: EngineHost, tmp_path: Path
) -> None:
    async with busy(host, tmp_path):
        asked = [Asked(host, puppet("all", seed=seed, most=2)) for seed in (1, 2)]
    await asked[1].stepped.wait()
    for one in asked:
        one.task.cancel()
    for one in asked:
        with pytest.raises(asyncio.CancelledError):
            await one.task
    assert host.crashes == 0
    assert await Asked(host, puppet("passes")).told() == (1, 3)


async def test_a_pass_that_fails_is_tried_again_one_by_one(
    host: EngineHost, tmp_path: Path
) -> None:
    async with busy(host, tmp_path):
        asked = [Asked(host, puppet("quarrel", seed=seed, most=2)) for seed in (1, 2)]
    assert [await one.told() for one in asked] == [(1, 1), (1, 2)]


async def test_a_process_that_dies_in_a_shared_pass_renders_them_one_by_one_then(
    host: EngineHost, tmp_path: Path
) -> None:
    async with busy(host, tmp_path):
        asked = [Asked(host, puppet("fall", seed=seed, most=2)) for seed in (1, 2)]
    assert [await one.told() for one in asked] == [(1, 1), (1, 2)]


async def test_the_next_render_begins_while_the_file_before_it_is_finished(
    host: EngineHost, tmp_path: Path
) -> None:
    gate = Gate(tmp_path)
    first = Asked(host, puppet(f"late {gate.path}", seed=1))
    second = Asked(host, puppet("fox", seed=2))
    await second.stepped.wait()
    assert not first.task.done()
    await gate.open()
    assert [await first.told(), await second.told()] == [(1, 1), (1, 2)]


async def test_what_waits_in_the_process_is_canceled_at_once(
    host: EngineHost, tmp_path: Path
) -> None:
    async with busy(host, tmp_path):
        waiting = Asked(host, puppet("fox"))
        await asyncio.sleep(0)
        waiting.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting.task
        assert not waiting.begun.is_set()


async def test_a_crash_costs_the_render_under_way_and_not_the_one_that_waits(
    host: EngineHost, tmp_path: Path
) -> None:
    gate = Gate(tmp_path)
    first = Asked(host, puppet(gate.prompt))
    waits = Asked(host, puppet("fox", seed=7))
    await first.stepped.wait()
    assert host._line is not None
    host._line.child.kill()
    with pytest.raises(EngineCrashed):
        await first.task
    assert await waits.told() == (1, 7)
    assert host.crashes == 0


async def test_a_crash_costs_the_latest_render_and_not_one_whose_file_is_unfinished(
    host: EngineHost, tmp_path: Path
) -> None:
    late, gate = Gate(tmp_path, "late"), Gate(tmp_path)
    unfinished = Asked(host, puppet(f"late {late.path}", seed=1))
    latest = Asked(host, puppet(gate.prompt, seed=2))
    await latest.stepped.wait()
    assert host._line is not None
    unfinished.begun.clear()
    host._line.child.kill()
    with pytest.raises(EngineCrashed):
        await latest.task
    anew = asyncio.create_task(unfinished.begun.wait())
    await asyncio.wait({anew, unfinished.task}, return_when=asyncio.FIRST_COMPLETED)
    assert not unfinished.task.done()
    await late.open()
    assert await unfinished.told() == (1, 1)


async def test_an_engine_may_learn_in_a_quiet_moment_and_a_job_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Gate(tmp_path)
    monkeypatch.setenv(puppet_batcher.LEARNING_VARIABLE, str(heard.path))
    async with task_group() as tasks:
        host = EngineHost(tasks, Setup(engines=ENGINES, threads=1, quiet_s=0.01))
        try:
            assert await Asked(host, puppet("fox")).told() == (1, 1)
            assert await asyncio.to_thread(heard.path.read_text) == "quiet"
            second = Asked(host, puppet("fox", seed=2))
            await second.stepped.wait()
            assert await second.told() == (1, 2)
            assert await asyncio.to_thread(heard.path.read_text) == "quiet"
        finally:
            await host.close()


def test_what_waits_is_taken_in_turn_unless_it_shares_a_pass() -> None:
    todo = Todo()
    assert todo.empty
    jobs = [
        Render(number=number, render=puppet(prompt), inputs={})
        for number, prompt in enumerate(("fox", "sea", "fox", "fox"), start=1)
    ]
    for job in jobs:
        todo.put(job)
    assert todo.next() == jobs[0]
    assert todo.take(lambda job: job.render.prompt == "fox", 5, 0.0) == [jobs[2], jobs[3]]
    assert todo.take(lambda _: True, 0, 0.0) == []
    assert todo.stop(2), "it waited"
    assert not todo.stop(1)
    assert todo.stopped(1)
    todo.over(1)
    assert not todo.stopped(1)
    todo.stop_all()
    assert todo.next() is None
    assert todo.stopped(9)
