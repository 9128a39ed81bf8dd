"""Melodies: a motif, its repetition and variation, question and answer. Pure but for the draws.

A phrase is four bars: motif, answer, motif again on the new chord, cadence. Heavy beats take tones
of the chord, light ones steps between; after a leap the line turns back (gap fill, as melodies of
most traditions do).
"""

from dataclasses import dataclass

import numpy as np

from dreamgrid.engines.music.harmony import Chord, Key, Span
from dreamgrid.engines.music.meter import Meter
from dreamgrid.engines.music.score import Note

Rng = np.random.Generator

# Ways to fill one beat: lengths in slots, negative ones are rests.
_SIMPLE = ((4,), (2, 2), (3, 1), (2, 1, 1), (1, 1, 2), (1, 1, 1, 1), (-2, 2), (1, 2, 1))
_COMPOUND = ((6,), (4, 2), (2, 2, 2), (2, 4), (3, 3), (2, 1, 1, 2), (-2, 2, 2), (1, 1, 2, 2))
_SYNCOPATED = {(1, 2, 1), (-2, 2), (2, 4), (3, 3), (-2, 2, 2)}
_SHORTEST_S = 0.09


@dataclass(frozen=True)
class Motif:
    """One bar of melody without harmony: when it moves, and by how many scale steps.

    Attributes:
        rhythm: `(slot, length)` of each note.
        steps: Scale steps from each note to the next; the first is 0.
    """

    rhythm: tuple[tuple[int, int], ...]
    steps: tuple[int, ...]


@dataclass(frozen=True)
class Theme:
    """The motifs of a section: the idea, its answer, and the rhythm of its cadences."""

    idea: Motif
    answer: Motif
    cadence: Motif


def theme(meter: Meter, slot_s: float, *, density: float, creativity: float, rng: Rng) -> Theme:
    """A theme.

    Args:
        meter: Time signature.
        slot_s: Seconds per slot.
        density: Notes per second to aim at.
        creativity: How far it leaps and how much it syncopates, 0..2.
        rng: Draws it.
    """
    idea = _motif(meter, slot_s, density, creativity, rng)
    answer = _motif(meter, slot_s, density * 0.85, creativity, rng)
    if rng.random() < 0.5:  # often the answer has the rhythm of the idea
        answer = Motif(idea.rhythm, _contour(len(idea.rhythm), creativity, rng))
    return Theme(idea, answer, _cadence(idea, meter))


def _motif(meter: Meter, slot_s: float, density: float, creativity: float, rng: Rng) -> Motif:
    cells = _COMPOUND if meter.compound else _SIMPLE
    beat_s = meter.slots_per_beat * slot_s
    rhythm: list[tuple[int, int]] = []
    for beat in range(meter.beats):
        weights = np.array([_weight(cell, beat_s, slot_s, density, creativity) for cell in cells])
        cell = cells[int(rng.choice(len(cells), p=weights / weights.sum()))]
        slot = beat * meter.slots_per_beat
        for length in cell:
            if length > 0:
                rhythm.append((slot, length))
            slot += abs(length)
    merged = _merged(rhythm, beat_s, density, rng)
    return Motif(tuple(merged), _contour(len(merged), creativity, rng))


def _weight(
    cell: tuple[int, ...], beat_s: float, slot_s: float, density: float, creativity: float
) -> float:
    """How well a cell suits the density; syncopation comes with creativity."""
    if min(abs(length) for length in cell) * slot_s < _SHORTEST_S:
        return 1e-6 if len(cell) > 1 else 1.0
    rate = sum(length > 0 for length in cell) / beat_s
    fit = float(np.exp(-(((rate - density) / (0.4 * density + 0.3)) ** 2)))
    return fit * (0.15 + 0.5 * creativity if cell in _SYNCOPATED else 1.0) + 1e-6


def _merged(
    rhythm: list[tuple[int, int]], beat_s: float, density: float, rng: Rng
) -> list[tuple[int, int]]:
    """Ties whole beats together where even one note per beat would be too many."""
    tie = max(0.0, 1 - density * beat_s)
    merged: list[tuple[int, int]] = []
    for slot, length in rhythm:
        if merged and sum(merged[-1]) == slot and rng.random() < tie:
            merged[-1] = (merged[-1][0], merged[-1][1] + length)
        else:
            merged.append((slot, length))
    return merged or [(0, 4)]


def _contour(count: int, creativity: float, rng: Rng) -> tuple[int, ...]:
    """Steps of a line that mostly moves by one, and comes back after a leap."""
    sizes = np.array([0, 1, 2, 3, 4, 5, 7])
    wide = 0.25 + 0.55 * creativity
    weights = np.array([0.5, 3.0, 1.1, 0.35 * wide, 0.3 * wide, 0.12 * wide, 0.1 * wide])
    steps = [0]
    direction = 1 if rng.random() < 0.6 else -1
    for _ in range(count - 1):
        if abs(steps[-1]) >= 3:
            direction, size = (-1 if steps[-1] > 0 else 1), int(rng.integers(1, 3))
        else:
            if rng.random() < 0.3:
                direction = -direction
            size = int(rng.choice(sizes, p=weights / weights.sum()))
        steps.append(direction * size)
    return tuple(steps)


def _cadence(idea: Motif, meter: Meter) -> Motif:
    """The beginning of the idea, and one long note from the middle of the bar on."""
    middle = (meter.beats + 1) // 2 * meter.slots_per_beat
    if meter.beats < 3:
        middle = meter.slots_per_beat
    kept = [(slot, min(length, middle - slot)) for slot, length in idea.rhythm if slot < middle]
    rhythm = (*kept[:3], (middle, meter.slots - middle))
    return Motif(rhythm, (*idea.steps[: len(kept[:3])], -1))


def ornamented(motif: Motif, creativity: float, rng: Rng) -> Motif:
    """The motif with some longer notes divided, for a theme that comes back."""
    rhythm: list[tuple[int, int]] = []
    steps: list[int] = []
    for (slot, length), step in zip(motif.rhythm, motif.steps, strict=True):
        rhythm.append((slot, length))
        steps.append(step)
        if length >= 4 and length % 2 == 0 and rng.random() < 0.25 + 0.25 * creativity:
            rhythm[-1] = (slot, length // 2)
            rhythm.append((slot + length // 2, length // 2))
            steps.append(int(rng.choice([-1, 1])))
    return Motif(tuple(rhythm), tuple(steps))


@dataclass
class Singer:
    """Turns motifs into notes over a harmony, keeping its place and its range."""

    key: Key
    meter: Meter
    low: int
    high: int
    place: int

    def sing(self, motif: Motif, bar_start: int, spans: list[Span]) -> list[Note]:
        """One bar. Heavy notes are tones of the chord, the others of its scale."""
        notes = []
        for (slot, length), step in zip(motif.rhythm, motif.steps, strict=True):
            chord = chord_at(spans, bar_start + slot)
            heavy = self.meter.strength(slot) >= 1 or length >= self.meter.slots_per_beat
            self.place = self._moved(step, chord, heavy=heavy)
            velocity = 0.62 + 0.08 * self.meter.strength(slot)
            notes.append(Note(bar_start + slot, length, self.place, velocity))
        return notes

    def land(self, notes: list[Note], spans: list[Span], *, home: bool) -> list[Note]:
        """The phrase with its last note on the tonic, or left open on another chord tone."""
        if not notes:
            return notes
        last = notes[-1]
        chord = chord_at(spans, int(last.start))
        wanted = (self.key.tonic,) if home else chord.tones[:3]
        pitch = nearest(last.pitch, wanted, self.low, self.high)
        self.place = pitch
        return [*notes[:-1], Note(last.start, last.length, pitch, last.velocity)]

    def _moved(self, step: int, chord: Chord, *, heavy: bool) -> int:
        scale = chord.scale(self.key)
        pitch = _walk(self.place, step, scale)
        if pitch > self.high or pitch < self.low:  # the line turns at the edge of its range
            pitch = _walk(self.place, -step, scale)
        if heavy:
            pitch = nearest(pitch, chord.tones, self.low, self.high)
        return min(self.high, max(self.low, pitch))


def chord_at(spans: list[Span], slot: int) -> Chord:
    """The chord that holds at a slot; beyond the last one, the last."""
    for span in reversed(spans):
        if span.start <= slot:
            return span.chord
    return spans[0].chord


def nearest(pitch: int, tones: tuple[int, ...], low: int, high: int) -> int:
    """The closest pitch of one of these pitch classes, in a range of at least an octave."""
    fitting = [one for one in range(low, high + 1) if one % 12 in tones]
    return min(fitting, key=lambda one: (abs(one - pitch), one))


def _walk(pitch: int, steps: int, scale: tuple[int, ...]) -> int:
    direction = 1 if steps > 0 else -1
    for _ in range(abs(steps)):
        pitch += direction
        while pitch % 12 not in scale:
            pitch += direction
    return pitch
