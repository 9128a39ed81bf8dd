"""Plays a score: computes every note once, places it in the stereo picture, adds the room."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dreamgrid.engines.convolution import Floats, convolve
from dreamgrid.engines.music import effects
from dreamgrid.engines.music.instruments import INSTRUMENTS
from dreamgrid.engines.music.percussion import KITS, stroke
from dreamgrid.engines.music.score import Note, Part, Score
from dreamgrid.engines.music.sound_font import STROKE_KEYS, Tone
from dreamgrid.engines.music.tones import SAMPLE_RATE, frames_of

if TYPE_CHECKING:
    from dreamgrid.engines.music.font_player import FontPlayer

OnPlayed = Callable[[float], None]
"""Called after every note with the share of the piece that is done, 0..1."""

_ROLE_DB = {"lead": -8.0, "chords": -14.0, "pad": -19.0, "bass": -9.5, "color": -17.0}
_INSTRUMENT_DB = {
    # A steady sound carries more power than a decaying one of the same peak.
    "strings": -3.0,
    "choir": -3.0,
    "organ": -4.0,
    "pad": -2.0,
    "synth_lead": -3.0,
    "electric_guitar": -5.0,
    "brass": -2.0,
    "clarinet": -2.0,
    "violin": -1.0,
    "synth_bass": -2.0,
    "sub_bass": -4.0,
    "piano": 2.0,
    "guitar": 2.0,
    "harp": 2.0,
    "marimba": 2.0,
    "music_box": 1.0,
}
_STROKE_DB = {
    "kick": -5.0,
    "snare": -10.0,
    "clap": -12.0,
    "hat": -22.0,
    "open_hat": -22.0,
    "ride": -22.0,
    "crash": -17.0,
    "tom_low": -10.0,
    "tom_high": -11.0,
    "rim": -17.0,
    "shaker": -23.0,
}
_ROLE_PAN = {"lead": 0.06, "chords": -0.28, "pad": 0.0, "bass": 0.0, "color": 0.4}
_KIT_DB = _STROKE_DB["kick"]  # a font's kit as a whole: its strokes are balanced
_STROKE_PAN = {"hat": 0.3, "open_hat": 0.3, "ride": -0.35, "crash": 0.25, "shaker": -0.4,
               "tom_low": -0.3, "tom_high": 0.3, "rim": -0.15}  # fmt: skip
_ROLE_SEND = {"lead": 0.5, "chords": 0.45, "pad": 0.6, "bass": 0.06, "color": 0.7}
_STROKE_SEND = {"kick": 0.03, "snare": 0.3, "clap": 0.35, "tom_low": 0.35, "tom_high": 0.35}
_SPREAD_S = {"guitar": 0.014, "harp": 0.028, "electric_guitar": 0.006, "piano": 0.004}
_ECHO_ROLES = {"lead", "color"}
_ECHO_FROM_ROOM = 0.28

_LAYERS = 4  # loudnesses for which a note is computed; between them only its level changes
_CACHED_FRAMES = 24_000_000  # 96 MB
_VARIATIONS = 3  # strokes of one sound that differ, so that a roll is no machine gun


@dataclass(frozen=True)
class _Event:
    start_s: float
    part: Part | None
    note: Note | None
    sound: str
    velocity: float
    index: int


class Band:
    """Plays one score into three buses: what stays, what gives way to the bass drum, the room."""

    def __init__(self, score: Score, seed: int, font: "FontPlayer | None" = None) -> None:
        self._score = score
        self._font = font
        self._seed = seed
        self._frames = frames_of(score.duration_s)
        self._steady = np.zeros((2, self._frames), np.float32)
        self._giving = np.zeros((2, self._frames), np.float32)
        self._send = np.zeros((1, self._frames), np.float32)
        self._computed: dict[tuple[object, ...], Floats] = {}
        self._held_frames = 0

    def play(self, on_played: OnPlayed) -> Floats:
        """The whole piece, `(2, frames)`, at any level, in the exact length."""
        events, stems = self._shared_out(self._events())
        for stem in stems:
            self._stem(stem)
        for number, event in enumerate(events):
            if event.part is not None and event.note is not None:
                self._note(event.part, event.note, event.start_s, event.index)
            else:
                self._stroke(event)
            on_played((number + 1) / len(events))
        self._computed.clear()
        return self._mixed()

    def _shared_out(self, events: list[_Event]) -> tuple[list[_Event], list[list[_Event]]]:
        """What is computed note by note, and what the font plays: one list for each part."""
        if self._font is None:
            return events, []
        own: list[_Event] = []
        stems: dict[int, list[_Event]] = {}
        for event in events:
            name = self._score.kit if event.part is None else event.part.instrument
            if self._font.plays(name):
                stems.setdefault(id(event.part), []).append(event)
            else:
                own.append(event)
        return own, list(stems.values())

    def _stem(self, events: list[_Event]) -> None:
        """A whole part, played by the font."""
        assert self._font is not None
        part, score = events[0].part, self._score
        if part is None:
            tones = [Tone(e.start_s, 0.2, STROKE_KEYS[e.sound], e.velocity) for e in events]
            sound = self._font.play(score.kit, tones, score.duration_s)
            self._place(self._steady, sound, 0.0, 10 ** (_KIT_DB / 20), 0.0, 0.1)
            return
        tones = [
            Tone(event.start_s, self._held_s(note), note.pitch, event.velocity)
            for event in events
            if (note := event.note) is not None
        ]
        sound = self._font.play(part.instrument, tones, score.duration_s)
        self._place_part(part, sound, 0.0, 1.0, _ROLE_PAN[part.role])

    def _events(self) -> list[_Event]:
        """Everything that sounds, in the order of time."""
        score = self._score
        events: list[_Event] = []
        for part in score.parts:
            spread_s = _SPREAD_S.get(part.instrument, 0.0)
            previous, rank = -1.0, 0
            for note in sorted(part.notes, key=lambda note: (note.start, note.pitch)):
                rank = rank + 1 if note.start == previous else 0
                previous = note.start
                start_s = score.seconds(note.start) + rank * spread_s
                events.append(_Event(start_s, part, note, "", note.velocity, len(events)))
        for hit in score.hits:
            start_s = score.seconds(hit.start)
            events.append(_Event(start_s, None, None, hit.sound, hit.velocity, len(events)))
        return sorted(events, key=lambda event: (event.start_s, event.index))

    def _note(self, part: Part, note: Note, start_s: float, index: int) -> None:
        held_s = self._held_s(note)
        layer = min(_LAYERS - 1, int(note.velocity * _LAYERS))
        key = (part.instrument, note.pitch, round(held_s, 3), layer)
        sound = self._computed.get(key)
        if sound is None:
            hz = 440 * 2 ** ((note.pitch - 69) / 12)
            make = INSTRUMENTS[part.instrument]
            sound = self._kept(key, make(hz, held_s, (layer + 0.5) / _LAYERS, self._rng(key)))
        pan = _ROLE_PAN[part.role] * (-1 if part.role == "color" and index % 2 else 1)
        self._place_part(part, sound, start_s, note.velocity**1.5, pan)

    def _held_s(self, note: Note) -> float:
        score = self._score
        return max(0.06, score.seconds(note.start + note.length) - score.seconds(note.start))

    def _place_part(
        self, part: Part, sound: Floats, start_s: float, gain: float, pan: float
    ) -> None:
        """Adds what a part plays, where its role has its place in the mix."""
        score = self._score
        gain_db = _ROLE_DB[part.role] + _INSTRUMENT_DB.get(part.instrument, 0.0)
        gain *= 10 ** ((gain_db + score.loud.get(part.role, 0.0)) / 20)
        send = _ROLE_SEND[part.role] * (0.25 + score.room)
        bus = self._steady if part.role == "bass" else self._giving
        self._place(bus, sound, start_s, gain, pan, send)
        if part.role in _ECHO_ROLES and score.room >= _ECHO_FROM_ROOM:
            later_s = 3 * score.slot_s
            for echo, level in ((1, 0.22), (2, 0.09)):
                side = 0.6 if echo % 2 else -0.6
                self._place(bus, sound, start_s + echo * later_s, gain * level, side, send)

    def _stroke(self, event: _Event) -> None:
        variation = event.index % _VARIATIONS
        key = (event.sound, variation)
        sound = self._computed.get(key)
        if sound is None:
            sound = self._kept(
                key, stroke(KITS[self._score.kit], event.sound, self._rng((*key, self._score.kit)))
            )
        gain = event.velocity**1.4 * 10 ** (_STROKE_DB[event.sound] / 20)
        send = _STROKE_SEND.get(event.sound, 0.12) * (0.25 + self._score.room)
        pan = _STROKE_PAN.get(event.sound, 0.0)
        self._place(self._steady, sound, event.start_s, gain, pan, send)

    def _kept(self, key: tuple[object, ...], sound: Floats) -> Floats:
        """The sound at a peak of 1, kept for the next time; memory stays bounded."""
        if self._held_frames > _CACHED_FRAMES:
            self._computed.clear()
            self._held_frames = 0
        sound = (sound / max(1e-6, float(np.abs(sound).max()))).astype(np.float32)
        self._computed[key] = sound
        self._held_frames += sound.size
        return sound

    def _rng(self, key: tuple[object, ...]) -> np.random.Generator:
        return np.random.default_rng([self._seed, zlib.crc32(repr(key).encode())])

    def _place(
        self, bus: Floats, sound: Floats, start_s: float, gain: float, pan: float, send: float
    ) -> None:
        """Adds a sound at a time, with constant power from left (-1) to right (1)."""
        start = round(start_s * SAMPLE_RATE)
        length = min(sound.shape[-1], self._frames - start)
        if length <= 0:
            return
        angle = (pan + 1) * np.pi / 4
        sides = (
            np.float32(gain * np.sqrt(2) * np.cos(angle)),
            np.float32(gain * np.sqrt(2) * np.sin(angle)),
        )
        stop = start + length
        for side in (0, 1):
            channel = sound if sound.ndim == 1 else sound[side]
            bus[side, start:stop] += sides[side] * channel[:length]
        center = sound if sound.ndim == 1 else sound.mean(axis=0)
        self._send[0, start:stop] += np.float32(gain * send) * center[:length]

    def _mixed(self) -> Floats:
        score = self._score
        if score.pumping:
            kicks = [score.seconds(hit.start) for hit in score.hits if hit.sound == "kick"]
            self._giving *= effects.ducking(self._frames, sorted(kicks), score.pumping)
        mixed = self._steady
        mixed += self._giving
        response = effects.room(score.room, self._seed)
        for side in (0, 1):
            mixed[side] += convolve(self._send, response[side : side + 1])[0, : self._frames]
        return _with_soft_ends(mixed, score)


def _with_soft_ends(sound: Floats, score: Score) -> Floats:
    """No click at the first sample, and silence at the last one: the last chord fades away."""
    fade_s = 0.03
    if score.end_slot is not None:
        ring_s = score.duration_s - score.seconds(score.end_slot)
        fade_s = min(2.5, 0.7 * ring_s)
    fade = min(sound.shape[1], frames_of(fade_s))
    sound[:, sound.shape[1] - fade :] *= np.cos(np.linspace(0, np.pi / 2, fade)) ** 2
    rise = min(sound.shape[1], frames_of(0.005))
    sound[:, :rise] *= np.linspace(0, 1, rise, dtype=np.float32)
    return sound
