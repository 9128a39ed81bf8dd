"""Keys, chords, and the order in which chords follow each other. Pure but for the draws.

Progressions are the field's stock in scale degrees, by taste. Phrases end in cadences: open ones
on the dominant, closed ones on dominant and tonic. With creativity chords are exchanged for
relatives, borrowed from the parallel key, or prepared by a dominant of their own.
"""

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dreamgrid.engines.music.meter import Meter
from dreamgrid.errors import RenderRefused

Rng = np.random.Generator

_LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_KEY = re.compile(r"\s*([A-Ga-g])\s*([#♯b♭]?)\s*(major|minor|maj|min|m)?\s*")
MAJOR = (0, 2, 4, 5, 7, 9, 11)
MINOR = (0, 2, 3, 5, 7, 8, 10)


@dataclass(frozen=True)
class Key:
    """A key: tonic as pitch class 0..11 (0 is C), and its mode."""

    tonic: int
    minor: bool

    @classmethod
    def named(cls, name: str) -> "Key":
        """The key of a name such as `F# minor`; without a mode it is major.

        Raises:
            RenderRefused: There is no such key.
        """
        match = _KEY.fullmatch(name)
        if match is None:
            raise RenderRefused(f"{name!r:.80} is no key: write it as 'C major' or 'F# minor'")
        letter, accidental, mode = match.groups()
        shift = {"#": 1, "♯": 1, "b": -1, "♭": -1, "": 0}[accidental]
        tonic = (_LETTERS[letter.upper()] + shift) % 12
        return cls(tonic, (mode or "major") in {"minor", "min", "m"})

    @property
    def name(self) -> str:
        """Its name, such as `F# minor`."""
        return f"{_NAMES[self.tonic]} {'minor' if self.minor else 'major'}"

    @cached_property
    def scale(self) -> tuple[int, ...]:
        """Its seven pitch classes from the tonic on; natural minor."""
        return tuple((self.tonic + step) % 12 for step in (MINOR if self.minor else MAJOR))


@dataclass(frozen=True)
class Chord:
    """Pitch classes from the root on, and the scale degree 0..6 that it stands on.

    `borrowed` chords leave the key, so a melody bends its scale to them.
    """

    tones: tuple[int, ...]
    degree: int
    borrowed: bool = False

    @property
    def root(self) -> int:
        """Its bass note as pitch class."""
        return self.tones[0]

    def scale(self, key: Key) -> tuple[int, ...]:
        """The key's scale with the chord's foreign tones in place of their neighbors."""
        scale = list(key.scale)
        for tone in self.tones:
            if tone not in scale:
                near = [step for step in scale if (tone - step) % 12 in {1, 11}]
                free = [step for step in near if step not in self.tones] or near
                if free:
                    scale[scale.index(free[0])] = tone
        return tuple(scale)


@dataclass(frozen=True)
class Span:
    """A chord and the slots for which it holds."""

    start: int
    length: int
    chord: Chord


PROGRESSIONS: dict[str, dict[str, tuple[str, ...]]] = {
    # Degrees from 1; the composer makes the last bars of a phrase a cadence.
    "pop": {
        "major": ("1 5 6 4", "1 6 4 5", "1 4 6 5", "1 3 4 5", "1 4 1 5", "1 2 4 1"),
        "minor": ("1 6 3 7", "1 4 6 5", "1 7 6 5", "1 6 4 5", "1 3 7 4", "1 4 1 5"),
    },
    "jazz": {
        "major": ("1 6 2 5", "2 5 1 6", "1 4 3 6", "1 2 3 6", "4 3 2 1"),
        "minor": ("1 6 2 5", "1 4 7 3", "1 4 2 5", "6 2 5 1"),
    },
    "classical": {
        "major": ("1 4 5 1", "1 2 5 1", "1 6 2 5", "1 5 6 3", "1 4 2 5"),
        "minor": ("1 4 5 1", "1 6 4 5", "1 2 5 1", "1 4 7 3"),
    },
    "folk": {
        "major": ("1 4 1 5", "1 5 4 1", "1 1 4 5", "1 6 4 1", "1 4 5 1"),
        "minor": ("1 7 1 5", "1 7 6 7", "1 4 1 7", "1 3 7 1"),
    },
    "modal": {
        "major": ("1 1 4 4", "1 2 4 1", "1 4 1 4", "1 5 4 4"),
        "minor": ("1 1 4 4", "1 7 1 7", "1 4 1 6", "1 1 6 7"),
    },
    "cinematic": {
        "major": ("1 6 4 5", "1 3 6 4", "1 5 2 4", "1 4 6 5"),
        "minor": ("1 6 3 7", "1 6 4 5", "1 1 6 7", "1 3 6 4"),
    },
}

_RELATIVES = {0: 5, 3: 1, 4: 2, 5: 3, 1: 3, 2: 0, 6: 4}


def chord_on(key: Key, degree: int, *, seventh: bool = False, dominant: bool = False) -> Chord:
    """The chord on a scale degree 0..6.

    Args:
        key: Its key.
        degree: 0 is the tonic.
        seventh: Add the seventh.
        dominant: Raise the third where the scale has a minor one, as cadences in minor do.
    """
    tones = [key.scale[(degree + step) % 7] for step in (0, 2, 4)]
    raised = dominant and (tones[1] - tones[0]) % 12 == 3
    if raised:
        tones[1] = (tones[1] + 1) % 12
    if (tones[2] - tones[0]) % 12 == 6 and not seventh:  # a plain diminished chord sounds lost
        seventh = True
    if seventh:
        tones.append(key.scale[(degree + 6) % 7])
    return Chord(tuple(tones), degree, raised)


def phrase(
    key: Key,
    taste: str,
    chords: int,
    *,
    closed: bool,
    sevenths: float,
    creativity: float,
    rng: Rng,
) -> list[list[Chord]]:
    """Chords of one phrase; each entry holds one chord, or two that share its time.

    Args:
        key: The key.
        taste: A name in `PROGRESSIONS`.
        chords: How many entries, at least 1.
        closed: End on the tonic; else on the dominant, so that something must follow.
        sevenths: How often a seventh is added, 0..1.
        creativity: How often a chord is exchanged or prepared, 0..2.
        rng: Draws all of it.
    """
    known = PROGRESSIONS[taste]["minor" if key.minor else "major"]
    usual = known[:3] if creativity < 0.3 else known
    drawn = str(rng.choice(usual)).split()
    degrees = [int(drawn[index % len(drawn)]) - 1 for index in range(chords)]
    degrees[0] = 0 if rng.random() < 0.85 or creativity < 0.3 else degrees[0]
    if chords >= 2:
        degrees[-2:] = [4, 0] if closed else [degrees[-2], 4]
    if closed and chords == 1:
        degrees = [0]
    plain = [
        chord_on(
            key,
            degree,
            seventh=rng.random() < sevenths,
            dominant=degree == 4 and taste != "modal",
        )
        for degree in degrees
    ]
    return _colored(key, plain, creativity, rng)


def _colored(key: Key, plain: list[Chord], creativity: float, rng: Rng) -> list[list[Chord]]:
    """The chords with substitutes; the first and the last two stay, so the key stays clear."""
    result = [[chord] for chord in plain]
    for index in range(1, len(plain) - 2):
        chance = 0.13 * creativity
        draw = rng.random()
        if draw < chance:
            result[index] = [chord_on(key, _RELATIVES[plain[index].degree])]
        elif draw < 2 * chance:
            result[index] = [_borrowed(key, rng)]
        elif draw < 3 * chance:
            target = plain[index + 1].root
            prepared = Chord(
                tuple((target + 7 + step) % 12 for step in (0, 4, 7, 10)), 4, borrowed=True
            )
            result[index] = [plain[index], prepared]
    return result


def _borrowed(key: Key, rng: Rng) -> Chord:
    """A chord of the parallel key: in major iv, bVI or bVII; in minor the major IV or bII."""
    choices = ((5, "minor", 3), (8, "major", 5), (10, "major", 6))
    if key.minor:
        choices = ((5, "major", 3), (1, "major", 1), (5, "major", 3))
    step, quality, degree = choices[int(rng.integers(len(choices)))]
    third = 3 if quality == "minor" else 4
    tones = tuple((key.tonic + step + up) % 12 for up in (0, third, 7))
    return Chord(tones, degree, borrowed=True)


def spread(entries: list[list[Chord]], meter: Meter, slots_per_entry: int) -> list[Span]:
    """The entries of a phrase on the grid; two chords in one entry change on a beat."""
    spans = []
    for index, chords in enumerate(entries):
        start = index * slots_per_entry
        beats = slots_per_entry // meter.slots_per_beat
        cut = (beats + 1) // 2 * meter.slots_per_beat if len(chords) == 2 else slots_per_entry
        spans.append(Span(start, cut, chords[0]))
        if len(chords) == 2 and cut < slots_per_entry:
            spans.append(Span(start + cut, slots_per_entry - cut, chords[1]))
    return spans


def voicing(chord: Chord, previous: tuple[int, ...], low: int, high: int) -> tuple[int, ...]:
    """MIDI pitches of a chord in close position, moving as little as possible.

    Args:
        chord: The chord; of more than four tones the first four sound.
        previous: The voicing before; empty at the beginning.
        low: Lowest pitch.
        high: Highest pitch.
    """
    tones = chord.tones[:4]
    center = (low + high) / 2
    best: tuple[float, tuple[int, ...]] | None = None
    for bottom in range(low, high - 6):
        if bottom % 12 not in tones:
            continue
        turn = tones.index(bottom % 12)
        pitches = [bottom]
        for tone in tones[turn + 1 :] + tones[:turn]:
            pitches.append(pitches[-1] + (tone - pitches[-1]) % 12)
        if pitches[-1] > high:
            continue
        cost = 0.4 * abs(sum(pitches) / len(pitches) - center)
        if previous:
            cost += sum(min(abs(pitch - old) for old in previous) for pitch in pitches)
        if best is None or cost < best[0]:
            best = (cost, tuple(pitches))
    if best is None:
        return tuple(low + (tone - low) % 12 for tone in tones[:3])
    return best[1]
