"""`dreamgrid demo`: the first picture, with everything that it takes."""

import asyncio
import os
import random
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from dreamgrid.cli import exits, loop, options
from dreamgrid.cli.folder import data_dir
from dreamgrid.cli.making import Interrupted, Made, Wish, make
from dreamgrid.cli.producing import OUT, tell
from dreamgrid.cli.screen import LiveScreen, Screen
from dreamgrid.cli.stdout import stdout
from dreamgrid.cli.target import connected

_PROMPTS = (
    "a red apple",
    "a strawberry",
    "a sunflower",
    "a penguin",
    "a cactus",
    "a castle",
)


def demo(
    prompt: Annotated[
        str | None, typer.Argument(help="What to show. Default: something simple.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where to save.")] = OUT,
    data: options.Data = None,
) -> None:
    """Make a first picture: start everything, paint, save, and say what to try next.

    For example:

    - `dreamgrid demo "a butterfly"`
    """
    words = prompt or random.choice(_PROMPTS)  # noqa: S311 (a picture, not a secret)
    console = stdout()
    console.print(
        Text.assemble(
            "painting ", (words, "bold"), " with a server, a worker and a model on this machine"
        )
    )
    screen = LiveScreen(console) if console.is_terminal else Screen()
    made = loop.run(_demo(words, out, screen, data_dir(data)))
    tell(console, made)
    console.print(_next(made), soft_wrap=True)  # a wrapped command cannot be copied


async def _demo(prompt: str, out: Path, screen: Screen, data: Path) -> Made:
    try:
        with screen:
            screen.say("starting server and worker")
            async with connected(None, None, data, use_login=False) as (client, _):
                screen.say("loading the model")
                wish = Wish(media="image", settings={"prompt": prompt})
                return await make(client, wish, out=out, screen=screen, timeout_s=300)
    except Interrupted as interrupted:
        exits.note(str(interrupted))
        raise
    except asyncio.CancelledError:
        exits.note("interrupted before anything was asked for")
        raise


def _next(made: Made) -> Text:
    command = _command()
    text = Text("\ntry next\n", style="")
    text.stylize("bold cyan")
    text.append("four of a kind, and a place for them\n", "dim")
    text.append(f'  {command} generate "a castle" --count 4 --out castles\n')
    text.append("begin with this picture and change it\n", "dim")
    text.append(f'  {command} generate "a green heart" --strength 0.9 --image {made.files[0]}\n')
    text.append("keep a grid running, with a studio in your browser\n", "dim")
    text.append(f"  {command} up")
    return text


def _command() -> str:
    """What to type for this program: its name if the shell finds it, else its path."""
    if shutil.which("dreamgrid"):
        return "dreamgrid"
    path = Path(sys.argv[0])
    return os.path.relpath(path) if path.name == "dreamgrid" else f"{sys.executable} -m dreamgrid"
