"""Composes a score: brings style, harmony, melody, rhythm and form together. Deterministic."""

import zlib
from dataclasses import dataclass, replace

import numpy as np

from dreamgrid.engines.music import accompaniment, form, grooves, harmony, melody
from dreamgrid.engines.music.form import Section
from dreamgrid.engines.music.genres import Role
from dreamgrid.engines.music.harmony import Key, Span
from dreamgrid.engines.music.melody import Singer, Theme
from dreamgrid.engines.music.meter import Meter
from dreamgrid.engines.music.score import Hit, Note, Part, Score
from dreamgrid.engines.music.style import Style

Rng = np.random.Generator

_RANGES = {
    "flute": (67, 90),
    "violin": (62, 88),
    "clarinet": (58, 82),
    "brass": (60, 81),
    "guitar": (57, 79),
    "electric_guitar": (57, 81),
    "bells": (70, 91),
    "music_box": (70, 93),
    "marimba": (60, 84),
    "choir": (58, 79),
}
_USUAL_RANGE = (62, 84)

_SLOW_BAR_S = 1.3  # shorter bars share a chord with the next one


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a piece shall be, beside its style.

    Attributes:
        key: Key and mode.
        meter: Time signature.
        bpm: Beats per minute.
        duration_s: Exact length.
        composed: With form and ending; else a loop of four bars.
        order: Themes in order, such as `AABA`; empty for the usual one.
        seed: Every draw follows from it; each subject has draws of its own, so that another tempo
            keeps the harmony.
    """

    key: Key
    meter: Meter
    bpm: float
    duration_s: float
    composed: bool
    order: str
    seed: int

    @property
    def slot_s(self) -> float:
        """Seconds per slot."""
        return 60 / self.bpm / self.meter.slots_per_beat

    def rng(self, *subject: object) -> Rng:
        """Draws for one subject."""
        return np.random.default_rng([self.seed, zlib.crc32(repr(subject).encode())])


def compose(style: Style, wish: Wish) -> Score:
    """The whole piece."""
    slot_s, meter = wish.slot_s, wish.meter
    if wish.composed:
        plan = form.composed(wish.duration_s, meter, slot_s, wish.order)
    else:
        plan = form.loop(wish.duration_s, meter, slot_s)
    parts = {
        role: Part(role=role, instrument=instrument)
        for role, instrument in style.instruments.items()
    }
    hits: list[Hit] = []
    writer = _Writer(style, wish)
    for section in plan.sections:
        for role, notes in writer.pitched(section).items():
            parts[role].notes += notes
        hits += writer.drums(section, last=section is plan.sections[-1])
    stop = plan.end_slot if plan.end_slot is not None else wish.duration_s / slot_s
    for part in parts.values():
        part.notes = [_cut(note, stop) for note in part.notes if note.start < stop]
    hits = [hit for hit in hits if hit.start < stop]
    if plan.end_slot is not None:
        length = wish.duration_s / slot_s - plan.end_slot
        for role, notes in writer.ending(plan.end_slot, length).items():
            parts[role].notes += notes
        if style.drums:
            hits += [Hit(plan.end_slot, "kick", 0.9), Hit(plan.end_slot, "crash", 0.7)]
    return Score(
        meter=meter,
        bpm=wish.bpm,
        swing=style.genre.swing,
        duration_s=wish.duration_s,
        end_slot=plan.end_slot,
        parts=[part for part in parts.values() if part.notes],
        kit=style.genre.kit,
        hits=hits,
        room=style.genre.room,
        pumping=style.genre.pumping if style.drums else 0.0,
        loud=style.loud,
    )


class _Writer:
    """Writes sections. The same theme has the same harmony and motifs whenever it comes back."""

    def __init__(self, style: Style, wish: Wish) -> None:
        self._style = style
        self._wish = wish
        density = 0.9 + 2.6 * style.energy + 0.5 * (style.creativity - 0.85)
        self._density = max(0.4, density)

    def pitched(self, section: Section) -> dict[Role, list[Note]]:
        """All notes of a section, by role."""
        style, meter = self._style, self._wish.meter
        spans = self._harmony(section)
        slots = section.bars * meter.slots
        slot_s, energy = self._wish.slot_s, style.energy
        rng = self._wish.rng("figures", section.kind)
        written: dict[Role, list[Note]] = {}
        for role in self._playing(section):
            if role == "bass":
                notes = accompaniment.bass(style.genre.bass, spans, meter, slots, rng=rng)
            elif role == "pad":
                notes = accompaniment.pad(spans, slots)
            elif role == "chords":
                notes = accompaniment.chords(
                    style.genre.chords, spans, meter, slots, slot_s=slot_s, energy=energy
                )
            elif role == "color":
                notes = accompaniment.color(spans, meter, slots, slot_s=slot_s, rng=rng)
            else:
                notes = self._melody(section, spans)
            written[role] = self._placed(notes, section, role)
        return written

    def drums(self, section: Section, *, last: bool) -> list[Hit]:
        """All strokes of a section."""
        style, meter = self._style, self._wish.meter
        if not style.drums:
            return []
        groove = style.genre.groove or "backbeat"
        energy = style.energy * (0.6 + 0.4 * section.intensity)
        first = section.start_bar * meter.slots
        hits: list[Hit] = []
        if section.kind == "B" or (section.kind == "A" and section.visit and style.energy > 0.5):
            hits.append(Hit(first, "crash", 0.35 + 0.4 * style.energy))
        for bar in range(section.bars):
            start = first + bar * meter.slots
            if section.kind == "intro" and bar < section.bars / 2:
                continue
            light = section.kind in {"intro", "C"} or (section.kind == "outro" and bar > 1)
            rng = self._wish.rng("drums", section.kind, bar % 4)
            strokes = grooves.bar(groove, meter, start, energy=energy, light=light, rng=rng)
            ends = bar == section.bars - 1 and not last and self._wish.composed
            if ends and energy > 0.3:
                lead_in = grooves.fill(meter, start, energy=energy, rng=rng)
                cleared = min((hit.start for hit in lead_in), default=start + meter.slots)
                strokes = [hit for hit in strokes if hit.start < cleared] + lead_in
            hits += strokes
        return hits

    def ending(self, slot: int, length: float) -> dict[Role, list[Note]]:
        """The last chord: the tonic, by everybody, until it has faded."""
        chord = harmony.chord_on(self._wish.key, 0)
        voices = harmony.voicing(chord, (), accompaniment.CHORDS_LOW, accompaniment.CHORDS_HIGH)
        root = melody.nearest(40, (chord.root,), accompaniment.BASS_LOW, accompaniment.BASS_HIGH)
        low, high = self._range()
        top = melody.nearest((low + high) // 2, (chord.root,), low, high)
        pitches: dict[Role, tuple[int, ...]] = {
            "bass": (root,),
            "pad": voices,
            "chords": voices,
            "color": (voices[-1] + 12,),
            "lead": (top,),
        }
        return {
            role: [Note(slot, length, pitch, 0.66) for pitch in pitches[role]]
            for role in self._style.instruments
        }

    def _playing(self, section: Section) -> list[Role]:
        """Who plays in a section: fewer at the edges, everybody in the contrast."""
        cast = list(self._style.instruments)
        silent: set[Role] = set()
        if section.kind == "intro":
            silent = {"lead", "bass"}
        elif section.kind == "outro":
            silent = {"lead"}
        elif section.kind == "C":
            silent = {"bass"} if self._style.energy > 0.4 else {"color"}
        elif section.kind == "A" and section.visit == 0 and self._wish.composed:
            silent = {"color"} if self._style.energy < 0.75 else set()
        if section.kind in {"A", "C"}:
            silent -= set(self._style.loud)  # who asked for bells wants to hear them
        return [role for role in cast if role not in silent] or cast

    def _harmony(self, section: Section) -> list[Span]:
        """The chords of a section; introduction and close borrow those of the theme."""
        wish, genre = self._wish, self._style.genre
        bars_per_entry = 2 if wish.meter.slots * wish.slot_s < _SLOW_BAR_S else 1
        entries: list[list[harmony.Chord]] = []
        wanted = -(-section.bars // bars_per_entry)
        theme = section.kind if section.kind in {"A", "B", "C"} else "A"
        while len(entries) < wanted:
            left = wanted - len(entries)
            entries += harmony.phrase(
                wish.key,
                genre.harmony,
                min(4, left),
                closed=section.closed and left <= 4,
                sevenths=genre.sevenths,
                creativity=self._style.creativity,
                rng=wish.rng("harmony", theme),
            )
        return harmony.spread(entries, wish.meter, bars_per_entry * wish.meter.slots)

    def _melody(self, section: Section, spans: list[Span]) -> list[Note]:
        wish, style = self._wish, self._style
        kind = section.kind if section.kind in {"B", "C"} else "A"
        rng = wish.rng("melody", kind)
        density = self._density * (1.15 if kind == "B" else 0.7 if kind == "C" else 1.0)
        theme = melody.theme(
            wish.meter, wish.slot_s, density=density, creativity=style.creativity, rng=rng
        )
        low, high = self._range()
        lift = 4 if kind == "B" else 0
        middle = melody.nearest((low + high) // 2 + lift, (wish.key.tonic,), low, high)
        singer = Singer(wish.key, wish.meter, low, high, middle)
        varying = wish.rng("variation", kind, section.visit)
        notes: list[Note] = []
        for start in range(0, section.bars, 4):
            group = min(4, section.bars - start)
            sung: list[Note] = []
            for bar, motif in enumerate(_line(theme, group, second=start > 0)):
                if section.visit and bar in {0, 2}:
                    motif = melody.ornamented(motif, style.creativity, varying)  # noqa: PLW2901
                sung += singer.sing(motif, (start + bar) * wish.meter.slots, spans)
            home = section.closed and start + group == section.bars
            notes += singer.land(sung, spans, home=home)
        return notes

    def _range(self) -> tuple[int, int]:
        return _RANGES.get(self._style.instruments.get("lead", ""), _USUAL_RANGE)

    def _placed(self, notes: list[Note], section: Section, role: Role) -> list[Note]:
        """The notes where the section is, as loud as it is, and a little uneven."""
        offset = section.start_bar * self._wish.meter.slots
        rng = self._wish.rng("touch", role, section.kind)
        loud = 0.55 + 0.45 * section.intensity * (0.6 + 0.4 * self._style.energy)
        return [
            replace(
                note,
                start=note.start + offset,
                velocity=float(min(1.0, note.velocity * loud * rng.uniform(0.93, 1.07))),
            )
            for note in notes
        ]


def _line(theme: Theme, bars: int, *, second: bool) -> list[melody.Motif]:
    """The motifs of up to four bars: question with idea and answer, then repetition, then rest."""
    full = [theme.idea, theme.answer, theme.idea, theme.cadence]
    if second:
        full = [theme.idea, theme.idea, theme.answer, theme.cadence]
    return [*full[: bars - 1], theme.cadence]


def _cut(note: Note, stop: float) -> Note:
    return replace(note, length=min(note.length, stop - note.start))
