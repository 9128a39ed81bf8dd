"""Time signatures as grids. A bar is divided into beats, and a beat into slots of a sixteenth.

In 2/4, 3/4 and 4/4 the tempo counts quarters, four slots each; in 6/8 it counts dotted quarters,
six slots each, as players do.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Meter:
    """One time signature.

    Attributes:
        name: As requests write it: `2`, `3`, `4`, `6`.
        beats: Beats in a bar, as the tempo counts them.
        slots_per_beat: 4, or 6 where a beat has three eighths.
    """

    name: str
    beats: int
    slots_per_beat: int

    @property
    def slots(self) -> int:
        """Slots in a bar."""
        return self.beats * self.slots_per_beat

    @property
    def compound(self) -> bool:
        """Beats are divided by three."""
        return self.slots_per_beat == 6

    def strength(self, slot: float) -> int:
        """How heavy a slot of a bar is: 3 its first beat, 2 the middle, 1 a beat, 0 between."""
        within = slot % self.slots
        if within == 0:
            return 3
        if self.beats in {2, 4} and within == self.slots / 2:
            return 2
        return 1 if within % self.slots_per_beat == 0 else 0


METERS = {
    meter.name: meter
    for meter in (
        Meter(name="2", beats=2, slots_per_beat=4),
        Meter(name="3", beats=3, slots_per_beat=4),
        Meter(name="4", beats=4, slots_per_beat=4),
        Meter(name="6", beats=2, slots_per_beat=6),
    )
}
"""The time signatures that music is composed in, by their name in requests."""
