"""The material of instruments: times, envelopes, periodic waves, plucked strings, modes."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from dreamgrid.engines.convolution import Floats

SAMPLE_RATE = 44_100
Rng = np.random.Generator

_TABLE = 4096
_HIGHEST_HZ = 15_000


def floats(sound: npt.ArrayLike) -> Floats:
    """Any computed sound as float32."""
    return np.asarray(sound, np.float32)


def frames_of(seconds: float) -> int:
    """Seconds as frames, at least one."""
    return max(1, round(seconds * SAMPLE_RATE))


def times(seconds: float) -> Floats:
    """The time of each frame in seconds."""
    return np.arange(frames_of(seconds), dtype=np.float32) / np.float32(SAMPLE_RATE)


def envelope(
    held_s: float,
    *,
    attack_s: float,
    release_s: float,
    decay_s: float = 0.0,
    sustain: float = 1.0,
) -> Floats:
    """How loud a note is while its key is held and after it: smooth, from 0 to 0.

    Args:
        held_s: How long the key is held.
        attack_s: Until full loudness.
        release_s: From letting go to silence.
        decay_s: Time constant from full loudness to `sustain`. 0: none.
        sustain: Loudness while held.
    """
    t = times(held_s + release_s)
    attack = min(attack_s, held_s)
    level = np.ones_like(t)
    if decay_s:
        level = sustain + (1 - sustain) * np.exp(-np.maximum(0, t - attack) / decay_s)
    level *= np.sin(np.minimum(1, t / max(attack, 1e-4)) * (np.pi / 2)) ** 2
    level *= np.cos(np.clip((t - held_s) / release_s, 0, 1) * (np.pi / 2)) ** 2
    return floats(level)


def released(sound: Floats, held_s: float, release_s: float) -> Floats:
    """A sound that decays by itself, damped when the key is let go."""
    t = np.arange(sound.shape[-1], dtype=np.float32) / np.float32(SAMPLE_RATE)
    return floats(sound * np.cos(np.clip((t - held_s) / release_s, 0, 1) * np.float32(np.pi / 2)))


def wave(hz: float, amplitudes: Sequence[float], track: Floats) -> Floats:
    """A periodic wave of harmonics.

    Args:
        hz: Pitch.
        amplitudes: Of the first harmonic, the second and so on; those too high are left out.
        track: For each frame, the time in seconds that has passed for the oscillator: plain time,
            or bent for vibrato.
    """
    count = max(1, min(len(amplitudes), int(_HIGHEST_HZ / hz)))
    table = _table(tuple(amplitudes[:count]))
    place = track * np.float64(hz)
    place -= np.floor(place)  # a third of the time of % 1
    place *= _TABLE
    index = place.astype(np.intp)
    low = table[index]
    return floats(low + (table[index + 1] - low) * (place - index).astype(np.float32))


@lru_cache(maxsize=256)
def _table(amplitudes: tuple[float, ...]) -> Floats:
    spectrum = np.zeros(_TABLE // 2 + 1, np.complex128)
    phases = np.random.default_rng(len(amplitudes)).uniform(0, 2 * np.pi, len(amplitudes))
    phases[0] = np.pi / 2
    spectrum[1 : len(amplitudes) + 1] = np.array(amplitudes) * np.exp(-1j * phases)
    one = np.fft.irfft(spectrum, _TABLE)
    one /= np.abs(one).max()
    return floats(np.append(one, one[0]))


def bent(t: Floats, *, rate_hz: float, depth: float, delay_s: float = 0.25) -> Floats:
    """Time with vibrato: `depth` is the share by which the pitch moves up and down."""
    grown = np.clip((t - delay_s) / 0.3, 0, 1)
    swing = np.float32(depth / (2 * np.pi * rate_hz)) * grown
    return floats(t - swing * np.cos(np.float32(2 * np.pi * rate_hz) * t))


def saw(count: int, tilt: float = 1.0) -> tuple[float, ...]:
    """Harmonics that fall as 1/n, or steeper with a higher tilt."""
    return tuple(float(n) ** -tilt for n in range(1, count + 1))


def odd(count: int, tilt: float = 1.0) -> tuple[float, ...]:
    """Odd harmonics alone, as of a square wave or a closed tube."""
    return tuple(float(n) ** -tilt if n % 2 else 0.02 / n for n in range(1, count + 1))


def formants(hz: float, peaks: Sequence[tuple[float, float, float]]) -> tuple[float, ...]:
    """Harmonics of a voice-like source under resonances of `(center_hz, width_hz, gain)`."""
    harmonics = np.arange(1, max(2, int(6000 / hz)) + 1)
    gains = 0.04 + sum(
        gain * np.exp(-(((harmonics * hz - center) / width) ** 2)) for center, width, gain in peaks
    )
    return tuple(float(one) for one in gains / harmonics**0.5)


def plucked(hz: float, seconds: float, *, bright: float, ring_s: float, rng: Rng) -> Floats:
    """A plucked string after Karplus and Strong (1983), computed at once instead of in a loop.

    The string starts as one period of noise, and each period is the last one averaged with its
    neighbors: in the spectrum, every harmonic decays by its own factor.

    Args:
        hz: Pitch; exact, as the whole period of the method is resampled to it.
        seconds: Length.
        bright: 0 dull to 1 sharp: of the noise, and how long high harmonics live.
        ring_s: Seconds until the lowest harmonic has lost 60 dB.
        rng: Draws the noise.
    """
    period = max(8, round(SAMPLE_RATE / hz))
    ratio = hz * period / SAMPLE_RATE
    frames = frames_of(seconds)
    count = int(frames * ratio / period) + 2
    harmonics = np.arange(period // 2 + 1)
    start = np.fft.rfft(rng.uniform(-1, 1, period))
    start *= np.exp(-harmonics * (1 - bright) * 0.25) * np.abs(np.sin(np.pi * harmonics * 0.21))
    start[0] = 0
    mixed = 0.08 + 0.42 * (1 - bright)  # share of the neighbor in the average
    angle = 2 * np.pi * harmonics / period
    loss = np.abs((1 - mixed) + mixed * np.exp(-1j * angle)) * 10 ** (
        -3 * period / SAMPLE_RATE / ring_s
    )
    powers = loss[np.newaxis] ** np.arange(count)[:, np.newaxis]
    string = np.fft.irfft(start * powers, period, axis=1).ravel()
    out = np.interp(np.arange(frames) * ratio, np.arange(string.size), string)
    return floats(out)


def modes(hz: float, seconds: float, partials: Sequence[tuple[float, float, float]]) -> Floats:
    """A struck bar or bell: partials of `(ratio to hz, amplitude, seconds to lose 60 dB)`."""
    t = times(seconds)
    out = np.zeros_like(t)
    for ratio, amplitude, ring_s in partials:
        if hz * ratio < _HIGHEST_HZ:
            living = t[: frames_of(min(seconds, ring_s))]
            decay = np.exp(living * np.float32(-6.9 / ring_s))
            angle = (living * np.float64(hz * ratio) % 1.0).astype(np.float32)
            out[: living.size] += amplitude * decay * np.sin(np.float32(2 * np.pi) * angle)
    return out


def noise(seconds: float, rng: Rng) -> Floats:
    """White noise."""
    return rng.standard_normal(frames_of(seconds), dtype=np.float32)


def filtered_noise(seconds: float, low_hz: float, high_hz: float, rng: Rng) -> Floats:
    """Noise between two frequencies, with soft edges, about as loud as white noise."""
    white = noise(seconds, rng)
    spectrum = np.fft.rfft(white)
    hz = np.fft.rfftfreq(white.size, 1 / SAMPLE_RATE)
    spectrum *= 1 / (1 + (low_hz / np.maximum(hz, 1)) ** 4) / (1 + (hz / high_hz) ** 4)
    out = np.fft.irfft(spectrum, white.size)
    return floats(out / max(1e-9, float(out.std())))
