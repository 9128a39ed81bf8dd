"""The real voice, heard through its files: length, level, sentences, and what it refuses."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("hibari")
pytest.importorskip("av")

from dreamgrid.engines import loudness
from dreamgrid.engines.base import Step
from dreamgrid.engines.voice import ENGINE, MODEL
from dreamgrid.engines.voice.engine import VoiceEngine
from dreamgrid.engines.voice.pace import speed_of
from dreamgrid.engines.voice.script import MAX_PHONEMES, PARAGRAPH_PAUSE_S, pieces, readable
from dreamgrid.errors import ModelNotAvailable, RenderCanceled, RenderRefused
from dreamgrid.protocol.params import CONTENT_TYPES, OutputFormat
from dreamgrid.protocol.renders import AudioRender, ImageRender
from tests.engines.audio.sounds import Sound, decoded

Speak = Callable[..., Sound]

STORY = (
    "Dr. Smith paid $3.50 at 9:30. The lighthouse keeper put a log on the fire. "
    "Was it cold? Yes, it was!"
)


@pytest.fixture(scope="module")
def engine() -> VoiceEngine:
    engine = VoiceEngine(threads=1)
    engine.load(MODEL)
    return engine


def render_of(prompt: str = STORY, **settings: Any) -> AudioRender:
    values = {"model": MODEL, "steps": 1, "guidance": 1.0, "seed": 5, "duration_s": 60.0}
    return AudioRender(prompt=prompt, **{**values, "output_format": "wav", **settings})


@pytest.fixture
def speak(engine: VoiceEngine) -> Speak:
    def speak(prompt: str = STORY, **settings: Any) -> Sound:
        return decoded(engine.generate(render_of(prompt, **settings), {}, lambda _: None).data)

    return speak


def pauses(sound: Sound) -> list[float]:
    """Lengths in seconds of the stretches of silence inside, longer than 0.2 s."""
    loud = np.flatnonzero(np.abs(sound.samples[0]) > 1e-4)
    gaps = np.diff(loud) / sound.sample_rate
    return [float(gap) for gap in gaps if gap > 0.2]


@pytest.mark.parametrize("output_format", ["mp3", "flac", "wav"])
def test_a_text_becomes_a_file_that_plays(engine: VoiceEngine, output_format: OutputFormat) -> None:
    artifact = engine.generate(render_of(output_format=output_format), {}, lambda _: None)
    sound = decoded(artifact.data)
    assert artifact.content_type == CONTENT_TYPES[output_format]
    assert sound.tags["title"].startswith("Dr. Smith paid")
    assert 7 < sound.duration_s < 14
    assert loudness.integrated_lufs(sound.samples, sound.sample_rate) == pytest.approx(-16, abs=1)
    assert loudness.true_peak_dbtp(sound.samples) <= -1


def test_the_same_render_gives_the_same_file(engine: VoiceEngine) -> None:
    first, second = (engine.generate(render_of(), {}, lambda _: None).data for _ in range(2))
    assert first == second


def test_every_sentence_is_a_step(engine: VoiceEngine) -> None:
    steps: list[Step] = []
    engine.generate(render_of(), {}, steps.append)
    assert [(step.step, step.step_count) for step in steps] == [(n, 4) for n in (1, 2, 3, 4)]


def test_it_stops_between_sentences_and_can_go_on(engine: VoiceEngine) -> None:
    said = []

    def stop_at_the_second(step: Step) -> None:
        said.append(step.step)
        if step.step == 2:
            raise RenderCanceled("stop")

    with pytest.raises(RenderCanceled):
        engine.generate(render_of(), {}, stop_at_the_second)
    assert said == [1, 2]
    assert engine.generate(render_of("Yes."), {}, lambda _: None).data


def test_sentences_are_joined_with_pauses_and_paragraphs_with_longer_ones(speak: Speak) -> None:
    short, long = pauses(speak("One apple. Two apples.\n\nThree apples."))
    assert 0.3 < short < 0.6
    assert long > short + 0.3


def test_numbers_and_abbreviations_are_read_as_words(speak: Speak) -> None:
    assert speak("It costs $1,250.").duration_s > 2 * speak("It costs it.").duration_s


@pytest.mark.parametrize(
    ("instruct", "speed"),
    [
        (None, 1.0),
        ("", 1.0),
        ("slowly", 0.8),
        ("Speak very slowly, please.", 0.65),
        ("Fast!", 1.25),
        ("quicker", 1.25),
        ("speed 1.2", 1.2),
        ("0.7x", 0.7),
        ("at normal speed", 1.0),
    ],
)
def test_an_instruction_sets_the_speed(instruct: str | None, speed: float) -> None:
    assert speed_of(instruct) == speed


def test_a_fast_text_is_shorter_than_a_slow_one(speak: Speak) -> None:
    fast, plain, slow = (speak(instruct=words).duration_s for words in ("fast", None, "slowly"))
    assert fast < 0.9 * plain
    assert slow > 1.1 * plain


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"prompt": "  \n"}, "empty"),
        ({"prompt": "雨が降る"}, "nothing in this text"),
        ({"prompt": "?! 🎉 ..."}, "nothing in this text"),
        ({"instruct": "whisper like a ghost"}, "how fast to speak"),
        ({"instruct": "speed 9"}, "between 0.5 and 2"),
        ({"speaker": "emma"}, "only speaker"),
        ({"language": "de"}, "speaks en only"),
        ({"reference_text": "hello"}, "imitate"),
    ],
)
def test_what_it_cannot_do_is_refused_before_the_first_step(
    engine: VoiceEngine, settings: dict[str, Any], reason: str
) -> None:
    steps: list[Step] = []
    with pytest.raises(RenderRefused, match=reason):
        engine.generate(render_of(**settings), {}, steps.append)
    assert steps == []


def test_a_text_far_too_long_is_refused_before_the_first_step(engine: VoiceEngine) -> None:
    steps: list[Step] = []
    with pytest.raises(RenderRefused, match=r"takes about \d\d s, and 5 s are allowed"):
        engine.generate(render_of(STORY * 4, duration_s=5), {}, steps.append)
    assert steps == []


def test_no_result_is_longer_than_allowed(engine: VoiceEngine, speak: Speak) -> None:
    length_s = speak().duration_s
    assert speak(duration_s=length_s).duration_s == length_s
    with pytest.raises(RenderRefused, match="are allowed"):
        engine.generate(render_of(duration_s=length_s - 0.1), {}, lambda _: None)


def test_letters_of_other_scripts_do_not_stop_a_text(speak: Speak) -> None:
    assert speak("Naïve \ud800café 雨 🎉 señor\x00.").duration_s > 1


def test_indecent_words_are_labelled_and_the_worst_are_never_said(engine: VoiceEngine) -> None:
    assert engine.generate(render_of("Good morning."), {}, lambda _: None).sensitive == ()
    labelled = engine.generate(render_of("A porn story."), {}, lambda _: None)
    assert labelled.sensitive == ("prompt",)
    with pytest.raises(RenderRefused, match="never made"):
        engine.generate(render_of("A lolicon story."), {}, lambda _: None)


def test_pictures_and_other_models_are_refused(engine: VoiceEngine) -> None:
    picture = ImageRender(model=MODEL, prompt="a", steps=1, guidance=1, seed=1, width=8, height=8)
    with pytest.raises(RenderRefused, match="speech only"):
        engine.generate(picture, {}, lambda _: None)
    with pytest.raises(ModelNotAvailable, match="not other-v1"):
        engine.load("other-v1")


def test_a_sentence_without_end_is_spoken_in_breaths() -> None:
    script = pieces("x", sentences_of=lambda _: ["x"], phonemes_of=lambda _: "word " * 200)
    assert len(script) > 3
    assert max(len(piece.phonemes) for piece in script) <= MAX_PHONEMES
    assert "".join(piece.phonemes for piece in script).count("w") == 200
    endless = pieces("x", sentences_of=lambda _: ["x"], phonemes_of=lambda _: "a" * 1000)
    assert "".join(piece.phonemes for piece in endless) == "a" * 1000


def test_a_clause_is_a_better_place_to_breathe_than_a_word() -> None:
    phonemes = "a" * 200 + ", " + "b" * 200
    script = pieces("x", sentences_of=lambda _: ["x"], phonemes_of=lambda _: phonemes)
    assert [piece.phonemes for piece in script] == ["a" * 200 + ",", "b" * 200]
    assert script[-1].pause_s == PARAGRAPH_PAUSE_S


def test_control_characters_are_left_out() -> None:
    assert readable("a\x00b\n\u200bc\ud800") == "ab\nc?"


def test_without_its_packages_the_engine_offers_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ENGINE.models() == (MODEL,)
    monkeypatch.setattr(
        "dreamgrid.engines.voice.find_spec", lambda name: None if name == "hibari" else object()
    )
    assert ENGINE.models() == ()
    assert "pip install" in ENGINE.missing
