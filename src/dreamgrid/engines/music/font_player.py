"""Plays parts of a score with a SoundFont: as MIDI, by the package midirenderer (rustysynth)."""

import io
import struct
from collections import Counter
from collections.abc import Sequence

import av
import midirenderer
import numpy as np

from dreamgrid.engines.convolution import Floats
from dreamgrid.engines.music.sound_font import PERCUSSION_BANK, Preset, SoundFont, Tone
from dreamgrid.engines.music.tones import SAMPLE_RATE, frames_of
from dreamgrid.errors import EngineError

_TICKS_PER_S = 10_000
_VOLUMES = (100, 50, 25, 12)  # of the channel: the next one where a chord was too loud for 16 bits
_CLIPPED = 0.9999
_CHORD_S = 0.05  # what begins within it counts as one chord
_DRUM_CHANNEL = 9


class FontPlayer:
    """Plays one piece with one font, which it holds in memory meanwhile."""

    def __init__(self, font: SoundFont) -> None:
        self._font = font
        try:
            self._data = font.path.read_bytes()
        except OSError as error:
            raise EngineError(f"this worker's sound font is gone\n{error}") from None

    def plays(self, instrument: str) -> bool:
        """Whether the font has an instrument or a drum kit."""
        return instrument in self._font.plays

    def play(self, instrument: str, tones: Sequence[Tone], duration_s: float) -> Floats:
        """All tones of one instrument, `(2, frames)`.

        A single tone has a peak of about its loudness to the power of 1.5, as it has among our own
        instruments, however loud the font is.

        Raises:
            EngineError: The font cannot be played.
        """
        preset = self._font.plays[instrument]
        for volume in _VOLUMES:
            sound = self._rendered(_midi(preset, tones, duration_s, volume), duration_s)
            peak = float(np.abs(sound).max(initial=0))
            if peak < _CLIPPED:
                break
        at_once = max(Counter(round(tone.start_s / _CHORD_S) for tone in tones).values())
        loudest = max(tone.velocity for tone in tones)
        return sound * np.float32(loudest**1.5 * at_once**0.5 / max(peak, 1e-4))

    def _rendered(self, midi: bytes, duration_s: float) -> Floats:
        try:
            data = midirenderer.render_wave_from(self._data, midi)
        except RuntimeError as error:
            raise EngineError(f"this worker's sound font cannot be played\n{error}") from None
        return _at_our_rate(data, frames_of(duration_s))


def _at_our_rate(data: bytes, frames: int) -> Floats:
    """The samples of a stereo WAV file, `(2, frames)`, full scale at 1."""
    out = np.zeros((2, frames), np.float32)
    done = 0
    resampler = av.AudioResampler(format="fltp", layout="stereo", rate=SAMPLE_RATE)
    with av.open(io.BytesIO(data), "r") as container:
        for frame in (*container.decode(audio=0), None):  # None: what is left inside
            for piece in resampler.resample(frame):
                part = piece.to_ndarray()[:, : frames - done]
                out[:, done : done + part.shape[1]] = part
                done += part.shape[1]
    return out


def _midi(preset: Preset, tones: Sequence[Tone], duration_s: float, volume: int) -> bytes:
    """A MIDI file with one instrument, dry: the band has a room of its own."""
    is_kit = preset.bank >= PERCUSSION_BANK
    channel = _DRUM_CHANNEL if is_kit else 0
    bank = preset.bank - PERCUSSION_BANK if is_kit else preset.bank
    controls = ((0, bank), (7, volume), (91, 0), (93, 0))  # bank, volume, reverb, chorus
    events = [(0, 0, bytes([0xB0 | channel, *control])) for control in controls]
    events.append((0, 0, bytes([0xC0 | channel, preset.program])))
    for start_s, held_s, key, velocity in tones:
        begin, end = round(start_s * _TICKS_PER_S), round((start_s + held_s) * _TICKS_PER_S)
        # Fonts make loudness the square of the velocity, our own instruments the power of 1.5.
        pressed = max(1, min(127, round(127 * velocity**0.75)))
        events.append((begin, 2, bytes([0x90 | channel, key, pressed])))
        events.append((end, 1, bytes([0x80 | channel, key, 0])))
    track = bytearray(b"\0\xff\x51\x03" + (1_000_000).to_bytes(3, "big"))  # a beat is a second
    now, end = 0, round(duration_s * _TICKS_PER_S)
    for tick, _, message in sorted(events):
        if tick < end:
            track += _length(tick - now) + message
            now = tick
    track += _length(end - now) + b"\xff\x2f\0"
    head = struct.pack(">4sIHHH", b"MThd", 6, 0, 1, _TICKS_PER_S)
    return head + struct.pack(">4sI", b"MTrk", len(track)) + bytes(track)


def _length(ticks: int) -> bytes:
    """A number as MIDI files write it: seven bits a byte, all but the last one marked."""
    parts = [ticks & 0x7F]
    while ticks := ticks >> 7:
        parts.append(ticks & 0x7F | 0x80)
    return bytes(reversed(parts))
