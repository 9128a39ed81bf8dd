"""The drum kits: one stroke each, computed from nothing, at any level."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dreamgrid.engines.convolution import Floats
from dreamgrid.engines.music.tones import filtered_noise, floats, times

Rng = np.random.Generator


@dataclass(frozen=True, kw_only=True)
class Kit:
    """How a drum kit is tuned.

    Attributes:
        kick_hz: Where the bass drum comes to rest.
        kick_s: How long it sounds.
        click: How hard its beater is, 0..1.
        snare_hz: Lower tone of the snare.
        wires: Share of the snare's rattle, 0..1.
        snare_s: How long it rattles.
        metal: Brightness of hats and cymbals, 0..1.
    """

    kick_hz: float
    kick_s: float
    click: float
    snare_hz: float
    wires: float
    snare_s: float
    metal: float


KITS: dict[str, Kit] = {
    "acoustic": Kit(
        kick_hz=55, kick_s=0.32, click=0.6, snare_hz=190, wires=0.6, snare_s=0.16, metal=0.6
    ),
    "electronic": Kit(
        kick_hz=47, kick_s=0.42, click=0.8, snare_hz=210, wires=0.75, snare_s=0.14, metal=0.9
    ),
    "soft": Kit(
        kick_hz=58, kick_s=0.25, click=0.2, snare_hz=175, wires=0.5, snare_s=0.2, metal=0.35
    ),
    "orchestral": Kit(
        kick_hz=42, kick_s=0.9, click=0.2, snare_hz=180, wires=0.8, snare_s=0.22, metal=0.5
    ),
}
"""Drum kits by the names that kinds of music use."""


def stroke(kit: Kit, sound: str, rng: Rng) -> Floats:
    """One stroke of a percussion sound, `(frames,)`, peak at 1, from 0 to 0."""
    made = _SOUNDS[sound](kit, rng)
    t = times(made.size / 44_100)[: made.size]
    end = np.clip((t[-1] - t) / 0.01, 0, 1)
    made = made * np.minimum(1, t / 0.0006) * end
    out: Floats = (made / max(1e-6, float(np.abs(made).max()))).astype(np.float32)
    return floats(out)


def _drop(t: Floats, hz: float, above_hz: float, fall_s: float) -> Floats:
    """A sine that falls from `hz + above_hz` to `hz`."""
    turns = hz * t + above_hz * fall_s * (1 - np.exp(-t / fall_s))
    out: Floats = np.sin(2 * np.pi * turns).astype(np.float32)
    return floats(out)


def _kick(kit: Kit, rng: Rng) -> Floats:
    t = times(1.6 * kit.kick_s)
    body = _drop(t, kit.kick_hz, 170, 0.022) * np.exp(-t / (kit.kick_s / 3))
    beater = filtered_noise(1.6 * kit.kick_s, 1000, 5000, rng) * np.exp(-t / 0.004)
    return floats(body + 0.12 * kit.click * beater)


def _snare(kit: Kit, rng: Rng) -> Floats:
    length_s = 2.2 * kit.snare_s
    t = times(length_s)
    skin = _drop(t, kit.snare_hz, 60, 0.01) + 0.5 * _drop(t, kit.snare_hz * 1.75, 40, 0.01)
    wires = filtered_noise(length_s, 900, 7000 + 4000 * kit.metal, rng) * np.exp(
        -t / (kit.snare_s / 2.4)
    )
    return floats((1 - kit.wires) * skin * np.exp(-t / 0.045) + 0.45 * kit.wires * wires)


def _clap(kit: Kit, rng: Rng) -> Floats:
    t = times(0.28)
    hands = filtered_noise(0.28, 700, 4500, rng)
    bursts = sum(np.where(t >= at, np.exp(-(t - at) / 0.006), 0) for at in (0.0, 0.011, 0.021))
    tail = np.where(t >= 0.03, np.exp(-(t - 0.03) / 0.06), 0)
    return floats(hands * (bursts + 0.7 * tail))


def _metal(seconds: float, fade_s: float, low_hz: float, kit: Kit, rng: Rng) -> Floats:
    """Cymbals: six square waves far from harmony (as in analogue drum machines) within noise."""
    t = times(seconds)
    clang = np.zeros_like(t)
    for hz in (2053, 3077, 3693, 4229, 5401, 8003):
        clang += np.sign(np.sin(np.float32(2 * np.pi * hz) * t))
    hiss = filtered_noise(seconds, low_hz, 9000 + 6000 * kit.metal, rng)
    spectrum = np.fft.rfft(clang)
    edges = np.fft.rfftfreq(t.size, 1 / 44_100)
    spectrum *= 1 / (1 + (low_hz / np.maximum(edges, 1)) ** 4) / (1 + (edges / 13_000) ** 4)
    clang = np.fft.irfft(spectrum, t.size).astype(np.float32)
    return floats((0.25 * clang * kit.metal + hiss) * np.exp(-t / fade_s))


def _tom(kit: Kit, rng: Rng, hz: float) -> Floats:
    t = times(0.5)
    skin = filtered_noise(0.5, 300, 2500, rng) * np.exp(-t / 0.012)
    return floats(_drop(t, hz, 0.6 * hz, 0.03) * np.exp(-t / 0.13) + 0.12 * skin)


def _rim(kit: Kit, rng: Rng) -> Floats:
    t = times(0.09)
    wood = np.sin(2 * np.pi * 1720 * t) + 0.6 * np.sin(2 * np.pi * 820 * t)
    return floats(wood * np.exp(-t / 0.011))


def _shaker(kit: Kit, rng: Rng) -> Floats:
    t = times(0.12)
    return floats(filtered_noise(0.12, 5000, 11_000, rng) * np.exp(-(((t - 0.03) / 0.022) ** 2)))


_SOUNDS: dict[str, Callable[[Kit, Rng], Floats]] = {
    "kick": _kick,
    "snare": _snare,
    "clap": _clap,
    "hat": lambda kit, rng: _metal(0.12, 0.022, 6500, kit, rng),
    "open_hat": lambda kit, rng: _metal(0.45, 0.11, 6000, kit, rng),
    "ride": lambda kit, rng: _metal(0.9, 0.22, 4500, kit, rng),
    "crash": lambda kit, rng: _metal(2.2, 0.55, 2600, kit, rng),
    "tom_low": lambda kit, rng: _tom(kit, rng, 82),
    "tom_high": lambda kit, rng: _tom(kit, rng, 138),
    "rim": _rim,
    "shaker": _shaker,
}
