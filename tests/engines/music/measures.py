"""What a listener would notice, as numbers: tempo, key, brightness, density, jumps."""

from typing import cast

import numpy as np
import numpy.typing as npt

from dreamgrid.engines.convolution import Floats

Doubles = npt.NDArray[np.float64]

HOP = 512
WINDOW = 2048

# How well each tone fits a key: Krumhansl and Kessler (1982).
_MAJOR = np.array([6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88])
_MINOR = np.array([6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17])


def spectrogram(samples: Floats, window: int = WINDOW, hop: int = HOP) -> Doubles:
    """Magnitudes, `(frames, bins)`, of the mono sum."""
    mono = samples.mean(axis=0)
    blocks = np.lib.stride_tricks.sliding_window_view(mono, window)[::hop]
    spectra = np.fft.rfft(blocks * np.hanning(window), axis=1)
    return cast(Doubles, np.abs(spectra))


def onsets(samples: Floats) -> Doubles:
    """How much sound begins in each frame of `HOP` samples (spectral flux)."""
    logarithms = np.log1p(30 * spectrogram(samples))
    flux = np.maximum(0, np.diff(logarithms, axis=0)).sum(axis=1)
    smooth = np.convolve(flux, np.ones(40) / 40, "same")
    return cast(Doubles, np.maximum(0, flux - smooth))


def tempo_error(samples: Floats, sample_rate: int, beat_s: float, *, divisions: int) -> float:
    """By which share the grid of the music is off the asked beat.

    The strongest period of the onsets (autocorrelation) is compared with the nearest of the
    periods that a beat has: whole beats, and their division by `divisions`.
    """
    strength = onsets(samples)
    strength = strength - strength.mean()
    size = 1 << (2 * strength.size).bit_length()
    power = np.abs(np.fft.rfft(strength, size)) ** 2
    correlation = np.fft.irfft(power, size)[: strength.size]
    frames_per_s = sample_rate / HOP
    longest = int(4.5 * frames_per_s)
    shortest = int(0.24 * frames_per_s)
    lags = np.arange(shortest, min(longest, strength.size // 2))
    best = int(lags[correlation[lags].argmax()])
    left, middle, right = correlation[best - 1 : best + 2]
    shift = 0.5 * (left - right) / (left - 2 * middle + right)  # the top of the parabola
    period_s = (best + shift) / frames_per_s
    unit_s = beat_s / divisions
    units = max(1, round(period_s / unit_s))
    return float(abs(period_s - units * unit_s) / period_s)


def chroma(samples: Floats, sample_rate: int) -> Doubles:
    """Energy of the twelve pitch classes from C on, octaves folded, 60 Hz to 2 kHz."""
    magnitudes = spectrogram(samples, 8192, 4096).mean(axis=0)
    hz = np.fft.rfftfreq(8192, 1 / sample_rate)
    heard = (hz > 60) & (hz < 2000)
    pitch = np.rint(69 + 12 * np.log2(hz[heard] / 440)).astype(int) % 12
    folded: Doubles = np.bincount(pitch, weights=magnitudes[heard], minlength=12).astype(np.float64)
    return folded


def likely_key(samples: Floats, sample_rate: int) -> tuple[int, bool]:
    """`(tonic, minor)` of the key whose profile correlates best with the sounding tones."""
    heard = chroma(samples, sample_rate)
    scores = {
        (tonic, minor): float(np.corrcoef(heard, np.roll(profile, tonic))[0, 1])
        for minor, profile in ((False, _MAJOR), (True, _MINOR))
        for tonic in range(12)
    }
    return max(scores, key=lambda key: scores[key])


def centroid_hz(samples: Floats, sample_rate: int) -> float:
    """How bright a sound is: the mean frequency of its spectrum."""
    magnitudes = spectrogram(samples).mean(axis=0)
    hz = np.fft.rfftfreq(WINDOW, 1 / sample_rate)
    return float((hz * magnitudes).sum() / magnitudes.sum())


def onset_rate(samples: Floats, sample_rate: int) -> float:
    """Distinct beginnings of sound per second."""
    strength = onsets(samples)
    peaks = (strength[1:-1] > strength[:-2]) & (strength[1:-1] >= strength[2:])
    peaks &= strength[1:-1] > 0.25 * np.percentile(strength, 99)
    return float(peaks.sum() / (samples.shape[1] / sample_rate))


def highest_jump(samples: Floats) -> float:
    """The largest step from one sample to the next."""
    return float(np.abs(np.diff(samples, axis=1)).max())


def level_db(samples: Floats) -> float:
    """Root mean square in dB of full scale."""
    return float(10 * np.log10(max(1e-12, float(np.mean(samples.astype(np.float64) ** 2)))))
