"""The pitched instruments: one note each, computed from nothing.

Every instrument is a function of pitch in Hz, seconds held, loudness 0..1 and draws. It returns the
note with its release, `(frames,)` or `(2, frames)` where the instrument itself is wide, at any
level: the band brings all to one peak. Loud notes are brighter, as with real instruments.
"""

from collections.abc import Callable

import numpy as np

from dreamgrid.engines.convolution import Floats
from dreamgrid.engines.music.tones import (
    SAMPLE_RATE,
    bent,
    envelope,
    filtered_noise,
    floats,
    formants,
    frames_of,
    modes,
    odd,
    plucked,
    released,
    saw,
    times,
    wave,
)

Rng = np.random.Generator
Instrument = Callable[[float, float, float, Rng], Floats]


def piano(hz: float, held_s: float, velocity: float, rng: Rng) -> Floats:
    """Stiff strings: partials a little sharp of harmonic (Fletcher 1964), high ones die first."""
    ring_s = min(9.0, 5.5 * (220 / hz) ** 0.6)
    stiffness = 0.0003 * (hz / 262) ** 1.2
    tilt = 1.9 - 0.7 * velocity
    partials = [
        (
            n * (1 + stiffness * n * n) ** 0.5,
            abs(np.sin(np.pi * n / 8.3)) * n**-tilt,
            ring_s / (1 + 0.35 * (n - 1)),
        )
        for n in range(1, 13)
    ]
    sound = modes(hz, min(held_s + 0.25, ring_s), partials)
    strike = filtered_noise(0.03, 200, 2500, rng) * np.linspace(1, 0, frames_of(0.03)) ** 2
    sound[: strike.size] += 0.05 * velocity * strike[: sound.size]
    sound *= np.minimum(1, times(sound.size / SAMPLE_RATE) / 0.003)[: sound.size]
    return released(sound, held_s, 0.25)


def electric_piano(hz: float, held_s: float, velocity: float, rng: Rng) -> Floats:
    """Frequency modulation (Chowning 1973): a round body, and a tine that rings above it."""
    ring_s = min(6.0, 4.0 * (220 / hz) ** 0.4)
    t = times(min(held_s + 0.3, ring_s))
    decay = np.exp(t * np.float32(-4.5 / ring_s))
    turn = (2 * np.pi * ((t * np.float64(hz)) % 1.0)).astype(np.float32)
    body = np.sin(turn + (0.3 + 1.1 * velocity) * decay**2 * np.sin(turn))
    tine = np.sin(turn + 0.9 * np.exp(-t * 9) * np.sin(14 * turn)) * np.exp(-t * 3)
    tremolo = 0.08 * np.sin(2 * np.pi * 4.6 * t)
    sound = (body + 0.45 * velocity * tine) * decay * np.minimum(1, t / 0.004)
    wide = np.stack([sound * (1 + tremolo), sound * (1 - tremolo)]).astype(np.float32)
    return released(wide, held_s, 0.3)


def guitar(hz: float, held_s: float, velocity: float, rng: Rng) -> Floats:
    """Nylon strings."""
    ring_s = min(5.0, 3.5 * (196 / hz) ** 0.5)
    sound = plucked(
        hz, min(held_s + 0.4, ring_s), bright=0.45 + 0.4 * velocity, ring_s=ring_s, rng=rng
    )
    return released(sound, held_s + 0.15, 0.25)


def electric_guitar(hz: float, held_s: float, velocity: float, rng: Rng) -> Floats:
    """A steel string through an overdriven amplifier."""
    ring_s = 6.0
    sound = plucked(hz, held_s + 0.15, bright=0.8, ring_s=ring_s, rng=rng)
    sound /= max(1e-6, float(np.abs(sound).max()))
    driven = np.tanh((3 + 5 * velocity) * sound)
    smooth = np.convolve(driven, np.hanning(14) / 6.5, "same")  # the loudspeaker, dull above 4 kHz
    return released(smooth[: sound.size].astype(np.float32), held_s, 0.12)


def harp(hz: float, held_s: float, velocity: float, rng: Rng) -> Floats:
    """Long, open strings; the hand does not damp them."""
    ring_s = min(6.0, 4.5 * (262 / hz) ** 0.5)
    length_s = min(max(held_s, 1.6) + 0.6, ring_s)
    sound = plucked(hz, length_s, bright=0.35 + 0.35 * velocity, ring_s=ring_s, rng=rng)
    return released(sound, length_s - 0.6, 0.6)


def upright_bass(hz: float, held_s: float, velocity: float, rng: Rng) -> Floats:
    """A thick string, plucked softly."""
    sound = plucked(hz, held_s + 0.15, bright=0.35 + 0.3 * velocity, ring_s=2.4, rng=rng)
    t = times(sound.size / SAMPLE_RATE)[: sound.size]
    sound /= max(1e-6, float(np.abs(sound).max()))
    sound += 0.5 * np.exp(-t * 3.2) * wave(hz, (1.0, 0.3), t)
    return released(sound * np.minimum(1, t / 0.008), held_s, 0.15)


def electric_bass(hz: float, held_s: float, velocity: float, rng: Rng) -> Floats:
    """A bright string and its low fundamental."""
    sound = plucked(hz, held_s + 0.12, bright=0.55 + 0.3 * velocity, ring_s=4.0, rng=rng)
    t = times(sound.size / SAMPLE_RATE)[: sound.size]
    sound /= max(1e-6, float(np.abs(sound).max()))
    sound = np.tanh(1.6 * (0.6 * sound + np.exp(-t * 1.3) * wave(hz, (1.0, 0.4, 0.15), t)))
    return released(sound * np.minimum(1, t / 0.005), held_s, 0.12)


def synth_bass(hz: float, held_s: float, velocity: float, rng: Rng) -> Floats:
    """A saw whose filter closes."""
    t = times(held_s + 0.06)
    open_ = np.exp(-t / 0.12) * (0.4 + 0.6 * velocity)
    sound = (1 - open_) * wave(hz, saw(5, 1.4), t) + open_ * wave(hz, saw(40), t)
    return floats(
        sound * envelope(held_s, attack_s=0.004, release_s=0.06, decay_s=0.3, sustain=0.7)
    )


def sub_bass(hz: float, held_s: float, velocity: float, rng: Rng) -> Floats:
    """Almost a sine, with a slide into the pitch at its start."""
    t = times(held_s + 0.15)
    slid = t + np.float32(0.004) * (1 - np.exp(-t / 0.02))
    sound = np.tanh(1.4 * wave(hz, (1.0, 0.12, 0.05), slid))
    return floats(
        sound * envelope(held_s, attack_s=0.012, release_s=0.15, decay_s=1.2, sustain=0.55)
    )


def _ensemble(
    hz: float, held_s: float, amplitudes: tuple[float, ...], *, cents: float, release_s: float,
    rng: Rng,
) -> Floats:  # fmt: skip
    """Three players on each side, each a little off and swaying by itself."""
    t = times(held_s + release_s)
    sides = []
    for _side in range(2):
        voices = np.zeros_like(t)
        for detune in (-1.0, 0.1, 0.9):
            off = 2 ** (cents * (detune + rng.uniform(-0.2, 0.2)) / 1200)
            track = bent(
                t + np.float32(rng.uniform(0, 1)), rate_hz=4.6 + rng.uniform(0, 1.2), depth=0.0016
            )
            voices += wave(hz * off, amplitudes, track)
        sides.append(voices)
    return np.stack(sides)


def strings(hz: float, held_s: float, velocity: float, rng: Rng) -> Floats:
    """A section of bowed strings."""
    sound = _ensemble(hz, held_s, saw(24, 1.5 - 0.35 * velocity), cents=9, release_s=0.35, rng=rng)
    attack_s = min(0.14, 0.4 * held_s)
    return floats(sound * envelope(held_s, attack_s=attack_s, release_s=0.35))


def choir(hz: float, held_s: float, velocity: float, rng: Rng) -> Floats:
    """Voices on an open vowel (formants after Peterson and Barney 1952)."""
    vowel = formants(hz, [(730, 140, 1.0), (1090, 160, 0.6), (2600, 300, 0.15)])
    sound = _ensemble(hz, held_s, vowel, cents=12, release_s=0.5, rng=rng)
    return floats(sound * envelope(held_s, attack_s=min(0.22, 0.4 * held_s), release_s=0.5))


def pad(hz: float, held_s: float, velocity: float, rng: Rng) -> Floats:
    """A warm synthesizer that opens and closes slowly."""
    warm = _ensemble(hz, held_s, saw(8, 1.7), cents=14, release_s=0.8, rng=rng)
    airy = _ensemble(hz, held_s, saw(24, 1.15), cents=14, release_s=0.8, rng=rng)
    t = times(held_s + 0.8)
    opened = 0.12 + 0.3 * velocity * np.sin(np.pi * np.minimum(1, t / max(held_s, 0.1))) ** 2
    attack_s = min(0.5, 0.4 * held_s)
    return floats((warm + opened * airy) * envelope(held_s, attack_s=attack_s, release_s=0.8))


def organ(hz: float, held_s: float, velocity: float, rng: Rng) -> Floats:
    """Drawbars 8', 4', 2 2/3', 2' and a turning loudspeaker."""
    t = times(held_s + 0.07)
    drawn = (1.0, 0.7, 0.45, 0.3, 0.0, 0.18, 0.0, 0.12)
    sides = [
        wave(hz, drawn, bent(t + phase, rate_hz=6.2, depth=0.0022, delay_s=0))
        for phase in (np.float32(0), np.float32(0.08))
    ]
    return floats(np.stack(sides) * envelope(held_s, attack_s=0.008, release_s=0.07))


def flute(hz: float, held_s: float, velocity: float, rng: Rng) -> Floats:
    """A nearly pure tone in a stream of breath."""
    t = times(held_s + 0.12)
    tone = wave(hz, (1.0, 0.3 * velocity + 0.1, 0.12, 0.04), bent(t, rate_hz=5.1, depth=0.003))
    breath = filtered_noise(held_s + 0.12, hz * 0.8, min(9000, hz * 4), rng)
    sway = 1 + 0.1 * np.sin(2 * np.pi * 5.1 * t) * np.clip((t - 0.25) / 0.3, 0, 1)
    sound = tone * sway + (0.02 + 0.10 * np.exp(-t / 0.05)) * breath
    return floats(sound * envelope(held_s, attack_s=0.055, release_s=0.12))


def clarinet(hz: float, held_s: float, velocity: float, rng: Rng) -> Floats:
    """A closed tube: odd harmonics."""
    t = times(held_s + 0.1)
    track = bent(t, rate_hz=4.8, depth=0.0015)
    soft, bright = wave(hz, odd(7, 1.6), track), wave(hz, odd(21, 1.1), track)
    mixed = soft + (0.2 + 0.5 * velocity) * bright
    return floats(mixed * envelope(held_s, attack_s=0.045, release_s=0.1))


def violin(hz: float, held_s: float, velocity: float, rng: Rng) -> Floats:
    """A bowed string in a wooden body, with vibrato."""
    t = times(held_s + 0.15)
    body = formants(hz, [(450, 200, 0.8), (1200, 500, 0.6), (2800, 900, 0.5)])
    shaped = tuple(gain / n**0.45 for n, gain in enumerate(body, start=1))
    sound = wave(hz, shaped, bent(t, rate_hz=5.6, depth=0.0055))
    bow = filtered_noise(held_s + 0.15, 1500, 6000, rng) * (0.01 + 0.05 * np.exp(-t / 0.04))
    level = envelope(held_s, attack_s=min(0.09, 0.35 * held_s), release_s=0.15)
    return floats((sound + bow) * level)


def brass(hz: float, held_s: float, velocity: float, rng: Rng) -> Floats:
    """Brightness follows loudness, as lips do (Risset 1966)."""
    t = times(held_s + 0.1)
    track = bent(t, rate_hz=5.2, depth=0.002, delay_s=0.35)
    level = envelope(held_s, attack_s=0.06, release_s=0.1, decay_s=0.25, sustain=0.8)
    bright = level**2 * (0.3 + 0.7 * velocity)
    return floats(
        ((1 - bright) * wave(hz, saw(8, 1.6), track) + bright * wave(hz, saw(28), track)) * level
    )


def synth_lead(hz: float, held_s: float, velocity: float, rng: Rng) -> Floats:
    """Two saws and a square below, with a filter that closes a little and late vibrato."""
    t = times(held_s + 0.12)
    track = bent(t, rate_hz=5.4, depth=0.0035, delay_s=0.3)
    open_ = 0.25 + (0.25 + 0.4 * velocity) * np.exp(-t / 0.25)
    low = wave(hz, saw(8, 1.5), track) + 0.4 * wave(hz / 2, odd(7, 1.5), track)
    sides = [low + open_ * wave(hz * off, saw(32), track) for off in (0.9965, 1.0035)]
    level = envelope(held_s, attack_s=0.008, release_s=0.12, decay_s=0.4, sustain=0.75)
    return floats(np.stack(sides).astype(np.float32) * level)


def pluck(hz: float, held_s: float, velocity: float, rng: Rng) -> Floats:
    """A short synthesizer note: bright at first, gone soon."""
    length_s = max(0.35, held_s)
    t = times(length_s + 0.1)
    open_ = np.exp(-t / (0.05 + 0.1 * velocity))
    sides = [
        (wave(hz * off, saw(6, 1.6), t) + open_ * wave(hz * off, saw(36), t)) * np.exp(-t / 0.28)
        for off in (0.998, 1.002)
    ]
    level = envelope(length_s, attack_s=0.003, release_s=0.1)
    return floats(np.stack(sides).astype(np.float32) * level)


def bells(hz: float, held_s: float, velocity: float, rng: Rng) -> Floats:
    """Glass and metal: harmonic below, a shimmer above."""
    partials = [(1, 1, 4.0), (2, 0.5, 3.0), (3.01, 0.25, 1.8), (4.17, 0.18, 1.1), (6.8, 0.1, 0.5)]
    sound = modes(hz, 3.2, [(r, a * velocity ** (0.15 * r), s) for r, a, s in partials])
    return released(sound * _soft_start(sound), 2.2, 1.0)


def music_box(hz: float, held_s: float, velocity: float, rng: Rng) -> Floats:
    """Little steel tongues (modes of a clamped bar, 6.27 apart), and the click of the pin."""
    sound = modes(hz, 2.0, [(1, 1, 2.4), (2, 0.22, 1.2), (6.27, 0.2 * velocity, 0.25)])
    return released(sound * _soft_start(sound), 1.3, 0.7)


def marimba(hz: float, held_s: float, velocity: float, rng: Rng) -> Floats:
    """Wooden bars tuned in double octaves over resonators."""
    sound = modes(hz, 1.0, [(1, 1, 1.0), (4, 0.35 * velocity, 0.3), (9.9, 0.15 * velocity, 0.09)])
    return released(sound * _soft_start(sound), 0.7, 0.3)


def vibraphone(hz: float, held_s: float, velocity: float, rng: Rng) -> Floats:
    """Metal bars with turning discs."""
    length_s = min(max(held_s, 0.6) + 0.5, 4.0)
    sound = modes(hz, length_s, [(1, 1, 4.5), (4, 0.25 * velocity, 1.4), (10, 0.08, 0.3)])
    t = times(sound.size / SAMPLE_RATE)[: sound.size]
    sound *= _soft_start(sound) * (1 + 0.25 * np.sin(2 * np.pi * 5.3 * t)).astype(np.float32)
    return released(sound, length_s - 0.5, 0.5)


def _soft_start(sound: Floats) -> Floats:
    t = np.arange(sound.size, dtype=np.float32) / np.float32(SAMPLE_RATE)
    return floats(np.minimum(np.float32(1), t / np.float32(0.002)))


INSTRUMENTS: dict[str, Instrument] = {
    make.__name__: make
    for make in (
        piano,
        electric_piano,
        guitar,
        electric_guitar,
        harp,
        strings,
        choir,
        pad,
        organ,
        flute,
        clarinet,
        violin,
        brass,
        synth_lead,
        pluck,
        bells,
        music_box,
        marimba,
        vibraphone,
        upright_bass,
        electric_bass,
        synth_bass,
        sub_bass,
    )
}
"""All instruments by the names that styles use."""
