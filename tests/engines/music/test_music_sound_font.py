"""Music played with a SoundFont: which presets play, how they sound, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av")
pytest.importorskip("midirenderer")

from dreamgrid.engines.base import Step
from dreamgrid.engines.convolution import Floats
from dreamgrid.engines.music import MODEL, sound_font
from dreamgrid.engines.music.engine import MusicEngine
from dreamgrid.engines.music.font_player import FontPlayer
from dreamgrid.engines.music.instruments import INSTRUMENTS
from dreamgrid.engines.music.percussion import KITS
from dreamgrid.engines.music.sound_font import GENERAL_MIDI, STROKE_KEYS, Preset, Tone
from dreamgrid.engines.music.tones import SAMPLE_RATE
from dreamgrid.errors import ConfigError, EngineError
from dreamgrid.protocol.renders import AudioRender
from tests.engines.audio.sounds import decoded
from tests.support.sound_font import sound_font as written

A4 = 69
PIANO, VIOLIN, DRUMS = (0, 0), (0, 40), (128, 0)


def hz_of(sound: Floats) -> float:
    """The loudest frequency."""
    power = np.abs(np.fft.rfft(sound[0]))
    return float(np.argmax(power) * SAMPLE_RATE / sound.shape[1])


@pytest.fixture
def font(tmp_path: Path) -> Path:
    """A piano that sounds as it is played, and a violin an octave higher; no drums."""
    path = tmp_path / "tiny.sf2"
    path.write_bytes(written({PIANO: 1, VIOLIN: 2, (8, 40): 3}))
    return path


@pytest.fixture
def chosen(font: Path, monkeypatch: pytest.MonkeyPatch) -> sound_font.SoundFont:
    """The font that this process plays with."""
    monkeypatch.setattr(sound_font.settings, "sound_font", sound_font.read(font))
    assert sound_font.settings.sound_font is not None
    return sound_font.settings.sound_font


def tone_of(path: Path, instrument: str, key: int = A4) -> Floats:
    player = FontPlayer(sound_font.read(path))
    return player.play(instrument, [Tone(0.5, 1.0, key, 0.8)], 2.0)


def test_every_instrument_kit_and_stroke_has_its_place() -> None:
    assert set(GENERAL_MIDI) == {*INSTRUMENTS, *KITS}
    assert len({STROKE_KEYS[name] for name in STROKE_KEYS}) == len(STROKE_KEYS)


def test_a_font_tells_its_name_and_plays_what_it_has(font: Path) -> None:
    found = sound_font.read(font)
    assert found.name == "tiny"
    assert found.plays == {"piano": Preset(*PIANO), "violin": Preset(*VIOLIN)}


def test_a_kit_that_a_font_lacks_is_played_by_its_first_one(tmp_path: Path) -> None:
    path = tmp_path / "drums.sf2"
    path.write_bytes(written({DRUMS: 1, (128, 48): 2}))
    plays = sound_font.read(path).plays
    assert set(plays) == set(KITS)
    assert plays["electronic"] == plays["acoustic"] == Preset(*DRUMS)
    assert plays["orchestral"] == Preset(128, 48)


def test_a_note_begins_and_ends_when_it_should_with_the_pitch_of_its_preset(font: Path) -> None:
    assert hz_of(tone_of(font, "piano")) == pytest.approx(441, abs=1)
    assert hz_of(tone_of(font, "piano", A4 + 12)) == pytest.approx(882, abs=2)
    violin = tone_of(font, "violin")
    assert hz_of(violin) == pytest.approx(882, abs=1)
    assert violin.shape == (2, 2 * SAMPLE_RATE)
    loud = np.flatnonzero(np.abs(violin).max(axis=0) > 0.05) / SAMPLE_RATE
    assert loud[0] == pytest.approx(0.5, abs=0.01)
    assert loud[-1] == pytest.approx(1.5, abs=0.1)
    assert np.abs(violin).max() == pytest.approx(0.8**1.5, rel=0.05), "as loud as our own"


def test_a_file_beside_the_font_says_which_presets_play(font: Path) -> None:
    font.with_suffix(".json").write_text(json.dumps({"violin": [8, 40], "flute": [0, 40]}))
    assert hz_of(tone_of(font, "violin")) == pytest.approx(1323, abs=1)
    assert hz_of(tone_of(font, "flute")) == pytest.approx(882, abs=1)
    assert hz_of(tone_of(font, "piano")) == pytest.approx(441, abs=1), "not named: as it was"


def test_loud_chords_are_not_cut_off(font: Path) -> None:
    player = FontPlayer(sound_font.read(font))
    chord = player.play("piano", [Tone(0.0, 1.0, A4, 1.0)] * 24, 1.5)
    power = np.abs(np.fft.rfft(chord[0, 4_410:39_690]))
    third = power[round(3 * 441 * 0.8) - 3 : round(3 * 441 * 0.8) + 3].max()
    assert third < 0.01 * power.max(), "a wave that is cut off has overtones"


def piece(prompt: str, **settings: float) -> AudioRender:
    return AudioRender(
        model=MODEL,
        prompt=prompt,
        steps=4,
        guidance=1.0,
        seed=3,
        output_format="wav",
        duration_s=settings.pop("duration_s", 6.0),
    )


def test_a_whole_piece_is_played_with_the_font_and_else_as_before(
    chosen: sound_font.SoundFont, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, steps = MusicEngine(), list[Step]()
    with_font = engine.generate(piece("a calm solo for piano"), {}, steps.append)
    again = engine.generate(piece("a calm solo for piano"), {}, lambda _: None)
    assert with_font.data == again.data, "the same render gives the same file"
    assert [step.step for step in steps] == [1, 2, 3, 4]
    sound = decoded(with_font.data)
    assert sound.samples.shape == (2, 6 * SAMPLE_RATE)
    assert json.loads(sound.tags["comment"])["sound_font"] == chosen.name
    monkeypatch.setattr(sound_font.settings, "sound_font", None)
    without = engine.generate(piece("a calm solo for piano"), {}, lambda _: None)
    assert without.data != with_font.data
    assert "sound_font" not in json.loads(decoded(without.data).tags["comment"])


def test_what_the_font_lacks_sounds_as_without_it(
    chosen: sound_font.SoundFont, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, render = MusicEngine(), piece("techno", duration_s=4.0)
    with_font = decoded(engine.generate(render, {}, lambda _: None).data).samples
    monkeypatch.setattr(sound_font.settings, "sound_font", None)
    without = decoded(engine.generate(render, {}, lambda _: None).data).samples
    assert np.array_equal(with_font, without)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"RIFF\xff\xff\xff\xffsfbkLIST", b"\0" * 400])
def test_what_is_no_sound_font_is_refused_at_the_start(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "spoiled.sf2"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="is no SoundFont 2"):
        sound_font.read(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        sound_font.read(tmp_path / "absent.sf2")


def test_a_font_that_is_cut_short_or_compressed_is_refused(tmp_path: Path) -> None:
    path, whole = tmp_path / "font.sf2", written({PIANO: 1})
    for length in range(0, len(whole), 997):
        path.write_bytes(whole[:length])
        with pytest.raises(ConfigError):
            sound_font.read(path)
    path.write_bytes(whole.replace(b"ifil\x04\0\0\0\x02", b"ifil\x04\0\0\0\x03"))
    with pytest.raises(ConfigError, match="SF3"):
        sound_font.read(path)


@pytest.mark.parametrize(
    ("mapping", "reason"),
    [
        ("[]", "must look like"),
        ('{"piano": [1]}', "must look like"),
        ('{"kazoo": [0, 0]}', "'kazoo' is none of piano"),
        ('{"flute": [7, 7]}', "flute is to be program 7 of bank 7"),
    ],
)
def test_a_mapping_that_cannot_be_is_refused(font: Path, mapping: str, reason: str) -> None:
    font.with_suffix(".json").write_text(mapping)
    with pytest.raises(ConfigError, match=reason):
        sound_font.read(font)


def test_a_font_that_goes_bad_ends_the_job_alone(chosen: sound_font.SoundFont) -> None:
    engine = MusicEngine()
    chosen.path.write_bytes(chosen.path.read_bytes()[:2_000])
    with pytest.raises(EngineError, match=r"^this worker's sound font cannot be played"):
        engine.generate(piece("a calm solo for piano"), {}, lambda _: None)
    chosen.path.unlink()
    with pytest.raises(EngineError, match=r"^this worker's sound font is gone"):
        engine.generate(piece("a calm solo for piano"), {}, lambda _: None)


def test_without_its_package_the_owner_is_told_what_to_install(
    font: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sound_font, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"pip install -e '\.\[soundfont\]' in the clone"):
        sound_font.read(font)
