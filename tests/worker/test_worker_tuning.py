"""A worker measures itself: what it measures and keeps, and that no job ever waits for it."""

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from dreamgrid.engines.registry import Registry, find_engines
from dreamgrid.errors import EngineCrashed
from dreamgrid.protocol.renders import AnyRender, ImageRender
from dreamgrid.protocol.worker import Device, Finished, MeasuredSpeed
from dreamgrid.worker import doctor, tuning
from dreamgrid.worker.events import Measured
from dreamgrid.worker.frames import Setup
from dreamgrid.worker.tuning import Plan, SelfTest, Tuning, best_threads, measure
from tests.worker import puppet_engine
from tests.worker.gate import Gate
from tests.worker.server_room import PUPPETS, ServerRoom, config_of, running_worker

SETUP = Setup(engines=dict.fromkeys(puppet_engine.MODELS, (puppet_engine.REFERENCE,)), threads=1)


def trial(prompt: str = "", model: str = "puppet-v1") -> ImageRender:
    return ImageRender(model=model, prompt=prompt, width=8, height=8, steps=2, guidance=1.0, seed=1)


def plan_of(*trials: AnyRender, thread_counts: tuple[int, ...] = (1,)) -> Plan:
    return Plan(setup=SETUP, trials=trials, thread_counts=thread_counts, measured_on="this machine")


def tried(trials: dict[str, AnyRender]) -> Registry:
    """The puppets, which say by what they can be measured."""
    (found,) = PUPPETS.engines
    return Registry(engines=(replace(found, spec=replace(found.spec, trial=trials.get)),))


@pytest.mark.parametrize(
    ("taken_s", "threads"),
    [
        ({1: [2.0]}, 1),
        ({1: [2.0, 1.0], 2: [1.0, 0.5]}, 2),
        ({1: [2.0, 1.0], 2: [1.9, 0.95]}, 1),  # hardly faster
        ({1: [1.0, 1.0], 2: [0.5, 1.6]}, 1),  # faster here, slower there
        ({4: [1.0], 1: [3.0], 2: [1.0]}, 2),
    ],
)
def test_more_threads_are_taken_only_where_they_are_worth_it(
    taken_s: dict[int, list[float]], threads: int
) -> None:
    assert best_threads(taken_s) == threads


async def test_every_trial_is_measured_and_what_cannot_be_made_is_left_out() -> None:
    plan = plan_of(trial(), trial("fail OutOfMemory", "puppet-v2"), thread_counts=(1, 2))
    found = await measure(plan)
    assert found is not None
    assert found.measured_on == "this machine"
    assert found.threads in (1, 2)
    assert [speed.render for speed in found.speeds] == [trial()]
    assert found.speeds[0].took_s >= 0
    assert await measure(plan_of(trial("fail OutOfMemory"))) is None


async def test_a_worker_whose_machine_starts_no_process_says_so_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no such program"))
    with pytest.raises(EngineCrashed, match="could not be started"):
        await measure(plan_of(trial()))
    assert await SelfTest(plan_of(trial()), tmp_path, 0.001).run(lambda: False) is None
    assert "could not measure itself: the engine process could not be started" in caplog.text
    assert tuning.read(tmp_path) is None


async def test_a_worker_that_can_make_none_of_its_trials_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    impossible = plan_of(trial("fail OutOfMemory"))
    assert await SelfTest(impossible, tmp_path, 0.001).run(lambda: False) is None
    assert "could not measure itself: no trial render succeeded" in caplog.text


async def test_a_quiet_worker_measures_itself_once_and_keeps_what_it_found(tmp_path: Path) -> None:
    registry = tried({"puppet-v1": trial()})
    async with ServerRoom().open() as room:
        config = config_of(room.url, tmp_path / "worker", quiet_s=0.01)
        async with running_worker(config, registry) as worker:
            event = await worker.event(Measured)
            assert event.threads == 1
            assert list(event.took_s) == ["puppet-v1"]
    kept = tuning.read(tmp_path / "worker")
    assert kept is not None
    assert [speed.render for speed in kept.speeds] == [trial()]
    (said,) = [f for f in doctor.examine(PUPPETS, tmp_path) if f.subject == "speed"]
    assert "puppet-v1" in said.text
    plan = tuning.plan_for(config, registry, SETUP, Device(), "1.0")
    known = SelfTest(replace(plan, measured_on=kept.measured_on), config.data_dir, 0.01)
    assert await known.run(lambda: False) is None, "it was known before"
    assert known.tuning == kept
    assert SelfTest(plan, config.data_dir, 0.01).tuning is None, "another machine"


async def test_the_next_start_uses_what_was_found_and_tells_the_server(tmp_path: Path) -> None:
    registry = tried({"puppet-v1": trial()})
    async with ServerRoom().open() as room:
        config = config_of(room.url, tmp_path, quiet_s=0.01)
        async with running_worker(config, registry) as worker:
            first = await room.line()
            assert first.hello.speeds == (), "nothing is known yet"
            await worker.event(Measured)
        found = tuning.read(tmp_path)
        assert found is not None
        tuning.write(tmp_path, msgspec.structs.replace(found, threads=7))
        async with running_worker(config, registry):
            line = await room.line()
            assert line.hello.speeds == found.speeds
            await line.send(room.assign("1", "threads"))
            await line.expect(Finished)
    assert room.files["result/1"] == b"7"


async def test_a_job_ends_the_measurement_at_once_and_without_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate(tmp_path)
    registry = tried({"puppet-v1": trial(gate.prompt)})
    async with ServerRoom().open() as room:
        config = config_of(room.url, tmp_path / "worker", quiet_s=0.01)
        async with running_worker(config, registry):
            line = await room.line()
            pipe = await asyncio.to_thread(open, gate.path, "w")  # the trial stands at the gate
            try:
                await line.send(room.assign("1", "puppet"))
                await line.expect(Finished)
            finally:
                pipe.close()
    assert tuning.read(tmp_path / "worker") is None
    assert "did not stop" not in caplog.text


async def test_nothing_is_measured_while_there_are_jobs_or_where_it_is_not_wanted(
    tmp_path: Path,
) -> None:
    asked = asyncio.Event()

    def busy() -> bool:
        asked.set()
        return True

    test = SelfTest(plan_of(trial()), tmp_path, 0.001)
    running = asyncio.create_task(test.run(busy))
    await asked.wait()
    running.cancel()
    await asyncio.wait([running])
    assert await SelfTest(plan_of(trial()), tmp_path, 0).run(lambda: False) is None
    assert await SelfTest(plan_of(), tmp_path, 0.001).run(lambda: False) is None
    assert tuning.read(tmp_path) is None


@pytest.mark.parametrize("content", ["", "{}", '{"threads": "many"}', "\0"])
def test_a_spoiled_file_counts_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "tuning.json").write_text(content)
    assert tuning.read(tmp_path) is None
    told = Tuning(measured_on="x", threads=2, speeds=(MeasuredSpeed(render=trial(), took_s=0.5),))
    tuning.write(tmp_path, told)
    assert tuning.read(tmp_path) == told


def test_the_built_in_engines_say_by_what_they_are_measured() -> None:
    found = find_engines().by_model()
    trials = {model: engine.spec.trial(model) for model, engine in found.items()}
    media = {type(trial).__name__ for trial in trials.values() if trial is not None}
    assert media == {"ImageRender", "VideoRender", "AudioRender"}
    assert all(trial is None or trial.model == model for model, trial in trials.items())
