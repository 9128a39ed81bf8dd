"""What is written is what is read: length, pitch, level and tags of every file type."""

import io
import json
import wave

import numpy as np
import pytest

pytest.importorskip("av")

from dreamgrid.engines import audio_file
from dreamgrid.errors import EngineError, ModelNotAvailable
from dreamgrid.protocol.params import OUTPUT_FORMATS, OutputFormat
from tests.engines.audio.sounds import decoded, sine

FORMATS = OUTPUT_FORMATS["audio"]
CODECS = {"mp3": "mp3float", "flac": "flac", "wav": "pcm_s16le"}


@pytest.mark.parametrize("output_format", FORMATS)
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("sample_rate", [24_000, 44_100])
def test_a_file_holds_every_sample_and_no_more(
    output_format: OutputFormat, channels: int, sample_rate: int
) -> None:
    samples = np.repeat(sine(440, 1.2345, sample_rate), channels, axis=0)
    sound = decoded(audio_file.encode(samples, sample_rate, output_format))
    assert sound.codec == CODECS[output_format]
    assert sound.sample_rate == sample_rate
    assert sound.samples.shape == samples.shape
    assert np.abs(sound.samples - samples).mean() < 0.005
    assert np.std(sound.samples) == pytest.approx(np.std(samples), rel=0.005)


@pytest.mark.parametrize("output_format", FORMATS)
def test_title_and_settings_travel_in_the_file(output_format: OutputFormat) -> None:
    settings = {"model": "m", "seed": 7, "prompt": "“naïve” 雨\n"}
    data = audio_file.encode(
        sine(440, 0.5), 44_100, output_format, title="Ein\nschönes  Lied", settings=settings
    )
    tags = decoded(data).tags
    assert tags["title"] == "Ein schönes Lied"
    assert json.loads(tags["comment"]) == settings


@pytest.mark.parametrize("output_format", FORMATS)
def test_the_same_sound_gives_the_same_bytes(output_format: OutputFormat) -> None:
    first, second = (
        audio_file.encode(sine(440, 0.5), 44_100, output_format, title="t") for _ in range(2)
    )
    assert first == second


@pytest.mark.parametrize("output_format", FORMATS)
def test_a_title_that_is_no_text_does_no_harm(output_format: OutputFormat) -> None:
    data = audio_file.encode(sine(440, 0.1), 44_100, output_format, title="\ud800" + "a" * 5000)
    assert decoded(data).tags["title"].endswith("aaa")


def test_a_wav_is_read_by_the_standard_library() -> None:
    data = audio_file.encode(sine(440, 0.5), 44_100, "wav", title="odd", settings={"a": 1})
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getnchannels(), file.getframerate(), file.getnframes()) == (1, 44_100, 22_050)


def test_what_is_too_loud_is_clipped_not_wrapped() -> None:
    sound = decoded(audio_file.encode(sine(440, 0.5, level=1.5), 44_100, "flac"))
    assert sound.samples.max() == pytest.approx(1.0, abs=1e-3)
    assert np.abs(np.diff(sound.samples)).max() < 0.2


def test_other_file_types_are_refused() -> None:
    with pytest.raises(EngineError, match="use mp3, flac or wav"):
        audio_file.encode(sine(440, 0.1), 44_100, "png")


def test_without_pyav_only_wav_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio_file, "_HAS_AV", False)
    assert audio_file.encode(sine(440, 0.1), 44_100, "wav")
    with pytest.raises(ModelNotAvailable, match="only wav"):
        audio_file.encode(sine(440, 0.1), 44_100, "mp3")
