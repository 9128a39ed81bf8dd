"""What a composer writes and a band plays: notes and strokes on a grid of slots."""

from dataclasses import dataclass, field

from dreamgrid.engines.music.meter import Meter


@dataclass(frozen=True, slots=True)
class Note:
    """One tone: start and length in slots from the beginning, MIDI pitch, loudness 0..1."""

    start: float
    length: float
    pitch: int
    velocity: float


@dataclass(frozen=True, slots=True)
class Hit:
    """One stroke of a percussion sound, loudness 0..1."""

    start: float
    sound: str
    velocity: float


@dataclass(kw_only=True)
class Part:
    """What one instrument plays; `role` decides its place in the mix."""

    role: str
    instrument: str
    notes: list[Note] = field(default_factory=list)


@dataclass(kw_only=True)
class Score:
    """A whole piece.

    Attributes:
        meter: Its time signature.
        bpm: Beats per minute.
        swing: How late the second half of a beat comes: 0 straight, 1 as in a triplet.
        duration_s: Exact length of the recording.
        end_slot: Where the last chord is struck; it rings until the end. None: no ending, the
            music simply stops.
        parts: The pitched instruments.
        kit: Name of the drum kit.
        hits: What it plays.
        room: Length of the reverb, 0..1: a dry booth to a cathedral.
        pumping: How far everything but drums and bass gives way to the bass drum, 0..1.
        loud: Decibels that a role is turned up by, because the prompt names its instrument.
    """

    meter: Meter
    bpm: float
    swing: float
    duration_s: float
    end_slot: float | None
    parts: list[Part]
    kit: str
    hits: list[Hit]
    room: float
    pumping: float
    loud: dict[str, float] = field(default_factory=dict)

    @property
    def slot_s(self) -> float:
        """Seconds per slot."""
        return 60 / self.bpm / self.meter.slots_per_beat

    def seconds(self, slot: float) -> float:
        """When a slot sounds, swing included."""
        if self.meter.compound or not self.swing:
            return slot * self.slot_s
        beat, within = divmod(slot, 4)
        middle = 2 + self.swing * 2 / 3
        early = within * middle / 2
        late = middle + (within - 2) * (4 - middle) / 2
        return (beat * 4 + (early if within < 2 else late)) * self.slot_s
