"""Loudness and true peak of a sound, and bringing both to where listeners expect them.

Measured as in ITU-R BS.1770-5 and EBU R 128: K-weighted power of overlapping blocks of 400 ms,
blocks below -70 LUFS and then those 10 LU below the rest left out; the true peak on a fourfold
oversampled signal. Podcasts and streams are delivered near -16 LUFS with peaks below -1 dBTP.
"""

import math

import numpy as np
import numpy.typing as npt

from dreamgrid.engines.convolution import Floats, convolve

TARGET_LUFS = -16.0
CEILING_DBTP = -1.5
"""Peaks after limiting: half a decibel under the usual -1, because MP3 moves them a little."""

SILENCE_LUFS = -70.0

_STEP_S = 0.1  # blocks of 400 ms begin every 100 ms
_STEPS_PER_BLOCK = 4
_OFFSET_LUFS = -0.691  # so that a 997 Hz sine at full scale in one channel reads -3.01 LUFS
_RELATIVE_GATE_LU = -10.0

_OVERSAMPLING = 4
_TAPS_PER_PHASE = 12
_HOP = 64  # frames that share one gain of the limiter
_STRETCH = 1 << 20  # frames that are worked on at once, to save memory
_LOOK_S = 0.04  # how long before and after a peak the limiter acts

Doubles = npt.NDArray[np.float64]


def integrated_lufs(samples: Floats, sample_rate: int) -> float:
    """The loudness of a whole sound in LUFS; at least `SILENCE_LUFS`.

    Args:
        samples: `(channels, frames)`, one or two channels. A sound shorter than 400 ms is measured
            as one block.
        sample_rate: Frames per second.
    """
    step = round(_STEP_S * sample_rate)
    count = max(_STEPS_PER_BLOCK, samples.shape[1] // step)
    powers = np.zeros(count)
    for channel in samples:
        weighted = convolve(channel[np.newaxis], _k_weighting(sample_rate))[0, : count * step]
        squares = np.square(weighted, out=weighted)
        if squares.size < count * step:
            squares = np.pad(squares, (0, count * step - squares.size))
        powers += squares.reshape(count, step).sum(axis=1, dtype=np.float64) / step
    blocks = np.convolve(powers, np.full(_STEPS_PER_BLOCK, 1 / _STEPS_PER_BLOCK), "valid")
    loud = blocks[blocks > _power(SILENCE_LUFS)]
    if not loud.size:
        return SILENCE_LUFS
    loud = loud[loud > loud.mean() * 10 ** (_RELATIVE_GATE_LU / 10)]
    return _OFFSET_LUFS + 10 * math.log10(loud.mean())


def true_peak_dbtp(samples: Floats) -> float:
    """The highest level between and on the samples, in dB of full scale; -inf for silence."""
    highest = float(_peaks(samples).max(initial=0.0))
    return 20 * math.log10(highest) if highest > 0 else -math.inf


def normalized(
    samples: Floats,
    sample_rate: int,
    *,
    target_lufs: float = TARGET_LUFS,
    ceiling_dbtp: float = CEILING_DBTP,
) -> Floats:
    """The sound at `target_lufs`, limited to `ceiling_dbtp`; silence stays silence.

    Limiting costs loudness, so gain and limit are set three times. A sound that is mostly peaks
    stays quieter than the target rather than distorted.
    """
    result = samples
    gain_db = 0.0
    for _ in range(3):
        measured = integrated_lufs(result, sample_rate)
        if measured <= SILENCE_LUFS or abs(target_lufs - measured) < 0.1 < abs(gain_db):
            break
        gain_db += target_lufs - measured
        result = limited(samples * np.float32(10 ** (gain_db / 20)), sample_rate, ceiling_dbtp)
    return result


def limited(samples: Floats, sample_rate: int, ceiling_dbtp: float) -> Floats:
    """The sound with its true peaks at `ceiling_dbtp` at most.

    The gain that each stretch of 64 frames needs is spread over 40 ms before and after it and
    smoothed, so it moves slowly and is in time: nothing clicks.
    """
    ceiling = 10 ** (ceiling_dbtp / 20)
    frames = samples.shape[1]
    hops = -(-frames // _HOP)
    peaks = np.zeros(hops * _HOP, np.float32)
    peaks[:frames] = _peaks(samples)
    needed = np.minimum(1.0, ceiling / np.maximum(peaks.reshape(hops, _HOP).max(axis=1), 1e-9))
    if needed.min(initial=1.0) >= 1.0:
        return samples
    reach = max(1, round(_LOOK_S * sample_rate / _HOP))
    window = np.hanning(2 * reach + 3)[1:-1]
    lowest = _windowed_minimum(needed, reach + 1)
    smooth = np.convolve(np.pad(lowest, reach, mode="edge"), window / window.sum(), "valid")
    centers = (np.arange(hops) + 0.5) * _HOP
    result = samples.copy()
    for start in range(0, frames, _STRETCH):
        places = np.arange(start, min(frames, start + _STRETCH))
        gain = np.interp(places, centers, smooth).astype(np.float32)
        result[:, start : start + _STRETCH] *= gain
    return result


def _windowed_minimum(values: Doubles, reach: int) -> Doubles:
    padded = np.pad(values, reach, mode="edge")
    lowest: Doubles = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).min(axis=1)
    return lowest


def _peaks(samples: Floats) -> Floats:
    """The highest absolute value around each frame, over all channels, on the finer grid."""
    highest: Floats = np.zeros(samples.shape[1], np.float32)
    for channel in samples:
        np.maximum(highest, np.abs(channel), out=highest)
        for phase in _interpolators():
            between = np.abs(np.convolve(channel, phase, "same"))[: channel.size]
            np.maximum(highest, between, out=highest)
    return highest


def _interpolators() -> list[Floats]:
    """The three filters that estimate the signal at 1/4, 2/4 and 3/4 between two samples."""
    reach = _TAPS_PER_PHASE // 2
    taps = np.arange(-reach + 1, reach + 1)
    phases = []
    for phase in range(1, _OVERSAMPLING):
        distance = taps - phase / _OVERSAMPLING
        filtered = np.sinc(distance) * np.cos(np.pi * distance / (2 * reach + 1)) ** 2
        phases.append((filtered / filtered.sum()).astype(np.float32)[::-1])
    return phases


def _power(lufs: float) -> float:
    return float(10 ** ((lufs - _OFFSET_LUFS) / 10))


def _k_weighting(sample_rate: int) -> Floats:
    """The impulse response of the two K-weighting filters, `(1, taps)`, at any sample rate.

    The standard lists coefficients for 48 kHz; these are the analogue filters behind them (a shelf
    of +4 dB above 1.7 kHz, a high-pass at 38 Hz), brought to `sample_rate` by the bilinear
    transform. It rings for less than a fifth of a second.
    """
    taps = 1 << (sample_rate // 5).bit_length()
    z = np.exp(-2j * np.pi * np.arange(taps // 2 + 1) / taps)
    shelf_k = math.tan(math.pi * 1681.974450955533 / sample_rate)
    gain = 10 ** (3.999843853973347 / 20)
    q = 0.7071752369554196
    mid = gain**0.4996667741545416
    shelf = (
        (gain + mid * shelf_k / q + shelf_k**2)
        + 2 * (shelf_k**2 - gain) * z
        + (gain - mid * shelf_k / q + shelf_k**2) * z**2
    ) / (
        (1 + shelf_k / q + shelf_k**2)
        + 2 * (shelf_k**2 - 1) * z
        + (1 - shelf_k / q + shelf_k**2) * z**2
    )
    pass_k = math.tan(math.pi * 38.13547087602444 / sample_rate)
    q = 0.5003270373238773
    # The standard's numerator is 1, -2, 1 as it stands, without the transform's usual factor.
    a0 = 1 + pass_k / q + pass_k**2
    high_pass = (
        (1 - 2 * z + z**2)
        * a0
        / (a0 + 2 * (pass_k**2 - 1) * z + (1 - pass_k / q + pass_k**2) * z**2)
    )
    response = np.fft.irfft(shelf * high_pass, taps)
    return response.astype(np.float32)[np.newaxis]
