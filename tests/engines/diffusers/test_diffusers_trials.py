"""A worker with weights for diffusers tells its grid how quick it is before anybody's job."""

from pathlib import Path

import pytest

pytest.importorskip("peft", reason="needs torch and more: make diffusers")
pytest.importorskip("diffusers", reason="needs torch and more: make diffusers")

from dreamgrid.engines.diffusers.weights import MODELS_VARIABLE
from dreamgrid.engines.registry import find_engines
from dreamgrid.protocol.renders import ImageRender
from dreamgrid.protocol.worker import Heartbeat, MeasuredSpeed
from dreamgrid.worker.trials import kept_trials
from tests.engines.diffusers import tiny
from tests.worker.server_room import ServerRoom, config_of, running_worker

SD = "sd-v1-5"
TRIALS = tuple(
    ImageRender(model=model, prompt="an apple", width=64, height=64, steps=20, guidance=7, seed=1)
    for model in (SD, "pattern-v1")
)


async def test_a_worker_tells_how_quick_real_pipelines_are_before_the_first_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.write(SD, tmp_path / "weights")
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path / "weights"))
    room = ServerRoom(trials=TRIALS)
    told: dict[str, MeasuredSpeed] = {}
    async with room.open():
        config = config_of(room.url, tmp_path, models=(SD, "pattern-v1"), quiet_s=0.01)
        async with running_worker(config, find_engines()):
            line = await room.line()
            while len(told) < len(TRIALS):
                beat = await line.expect(Heartbeat)
                told |= {speed.render.model: speed for speed in beat.speeds}
    assert tuple(told[trial.model].render for trial in TRIALS) == TRIALS
    (real,) = (one for one in kept_trials(tmp_path) if one.render.model == SD)
    assert "diffusers" in real.measured_on
    # Four steps were made, and sixteen more are counted.
    assert real.took_s > 16 * real.step_s > 0
