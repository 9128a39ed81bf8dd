"""What engines found out about this machine, kept in their worker's folder over restarts."""

import logging
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

_log = logging.getLogger(__name__)
Kind = TypeVar("Kind")


@dataclass
class Settings:
    """What a worker decides for all engines of its process.

    Attributes:
        folder: Where it is kept. None: it is forgotten.
    """

    folder: Path | None = None


settings = Settings()


def recall(name: str, kind: type[Kind], folder: Path | None = None) -> Kind | None:
    """What was kept under a name; None: nothing that can be read.

    Args:
        name: Of the file, without its ending.
        kind: What it holds.
        folder: Where to look. None: where this process keeps such things.
    """
    place = folder or settings.folder
    if place is None:
        return None
    try:
        return msgspec.json.decode((place / f"{name}.json").read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError):
        return None


def keep(name: str, value: object, folder: Path | None = None) -> None:
    """Keeps something under a name; where there is no room for it, it is found out again.

    Args:
        name: Of the file, without its ending.
        value: What it shall hold.
        folder: Where to. None: where this process keeps such things, if it does.
    """
    place = folder or settings.folder
    if place is None:
        return
    new = place / f"{name}.json.new"
    try:
        new.write_bytes(msgspec.json.format(msgspec.json.encode(value)))
        os.replace(new, place / f"{name}.json")
    except OSError as error:
        _log.warning("what was found out about %s cannot be kept: %s", name, error.strerror)
        with suppress(OSError):
            new.unlink(missing_ok=True)
