"""The real engine, judged by what it plays: length, level, tempo, key, character."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numpy")
pytest.importorskip("av")

from dreamgrid.engines import loudness
from dreamgrid.engines.base import Artifact, OnStep, Step
from dreamgrid.engines.music import ENGINE, MODEL
from dreamgrid.engines.music.engine import MusicEngine
from dreamgrid.errors import EngineError, ModelNotAvailable, RenderCanceled, RenderRefused
from dreamgrid.protocol.params import CONTENT_TYPES, OutputFormat
from dreamgrid.protocol.renders import AudioRender, ImageRender
from tests.engines.audio.sounds import Sound, decoded
from tests.engines.music import measures

Play = Callable[..., Sound]

TONICS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


def artifact_of(
    prompt: str = "happy pop", on_step: OnStep = lambda _: None, **settings: Any
) -> Artifact:
    values = {"model": MODEL, "steps": 4, "guidance": 1.0, "seed": 3, "duration_s": 6.0}
    render = AudioRender(prompt=prompt, **{**values, "output_format": "wav", **settings})
    return MusicEngine().generate(render, {}, on_step)


@pytest.fixture
def play() -> Play:
    return lambda prompt="happy pop", **settings: decoded(artifact_of(prompt, **settings).data)


@pytest.mark.parametrize("output_format", ["mp3", "flac", "wav"])
@pytest.mark.parametrize("duration_s", [5.0, 7.123])
def test_a_piece_is_as_long_as_asked_to_the_sample(
    output_format: OutputFormat, duration_s: float
) -> None:
    artifact = artifact_of("rock", duration_s=duration_s, output_format=output_format)
    sound = decoded(artifact.data)
    assert artifact.content_type == CONTENT_TYPES[output_format]
    assert sound.samples.shape == (2, round(duration_s * 44_100))
    assert sound.tags["title"] == "rock"
    assert '"seed": 3' in sound.tags["comment"]
    assert loudness.integrated_lufs(sound.samples, 44_100) == pytest.approx(-16, abs=1)
    assert loudness.true_peak_dbtp(sound.samples) <= -1


@pytest.mark.parametrize(
    "prompt", ["techno", "jazz", "ambient", "lullaby", "epic battle", "sad piano", "funk", ""]
)
def test_every_kind_of_music_is_clean(play: Play, prompt: str) -> None:
    samples = play(prompt, duration_s=10.0).samples
    assert loudness.integrated_lufs(samples, 44_100) == pytest.approx(-16, abs=1)
    assert loudness.true_peak_dbtp(samples) <= -1
    assert measures.highest_jump(samples) < 0.5
    assert np.abs(samples[:, 0]).max() < 1e-3
    assert np.abs(samples[:, -1]).max() < 1e-3
    assert abs(float(samples.mean())) < 0.01
    left, right = (measures.level_db(samples[side : side + 1]) for side in (0, 1))
    assert abs(left - right) < 4
    assert np.abs(samples[0] - samples[1]).mean() > 0.002  # it is stereo


def test_silence_comes_only_at_the_very_end(play: Play) -> None:
    samples = play("calm piano", duration_s=12.0, bpm=70).samples
    tenths = samples[:, : samples.shape[1] // 4410 * 4410].reshape(2, -1, 4410)
    levels = 20 * np.log10(np.sqrt((tenths**2).mean(axis=(0, 2))) + 1e-9)
    assert levels[:-8].min() > -60
    assert levels[-1] < levels[-15] - 15


@pytest.mark.parametrize(
    ("bpm", "time_signature", "divisions"),
    [(60, "4", 2), (97, "4", 2), (120, "3", 2), (150, "2", 2), (70, "6", 3), (200, "4", 2)],
)
def test_the_grid_of_the_music_is_the_asked_tempo(
    play: Play, bpm: float, time_signature: str, divisions: int
) -> None:
    sound = play("pop", bpm=bpm, time_signature=time_signature, duration_s=16.0)
    error = measures.tempo_error(sound.samples, 44_100, 60 / bpm, divisions=divisions)
    assert error < 0.02


def test_a_wrong_tempo_would_be_noticed(play: Play) -> None:
    sound = play("pop", bpm=100, duration_s=16.0)
    assert measures.tempo_error(sound.samples, 44_100, 60 / 107, divisions=2) > 0.02


def test_most_of_the_24_keys_are_heard_as_asked(play: Play) -> None:
    heard = 0
    for tonic, name in enumerate(TONICS):
        for minor in (False, True):
            key = f"{name} {'minor' if minor else 'major'}"
            sound = play("", key_scale=key, duration_s=8.0, seed=tonic, bpm=150.0)
            relative = ((tonic + 3) % 12, False) if minor else ((tonic + 9) % 12, True)
            likely = measures.likely_key(sound.samples, 44_100)
            heard += likely in {(tonic, minor), relative}
    assert heard >= 0.8 * 24


def test_words_change_the_character(play: Play) -> None:
    techno, ambient = (play(words, duration_s=10.0).samples for words in ("techno", "ambient"))
    assert measures.onset_rate(techno, 44_100) > 1.3 * measures.onset_rate(ambient, 44_100)
    assert measures.centroid_hz(techno, 44_100) > 1.3 * measures.centroid_hz(ambient, 44_100)


def test_tempo_and_key_suit_the_words_where_they_are_left_open() -> None:
    def settings(prompt: str, seed: int) -> dict[str, Any]:
        data = artifact_of(prompt, seed=seed, duration_s=1.0).data
        return dict(json.loads(decoded(data).tags["comment"]))

    sad = [settings("sad dark ambient", seed) for seed in range(6)]
    happy = [settings("happy house", seed) for seed in range(6)]
    assert max(piece["bpm"] for piece in sad) < min(piece["bpm"] for piece in happy)
    assert sum("minor" in piece["key_scale"] for piece in sad) >= 5
    assert sum("major" in piece["key_scale"] for piece in happy) >= 5


def test_another_prompt_another_seed_or_another_key_is_another_piece() -> None:
    pieces = {
        artifact_of().data,
        artifact_of("happy pop song").data,
        artifact_of(seed=4).data,
        artifact_of(key_scale="D major").data,
        artifact_of(creativity=2.0).data,
        artifact_of(negative_prompt="drums").data,
    }
    assert len(pieces) == 6


def test_the_same_render_gives_the_same_bytes_for_any_number_of_steps() -> None:
    assert artifact_of(steps=1).data == artifact_of(steps=16).data


@pytest.mark.parametrize("steps", [1, 3, 16])
def test_progress_is_told_in_the_asked_number_of_steps(steps: int) -> None:
    told: list[Step] = []
    artifact = artifact_of(steps=steps, on_step=told.append)
    assert [step.step for step in told] == list(range(1, steps + 1))
    assert {step.step_count for step in told} == {steps}
    assert artifact.steps == steps


def test_it_stops_where_it_is_told_to() -> None:
    told = []

    def stop(step: Step) -> None:
        told.append(step.step)
        raise RenderCanceled("stop")

    with pytest.raises(RenderCanceled):
        artifact_of(on_step=stop)
    assert told == [1]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"bpm": 0.0}, "tempo"),
        ({"bpm": float("nan")}, "tempo"),
        ({"time_signature": "7"}, "time signature"),
        ({"key_scale": "H dur"}, "no key"),
        ({"duration_s": 0.0}, "duration"),
        ({"duration_s": 1e6}, "duration"),
        ({"creativity": 3.0}, "creativity"),
        ({"prompt_strength": -1.0}, "prompt strength"),
        ({"prompt": "lolicon"}, "never made"),
        ({"speaker": "heart"}, "no setting speaker"),
        ({"shift": 3.0}, "no setting shift"),
    ],
)
def test_what_cannot_be_is_refused(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(RenderRefused, match=reason):
        artifact_of(**settings)


def test_only_sound_files_are_made() -> None:
    with pytest.raises(EngineError, match="no sound file"):
        artifact_of(output_format="mp4")


def test_pictures_and_other_models_are_refused() -> None:
    picture = ImageRender(model=MODEL, prompt="a", steps=1, guidance=1, seed=1, width=8, height=8)
    with pytest.raises(RenderRefused, match="music only"):
        MusicEngine().generate(picture, {}, lambda _: None)
    with pytest.raises(ModelNotAvailable, match="not other-v1"):
        MusicEngine().load("other-v1")


@pytest.mark.parametrize(
    "prompt", ["\ud800 雨 \x00", "no", "without", "a" * 5000, "not not no drums"]
)
def test_any_text_makes_music(prompt: str) -> None:
    assert artifact_of(prompt, duration_s=5.0).data


@pytest.mark.parametrize("time_signature", ["2", "3", "4", "6"])
@pytest.mark.parametrize(("bpm", "duration_s"), [(40, 5.0), (220, 5.0), (40, 9.0)])
def test_the_edges_of_the_catalogue_sound_too(
    play: Play, time_signature: str, bpm: float, duration_s: float
) -> None:
    sound = play("folk", bpm=bpm, duration_s=duration_s, time_signature=time_signature)
    assert sound.duration_s == duration_s
    assert measures.level_db(sound.samples) > -35


def test_without_its_packages_the_engine_offers_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ENGINE.models() == (MODEL,)
    monkeypatch.setattr(
        "dreamgrid.engines.music.find_spec", lambda name: None if name == "av" else object()
    )
    assert ENGINE.models() == ()
    assert "pip install" in ENGINE.missing
