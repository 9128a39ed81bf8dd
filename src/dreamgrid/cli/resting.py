"""`dreamgrid work pause` and `resume`: a word for the workers that run from a data folder."""

import re
import time
from contextlib import suppress
from pathlib import Path

from dreamgrid.cli import exits, loop
from dreamgrid.cli.folder import data_dir, find_running
from dreamgrid.cli.stdout import stdout
from dreamgrid.errors import ConfigError, OwnGridUnreachable
from dreamgrid.worker.rest import anyone_at_work, pause, resume

_DOES_NOT_REST = "the worker inside the grid that runs from here does not rest: end the grid"
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def pause_workers(duration: str | None, data: Path | None) -> None:
    """Pauses them, for a while or, with None, until somebody resumes them.

    Raises:
        ConfigError: The duration is none, or the only worker here is one that does not rest.
    """
    until_s = None if duration is None else time.time() + _seconds_of(duration)
    folder = data_dir(data)
    running = None
    with suppress(OwnGridUnreachable):  # one with a worker listens on this machine, and is found
        running = loop.run(find_running(folder))
    only_others = anyone_at_work(folder / "worker") is False
    in_grid = running is not None and running.has_worker
    if in_grid and only_others:
        raise ConfigError(f"nothing is paused: {_DOES_NOT_REST}")
    pause(folder / "worker", until_s)
    until = "" if duration is None else f" for {duration}"
    stdout().print(f"paused{until}; 'dreamgrid work resume' ends it")
    if in_grid:
        exits.note(_DOES_NOT_REST)
    elif only_others:
        exits.note(f"no 'dreamgrid work' runs from {folder} now; one that starts there will rest")


def resume_workers(data: Path | None) -> None:
    """Ends a pause."""
    there = resume(data_dir(data) / "worker")
    stdout().print("resumed" if there else "there was no pause")


def _seconds_of(duration: str) -> int:
    """Reads `90m`, `2h` or `1h30m`, at least a second."""
    parts = re.findall(r"(\d+)([smhd])", duration)
    seconds = sum(int(number) * _SECONDS[unit] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != duration or seconds == 0:
        raise ConfigError(f"'{duration}' is no duration: write 90m, 2h or 1h30m")
    return seconds
