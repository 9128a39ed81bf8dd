"""The composer, judged by the score: form, harmony, melody, and what the prompt asks for."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("numpy")

from dreamgrid.engines.music import accompaniment, form, grooves, harmony
from dreamgrid.engines.music.composer import Wish, compose
from dreamgrid.engines.music.genres import GENRES
from dreamgrid.engines.music.harmony import Chord, Key
from dreamgrid.engines.music.instruments import INSTRUMENTS
from dreamgrid.engines.music.meter import METERS
from dreamgrid.engines.music.percussion import KITS
from dreamgrid.engines.music.score import Note, Score
from dreamgrid.engines.music.style import ROLES_OF, Style, style_of
from dreamgrid.errors import RenderRefused


def style(prompt: str, negative: str = "", *, strength: float = 2.0, seed: int = 1) -> Style:
    rng = np.random.default_rng(seed)
    return style_of(prompt, negative, strength=strength, creativity=0.85, rng=rng)


def score(prompt: str = "happy pop", *, creativity: float = 0.85, **settings: Any) -> Score:
    values: dict[str, Any] = {
        "key": Key.named("C major"),
        "meter": METERS["4"],
        "bpm": 120.0,
        "duration_s": 60.0,
        "composed": True,
        "order": "",
        "seed": 5,
    }
    wish = Wish(**{**values, **settings})
    rng = np.random.default_rng(1)
    return compose(style_of(prompt, "", strength=2, creativity=creativity, rng=rng), wish)


def notes_of(piece: Score, role: str) -> list[Note]:
    return [note for part in piece.parts if part.role == role for note in part.notes]


# ── what the words ask for ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("prompt", "kind"),
    [
        ("smooth jazz for the evening", "jazz"),
        ("Lo-Fi beats to study to", "lofi"),
        ("Epic orchestral battle", "cinematic"),
        ("hip hop", "hiphop"),
        ("Irish campfire song", "folk"),
    ],
)
def test_a_kind_is_understood(prompt: str, kind: str) -> None:
    assert style(prompt).genre == GENRES[kind]


def test_named_instruments_play_and_stand_out() -> None:
    asked = style("pop with a music box, cello and electric piano")
    assert {"music_box", "violin", "electric_piano"} <= set(asked.instruments.values())
    assert "piano" not in asked.instruments.values()
    assert all(asked.loud[role] > 0 for role in ("lead", "chords"))


def test_two_named_melody_instruments_both_play() -> None:
    cast = style("irish jig with flute and fiddle").instruments
    assert (cast["lead"], cast["pad"]) == ("flute", "violin")


def test_a_named_instrument_is_heard_from_the_first_theme_on() -> None:
    piece = score("calm pop with bells")
    first = next(s for s in form.composed(60, METERS["4"], 0.125).sections if s.kind == "A")
    start, stop = first.start_bar * 16, (first.start_bar + first.bars) * 16
    bells = [note for part in piece.parts if part.instrument == "bells" for note in part.notes]
    assert any(start <= note.start < stop for note in bells)


@pytest.mark.parametrize(
    ("prompt", "negative"), [("rock", "drums"), ("rock without drums", ""), ("rock, no drums", "")]
)
def test_drums_can_be_left_out(prompt: str, negative: str) -> None:
    assert style("rock").drums
    assert not style(prompt, negative).drums


def test_instruments_kinds_and_the_melody_can_be_left_out() -> None:
    for seed in range(20):
        calm = style("classical", "piano, melody", seed=seed)
        assert "piano" not in calm.instruments.values()
        assert "lead" not in calm.instruments
        assert style("", "folk", seed=seed).genre != GENRES["folk"]


def test_a_piano_that_is_wanted_is_not_left_out_by_another_no() -> None:
    asked = style("no guitar but piano and flute")
    assert {"piano", "flute"} <= set(asked.instruments.values())
    assert "guitar" not in asked.instruments.values()


def test_moods_move_energy_and_brightness() -> None:
    assert style("energetic pop").energy > style("pop").energy > style("calm pop").energy
    assert style("happy pop").brightness > style("pop").brightness > style("sad pop").brightness
    assert style("", "calm").energy >= 0


def test_dances_have_their_time_signature() -> None:
    assert [style(words).meter for words in ("a waltz", "irish jig", "pop")] == ["3", "6", "4"]


def test_the_strength_of_the_prompt_goes_from_deaf_to_literal() -> None:
    deaf = {style("techno", strength=0, seed=seed).genre.groove for seed in range(30)}
    assert len(deaf) > 3
    weak, strong = style("calm pop", strength=1), style("calm pop", strength=8)
    assert strong.energy < weak.energy
    only = style("pop with piano and violin", strength=8)
    assert set(only.instruments.values()) == {"piano", "violin"}
    assert not only.drums
    assert set(style("solo harp", strength=8).instruments.values()) == {"harp"}


def test_a_prompt_without_a_kind_gets_one_that_has_its_instruments() -> None:
    kinds = [style("sad piano and strings", seed=seed).genre for seed in range(40)]
    fitting = sum("strings" in kind.instruments.get("pad", ()) for kind in kinds)
    assert fitting > 30


def test_every_name_in_the_data_exists() -> None:
    for genre in GENRES.values():
        played = {one for choices in genre.instruments.values() for one in choices}
        assert played <= set(INSTRUMENTS)
        assert genre.kit in KITS
        assert genre.harmony in harmony.PROGRESSIONS
        assert not genre.groove or genre.groove in grooves.GROOVES
    assert set(ROLES_OF) == set(INSTRUMENTS)


# ── form ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("duration_s", [5, 8, 13, 30, 61, 120, 300])
@pytest.mark.parametrize("bpm", [40, 120, 220])
@pytest.mark.parametrize("name", METERS)
def test_sections_follow_each_other_without_gap_and_leave_time_for_the_last_chord(
    duration_s: float, bpm: float, name: str
) -> None:
    meter = METERS[name]
    slot_s = 60 / bpm / meter.slots_per_beat
    plan = form.composed(duration_s, meter, slot_s)
    bar = 0
    for section in plan.sections:
        assert section.start_bar == bar
        assert section.bars > 0
        bar += section.bars
    assert plan.end_slot is not None
    assert plan.end_slot <= bar * meter.slots
    ring_s = duration_s - plan.end_slot * slot_s
    assert 0.2 * min(duration_s, 5) < ring_s < meter.slots * slot_s + 2.5


def test_a_minute_has_introduction_themes_contrast_and_close() -> None:
    kinds = [section.kind for section in form.composed(60, METERS["4"], 0.125).sections]
    assert kinds[0] == "intro"
    assert kinds[-1] == "outro"
    assert {"A", "B"} <= set(kinds)


def test_tags_in_lyrics_order_the_themes() -> None:
    assert form.order_of("[Verse 1]\nla la\n[Chorus]\nhey\n[Bridge]\n[Outro]") == "ABC"
    assert form.order_of("la la la") == ""


def test_without_composer_mode_four_bars_repeat() -> None:
    piece = score(composed=False, duration_s=24.0)
    bars = 16 * 4
    lead = [(note.start, note.pitch) for note in notes_of(piece, "lead")]
    assert piece.end_slot is None
    assert [(start + bars, pitch) for start, pitch in lead if start < bars] == [
        (start, pitch) for start, pitch in lead if bars <= start < 2 * bars
    ]


def test_a_piece_ends_on_its_tonic_and_nothing_follows() -> None:
    piece = score(key=Key.named("E minor"))
    assert piece.end_slot is not None
    last = [note for part in piece.parts for note in part.notes if note.start == piece.end_slot]
    assert {note.pitch % 12 for note in last} <= {4, 7, 11}
    assert min(last, key=lambda note: note.pitch).pitch % 12 == 4
    assert all(note.start <= piece.end_slot for part in piece.parts for note in part.notes)


# ── harmony, melody, rhythm ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("C major", Key(0, minor=False)),
        ("F# minor", Key(6, minor=True)),
        ("Bb", Key(10, minor=False)),
        ("a minor", Key(9, minor=True)),
        ("A# major", Key(10, minor=False)),
    ],
)
def test_a_key_is_read_from_its_name(name: str, key: Key) -> None:
    assert Key.named(name) == key


@pytest.mark.parametrize("name", ["", "H major", "C lydian", "major"])
def test_a_name_that_is_no_key_is_refused(name: str) -> None:
    with pytest.raises(RenderRefused, match="no key"):
        Key.named(name)


def test_phrases_end_open_or_closed() -> None:
    key = Key.named("A minor")
    for seed in range(30):
        for closed, ending in ((True, [4, 0]), (False, [4])):
            entries = harmony.phrase(
                key,
                "pop",
                4,
                closed=closed,
                sevenths=0,
                creativity=1.5,
                rng=np.random.default_rng(seed),
            )
            degrees = [chords[-1].degree for chords in entries]
            assert degrees[-len(ending) :] == ending
    assert entries[-1][0].tones == (4, 8, 11)  # in minor the dominant is a major chord


def test_creativity_takes_chords_from_outside_the_key() -> None:
    def foreign(creativity: float) -> int:
        piece = score("pop", creativity=creativity, duration_s=120.0)
        scale = Key.named("C major").scale
        return sum(note.pitch % 12 not in scale for note in notes_of(piece, "pad"))

    assert foreign(0.0) == 0
    assert foreign(2.0) > 0


def test_voices_move_little_and_stay_in_their_range() -> None:
    key = Key.named("G major")
    voices: tuple[int, ...] = ()
    for degree in (0, 3, 4, 5, 1, 4, 0, 2, 5, 3):
        chord = harmony.chord_on(key, degree)
        following = harmony.voicing(chord, voices, 52, 74)
        assert {pitch % 12 for pitch in following} == set(chord.tones)
        assert all(52 <= pitch <= 74 for pitch in following)
        if voices:
            moved = [min(abs(pitch - old) for old in voices) for pitch in following]
            assert max(moved) <= 4
        voices = following


def test_a_melody_stands_on_chord_tones_and_within_a_singable_range() -> None:
    piece = score("pop with violin", creativity=0.5)
    lead = notes_of(piece, "lead")
    assert len(lead) > 30
    scale = Key.named("C major").scale
    assert np.mean([note.pitch % 12 in scale for note in lead]) > 0.9
    assert max(note.pitch for note in lead) - min(note.pitch for note in lead) <= 26
    leaps = np.abs(np.diff([note.pitch for note in lead]))
    assert np.mean(leaps <= 5) > 0.75


def test_a_theme_comes_back() -> None:
    piece = score("pop", creativity=0.5)
    plan = form.composed(60, METERS["4"], 0.125)
    first, second = [section for section in plan.sections if section.kind == "A"][:2]

    def opening(section: form.Section) -> list[tuple[float, int]]:
        start = section.start_bar * 16
        return [
            (note.start - start, note.pitch)
            for note in notes_of(piece, "lead")
            if start + 16 <= note.start < start + 32
        ]

    assert opening(first) == opening(second) != []


def test_the_bass_founds_the_chords() -> None:
    spans = [harmony.Span(0, 16, Chord((5, 9, 0), 3)), harmony.Span(16, 16, Chord((7, 11, 2), 4))]
    for genre in GENRES.values():
        notes = accompaniment.bass(genre.bass, spans, METERS["4"], 32, rng=np.random.default_rng(0))
        for span in spans:
            inside = [note for note in notes if span.start <= note.start < span.start + 16]
            assert inside[0].pitch % 12 == span.chord.root


@pytest.mark.parametrize("groove", grooves.GROOVES)
def test_every_groove_has_every_meter_in_whole_bars(groove: str) -> None:
    for name, patterns in grooves.GROOVES[groove].items():
        assert {len(strokes) for strokes in patterns.values()} == {METERS[name].slots}
        assert set("".join(patterns.values())) <= set("xog.")
    assert set(grooves.GROOVES[groove]) == {"3", "4", "6"}


def test_another_tempo_keeps_the_chords() -> None:
    def roots(bpm: float) -> list[int]:
        piece = score("pop", bpm=bpm, duration_s=60 * 120 / bpm)
        first = [note for note in notes_of(piece, "bass") if note.start % 16 == 0]
        return [note.pitch for note in first[:8]]

    assert roots(120) == roots(110)


def test_swing_delays_the_second_half_of_a_beat() -> None:
    jazz, pop = score("jazz"), score("pop")
    assert jazz.seconds(4) == pop.seconds(4)
    assert jazz.seconds(2) > pop.seconds(2) * 1.2
