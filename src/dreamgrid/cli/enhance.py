"""`dreamgrid enhance`: a picture in, a finer one out."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from dreamgrid.cli import options
from dreamgrid.cli.making import Wish
from dreamgrid.cli.producing import OUT, TIMEOUT_S, Manner, produce


def enhance(
    picture: Annotated[Path, typer.Argument(help="The picture to make finer.", metavar="FILE")],
    strength: Annotated[
        Literal["light", "medium", "heavy"], typer.Option(help="How much may change.")
    ] = "medium",
    prompt: Annotated[
        str, typer.Option(help="What it shows. Without, only outlines are made finer.")
    ] = "",
    model: options.Model = None,
    size: options.Size = None,
    times: Annotated[
        float | None,
        typer.Option(help="How many times as wide and high, such as 2.", min=0.1, max=16),
    ] = None,
    seed: options.Seed = None,
    max_cost: options.MaxCost = None,
    out: options.Out = OUT,
    timeout: options.Timeout = TIMEOUT_S,
    server: options.Server = None,
    key: options.Key = None,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """Make a picture finer, changing it as little as you say.

    It keeps its size unless you name another one or --times (which Pillow is needed for, as it
    comes with the extra `embedded`). To make it larger and change nothing else, take the model
    dreamlet-upscale-v1.

    For example:

    - `dreamgrid enhance apple.png --prompt "a red apple"`
    - `dreamgrid enhance sketch.jpg --strength heavy --prompt "a castle" --size 1024x1024`
    - `dreamgrid enhance apple.png --model dreamlet-upscale-v1 --times 4`
    """
    # Here, because it loads the whole client.
    from dreamgrid.client.estimates import enhance_strength  # noqa: PLC0415

    settings = {
        "prompt": prompt,
        "starting_image": picture,
        "strength": enhance_strength(strength),
        "seed": seed,
        "max_cost": max_cost,
    }
    produce(
        Wish(
            media="image",
            model=model,
            size=size,
            settings=settings,
            finer=True,
            sized_like=picture,
            times=times,
        ),
        Manner(out=out, timeout=timeout, server=server, key=key, data=data, as_json=as_json),
    )
