"""What bass and chords play under a melody: figures by name. Pure but for the draws."""

import numpy as np

from dreamgrid.engines.music.harmony import Chord, Span, voicing
from dreamgrid.engines.music.melody import nearest
from dreamgrid.engines.music.meter import Meter
from dreamgrid.engines.music.score import Note

Rng = np.random.Generator

CHORDS_LOW, CHORDS_HIGH = 52, 74
BASS_LOW, BASS_HIGH = 31, 48

_STRUCK: dict[str, tuple[str, str]] = {
    # Figure to strokes of a bar in simple and compound time; `x` long, `o` short.
    "strum": ("x...o.o...o.o.o.", "x...o.x...o."),
    "driving": ("x.o.o.o.o.o.o.o.", "x.o.o.x.o.o."),
    "stabs": ("..o...o...o...o.", "..o.o...o.o."),
    "offbeats": ("..o...o...o...o.", "....o.....o."),
    "scratch": ("..o.o..o..o.oo..", "..o.o..o.o.."),
    "charleston": ("x.....o.........", "x.......o..."),
    "bossa": ("x..o..o..o..o...", "x..o..o.o..."),
    "ostinato": ("x.o.o.x.o.o.x.o.", "x.o.o.x.o.o."),
}
_BROKEN: dict[str, tuple[int, ...]] = {
    # Figure to the order of chord tones, one every eighth; 3 is the first tone an octave up.
    "picked": (0, 2, 1, 3, 2, 1, 3, 2),
    "alberti": (0, 2, 1, 2, 0, 2, 1, 2),
    "broken": (0, 1, 2, 3, 2, 1, 2, 3),
}


def chords(
    figure: str, spans: list[Span], meter: Meter, slots: int, *, slot_s: float, energy: float
) -> list[Note]:
    """The chords of a stretch of `slots`, struck or broken; voices move as little as they can."""
    notes: list[Note] = []
    voices: tuple[int, ...] = ()
    for span in spans:
        voices = voicing(span.chord, voices, CHORDS_LOW, CHORDS_HIGH)
        stop = min(slots, span.start + span.length)
        if figure == "held":
            notes += [Note(span.start, stop - span.start, pitch, 0.6) for pitch in voices]
        elif figure in _BROKEN:
            notes += _broken(_BROKEN[figure], voices, span.start, stop, meter, slot_s)
        else:
            notes += _struck(figure, voices, span.start, stop, meter, energy)
    return notes


def _struck(
    figure: str, voices: tuple[int, ...], start: int, stop: int, meter: Meter, energy: float
) -> list[Note]:
    strokes = _STRUCK[figure][1 if meter.compound else 0]
    notes = []
    for slot in range(start, stop):
        stroke = strokes[slot % meter.slots % len(strokes)]
        if stroke == "." or (stroke == "o" and energy < 0.2 and slot % meter.slots_per_beat):
            continue
        later = (n for n in range(slot + 1, stop) if strokes[n % meter.slots % len(strokes)] != ".")
        length = min(next(later, stop) - slot, 4 if stroke == "x" else 2)
        velocity = 0.68 if stroke == "x" else 0.54
        notes += [Note(slot, length, pitch, velocity) for pitch in voices]
    return notes


def _broken(
    order: tuple[int, ...],
    voices: tuple[int, ...],
    start: int,
    stop: int,
    meter: Meter,
    slot_s: float,
) -> list[Note]:
    step = 2 if 2 * slot_s > 0.13 else 4
    if meter.compound and step == 4:
        step = 6
    ladder = (*voices[:3], voices[0] + 12)
    return [
        Note(
            slot,
            min(2 * step, stop - slot),
            ladder[order[index % len(order)] % len(ladder)],
            0.62 if slot % meter.slots_per_beat == 0 else 0.5,
        )
        for index, slot in enumerate(range(start, stop, step))
    ]


def pad(spans: list[Span], slots: int) -> list[Note]:
    """Whole chords, held; a tone that two neighbors share is not struck again."""
    notes: list[Note] = []
    voices: tuple[int, ...] = ()
    sounding: dict[int, Note] = {}
    for span in spans:
        voices = voicing(span.chord, voices, CHORDS_LOW - 2, CHORDS_HIGH)
        stop = min(slots, span.start + span.length)
        tied: dict[int, Note] = {}
        for pitch in voices:
            held = sounding.pop(pitch, None)
            start = held.start if held and stop - held.start <= 4 * span.length else span.start
            if held and start != held.start:
                notes.append(held)
            tied[pitch] = Note(start, stop - start, pitch, 0.55)
        notes += sounding.values()
        sounding = tied
    return sorted([*notes, *sounding.values()], key=lambda note: (note.start, note.pitch))


def color(spans: list[Span], meter: Meter, slots: int, *, slot_s: float, rng: Rng) -> list[Note]:
    """A high arpeggio that runs through the chord, in sixteenths or eighths as the tempo allows."""
    step = 1 if slot_s > 0.11 else 2
    shape = [(0, 1, 2, 3), (3, 2, 1, 0), (0, 2, 1, 3), (0, 3, 1, 2)][int(rng.integers(4))]
    notes = []
    for span in spans:
        base = voicing(span.chord, (), 64, 84)
        ladder = (*base[:3], base[0] + 12)
        stop = min(slots, span.start + span.length)
        for index, slot in enumerate(range(span.start, stop, step)):
            if meter.strength(slot) == 0 and rng.random() < 0.25:
                continue
            notes.append(Note(slot, step * 2, ladder[shape[index % 4]], 0.42))
    return notes


def bass(figure: str, spans: list[Span], meter: Meter, slots: int, *, rng: Rng) -> list[Note]:
    """The bass of a stretch of `slots`."""
    notes: list[Note] = []
    place = nearest(40, (spans[0].chord.root,), BASS_LOW, BASS_HIGH)
    for index, span in enumerate(spans):
        root = nearest(place, (span.chord.root,), BASS_LOW, BASS_HIGH)
        following = spans[(index + 1) % len(spans)].chord.root
        stop = min(slots, span.start + span.length)
        if figure == "walking":
            notes += _walking(span.chord, root, following, span.start, stop, meter)
        else:
            notes += _figured(figure, span.chord, root, span.start, stop, meter, rng)
        place = root
    return notes


_BASS: dict[str, tuple[str, str]] = {
    # `r` root, `f` fifth, `o` octave above; `-` holds, `.` rests.
    "roots": ("r-------r-------", "r-----r-----"),
    "drone": ("r---------------", "r-----------"),
    "eighths": ("r-r-r-r-r-r-r-r-", "r-r-r-r-r-r-"),
    "sixteenths": ("..rr..rr..rr..rr", "..r-r-..r-r-"),
    "offbeats": ("..r-..r-..r-..o-", "..r-r-..r-r-"),
    "octaves": ("r-o-r-o-r-o-r-o-", "r-o-o-r-o-o-"),
    "fifths": ("r-----..f-----..", "r---..f---.."),
    "bossa": ("r-----f-r-----f-", "r-----f---.."),
    "lazy": ("r-----.r--..f-..", "r-----..f-.."),
    "funky": ("r-.r..o.r-.f.rr.", "r-.r..f-.r.."),
}


def _figured(
    figure: str, chord: Chord, root: int, start: int, stop: int, meter: Meter, rng: Rng
) -> list[Note]:
    signs = _BASS[figure][1 if meter.compound else 0]
    fifth = (chord.tones[2] - chord.tones[0]) % 12
    pitch_of = {"r": root, "f": root + fifth, "o": root + 12}
    notes: list[Note] = []
    for slot in range(start, stop):
        sign = signs[slot % meter.slots % len(signs)]
        if slot == start and sign in "-f":  # a new chord is founded on its root
            sign = "r"
        if sign == "-" and notes and notes[-1].start + notes[-1].length == slot:
            last = notes[-1]
            notes[-1] = Note(last.start, last.length + 1, last.pitch, last.velocity)
        elif sign in pitch_of:
            velocity = 0.78 if slot == start else 0.66 + 0.08 * float(rng.random())
            notes.append(Note(slot, 1, pitch_of[sign], velocity))
    return notes


def _walking(
    chord: Chord, root: int, following: int, start: int, stop: int, meter: Meter
) -> list[Note]:
    """One note per beat: root, chord tones, and a step from above or below into the next root."""
    beats = list(range(start, stop, meter.slots_per_beat))
    target = nearest(root, (following,), BASS_LOW, BASS_HIGH)
    line = [root]
    for index in range(1, len(beats)):
        if index == len(beats) - 1:
            line.append(target - 1 if target > line[-1] else target + 1)
        else:
            toward = line[-1] + (3 if target >= line[-1] else -3)
            line.append(nearest(toward, chord.tones, BASS_LOW, BASS_HIGH + 5))
    return [
        Note(slot, meter.slots_per_beat - 0.5, pitch, 0.72)
        for slot, pitch in zip(beats, line, strict=True)
    ]
