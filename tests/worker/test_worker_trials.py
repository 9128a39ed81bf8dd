"""A worker measures its models by trial renders while nobody needs it, and tells its grid."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from dreamgrid.engines import remembered
from dreamgrid.engines.registry import Registry
from dreamgrid.protocol.renders import AnyRender, AudioRender, ImageRender, VideoRender
from dreamgrid.protocol.worker import Finished, Heartbeat
from dreamgrid.worker import trials as module
from dreamgrid.worker.events import TrialBegan, TrialEnded, TrialFailed, TrialStopped
from dreamgrid.worker.frames import AnyToChild, Render, Rendered, Stepped
from dreamgrid.worker.host import EnginePool
from dreamgrid.worker.process import EngineProcess
from dreamgrid.worker.trials import Contestant, Trials, described, kept_trials
from dreamgrid.worker.worker import run_worker
from tests.worker import puppet_engine, puppet_rivals
from tests.worker.gate import Gate
from tests.worker.server_room import PATIENCE_S, PUPPETS, ServerRoom, config_of, running_worker
from tests.worker.test_worker_choice import FIRST, RIVALS, SECOND
from tests.worker.test_worker_host import SETUP, running_host


def trial(model: str = "puppet-v1", prompt: str = "an apple", steps: int = 20) -> ImageRender:
    return ImageRender(
        model=model, prompt=prompt, width=8, height=8, steps=steps, guidance=1.0, seed=1
    )


async def test_what_is_measured_is_told_at_once_and_remembered(tmp_path: Path) -> None:
    room = ServerRoom(trials=(trial(), trial("puppet-v2"), trial("not served")))
    async with room.open():
        config = config_of(room.url, tmp_path, quiet_s=0.01)
        async with running_worker(config) as worker:
            line = await room.line()
            assert line.hello.speeds == ()
            for model in ("puppet-v1", "puppet-v2"):
                assert (await worker.event(TrialBegan)).model == model
                ended = await worker.event(TrialEnded)
                assert (ended.model, ended.engine, ended.made) == (
                    model,
                    "puppet",
                    "8x8 in 20 steps",
                )
            told: list[AnyRender] = []
            while len(told) < 2:
                told += [one.render for one in (await line.expect(Heartbeat)).speeds]
            assert told == [trial(), trial("puppet-v2")]
        async with running_worker(config) as worker:
            line = await room.line()
            assert [one.render for one in line.hello.speeds] == told
            await line.send(room.assign("1"))
            await line.expect(Finished)
        assert not [event for event in worker.told if isinstance(event, TrialBegan)]


async def test_a_job_ends_a_trial_at_once_and_it_begins_anew_afterwards(tmp_path: Path) -> None:
    room = ServerRoom(trials=(trial(prompt="endless"),))
    async with room.open():
        config = config_of(room.url, tmp_path, quiet_s=0.01)
        async with running_worker(config) as worker:
            line = await room.line()
            for number in "12":
                await worker.event(TrialBegan)
                await line.send(room.assign(number))
                await worker.event(TrialStopped)
                await line.expect(Finished, number)
    assert not [event for event in worker.told if isinstance(event, TrialEnded | TrialFailed)]
    assert kept_trials(tmp_path) == ()


async def test_a_job_does_not_wait_for_the_weights_of_another_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = Gate(tmp_path)
    monkeypatch.setenv(puppet_engine.LOADED_VARIABLE, str(loaded.path))
    room = ServerRoom(trials=(trial("puppet-v2"),))
    async with room.open():
        config = config_of(room.url, tmp_path / "worker", quiet_s=60.0)
        monkeypatch.setattr(module, "FIRST_QUIET_S", 0.0)
        async with running_worker(config) as worker:
            line = await room.line()
            await worker.event(TrialBegan)  # it loads until somebody listens
            await line.send(room.assign("1"))
            heard = ""
            while "puppet-v1" not in heard:  # else the trial had not got that far
                heard = await asyncio.to_thread(loaded.path.read_text)
            await line.expect(Finished)
            await worker.event(TrialStopped)
    assert not [event for event in worker.told if isinstance(event, TrialEnded | TrialFailed)]


async def test_a_job_uses_the_weights_that_a_trial_of_its_model_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = Gate(tmp_path)
    monkeypatch.setenv(puppet_engine.LOADED_VARIABLE, str(loaded.path))
    monkeypatch.setattr(module, "FIRST_QUIET_S", 0.0)
    said: list[str] = []
    job_is_there = asyncio.Event()
    send, kill = EngineProcess.send, EngineProcess.kill

    async def heard(child: EngineProcess, frame: AnyToChild) -> None:
        said.append(type(frame).__name__)
        if said.count("Render") == 2:
            job_is_there.set()
        await send(child, frame)

    def killed(child: EngineProcess) -> None:
        said.append("killed")
        kill(child)

    monkeypatch.setattr(EngineProcess, "send", heard)
    monkeypatch.setattr(EngineProcess, "kill", killed)
    room = ServerRoom(trials=(trial(prompt="endless"),))
    async with room.open():
        config = config_of(room.url, tmp_path / "worker", quiet_s=60.0, slots=2)
        async with running_worker(config) as worker:
            line = await room.line()
            await worker.event(TrialBegan)  # it loads until somebody listens
            await line.send(room.assign("1"))
            await line.send(room.assign("2", model="puppet-v2"))
            async with asyncio.timeout(PATIENCE_S):
                await job_is_there.wait()
            assert said == ["Setup", "Render", "Render"]  # to stop it now would be to kill it
            with loaded.listening() as listener:
                await line.expect(Finished, "1")
                await line.expect(Finished, "2")
                assert listener.read(27) == b"puppet-v1puppet-v1puppet-v2"
            assert sorted(said) == ["Render", "Render", "Render", "Setup", "Stop"]


async def test_a_job_that_ends_a_trial_leaves_the_renders_of_other_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = Gate(tmp_path)
    reads_long = msgspec.structs.replace(
        SETUP, environment={puppet_engine.LOADED_VARIABLE: str(loaded.path)}
    )
    began, reads = asyncio.Event(), asyncio.Event()
    rendering: dict[str, EngineProcess] = {}
    killed: list[EngineProcess] = []
    send, kill = EngineProcess.send, EngineProcess.kill

    async def heard(child: EngineProcess, frame: AnyToChild) -> None:
        if isinstance(frame, Render):
            rendering[frame.render.model] = child
            if frame.render.model == "puppet-v2":
                reads.set()
        await send(child, frame)

    def ended(child: EngineProcess) -> None:
        killed.append(child)
        kill(child)

    monkeypatch.setattr(module, "FIRST_QUIET_S", 0.0)
    monkeypatch.setattr(EngineProcess, "send", heard)
    monkeypatch.setattr(EngineProcess, "kill", ended)
    async with running_host() as one, running_host(reads_long) as other:
        pool = EnginePool([one, other])
        trials = Trials(
            tmp_path,
            {"puppet-v2": (puppet_engine.REFERENCE,)},
            [Contestant(reference=puppet_engine.REFERENCE, name="puppet", measured_on="here")],
            pool,
        )
        async with pool.turn("puppet-v1") as first:
            job = asyncio.create_task(
                first.render(trial(prompt="endless"), {}, on_step=lambda _: began.set())
            )
            await began.wait()
            trials.want([trial("puppet-v2")], lambda _: False)
            measuring = asyncio.create_task(trials.run(lambda: False, 60.0))
            await reads.wait()
            trials.disturb("puppet-v1")
            assert killed == [rendering["puppet-v2"]]
            for task in (job, measuring):
                task.cancel()
            await asyncio.wait([job, measuring])


async def test_what_cannot_be_measured_is_told_and_not_tried_again(tmp_path: Path) -> None:
    room = ServerRoom(trials=(trial(prompt="fail OutOfMemory"), trial("puppet-v2")))
    async with room.open():
        config = config_of(room.url, tmp_path, quiet_s=0.01)
        async with running_worker(config) as worker:
            failed = await worker.event(TrialFailed)
            assert (failed.model, failed.reason) == ("puppet-v1", "OutOfMemory on purpose")
            assert (await worker.event(TrialEnded)).model == "puppet-v2"
    assert [one.render.model for one in kept_trials(tmp_path)] == ["puppet-v2"]


@pytest.mark.parametrize("changes", [{"measure": False}, {"quiet_s": 0.0}])
async def test_nothing_is_measured_where_it_is_not_wanted(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    room = ServerRoom(trials=(trial(),))
    async with room.open():
        config = config_of(room.url, tmp_path, **({"quiet_s": 0.001} | changes))
        async with running_worker(config) as worker:
            line = await room.line()
            for number in "123":
                await line.send(room.assign(number))
                await line.expect(Finished, number)
    assert not [event for event in worker.told if isinstance(event, TrialBegan)]


async def test_of_two_engines_both_are_measured_and_the_quicker_gets_the_jobs(
    tmp_path: Path,
) -> None:
    room = ServerRoom(trials=(trial(puppet_rivals.MODEL),))
    async with room.open():
        config = config_of(room.url, tmp_path, quiet_s=0.01)
        async with running_worker(config, RIVALS) as worker:
            await room.line()
            assert {(await worker.event(TrialEnded)).engine for _ in RIVALS.engines} == {
                "first",
                "second",
            }
        for quicker, slower, made_by in ((FIRST, SECOND, b"first"), (SECOND, FIRST, b"second")):
            took_s = {quicker: 1.0, slower: 2.0}
            kept = tuple(
                msgspec.structs.replace(one, took_s=took_s[one.engine])
                for one in kept_trials(tmp_path)
            )
            remembered.keep("trials", kept, tmp_path)
            (tmp_path / "job-speeds.json").unlink(missing_ok=True)
            async with running_worker(config, RIVALS):
                line = await room.line()
                assert [one.took_s for one in line.hello.speeds] == [1.0]
                await line.send(room.assign("1", "a fox", model=puppet_rivals.MODEL))
                await line.expect(Finished)
            assert room.files["result/1"].split()[0] == made_by


async def test_another_version_of_an_engine_is_measured_anew(tmp_path: Path) -> None:
    room = ServerRoom(trials=(trial(),))
    (found,) = PUPPETS.engines
    newer = Registry(engines=(replace(found, version="2.0"),))
    async with room.open():
        config = config_of(room.url, tmp_path, quiet_s=0.01)
        for registry in (PUPPETS, newer):
            async with running_worker(config, registry) as worker:
                assert (await room.line()).hello.speeds == ()
                await worker.event(TrialEnded)


class Turn(asyncio.Lock):
    """A lock that says when somebody wants it."""

    def __init__(self) -> None:
        super().__init__()
        self.wanted = asyncio.Event()

    async def acquire(self) -> Literal[True]:
        self.wanted.set()
        return await super().acquire()


async def test_workers_of_a_machine_measure_one_after_the_other(tmp_path: Path) -> None:
    turn, stop = Turn(), asyncio.Event()
    told: list[str] = []
    room = ServerRoom(trials=(trial(),))
    async with room.open(), turn:
        turn.wanted.clear()
        working = asyncio.create_task(
            run_worker(
                config_of(room.url, tmp_path, quiet_s=0.01),
                stop=stop,
                on_event=lambda event: told.append(type(event).__name__),
                registry=PUPPETS,
                measuring=turn,
            )
        )
        await turn.wanted.wait()  # it would begin now, but another one measures
        stop.set()
        await working
    assert "TrialBegan" not in told


@pytest.mark.parametrize(
    ("count", "whole_s"),
    [
        (lambda asked: asked, 13.0 + 16 * 2.0),
        (lambda asked: 2 * asked, 13.0 + 32 * 2.0),  # two in a row
        (lambda asked: asked + 6, 13.0 + 16 * 2.0),  # the second with six of its own
        (lambda asked: 4, 13.0),  # whatever was asked for
    ],
)
def test_short_renders_tell_how_long_the_whole_takes(
    monkeypatch: pytest.MonkeyPatch, count: Callable[[int], int], whole_s: float
) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    timed = module._Timed(trial(steps=20))
    for asked in (2, 4):
        assert not timed.tells_whole
        timed.begin(asked)
        assert timed.render.steps == asked
        for step in (1, 2, 2, 3, 4):  # with a sign of life in between
            now[0] += 5.0 if step == 1 else 1.5
            timed.stepped(Stepped(number=1, step=step, step_count=count(asked)))
        timed.took_s = 13.0
    assert timed.tells_whole
    assert timed.step_s == pytest.approx(2.0)
    assert timed.whole_s == pytest.approx(whole_s)


@pytest.mark.parametrize("told", [0, 1])
def test_a_short_render_that_does_not_tell_its_steps_tells_nothing(told: int) -> None:
    timed = module._Timed(trial(steps=20))
    for asked in (2, 4):
        timed.begin(asked)
        for step in range(told):
            timed.stepped(Stepped(number=1, step=step + 1, step_count=asked))
        timed.took_s = 4.0
        assert not timed.tells_whole
    timed.begin(20)
    timed.took_s = 20.0
    assert timed.tells_whole
    assert (timed.step_s, timed.whole_s) == (0.0, 20.0)


@pytest.mark.parametrize(
    ("steps", "reports", "made"),
    [(20, True, [2, 4]), (20, False, [2, 4, 20]), (3, False, [2, 3]), (1, True, [1, 1])],
)
async def test_as_few_steps_are_rendered_as_tell_the_time(
    tmp_path: Path, steps: int, reports: bool, made: list[int]
) -> None:
    asked: list[int] = []

    class Host:
        model = "puppet-v1"

        async def render(
            self, render: ImageRender, _inputs: object, *, on_step: Any, **_more: object
        ) -> Rendered:
            asked.append(render.steps)
            for step in range(1, render.steps + 1 if reports else 1):
                on_step(Stepped(number=1, step=step, step_count=render.steps))
            return Rendered(number=1, data=b"", content_type="image/png", steps=1, render_s=1.0)

    contestant = Contestant(reference="it", name="it", measured_on="here")
    pool = EnginePool([Host()])  # type: ignore[list-item]
    trials = Trials(tmp_path, {"puppet-v1": ("it",)}, [contestant], pool)
    found = await trials.measure(contestant, trial(steps=steps))
    assert found is not None
    assert asked == made


def test_every_render_of_a_measurement_has_a_seed_of_its_own() -> None:
    timed = module._Timed(trial(steps=1))
    seeds = {timed.render.seed}
    for steps in (2, 4):
        timed.begin(steps)
        seeds.add(timed.render.seed)
        assert msgspec.structs.replace(timed.render, seed=1) == trial(steps=1)
    assert len(seeds) == 3


def test_what_was_made_is_told_in_few_words() -> None:
    film = VideoRender(
        model="v", prompt="", steps=4, guidance=1, seed=1, width=64, height=32, frames=9, fps=8,
        motion_fps=8,
    )  # fmt: skip
    song = AudioRender(model="a", prompt="", steps=8, guidance=1, seed=1, duration_s=30)
    assert described(trial()) == "8x8 in 20 steps"
    assert described(film) == "64x32, 9 frames in 4 steps"
    assert described(song) == "30 s in 8 steps"


@pytest.mark.parametrize("content", ["", "{}", "[1]", "\0"])
def test_a_spoiled_file_counts_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "trials.json").write_text(content)
    assert kept_trials(tmp_path) == ()
