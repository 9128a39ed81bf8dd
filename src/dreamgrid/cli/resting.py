"""`dreamgrid work pause` and `resume`: a word for the workers that run from a data folder."""

import re
import time
from pathlib import Path

from rich.console import Console

from dreamgrid.cli.folder import data_dir
from dreamgrid.errors import ConfigError
from dreamgrid.worker.rest import pause, resume

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def pause_workers(duration: str, data: Path | None) -> None:
    """Pauses them, for a while or until somebody resumes them.

    Raises:
        ConfigError: The duration is none.
    """
    seconds = _seconds_of(duration)
    pause(data_dir(data) / "worker", time.time() + seconds if seconds else None)
    until = f" for {duration}" if seconds else ""
    console = Console(highlight=False)
    console.print(f"paused{until}; 'dreamgrid work resume' ends it")


def resume_workers(data: Path | None) -> None:
    """Ends a pause."""
    there = resume(data_dir(data) / "worker")
    Console(highlight=False).print("resumed" if there else "there was no pause")


def _seconds_of(duration: str) -> int:
    """Reads `90m`, `2h` or `1h30m`; 0 for nothing."""
    parts = re.findall(r"(\d+)([smhd])", duration)
    if "".join(number + unit for number, unit in parts) != duration:
        raise ConfigError(f"'{duration}' is no duration: write 90m, 2h or 1h30m")
    return sum(int(number) * _SECONDS[unit] for number, unit in parts)
