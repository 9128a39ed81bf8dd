"""`dreamgrid generate`: words in, pictures out."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dreamgrid.cli import options
from dreamgrid.cli.making import Wish
from dreamgrid.cli.producing import OUT, TIMEOUT_S, Manner, produce
from dreamgrid.errors import InvalidRequest
from dreamgrid.protocol.params import INPAINT

if TYPE_CHECKING:
    from dreamgrid.client.settings import ControlNet


class Format(StrEnum):
    """File types of pictures."""

    PNG = "png"
    JPG = "jpg"
    WEBP = "webp"


_Image = Annotated[
    Path | None, typer.Option("--image", metavar="FILE", help="A picture to begin with.")
]
_Mask = Annotated[
    Path | None,
    typer.Option(
        "--mask", metavar="FILE", help="Paint only where this picture is white; needs --image."
    ),
]
_Strength = Annotated[
    float | None,
    typer.Option("--strength", help="How much to change it: 0 keeps it, 1 ignores it."),
]
_Context = Annotated[
    list[Path] | None,
    typer.Option(
        "--context", metavar="FILE", help="A picture to take things from; several are possible."
    ),
]
_Format = Annotated[
    Format | None,
    typer.Option("--format", case_sensitive=False, help="File type. Default: the model's."),
]
_Preview = Annotated[
    bool | None,
    typer.Option(
        "--preview/--no-preview",
        help="Show the picture in the terminal. Default: if it can.",
        show_default=False,
    ),
]


def generate(
    prompt: Annotated[str, typer.Argument(help="What to show.", show_default=False)],
    model: options.Model = None,
    count: options.Count = 1,
    size: options.Size = None,
    steps: options.Steps = None,
    guidance: options.Guidance = None,
    seed: options.Seed = None,
    negative: options.Negative = "",
    style: options.Style = "",
    image: _Image = None,
    mask: _Mask = None,
    strength: _Strength = None,
    context: _Context = None,
    lora: options.Loras = None,
    sampler: Annotated[str | None, typer.Option(help="One of the model's samplers.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="One of its noise schedules.")] = None,
    file_format: _Format = None,
    unfiltered: options.Unfiltered = False,
    network: options.Network = None,
    workers: options.Workers = None,
    preferred_workers: options.PreferredWorkers = None,
    skip_workers: options.SkipWorkers = None,
    max_cost: options.MaxCost = None,
    out: options.Out = OUT,
    preview: _Preview = None,
    timeout: options.Timeout = TIMEOUT_S,
    server: options.Server = None,
    key: options.Key = None,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """Make pictures from words.

    Uses the grid that `dreamgrid status` shows, and starts one for the moment if there is none.
    Ctrl-C cancels; nothing is charged for what was not finished.

    For example:

    - `dreamgrid generate "a castle" --count 4 --size 512x512 --seed 7 --out castles`
    - `dreamgrid generate "a green apple" --image apple.png --strength 0.9`
    - `dreamgrid generate "a house" --json | jq -r .files[]`
    """
    settings = {
        "prompt": prompt,
        "count": count,
        "steps": steps,
        "guidance": guidance,
        "seed": seed,
        "negative_prompt": negative,
        "style_prompt": style,
        **beginning(image, mask, strength),
        "context_images": context,
        "loras": loras_of(lora),
        "sampler": sampler,
        "scheduler": scheduler,
        "output_format": None if file_format is None else file_format.value,
        "disable_safety": unfiltered or None,
        "network": network,
        **options.targeting(workers, preferred_workers, skip_workers),
        "max_cost": max_cost,
    }
    produce(
        Wish(media="image", model=model, size=size, settings=settings),
        Manner(out=out, timeout=timeout, server=server, key=key, data=data, as_json=as_json),
        previews=preview,
    )


def beginning(image: Path | None, mask: Path | None, strength: float | None) -> dict[str, Any]:
    """The settings of a picture to begin with; where a mask is white, all of it is painted anew.

    Raises:
        InvalidRequest: There is a mask or a strength, but nothing that it is for.
    """
    if mask is not None and image is None:
        raise InvalidRequest("--mask needs --image: the picture that it is for")
    if strength is not None and image is None:
        raise InvalidRequest("--strength needs --image: the picture to begin with")
    return {
        "starting_image": image,
        "strength": 1.0 if mask and strength is None else strength,
        "control_net": inpainting(mask),
    }


def inpainting(mask: Path | None) -> "ControlNet | None":
    """The ControlNet that paints where a mask is white."""
    if mask is None:
        return None
    # Here, because it loads the whole client.
    from dreamgrid.client.settings import ControlNet  # noqa: PLC0415

    return ControlNet(name=INPAINT, image=mask)


def loras_of(flags: list[str] | None) -> dict[str, Any] | None:
    """LoRAs with their strengths, from flags such as `warm-light:0.8`.

    Raises:
        InvalidRequest: A strength is no number.
    """
    if not flags:
        return None
    found = {}
    for flag in flags:
        name, _, strength = flag.partition(":")
        try:
            found[name] = float(strength) if strength else 1.0
        except ValueError:
            raise InvalidRequest(f"--lora {flag}: write it as ID or ID:0.8") from None
    return found
