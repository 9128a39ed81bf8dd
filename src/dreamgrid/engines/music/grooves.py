"""What drums play: patterns per kind and time signature, and the fills that end a section.

A pattern is a bar in slots: `x` loud, `o` medium (left out when there is little energy), `g` a
quiet stroke that comes with energy, `.` nothing. 2/4 plays the first half of 4/4.
"""

import numpy as np

from dreamgrid.engines.music.meter import Meter
from dreamgrid.engines.music.score import Hit

Rng = np.random.Generator
Pattern = dict[str, str]

_WALTZ: Pattern = {"kick": "x...........", "snare": "....o...x...", "hat": "x.g.x.g.x.g."}
_SIX: Pattern = {"kick": "x.......o...", "snare": "......x.....", "hat": "x.o.o.x.o.o."}

GROOVES: dict[str, dict[str, Pattern]] = {
    "backbeat": {
        "4": {"kick": "x.......x.o.....", "snare": "....x.......x..g", "hat": "x.o.x.o.x.o.x.o."},
        "3": _WALTZ,
        "6": _SIX,
    },
    "rock": {
        "4": {"kick": "x.....o.x.x.....", "snare": "....x.......x...", "hat": "x.x.x.x.x.x.x.x."},
        "3": {"kick": "x.....o.....", "snare": "....x...x...", "hat": "x.x.x.x.x.x."},
        "6": {"kick": "x...o.....o.", "snare": "......x.....", "hat": "x.x.x.x.x.x."},
    },
    "fours": {
        "4": {
            "kick": "x...x...x...x...",
            "clap": "....x.......x...",
            "open_hat": "..x...x...x...x.",
            "hat": "ggggggggogggoggg",
        },
        "3": {"kick": "x...x...x...", "clap": "........x...", "open_hat": "..x...x...x."},
        "6": {"kick": "x.....x.....", "clap": "......x.....", "hat": "x.o.o.x.o.o."},
    },
    "lofi": {
        "4": {"kick": "x......o..x.....", "snare": "....x.......x..g", "hat": "x.o.x.o.x.o.x.oo"},
        "3": _WALTZ,
        "6": _SIX,
    },
    "halftime": {
        "4": {"kick": "x.....o...o.....", "snare": "........x.......", "hat": "x.o.x.o.x.o.xgog"},
        "3": {"kick": "x.....o.....", "snare": "........x...", "hat": "x.o.x.o.x.og"},
        "6": _SIX,
    },
    "funk": {
        "4": {"kick": "x..o..o...x..o..", "snare": "....x..g.g..x..g", "hat": "xgogxgogxgogxgog"},
        "3": {"kick": "x..o..o.....", "snare": "....x..gx..g", "hat": "xgogxgogxgog"},
        "6": _SIX,
    },
    "swing": {
        "4": {
            "ride": "x...x.o.x...x.o.",
            "hat": "....x.......x...",
            "kick": "o.......g.......",
            "rim": "..............g.",
        },
        "3": {"ride": "x...x.o.x.o.", "hat": "....o...x...", "kick": "o..........."},
        "6": {"ride": "x...o.x...o.", "hat": "......x.....", "kick": "o..........."},
    },
    "bossa": {
        "4": {"rim": "x..x..x...x..x..", "kick": "x..ox..ox..ox..o", "shaker": "xgogxgogxgogxgog"},
        "3": {"rim": "x..x..x...x.", "kick": "x..ox..ox..o", "shaker": "xgogxgogxgog"},
        "6": {"rim": "x..x..x.x...", "kick": "x....ox....o", "shaker": "xgogogxgogog"},
    },
    "onedrop": {
        "4": {"kick": "........x.......", "rim": "........x.......", "hat": "x.o.x.o.x.o.x.og"},
        "3": _WALTZ,
        "6": {"kick": "......x.....", "rim": "......x.....", "hat": "x.o.o.x.o.o."},
    },
    "brushes": {
        "4": {"shaker": "x.o.x.o.x.o.x.o.", "kick": "x.......o.......", "rim": "....g.......g..."},
        "3": {"shaker": "x...o...o...", "kick": "x..........."},
        "6": {"shaker": "x.g.o.x.g.o.", "kick": "x..........."},
    },
    "epic": {
        "4": {
            "tom_low": "x..o..o.x.....oo",
            "kick": "x...............",
            "snare": "....g.......g.gg",
        },
        "3": {"tom_low": "x...o.o.o...", "kick": "x...........", "snare": "........g..."},
        "6": {"tom_low": "x...o.x...oo", "kick": "x...........", "snare": "......g....."},
    },
}
"""Groove to time signature to sound to bar."""

_LOUD = {"x": 0.9, "o": 0.62, "g": 0.32}
_NEEDS = {"x": 0.0, "o": 0.15, "g": 0.45}  # energy below which a stroke is left out


def bar(
    groove: str, meter: Meter, start: int, *, energy: float, light: bool, rng: Rng
) -> list[Hit]:
    """One bar of a groove.

    Args:
        groove: A name in `GROOVES`.
        meter: Time signature.
        start: Slot at which the bar begins.
        energy: 0..1; little leaves medium and quiet strokes out.
        light: Only what keeps time, without bass drum and snare.
        rng: Draws small differences in loudness, and a few extra strokes.
    """
    patterns = GROOVES[groove]
    pattern = patterns["4"] if meter.name == "2" else patterns[meter.name]
    hits = []
    for sound, strokes in pattern.items():
        if light and sound in {"kick", "snare", "clap", "tom_low"}:
            continue
        for slot, stroke in enumerate(strokes[: meter.slots]):
            if stroke == "." or energy < _NEEDS[stroke]:
                continue
            velocity = _LOUD[stroke] * (0.7 + 0.3 * energy) * rng.uniform(0.92, 1.0)
            hits.append(Hit(start + slot, sound, float(velocity)))
    return hits


def fill(meter: Meter, start: int, *, energy: float, rng: Rng) -> list[Hit]:
    """The last beat or two of a bar, leading into what follows; clears the way for a crash."""
    beats = 2 if energy > 0.6 and meter.beats > 2 else 1
    first = start + meter.slots - beats * meter.slots_per_beat
    sounds = ("snare", "tom_high", "tom_low")
    step = 1 if energy > 0.75 else 2
    slots = range(first, start + meter.slots, step)
    chosen = [slot for slot in slots if rng.random() < 0.85]
    return [
        Hit(
            slot,
            sounds[min(2, int(3 * (slot - first) / (beats * meter.slots_per_beat)))],
            0.5 + 0.35 * (slot - first) / (beats * meter.slots_per_beat),
        )
        for slot in chosen
    ]
