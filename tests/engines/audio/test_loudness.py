"""The meter reads what the standards say, and the limiter keeps its word."""

import numpy as np
import pytest

pytest.importorskip("numpy")

from dreamgrid.engines import loudness
from dreamgrid.engines.convolution import Floats, convolve
from tests.engines.audio.sounds import sine

RATES = [24_000, 44_100, 48_000]


def stereo(channel: Floats) -> Floats:
    return np.repeat(channel, 2, axis=0)


def drumming(seconds: float = 6.0, sample_rate: int = 44_100) -> Floats:
    """Bursts of noise twice a second: loud peaks over little power."""
    frames = round(seconds * sample_rate)
    decay = np.exp(-(np.arange(frames) % (sample_rate // 2)) / 4000)
    noise = np.random.default_rng(3).normal(size=(2, frames))
    return (0.3 * noise * decay).astype(np.float32)


@pytest.mark.parametrize("sample_rate", RATES)
def test_a_sine_at_full_scale_in_one_channel_reads_minus_three(sample_rate: int) -> None:
    """BS.1770: 997 Hz at 0 dBFS, one channel: -3.01 LUFS."""
    measured = loudness.integrated_lufs(sine(997, 5, sample_rate, level=1), sample_rate)
    assert measured == pytest.approx(-3.01, abs=0.05)


@pytest.mark.parametrize("level_db", [-23, -33])
def test_a_stereo_sine_reads_its_level(level_db: float) -> None:
    """EBU Tech 3341, cases 1 and 2."""
    tone = stereo(sine(1000, 20, 48_000, level=10 ** (level_db / 20)))
    assert loudness.integrated_lufs(tone, 48_000) == pytest.approx(level_db, abs=0.1)


def test_quiet_passages_do_not_count() -> None:
    """EBU Tech 3341, case 3: -36, -23, -36 dBFS; the quiet ends fall through the relative gate."""
    parts = [(10, -36), (60, -23), (10, -36)]
    tone = np.concatenate(
        [stereo(sine(1000, length, 48_000, level=10 ** (db / 20))) for length, db in parts], axis=1
    )
    assert loudness.integrated_lufs(tone, 48_000) == pytest.approx(-23, abs=0.1)


def test_low_tones_count_less_than_high_ones() -> None:
    low, high = (loudness.integrated_lufs(sine(hz, 3), 44_100) for hz in (40, 4000))
    assert high - low > 8


def test_a_peak_between_two_samples_is_seen() -> None:
    """A sine at a quarter of the rate, 45 degrees off: every sample lies 3 dB under its peak."""
    times = np.arange(4800)
    wave = np.sin(2 * np.pi * times / 4 + np.pi / 4).astype(np.float32)[np.newaxis]
    assert 20 * np.log10(np.abs(wave).max()) == pytest.approx(-3.01, abs=0.01)
    assert loudness.true_peak_dbtp(wave) == pytest.approx(0, abs=0.2)


def test_silence_is_quiet_and_stays_silence() -> None:
    silence = np.zeros((2, 20_000), np.float32)
    assert loudness.integrated_lufs(silence, 44_100) == loudness.SILENCE_LUFS
    assert loudness.true_peak_dbtp(silence) == -np.inf
    assert not loudness.normalized(silence, 44_100).any()


@pytest.mark.parametrize("level", [0.01, 0.1, 3.0])
def test_any_level_comes_out_at_the_target_with_its_peaks_below_the_ceiling(level: float) -> None:
    result = loudness.normalized(drumming() * np.float32(level), 44_100)
    assert loudness.integrated_lufs(result, 44_100) == pytest.approx(-16, abs=0.5)
    assert loudness.true_peak_dbtp(result) <= loudness.CEILING_DBTP + 0.01


def test_a_sound_shorter_than_a_block_is_brought_to_a_level_too() -> None:
    result = loudness.normalized(sine(500, 0.2, level=0.01), 44_100)
    assert np.abs(result).max() > 0.1


def test_the_limiter_moves_its_gain_slowly() -> None:
    tone = stereo(sine(200, 2, level=0.3))
    tone[:, 40_000:40_400] *= 3
    gain = loudness.limited(tone, 44_100, -6)[0] / np.where(np.abs(tone[0]) < 1e-3, np.nan, tone[0])
    steps = np.abs(np.diff(gain[~np.isnan(gain)]))
    assert np.nanmin(gain) < 0.7
    assert steps.max() < 0.005


def test_what_is_low_enough_is_left_alone() -> None:
    tone = sine(200, 1, level=0.3)
    assert loudness.limited(tone, 44_100, -1) is tone


@pytest.mark.parametrize("frames", [1, 1000, 70_000])
def test_convolution_agrees_with_the_plain_sum(frames: int) -> None:
    rng = np.random.default_rng(frames)
    samples = rng.normal(size=(2, frames)).astype(np.float32)
    response = rng.normal(size=(1, 300)).astype(np.float32)
    expected = np.stack([np.convolve(channel, response[0]) for channel in samples])
    assert np.allclose(convolve(samples, response), expected, atol=1e-3)
