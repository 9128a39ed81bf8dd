"""What all commands that make something do around it: pick a grid, show, save, tell."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from dreamgrid.cli import exits, loop
from dreamgrid.cli.folder import data_dir
from dreamgrid.cli.making import Interrupted, Made, Wish, make
from dreamgrid.cli.screen import LiveScreen, Screen
from dreamgrid.cli.stdout import stdout
from dreamgrid.cli.target import connected
from dreamgrid.protocol.amounts import plain

OUT = Path("dreamgrid-out")
TIMEOUT_S = 600.0

_ONE = {"image": "picture", "video": "video", "audio": "piece"}


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How to make it, whatever it is: the flags that all those commands share."""

    out: Path
    timeout: float
    server: str | None
    key: str | None
    data: Path | None
    as_json: bool


def produce(wish: Wish, manner: Manner, *, previews: bool | None = None) -> None:
    """Makes it, saves it and tells where; with `--json`, in one line at the end.

    Args:
        wish: What to make.
        manner: How.
        previews: Whether pictures are shown in the terminal. None: if it can.
    """
    exits.speaks_json.set(manner.as_json)
    console = stdout()
    show = not manner.as_json and console.is_terminal
    screen = LiveScreen(console, previews=previews) if show else Screen()
    made = loop.run(_produce(wish, manner, screen))
    if manner.as_json:
        exits.say_json(as_record(made))
    else:
        tell(console, made)


async def _produce(wish: Wish, manner: Manner, screen: Screen) -> Made:
    try:
        with screen:
            screen.say("looking for a grid")
            grid = connected(manner.server, manner.key, data_dir(manner.data))
            async with grid as (client, _):
                return await make(
                    client, wish, out=manner.out, screen=screen, timeout_s=manner.timeout or None
                )
    except Interrupted as interrupted:
        exits.note(str(interrupted))
        if exits.speaks_json.get():
            exits.say_json(
                {
                    "event": "interrupted",
                    "project": interrupted.project_id,
                    "canceled": interrupted.canceled,
                    "files": [str(path) for path in interrupted.files],
                }
            )
        raise
    except asyncio.CancelledError:
        exits.note("interrupted before anything was asked for")
        raise


def as_record(made: Made) -> dict[str, object]:
    """The last JSON line: everything a program may want to know."""
    return {
        "event": "completed",
        "project": made.project_id,
        "model": made.model,
        "files": [str(path) for path in made.files],
        "seeds": list(made.seeds),
        "failed": made.failed,
        "cost": None if made.charge is None else plain(made.charge.token),
        "token": None if made.charge is None else made.charge.token_type,
        "seconds": round(made.seconds, 3),
    }


def tell(console: Console, made: Made) -> None:
    """Where the files are, what they cost and how long they took."""
    for path, seed in zip(made.files, made.seeds, strict=True):
        console.print(
            Text.assemble("  ", (str(path), "bold green"), ("   seed ", "dim"), str(seed))
        )
    count = len(made.files)
    things = f"{count} {_ONE[made.media]}{'' if count == 1 else 's'}"
    cost = f" for {made.charge}" if made.charge is not None else ""
    console.print(f"  {things} in {made.seconds:.1f} s{cost}, by {made.model}", style="dim")
    if made.failed:
        console.print(f"  {made.failed} could not be made", style="yellow")
