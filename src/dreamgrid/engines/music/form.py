"""The plan of a piece: which sections, how long, how intense, and where it ends. Pure.

Sections are phrases of four or eight bars. The whole bars that fit become introduction, theme (A),
theme again, contrast (B), theme, close; the rest of the time is the last chord's.
"""

import re
from dataclasses import dataclass

from dreamgrid.engines.music.meter import Meter

_ORDER = "AABACABA"
_TAG = re.compile(
    r"\[\s*(intro|verse|pre-?chorus|chorus|hook|refrain|bridge|outro)\b[^\]]*\]", re.I
)
_LETTER_OF = {"verse": "A", "chorus": "B", "hook": "B", "refrain": "B", "bridge": "C"}
_INTENSITY = {"intro": 0.45, "A": 0.72, "B": 0.95, "C": 0.55, "outro": 0.5}
_RING_S = 2.2  # the last chord's share, at least


@dataclass(frozen=True, kw_only=True)
class Section:
    """One section.

    Attributes:
        kind: `intro`, `A`, `B`, `C` or `outro`.
        start_bar: Its first bar, counted from 0.
        bars: How many.
        visit: How often its theme was heard before; a theme that comes back is varied.
        closed: It ends on the tonic; else on the dominant.
        intensity: 0..1.
    """

    kind: str
    start_bar: int
    bars: int
    visit: int
    closed: bool
    intensity: float


@dataclass(frozen=True, kw_only=True)
class Form:
    """All sections, and the slot of the last chord; None when the music simply stops."""

    sections: tuple[Section, ...]
    end_slot: int | None


def order_of(lyrics: str) -> str:
    """The order of themes that tags such as `[verse]` in lyrics ask for; empty without tags."""
    tags = [tag.lower().replace("-", "") for tag in _TAG.findall(lyrics)]
    return "".join(_LETTER_OF.get(tag, "A") for tag in tags if tag not in {"intro", "outro"})


def composed(duration_s: float, meter: Meter, slot_s: float, order: str = "") -> Form:
    """A piece with beginning, middle and end.

    Args:
        duration_s: Length of the recording.
        meter: Time signature.
        slot_s: Seconds per slot.
        order: Themes in order, such as `AABA`; empty for the usual one.
    """
    bar_s = meter.slots * slot_s
    ring_s = min(_RING_S, 0.3 * duration_s)
    bars = int((duration_s - ring_s) / bar_s)
    if bars < 1:  # not even one bar: as many beats as there are, then the last chord
        beats = max(1, int((duration_s - ring_s) / (slot_s * meter.slots_per_beat)))
        only = Section(kind="A", start_bar=0, bars=1, visit=0, closed=True, intensity=0.7)
        return Form(sections=(only,), end_slot=beats * meter.slots_per_beat)
    phrase = phrase_bars(bars, bar_s)
    intro = phrase // 2 if bars >= 3 * phrase else 0
    body, rest = divmod(bars - intro, phrase)
    if body >= 5:
        body, rest = body - 1, rest + phrase
    if body == 0:
        body, rest, phrase = 1, 0, bars
    kinds = [(order or _ORDER)[index % len(order or _ORDER)] for index in range(body)]
    if body >= 3 and not order:
        kinds[-1] = "A"
    parts = [("intro", intro), *((kind, phrase) for kind in kinds), ("outro", rest)]
    return Form(sections=_sections(parts), end_slot=bars * meter.slots)


def loop(duration_s: float, meter: Meter, slot_s: float) -> Form:
    """The same four bars over and over, without beginning or end."""
    bars = -int(-duration_s // (meter.slots * slot_s))
    starts = range(0, bars, 4)
    return Form(
        sections=tuple(
            Section(kind="A", start_bar=start, bars=4, visit=0, closed=False, intensity=0.85)
            for start in starts
        ),
        end_slot=None,
    )


def phrase_bars(bars: int, bar_s: float) -> int:
    """Bars of a phrase: eight when bars are short or many, else four."""
    return 8 if (bar_s < 1.2 and bars >= 8) or bars >= 56 else 4


def _sections(parts: list[tuple[str, int]]) -> tuple[Section, ...]:
    sections: list[Section] = []
    start = 0
    parts = [(kind, bars) for kind, bars in parts if bars > 0]
    for index, (kind, bars) in enumerate(parts):
        following = parts[index + 1][0] if index + 1 < len(parts) else ""
        visit = sum(section.kind == kind for section in sections)
        sections.append(
            Section(
                kind=kind,
                start_bar=start,
                bars=bars,
                visit=visit,
                closed=kind in {"A", "outro"} and following != "A",
                intensity=min(1.0, _INTENSITY[kind] + 0.08 * min(2, visit)),
            )
        )
        start += bars
    return tuple(sections)
