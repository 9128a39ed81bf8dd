"""Writes tiny SoundFonts for tests: each preset is one looped wave of one frequency."""

import struct
from collections.abc import Mapping

import numpy as np

SAMPLE_RATE = 44_100
_KEY = 69
_PERIOD = 100  # frames; so the sample's own pitch is 441 Hz
_FRAMES = 40 * _PERIOD
_SILENCE = 46  # frames that the format wants after each sample


def sound_font(presets: Mapping[tuple[int, int], int]) -> bytes:
    """A SoundFont 2.01.

    Args:
        presets: (bank, program) to the number of periods in a loop of 100 frames: 1 sounds an
            A of 441 Hz when A4 is played, 2 an octave higher, so that a test hears which preset
            it was.
    """
    waves = [_wave(periods) for periods in presets.values()]
    pause = np.zeros(_SILENCE, np.int16)
    samples = b"".join(part.tobytes() for wave in waves for part in (wave, pause))
    info = _chunk(b"ifil", struct.pack("<HH", 2, 1)) + _chunk(b"isng", b"EMU8000\0")
    info += _chunk(b"INAM", b"tiny\0\0")
    tables = [
        _chunk(b"phdr", _presets(tuple(presets))),
        _chunk(b"pbag", _bags(len(waves))),
        _chunk(b"pmod", bytes(10)),
        _chunk(b"pgen", _generators([[(41, number)] for number in range(len(waves))])),
        _chunk(b"inst", _instruments(len(waves))),
        _chunk(b"ibag", _bags(len(waves), each=2)),
        _chunk(b"imod", bytes(10)),
        # 54: the sample loops; 53: which sample it is, which has to come last.
        _chunk(b"igen", _generators([[(54, 1), (53, number)] for number in range(len(waves))])),
        _chunk(b"shdr", _headers(len(waves))),
    ]
    lists = [
        _chunk(b"LIST", b"INFO" + info),
        _chunk(b"LIST", b"sdta" + _chunk(b"smpl", samples)),
        _chunk(b"LIST", b"pdta" + b"".join(tables)),
    ]
    return _chunk(b"RIFF", b"sfbk" + b"".join(lists))


def _wave(periods: int) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    phase = np.arange(_FRAMES) * (2 * np.pi * periods / _PERIOD)
    wave: np.ndarray[tuple[int], np.dtype[np.int16]] = (20_000 * np.sin(phase)).astype(np.int16)
    return wave


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def _presets(numbers: tuple[tuple[int, int], ...]) -> bytes:
    rows = [
        struct.pack("<20sHHHIII", b"preset %d" % bag, program, bank, bag, 0, 0, 0)
        for bag, (bank, program) in enumerate(numbers)
    ]
    rows.append(struct.pack("<20sHHHIII", b"EOP", 0, 0, len(numbers), 0, 0, 0))
    return b"".join(rows)


def _instruments(count: int) -> bytes:
    rows = [struct.pack("<20sH", b"instrument %d" % bag, bag) for bag in range(count)]
    return b"".join([*rows, struct.pack("<20sH", b"EOI", count)])


def _bags(count: int, each: int = 1) -> bytes:
    """One zone for each, with so many generators, and the one at the end."""
    return b"".join(struct.pack("<HH", number * each, 0) for number in range(count + 1))


def _generators(zones: list[list[tuple[int, int]]]) -> bytes:
    rows = [struct.pack("<HH", *pair) for zone in zones for pair in zone]
    return b"".join([*rows, bytes(4)])


def _headers(count: int) -> bytes:
    rows = []
    for number in range(count):
        start = number * (_FRAMES + _SILENCE)
        end = start + _FRAMES
        rows.append(
            struct.pack(
                "<20sIIIIIBbHH",
                b"sample %d" % number,
                start,
                end,
                start + _PERIOD,
                end - _PERIOD,
                SAMPLE_RATE,
                _KEY,
                0,
                0,
                1,
            )
        )
    return b"".join([*rows, struct.pack("<20sIIIIIBbHH", b"EOS", 0, 0, 0, 0, 0, 0, 0, 0, 0)])
