"""The room around the band, and the music that gives way to the bass drum."""

import numpy as np

from dreamgrid.engines.convolution import Floats
from dreamgrid.engines.music.tones import SAMPLE_RATE, frames_of, times

_PRE_DELAY_S = 0.018
_EARLY = ((0.019, 0.35), (0.027, -0.3), (0.035, 0.26), (0.044, -0.2), (0.053, 0.16))


def room(size: float, seed: int) -> Floats:
    """The response of a room, `(2, frames)`, of unit energy in each channel.

    Noise that decays exponentially, high frequencies twice as fast, nothing below 150 Hz, after a
    few early reflections (Moorer 1979). Both sides differ, which is what makes it wide.

    Args:
        size: 0 to 1: from half a second to three and a half until 60 dB are gone.
        seed: Draws the noise.
    """
    rng = np.random.default_rng(seed)
    ring_s = 0.5 + 3.0 * size
    t = times(ring_s)
    hz = np.fft.rfftfreq(t.size, 1 / SAMPLE_RATE)
    low_cut = 1 / (1 + (150 / np.maximum(hz, 1)) ** 4)
    dull = low_cut / (1 + (hz / 2500) ** 2)
    sides = []
    for _side in range(2):
        spectrum = np.fft.rfft(rng.standard_normal(t.size))
        dark = np.fft.irfft(spectrum * dull, t.size) * np.exp(-6.9 * t / ring_s)
        clear = np.fft.irfft(spectrum * (low_cut - dull), t.size) * np.exp(-13.8 * t / ring_s)
        tail = np.concatenate([np.zeros(frames_of(_PRE_DELAY_S)), dark + 0.5 * clear])
        tail /= np.sqrt(np.sum(tail**2))
        for at_s, gain in _EARLY:
            tail[frames_of(at_s * rng.uniform(0.9, 1.1))] += gain
        sides.append(tail / np.sqrt(np.sum(tail**2)))
    return np.stack(sides).astype(np.float32)


def ducking(frames: int, kicks_s: list[float], depth: float) -> Floats:
    """The gain of everything that gives way to the bass drum: down at each stroke, back in time.

    Args:
        frames: Length.
        kicks_s: When the bass drum is struck, in seconds, ascending.
        depth: 0 leaves all as is, 1 silences it for a moment.
    """
    gain = np.ones(frames, np.float32)
    shape_s = 0.3
    t = times(shape_s)
    dip = 1 - depth * np.sin(np.minimum(1, t / 0.012) * (np.pi / 2)) * np.exp(
        -np.maximum(0, t - 0.012) / 0.09
    ) * np.cos(np.clip((t - 0.2) / 0.1, 0, 1) * np.pi / 2)
    for at_s in kicks_s:
        start = round(at_s * SAMPLE_RATE)
        stop = min(frames, start + dip.size)
        if start < stop:
            np.minimum(gain[start:stop], dip[: stop - start], out=gain[start:stop])
    return gain
