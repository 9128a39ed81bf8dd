"""What the prompt's words ask for: kind of music, instruments, mood. Pure but for the draws."""

import re
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from dreamgrid.engines.music import words
from dreamgrid.engines.music.genres import GENRES, ROLES, UNTOLD, Genre, Role

Rng = np.random.Generator

ROLES_OF: dict[str, tuple[Role, ...]] = {
    "piano": ("chords", "lead"),
    "electric_piano": ("chords", "lead"),
    "guitar": ("chords", "lead"),
    "electric_guitar": ("chords", "lead"),
    "harp": ("chords", "color"),
    "strings": ("pad", "chords"),
    "pad": ("pad",),
    "choir": ("pad", "lead"),
    "organ": ("chords", "pad"),
    "flute": ("lead", "pad"),
    "clarinet": ("lead", "pad"),
    "violin": ("lead", "pad"),
    "brass": ("lead", "pad"),
    "synth_lead": ("lead", "pad"),
    "bells": ("color", "lead"),
    "music_box": ("lead", "color"),
    "marimba": ("color", "lead"),
    "vibraphone": ("lead", "color"),
    "pluck": ("color", "chords"),
    "electric_bass": ("bass",),
    "upright_bass": ("bass",),
    "synth_bass": ("bass",),
    "sub_bass": ("bass",),
}
"""What each instrument plays when a prompt names it, the first free role first."""

USUAL_METER = "4"

ONLY_NAMED_FROM = 6.0
"""From this strength of the prompt, instruments that it does not name stay silent."""

_TOKEN = re.compile(r"[a-z0-9][a-z0-9'-]*")


@dataclass(frozen=True, kw_only=True)
class Style:
    """Everything that a composer wants to know about the character of a piece.

    Attributes:
        genre: The kind of music.
        instruments: Who plays each role; a role that is missing stays silent.
        drums: Whether there are any.
        energy: How busy and loud, 0..1.
        brightness: How bright, 0..1.
        creativity: How freely to compose, 0..2.
        meter: The time signature that goes with the words.
        loud: Decibels by which named instruments stand out, by role.
    """

    genre: Genre
    instruments: dict[Role, str]
    drums: bool
    energy: float
    brightness: float
    creativity: float
    meter: str
    loud: dict[str, float] = field(default_factory=dict)


@dataclass(kw_only=True)
class _Heard:
    """What was found in a text."""

    genres: list[str] = field(default_factory=list)
    instruments: list[str] = field(default_factory=list)
    drums: bool = False
    melody: bool = False
    energy: float = 0.0
    brightness: float = 0.0
    meter: str = ""


def style_of(
    prompt: str, negative_prompt: str, *, strength: float, creativity: float, rng: Rng
) -> Style:
    """The style that a prompt asks for.

    What it leaves open is drawn. `no drums` or `without piano` in the prompt count like the
    negative prompt.

    Args:
        prompt: Words about the music.
        negative_prompt: Instruments, kinds and moods to leave out.
        strength: 0 ignores the prompt; up to 1 each of its words is heard with that probability;
            beyond, moods are taken further and named instruments become louder, and from 6 on
            only named ones play.
        creativity: Handed on.
        rng: Draws what is open.
    """
    wanted, unwanted = _split(_tokens(prompt))
    if strength < 1:
        wanted = [token for token in wanted if rng.random() < strength]
    heard = _hear(wanted)
    banned = _hear([*unwanted, *_tokens(negative_prompt)])
    named = [one for one in heard.instruments if one not in banned.instruments]
    kinds = [kind for kind in heard.genres if kind not in banned.genres]
    drawn = _drawn_kind(named, heard.energy, banned.genres, rng)
    genre = GENRES[kinds[0] if kinds else drawn]
    far = min(2.0, 0.5 + strength / 4)
    only_named = strength >= ONLY_NAMED_FROM and bool(named)
    instruments = _cast(genre, named, banned.instruments, rng, only_named=only_named)
    if banned.melody:
        instruments.pop("lead", None)
    louder = min(4.0, 1.0 + max(0.0, strength - 2) * 0.5)
    wants_drums = (bool(genre.groove) and not only_named) or heard.drums
    return Style(
        genre=genre,
        instruments=instruments,
        drums=wants_drums and not banned.drums,
        energy=_unit(genre.energy + far * (heard.energy - banned.energy)),
        brightness=_unit(genre.brightness + far * (heard.brightness - banned.brightness)),
        creativity=creativity,
        meter=heard.meter or USUAL_METER,
        loud={role: louder for role, name in instruments.items() if name in named},
    )


def usual_bpm(style: Style) -> float:
    """A tempo for a piece that may choose: usual for its kind, faster with energy."""
    slow, fast = style.genre.bpm
    return float(round(slow + (fast - slow) * _unit(0.5 + style.energy - style.genre.energy)))


def usual_minor(style: Style, rng: Rng) -> bool:
    """Whether a piece that may choose is in minor: the darker, the likelier."""
    return bool(rng.random() < _unit(1.4 - 1.8 * style.brightness))


def _drawn_kind(named: list[str], energy: float, banned: list[str], rng: Rng) -> str:
    """A kind for a prompt that names none: likely one with these instruments and this energy."""
    kinds = [kind for kind in UNTOLD if kind not in banned] or list(UNTOLD)
    weights = []
    for kind in kinds:
        played = {one for choices in GENRES[kind].instruments.values() for one in choices}
        distance = abs(GENRES[kind].energy - (0.5 + energy))
        weights.append(np.exp(2.0 * len(played & set(named)) - 6 * distance))
    return str(rng.choice(kinds, p=np.array(weights) / sum(weights)))


def _cast(
    genre: Genre, named: list[str], banned: list[str], rng: Rng, *, only_named: bool
) -> dict[Role, str]:
    """Who plays what: named instruments first, then the kind's own where a role is free."""
    cast: dict[Role, str] = {}
    # Those with fewer roles choose first.
    for instrument in sorted(dict.fromkeys(named), key=lambda one: len(ROLES_OF[one])):
        free = [role for role in ROLES_OF[instrument] if role not in cast]
        if free:
            cast[free[0]] = instrument
    if only_named:
        if len(cast) == 1 and "bass" not in cast:  # alone it carries melody and chords
            instrument = next(iter(cast.values()))
            cast.setdefault("chords", instrument)
            cast.setdefault("lead", instrument)
        return cast
    for role in ROLES:
        choices = [one for one in genre.instruments.get(role, ()) if one not in banned]
        fresh = [one for one in choices if one not in cast.values()] or choices
        drawn = int(rng.integers(max(1, len(fresh))))  # drawn in any case: other roles stay as is
        if role not in cast and fresh:
            cast[role] = fresh[drawn]
    return cast


def _tokens(text: str) -> list[str]:
    return _TOKEN.findall(text.lower())


def _split(tokens: list[str]) -> tuple[list[str], list[str]]:
    """Tokens that ask for something, and those after a word such as `without`."""
    wanted: list[str] = []
    unwanted: list[str] = []
    skipped = 0
    for token in tokens:
        if token in words.LEAVES_OUT:
            skipped = 2
        elif skipped:
            unwanted.append(token)
            known = token in words.INSTRUMENT_OF or token in words.DRUM_WORDS
            skipped = 0 if known or token in words.GENRE_OF else skipped - 1
        else:
            wanted.append(token)
    return wanted, unwanted


def _hear(tokens: list[str]) -> _Heard:
    heard = _Heard()
    moods = []
    pairs = [f"{first} {second}" for first, second in pairwise(tokens)]
    covered = {word for pair in pairs if pair in words.INSTRUMENT_OF for word in pair.split()}
    for token in [*pairs, *tokens]:
        if token in words.GENRE_OF:
            heard.genres.append(words.GENRE_OF[token])
        if token in words.INSTRUMENT_OF and token not in covered:
            heard.instruments.append(words.INSTRUMENT_OF[token])
        if token in words.MOOD_OF:
            moods.append(words.MOOD_OF[token])
        heard.meter = heard.meter or words.METER_OF.get(token, "")
        heard.drums = heard.drums or token in words.DRUM_WORDS
        heard.melody = heard.melody or token in words.MELODY_WORDS
    if moods:  # several moods meet, and more words for one say it louder
        energy, brightness = np.sum(moods, axis=0) / np.sqrt(len(moods))
        heard.energy, heard.brightness = float(energy), float(brightness)
    return heard


def _unit(value: float) -> float:
    return float(min(1.0, max(0.0, value)))
