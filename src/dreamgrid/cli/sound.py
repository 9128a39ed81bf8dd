"""`dreamgrid music` and `dreamgrid speak`: words in, sound out."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dreamgrid.cli import options
from dreamgrid.cli.making import Wish
from dreamgrid.cli.producing import OUT, TIMEOUT_S, Manner, produce


class Format(StrEnum):
    """File types of sound."""

    MP3 = "mp3"
    FLAC = "flac"
    WAV = "wav"


FileFormat = Annotated[
    Format | None,
    typer.Option("--format", case_sensitive=False, help="File type. Default: the model's."),
]
Language = Annotated[str | None, typer.Option("--language", help="Such as en.")]


def music(
    prompt: Annotated[str, typer.Argument(help="Mood, style and instruments.", show_default=False)],
    model: options.Model = None,
    count: options.Count = 1,
    duration: options.Duration = None,
    bpm: Annotated[float | None, typer.Option(help="Beats per minute.")] = None,
    key_scale: Annotated[
        str | None, typer.Option("--scale", metavar="KEY", help='Such as "A minor".')
    ] = None,
    time_signature: Annotated[
        str | None, typer.Option("--beats", metavar="2|3|4|6", help="Beats per bar.")
    ] = None,
    lyrics: Annotated[str | None, typer.Option(help="What to sing, if the model can.")] = None,
    language: Language = None,
    creativity: Annotated[float | None, typer.Option(help="How freely to compose.")] = None,
    prompt_strength: Annotated[
        float | None, typer.Option(help="How closely to follow the words.")
    ] = None,
    loop: Annotated[
        bool, typer.Option("--loop", help="A few bars that repeat, without beginning and end.")
    ] = False,
    steps: options.Steps = None,
    seed: options.Seed = None,
    negative: options.Negative = "",
    file_format: FileFormat = None,
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
    """Make music from words.

    For example:

    - `dreamgrid music "a calm piano waltz" --duration 20`
    - `dreamgrid music "driving synth bass" --bpm 128 --scale "A minor" --format flac`
    """
    settings = {
        "prompt": prompt,
        "count": count,
        "duration_s": duration,
        "bpm": bpm,
        "key_scale": key_scale,
        "time_signature": time_signature,
        "lyrics": lyrics,
        "language": language,
        "creativity": creativity,
        "prompt_strength": prompt_strength,
        "composer_mode": False if loop else None,
        "steps": steps,
        "seed": seed,
        "negative_prompt": negative,
        "output_format": None if file_format is None else file_format.value,
        "network": network,
        **options.targeting(workers, preferred_workers, skip_workers),
        "max_cost": max_cost,
    }
    produce(
        Wish(media="audio", model=model, settings=settings),
        Manner(out=out, timeout=timeout, server=server, key=key, data=data, as_json=as_json),
    )


def speak(
    text: Annotated[str, typer.Argument(help="What to say.", show_default=False)],
    model: options.Model = None,
    speaker: Annotated[str | None, typer.Option(help="Name of a voice.")] = None,
    instruct: Annotated[str | None, typer.Option(help="How to say it, in words.")] = None,
    language: Language = None,
    duration: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="How long it may be at most.")
    ] = None,
    seed: options.Seed = None,
    voice: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A voice to copy, if the model can.")
    ] = None,
    file_format: FileFormat = None,
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
    """Say a text aloud.

    For example:

    - `dreamgrid speak "Good morning. The coffee is ready."`
    - `dreamgrid speak "$(cat story.txt)" --format mp3`
    """
    settings = {
        "prompt": text,
        "speaker": speaker,
        "instruct": instruct,
        "language": language,
        "duration_s": duration,
        "seed": seed,
        "reference_audio": voice,
        "output_format": None if file_format is None else file_format.value,
        "network": network,
        **options.targeting(workers, preferred_workers, skip_workers),
        "max_cost": max_cost,
    }
    produce(
        Wish(media="audio", model=model, speech=True, settings=settings),
        Manner(out=out, timeout=timeout, server=server, key=key, data=data, as_json=as_json),
    )
