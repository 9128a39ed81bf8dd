"""`dreamgrid video`: words, and pictures if you like, in; videos out."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dreamgrid.cli import options
from dreamgrid.cli.generate import loras_of
from dreamgrid.cli.making import Wish
from dreamgrid.cli.producing import OUT, TIMEOUT_S, Manner, produce


class Format(StrEnum):
    """File types of videos."""

    MP4 = "mp4"
    WEBM = "webm"
    MOV = "mov"


_First = Annotated[
    Path | None, typer.Option("--first", metavar="FILE", help="A picture that it begins with.")
]
_Last = Annotated[
    Path | None, typer.Option("--last", metavar="FILE", help="A picture that it ends with.")
]
_Sound = Annotated[
    Path | None, typer.Option("--sound", metavar="FILE", help="A sound that it follows.")
]
_Source = Annotated[
    Path | None,
    typer.Option("--source", metavar="FILE", help="A video that it follows or changes."),
]
_Format = Annotated[
    Format | None,
    typer.Option("--format", case_sensitive=False, help="File type. Default: the model's."),
]


def video(
    prompt: Annotated[str, typer.Argument(help="What happens.", show_default=False)],
    model: options.Model = None,
    count: options.Count = 1,
    duration: options.Duration = None,
    fps: Annotated[float | None, typer.Option(help="Frames per second of the file.")] = None,
    size: options.Size = None,
    steps: options.Steps = None,
    guidance: options.Guidance = None,
    shift: Annotated[float | None, typer.Option(help="Time shift of the noise schedule.")] = None,
    seed: options.Seed = None,
    negative: options.Negative = "",
    style: options.Style = "",
    first: _First = None,
    last: _Last = None,
    sound: _Sound = None,
    source: _Source = None,
    lora: options.Loras = None,
    file_format: _Format = None,
    unfiltered: options.Unfiltered = False,
    network: options.Network = None,
    workers: options.Workers = None,
    preferred_workers: options.PreferredWorkers = None,
    skip_workers: options.SkipWorkers = None,
    max_cost: options.MaxCost = None,
    out: options.Out = OUT,
    timeout: options.Timeout = TIMEOUT_S,
    server: options.Server = None,
    key: options.Key = None,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """Make videos from words, or from pictures.

    For example:

    - `dreamgrid video "a castle, zoom in" --duration 2`
    - `dreamgrid video "the flower opens" --first bud.png --last flower.png --size 480x480`
    """
    settings = {
        "prompt": prompt,
        "count": count,
        "duration_s": duration,
        "fps": fps,
        "steps": steps,
        "guidance": guidance,
        "shift": shift,
        "seed": seed,
        "negative_prompt": negative,
        "style_prompt": style,
        "reference_image": first,
        "reference_image_end": last,
        "reference_audio": sound,
        "reference_video": source,
        "loras": loras_of(lora),
        "output_format": None if file_format is None else file_format.value,
        "disable_safety": unfiltered or None,
        "network": network,
        **options.targeting(workers, preferred_workers, skip_workers),
        "max_cost": max_cost,
    }
    produce(
        Wish(media="video", model=model, size=size, settings=settings),
        Manner(out=out, timeout=timeout, server=server, key=key, data=data, as_json=as_json),
    )
