"""The SoundFont of a worker's owner: what is in it, and which preset plays which instrument.

Only its tables are read here, never its samples: a worker looks at it before anything starts.
`font_player` makes it sound.
"""

import os
import struct
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from dreamgrid.errors import ConfigError

PERCUSSION_BANK = 128
"""Banks from here on hold drum kits: each key is a stroke of its own."""

_PACKAGE = "midirenderer"
_MAX_TABLE_BYTES = 64 * 1024 * 1024
_HEADER = struct.Struct("<4sI")
_PRESET = struct.Struct("<20sHHHIII")


class Preset(msgspec.Struct, frozen=True):
    """One sound of a font, as MIDI names it."""

    bank: int
    program: int


GENERAL_MIDI: Mapping[str, Preset] = {
    "piano": Preset(0, 0),
    "electric_piano": Preset(0, 4),
    "music_box": Preset(0, 10),
    "vibraphone": Preset(0, 11),
    "marimba": Preset(0, 12),
    "bells": Preset(0, 14),
    "organ": Preset(0, 19),
    "guitar": Preset(0, 24),
    "electric_guitar": Preset(0, 29),
    "upright_bass": Preset(0, 32),
    "electric_bass": Preset(0, 33),
    "synth_bass": Preset(0, 38),
    "sub_bass": Preset(0, 39),
    "violin": Preset(0, 40),
    "pluck": Preset(0, 45),
    "harp": Preset(0, 46),
    "strings": Preset(0, 48),
    "choir": Preset(0, 52),
    "brass": Preset(0, 61),
    "clarinet": Preset(0, 71),
    "flute": Preset(0, 73),
    "synth_lead": Preset(0, 81),
    "pad": Preset(0, 89),
    "acoustic": Preset(PERCUSSION_BANK, 0),
    "electronic": Preset(PERCUSSION_BANK, 24),
    "soft": Preset(PERCUSSION_BANK, 40),
    "orchestral": Preset(PERCUSSION_BANK, 48),
}
"""Where fonts of the usual kind have each instrument and each drum kit of ours."""


STROKE_KEYS = {
    "kick": 36,
    "rim": 37,
    "snare": 38,
    "clap": 39,
    "hat": 42,
    "tom_low": 45,
    "open_hat": 46,
    "crash": 49,
    "tom_high": 50,
    "ride": 51,
    "shaker": 70,
}
"""The keys of a drum kit."""


class Tone(NamedTuple):
    """A key that is held: when, for how long, which, and how loud, 0..1."""

    start_s: float
    held_s: float
    key: int
    velocity: float


@dataclass(frozen=True, kw_only=True)
class SoundFont:
    """A font that can be played.

    Attributes:
        path: The file.
        name: What it calls itself.
        plays: Instrument or drum kit to the preset that plays it. Others sound as without a font.
    """

    path: Path
    name: str
    plays: Mapping[str, Preset] = field(default_factory=dict)


@dataclass
class Settings:
    """What this process plays with; its worker sets it before the first render.

    Attributes:
        sound_font: The font of the worker's owner. None: our own instruments.
    """

    sound_font: SoundFont | None = None


settings = Settings()


def read(path: Path) -> SoundFont:
    """Looks into a font.

    The instruments are found where General MIDI has them (a drum kit that is not there is played
    by the first one), or where a JSON file of the same name beside the font says:
    `{"piano": [8, 0]}` is program 0 of bank 8.

    Raises:
        ConfigError: It cannot be read or played, or the file beside it names what is not there.
    """
    if find_spec(_PACKAGE) is None:
        raise ConfigError(
            f"to play a sound font a worker needs {_PACKAGE}: "
            "pip install -e '.[soundfont]' in the clone"
        )
    try:
        with path.open("rb") as file:
            tables = dict(_tables(file))
    except OSError as error:
        raise ConfigError(f"the sound font {path} cannot be read: {error.strerror}") from None
    except (ValueError, struct.error):
        raise ConfigError(f"{path} is no SoundFont 2 (SF2)") from None
    version, presets = tables.get(b"ifil", b""), _presets(tables.get(b"phdr", b""))
    if version[:2] != b"\x02\x00" or not presets:
        raise ConfigError(
            f"{path} is no SoundFont 2 (SF2), or it is empty; an SF3 has to be unpacked first"
        )
    name = tables.get(b"INAM", b"").partition(b"\0")[0].decode("ascii", "replace")
    beside = path.with_suffix(".json")
    own = _mapping(beside, presets) if beside.exists() else {}
    plays = {name: preset for name, preset in GENERAL_MIDI.items() if preset in presets}
    first_kit = GENERAL_MIDI["acoustic"]
    if first_kit in presets:
        kits = [name for name, preset in GENERAL_MIDI.items() if preset.bank == PERCUSSION_BANK]
        plays = dict.fromkeys(kits, first_kit) | plays
    return SoundFont(path=path, name=name or path.stem, plays=plays | own)


def _tables(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a font's lists by name, those with samples left out."""
    size = os.fstat(file.fileno()).st_size
    name, length = _HEADER.unpack(file.read(_HEADER.size))
    if name != b"RIFF" or file.read(4) != b"sfbk":
        raise ValueError("another kind of file")
    end = min(size, _HEADER.size + length)
    while file.tell() + _HEADER.size + 4 <= end:
        name, length = _HEADER.unpack(file.read(_HEADER.size))
        stop = file.tell() + length + length % 2
        if name == b"LIST" and file.read(4) in (b"INFO", b"pdta"):
            while file.tell() + _HEADER.size <= stop:
                name, length = _HEADER.unpack(file.read(_HEADER.size))
                if length > min(_MAX_TABLE_BYTES, size):
                    raise ValueError("a table that is too long")
                yield name, file.read(length)
                file.seek(length % 2, os.SEEK_CUR)
        file.seek(stop)


def _presets(table: bytes) -> frozenset[Preset]:
    whole = len(table) - len(table) % _PRESET.size
    rows = list(_PRESET.iter_unpack(table[:whole]))
    return frozenset(Preset(bank, program) for _, program, bank, *_ in rows[:-1])


def _mapping(path: Path, presets: Collection[Preset]) -> dict[str, Preset]:
    """What the file beside the font says."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=dict[str, tuple[int, int]])
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigError(
            f'{path} must look like {{"piano": [bank, program], ...}}: {error}'
        ) from None
    own = {name: Preset(*numbers) for name, numbers in found.items()}
    for name, preset in own.items():
        if name not in GENERAL_MIDI:
            raise ConfigError(f"{path}: {name!r:.40} is none of {', '.join(GENERAL_MIDI)}")
        if preset not in presets:
            raise ConfigError(
                f"{path}: {name} is to be program {preset.program} of bank {preset.bank}, "
                "which the font does not have"
            )
    return own
