"""Kinds of music as data: what is played, on what, and with which harmonies."""

from dataclasses import dataclass, field
from typing import Literal

Role = Literal["lead", "chords", "pad", "bass", "color"]
ROLES: tuple[Role, ...] = ("bass", "pad", "chords", "color", "lead")


@dataclass(frozen=True, kw_only=True)
class Genre:
    """One kind of music.

    Attributes:
        instruments: For each role what may play it; an empty tuple leaves the role out.
        bpm: Slowest and fastest usual tempo.
        groove: What the drums play, a name in `grooves`; empty for no drums.
        kit: The drum kit.
        bass: How the bass moves, a name in `accompaniment`.
        chords: How chords are broken or struck, a name in `accompaniment`.
        harmony: Which progressions, a name in `harmony`.
        sevenths: How often a chord gets its seventh, 0..1.
        swing: 0 straight, 1 as in a triplet.
        energy: How busy and loud, 0..1.
        brightness: How bright and open, 0..1.
        room: Length of the reverb, 0..1.
        pumping: How far the music gives way to the bass drum, 0..1.
    """

    instruments: dict[Role, tuple[str, ...]]
    bpm: tuple[int, int]
    groove: str
    kit: str = "acoustic"
    bass: str = "roots"
    chords: str = "strum"
    harmony: str = "pop"
    sevenths: float = 0.1
    swing: float = 0.0
    energy: float = 0.5
    brightness: float = 0.5
    room: float = 0.3
    pumping: float = field(default=0.0)


GENRES: dict[str, Genre] = {
    "pop": Genre(
        bpm=(96, 128),
        instruments={
            "lead": ("synth_lead", "electric_piano", "flute"),
            "chords": ("piano", "guitar", "electric_piano"),
            "pad": ("pad", "strings"),
            "bass": ("electric_bass",),
            "color": ("bells", "pluck"),
        },
        groove="backbeat",
        bass="eighths",
        energy=0.6,
        brightness=0.6,
    ),
    "rock": Genre(
        bpm=(104, 156),
        instruments={
            "lead": ("electric_guitar", "synth_lead"),
            "chords": ("electric_guitar",),
            "pad": ("organ",),
            "bass": ("electric_bass",),
            "color": (),
        },
        groove="rock",
        bass="eighths",
        chords="driving",
        energy=0.85,
        brightness=0.6,
        room=0.25,
    ),
    "jazz": Genre(
        bpm=(96, 176),
        instruments={
            "lead": ("brass", "vibraphone", "clarinet"),
            "chords": ("piano", "electric_piano"),
            "pad": (),
            "bass": ("upright_bass",),
            "color": (),
        },
        groove="swing",
        kit="soft",
        bass="walking",
        chords="charleston",
        harmony="jazz",
        sevenths=0.95,
        swing=0.9,
        energy=0.5,
        brightness=0.5,
    ),
    "lofi": Genre(
        bpm=(68, 88),
        instruments={
            "lead": ("electric_piano", "vibraphone", "flute"),
            "chords": ("electric_piano", "piano"),
            "pad": ("pad",),
            "bass": ("sub_bass", "upright_bass"),
            "color": (),
        },
        groove="lofi",
        kit="soft",
        bass="lazy",
        chords="held",
        harmony="jazz",
        sevenths=0.8,
        swing=0.5,
        energy=0.35,
        brightness=0.3,
        pumping=0.25,
    ),
    "house": Genre(
        bpm=(118, 128),
        instruments={
            "lead": ("synth_lead", "pluck"),
            "chords": ("organ", "electric_piano", "pluck"),
            "pad": ("pad",),
            "bass": ("synth_bass",),
            "color": ("pluck",),
        },
        groove="fours",
        kit="electronic",
        bass="offbeats",
        chords="stabs",
        sevenths=0.4,
        energy=0.8,
        brightness=0.65,
        pumping=0.6,
    ),
    "techno": Genre(
        bpm=(126, 140),
        instruments={
            "lead": ("synth_lead",),
            "chords": ("pluck",),
            "pad": ("pad",),
            "bass": ("synth_bass",),
            "color": ("pluck",),
        },
        groove="fours",
        kit="electronic",
        bass="sixteenths",
        chords="stabs",
        harmony="modal",
        energy=0.9,
        brightness=0.45,
        pumping=0.6,
    ),
    "synthwave": Genre(
        bpm=(84, 112),
        instruments={
            "lead": ("synth_lead",),
            "chords": ("pluck",),
            "pad": ("pad", "strings"),
            "bass": ("synth_bass",),
            "color": ("pluck", "bells"),
        },
        groove="rock",
        kit="electronic",
        bass="octaves",
        chords="broken",
        energy=0.7,
        brightness=0.55,
        room=0.5,
        pumping=0.35,
    ),
    "hiphop": Genre(
        bpm=(72, 96),
        instruments={
            "lead": ("bells", "flute", "electric_piano"),
            "chords": ("electric_piano", "piano", "strings"),
            "pad": ("pad",),
            "bass": ("sub_bass",),
            "color": (),
        },
        groove="halftime",
        kit="electronic",
        bass="lazy",
        chords="held",
        sevenths=0.3,
        swing=0.25,
        energy=0.6,
        brightness=0.4,
    ),
    "funk": Genre(
        bpm=(96, 116),
        instruments={
            "lead": ("brass", "organ", "synth_lead"),
            "chords": ("electric_guitar", "electric_piano"),
            "pad": (),
            "bass": ("electric_bass",),
            "color": ("organ",),
        },
        groove="funk",
        bass="funky",
        chords="scratch",
        harmony="modal",
        sevenths=0.7,
        swing=0.15,
        energy=0.8,
        brightness=0.6,
        room=0.2,
    ),
    "latin": Genre(
        bpm=(92, 128),
        instruments={
            "lead": ("flute", "guitar", "vibraphone"),
            "chords": ("guitar",),
            "pad": ("strings",),
            "bass": ("upright_bass",),
            "color": ("marimba",),
        },
        groove="bossa",
        kit="soft",
        bass="bossa",
        chords="bossa",
        harmony="jazz",
        sevenths=0.75,
        energy=0.5,
        brightness=0.6,
    ),
    "reggae": Genre(
        bpm=(66, 84),
        instruments={
            "lead": ("organ", "brass", "flute"),
            "chords": ("electric_guitar", "organ"),
            "pad": ("organ",),
            "bass": ("electric_bass",),
            "color": (),
        },
        groove="onedrop",
        bass="lazy",
        chords="offbeats",
        energy=0.5,
        brightness=0.55,
    ),
    "folk": Genre(
        bpm=(80, 120),
        instruments={
            "lead": ("violin", "flute", "guitar"),
            "chords": ("guitar",),
            "pad": ("strings",),
            "bass": ("upright_bass",),
            "color": ("harp",),
        },
        groove="brushes",
        kit="soft",
        bass="fifths",
        chords="picked",
        harmony="folk",
        energy=0.45,
        brightness=0.6,
        room=0.25,
    ),
    "classical": Genre(
        bpm=(72, 126),
        instruments={
            "lead": ("violin", "flute", "clarinet"),
            "chords": ("piano", "harp"),
            "pad": ("strings",),
            "bass": ("strings",),
            "color": (),
        },
        groove="",
        bass="fifths",
        chords="alberti",
        harmony="classical",
        energy=0.45,
        brightness=0.55,
        room=0.5,
    ),
    "cinematic": Genre(
        bpm=(76, 132),
        instruments={
            "lead": ("brass", "violin", "choir"),
            "chords": ("strings", "piano"),
            "pad": ("strings", "choir"),
            "bass": ("strings", "sub_bass"),
            "color": ("harp", "bells"),
        },
        groove="epic",
        kit="orchestral",
        bass="roots",
        chords="ostinato",
        harmony="cinematic",
        energy=0.65,
        brightness=0.45,
        room=0.7,
    ),
    "ambient": Genre(
        bpm=(54, 72),
        instruments={
            "lead": ("bells", "flute", "electric_piano"),
            "chords": ("electric_piano", "harp", "piano"),
            "pad": ("pad", "choir"),
            "bass": ("sub_bass",),
            "color": ("bells", "harp"),
        },
        groove="",
        bass="drone",
        chords="held",
        harmony="modal",
        sevenths=0.5,
        energy=0.2,
        brightness=0.45,
        room=0.95,
    ),
    "lullaby": Genre(
        bpm=(60, 78),
        instruments={
            "lead": ("music_box",),
            "chords": ("harp", "music_box"),
            "pad": ("strings", "pad"),
            "bass": ("upright_bass",),
            "color": ("bells",),
        },
        groove="",
        bass="roots",
        chords="broken",
        harmony="classical",
        energy=0.2,
        brightness=0.7,
        room=0.55,
    ),
}
"""All kinds, by name. Words of a prompt lead here through `words`."""

UNTOLD = ("pop", "lofi", "folk", "cinematic", "synthwave", "latin", "classical", "ambient")
"""Kinds that are drawn from when the prompt names none; see `style`."""
