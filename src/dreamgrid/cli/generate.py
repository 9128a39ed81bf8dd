"""`dreamgrid generate`: a prompt in, picture files out."""

import asyncio
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from dreamgrid.cli import exits, loop, options
from dreamgrid.cli.folder import data_dir
from dreamgrid.cli.making import Interrupted, Made, Settings, make
from dreamgrid.cli.screen import LiveScreen, Screen
from dreamgrid.cli.target import connected

OUT = Path("dreamgrid-out")


class Format(StrEnum):
    """File types of pictures."""

    PNG = "png"
    JPG = "jpg"
    WEBP = "webp"


def generate(
    prompt: Annotated[str, typer.Argument(help="What to show.", show_default=False)],
    model: Annotated[
        str | None,
        typer.Option(
            help="Id of a model; see 'dreamgrid models'. Default: the first that is there."
        ),
    ] = None,
    count: Annotated[int, typer.Option("--count", "-n", help="How many pictures.")] = 1,
    size: Annotated[
        str | None, typer.Option(metavar="WxH|PRESET", help="Such as 512x512, or a preset's name.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="More is slower and finer.")] = None,
    guidance: Annotated[float | None, typer.Option(help="How closely to follow the words.")] = None,
    seed: Annotated[int | None, typer.Option(help="Makes the first picture again.")] = None,
    negative: Annotated[str, typer.Option(help="What to avoid.", show_default=False)] = "",
    style: Annotated[str, typer.Option(help="Added to the prompt.", show_default=False)] = "",
    image: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A picture to begin with.")
    ] = None,
    strength: Annotated[
        float | None, typer.Option(help="How much to change it: 0 keeps it, 1 ignores it.")
    ] = None,
    file_format: Annotated[
        Format, typer.Option("--format", case_sensitive=False, help="File type.")
    ] = Format.PNG,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where to save.")] = OUT,
    preview: Annotated[
        bool | None,
        typer.Option(
            "--preview/--no-preview",
            help="Show the picture in the terminal. Default: if it can.",
            show_default=False,
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="Cancel if it takes longer. 0: never.")
    ] = 600,
    server: options.Server = None,
    key: options.Key = None,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """Make pictures from words.

    Uses the grid that --server or DREAMGRID_URL names, else the one that runs on this machine, and
    starts one for the moment if there is none. Ctrl-C cancels; nothing is charged for what was not
    finished.

    For example:

    - `dreamgrid generate "a red apple"`
    - `dreamgrid generate "a castle" --count 4 --size 512x512 --seed 7 --out castles`
    - `dreamgrid generate "a green apple" --image apple.png --strength 0.9`
    - `dreamgrid generate "a house" --json | jq -r .files[]`
    """
    exits.speaks_json.set(as_json)
    settings = Settings(
        prompt=prompt,
        model=model,
        count=count,
        size=size,
        steps=steps,
        guidance=guidance,
        seed=seed,
        negative_prompt=negative,
        style_prompt=style,
        starting_image=image,
        strength=strength,
        output_format=file_format.value,
    )
    console = Console(highlight=False)
    show = not as_json and console.is_terminal
    screen = LiveScreen(console, previews=preview) if show else Screen()
    made = loop.run(
        _generate(
            settings, out=out, screen=screen, timeout_s=timeout or None, grid=(server, key, data)
        )
    )
    if as_json:
        exits.say_json(as_record(made))
    else:
        tell(console, made)


async def _generate(
    settings: Settings,
    *,
    out: Path,
    screen: Screen,
    timeout_s: float | None,
    grid: tuple[str | None, str | None, Path | None],
) -> Made:
    server, key, data = grid
    try:
        with screen:
            screen.say("looking for a grid")
            async with connected(server, key, data_dir(data)) as (client, _):
                return await make(client, settings, out=out, screen=screen, timeout_s=timeout_s)
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
        "cost": None if made.charge is None else f"{made.charge.token.normalize():f}",
        "token": None if made.charge is None else made.charge.token_type,
        "seconds": round(made.seconds, 3),
    }


def tell(console: Console, made: Made) -> None:
    """Where the pictures are, what they cost and how long they took."""
    for path, seed in zip(made.files, made.seeds, strict=True):
        console.print(
            Text.assemble("  ", (str(path), "bold green"), ("   seed ", "dim"), str(seed))
        )
    count = len(made.files)
    pictures = "1 picture" if count == 1 else f"{count} pictures"
    cost = f" for {made.charge}" if made.charge is not None else ""
    console.print(f"  {pictures} in {made.seconds:.1f} s{cost}, by {made.model}", style="dim")
    if made.failed:
        console.print(f"  {made.failed} could not be made", style="yellow")
