"""What a worker remembers of its jobs, and tells the next server."""

from pathlib import Path

import msgspec
import pytest

from dreamgrid.protocol.params import Lora
from dreamgrid.protocol.renders import AnyRender, AudioRender, ImageRender, VideoRender
from dreamgrid.protocol.worker import Device, Finished, MeasuredSpeed
from dreamgrid.worker import job_speeds
from dreamgrid.worker.job_speeds import JobSpeeds
from tests.worker.server_room import ServerRoom, config_of, running_worker

GPU = Device(kind="cuda", name="Big", memory_bytes=24)

PICTURE = ImageRender(
    model="one", prompt="a secret", negative_prompt="secrets", steps=4, guidance=2.0, seed=99,
    width=64, height=32,
)  # fmt: skip
FILM = VideoRender(
    model="two", prompt="a secret", steps=4, guidance=2.0, seed=99, width=64, height=32, frames=9,
    fps=32, motion_fps=16,
)  # fmt: skip
SONG = AudioRender(
    model="three", prompt="a secret", steps=4, guidance=2.0, seed=99, duration_s=30,
    lyrics="secret words", reference_text="secret", instruct="a secret",
)  # fmt: skip


@pytest.mark.parametrize("render", [PICTURE, FILM, SONG], ids=["image", "video", "audio"])
def test_the_newest_job_of_a_model_is_remembered_without_a_word_of_it(
    tmp_path: Path, render: AnyRender
) -> None:
    JobSpeeds(tmp_path, GPU, "1.0").note(render, 2.5)
    (speed,) = JobSpeeds(tmp_path, GPU, "1.0").beside(())
    assert speed.took_s == 2.5
    assert (speed.render.model, speed.render.steps) == (render.model, 4)
    assert b"secret" not in (tmp_path / "job-speeds.json").read_bytes()
    assert type(speed.render) is type(render)
    for field in ("width", "height", "frames", "fps", "motion_fps", "duration_s"):
        assert getattr(speed.render, field, None) == getattr(render, field, None)
    assert JobSpeeds(tmp_path, GPU, "1.1").beside(()) == (), "another version"
    assert JobSpeeds(tmp_path, Device(), "1.0").beside(()) == (), "another machine"


def test_jobs_say_better_than_a_trial_how_long_jobs_take(tmp_path: Path) -> None:
    trial = MeasuredSpeed(render=PICTURE, took_s=9.0)
    other = MeasuredSpeed(render=FILM, took_s=8.0)
    speeds = JobSpeeds(tmp_path, GPU, "1.0")
    assert speeds.beside((trial, other)) == (trial, other)
    speeds.note(PICTURE, 2.5)
    assert [one.took_s for one in speeds.beside((trial, other))] == [2.5, 8.0]


@pytest.mark.parametrize(
    "changes", [{"loras": (Lora(id="warm", strength=1.0),)}, {"assets": ("startingImage",)}]
)
def test_what_brings_more_work_than_its_size_says_is_left_out(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    speeds = JobSpeeds(tmp_path, GPU, "1.0")
    speeds.note(msgspec.structs.replace(PICTURE, **changes), 2.5)
    assert speeds.beside(()) == ()


def test_what_hardly_changes_is_not_written_again_and_old_ones_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_speeds, "MOST_MODELS", 2)
    speeds = JobSpeeds(tmp_path, GPU, "1.0")
    speeds.note(PICTURE, 2.0)
    file = tmp_path / "job-speeds.json"
    file.unlink()
    speeds.note(PICTURE, 2.1)
    assert not file.exists()
    speeds.note(PICTURE, 3.0)
    assert file.exists()
    speeds.note(FILM, 1.0)
    speeds.note(SONG, 1.0)
    assert [one.render.model for one in speeds.beside(())] == ["two", "three"]


async def test_a_worker_that_comes_back_tells_how_long_its_jobs_took(tmp_path: Path) -> None:
    async with ServerRoom().open() as room:
        config = config_of(room.url, tmp_path)
        async with running_worker(config):
            line = await room.line()
            assert line.hello.speeds == ()
            await line.send(room.assign("1", "a fox"))
            finished = await line.expect(Finished)
        async with running_worker(config):
            (speed,) = (await room.line()).hello.speeds
    assert (speed.render.model, speed.render.prompt) == ("puppet-v1", "")
    assert speed.took_s == pytest.approx(finished.render_s)
