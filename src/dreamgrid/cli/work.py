"""`dreamgrid work`: a worker for a grid that runs somewhere."""

from pathlib import Path
from typing import Annotated, Any

import typer

from dreamgrid.cli import options

app = typer.Typer()

Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        help="Serve only this model; may be given several times. Default: all that fit.",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="File with settings. Else DREAMGRID_WORKER_CONFIG, else "
        "~/.config/dreamgrid/worker.toml if it is there.",
    ),
]
Gpus = Annotated[
    list[str] | None,
    typer.Option("--gpu", help="Use only this GPU, by number or UUID; may be given several times."),
]
Engines = Annotated[
    list[str] | None,
    typer.Option(
        "--engine",
        metavar="NAME",
        help="Prefer this engine where several can make a model and none is quicker, such as "
        "comfyui or diffusers; may be given several times.",
    ),
]

_RESTS = "When it rests"
_Hours = Annotated[
    list[str] | None,
    typer.Option(
        "--hours",
        metavar="[DAYS] FROM-TO",
        help="Work only then, such as 22:00-07:00 or 'sat,sun 00:00-24:00'; may be given "
        "several times.",
        rich_help_panel=_RESTS,
    ),
]
_GiveWay = Annotated[
    int | None,
    typer.Option(
        "--give-way",
        min=0,
        max=100,
        metavar="PERCENT",
        help="Leave the GPU to other programs that use so much of it. 0: never.",
        rich_help_panel=_RESTS,
    ),
]
_MaxCelsius = Annotated[
    int | None,
    typer.Option(
        "--max-celsius",
        min=0,
        help="Rest when the GPU is hotter. 0: never.",
        rich_help_panel=_RESTS,
    ),
]
_MaxWatts = Annotated[
    int | None,
    typer.Option(
        "--max-watts",
        min=0,
        help="Tell the driver to draw no more, which needs its permission. 0: leave it.",
        rich_help_panel=_RESTS,
    ),
]


@app.callback(invoke_without_command=True)
def work(
    context: typer.Context,
    server: options.Server = None,
    key: options.Key = None,
    name: Annotated[str, typer.Option(help="Name that users see. Default: made up.")] = "",
    model: Models = None,
    config: Config = None,
    data: options.Data = None,
    threads: options.Threads = 0,
    gpu: Gpus = None,
    engine: Engines = None,
    hours: _Hours = None,
    give_way: _GiveWay = None,
    max_celsius: _MaxCelsius = None,
    max_watts: _MaxWatts = None,
    filter_threshold: options.FilterThreshold = None,
    sound_font: options.SoundFont = None,
    no_measure: Annotated[
        bool, typer.Option("--no-measure", help="Make no trial renders while there are no jobs.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Run a worker that renders for a grid. It dials out and needs no open port.

    Ctrl-C ends it: a render under way gets a moment to finish, others go back to the grid and cost
    nobody anything.

    For example:

    - `dreamgrid work --server https://grid.example.org --key dgk_...`
    - `dreamgrid work --name studio-pc --threads 8 --model dreamlet-v1`
    - `dreamgrid work doctor`
    """
    if context.invoked_subcommand:
        return
    from dreamgrid.cli import working  # noqa: PLC0415 (loads the whole worker)

    given: dict[str, Any] = {
        "server": server,
        "key": key,
        "name": name or None,
        "models": tuple(model) if model else None,
        "gpus": tuple(gpu) if gpu else None,
        "engines": tuple(engine) if engine else None,
        "threads": threads or None,
        "measure": False if no_measure else None,
        "filter_threshold": filter_threshold,
        "sound_font": None if sound_font is None else str(sound_font),
        "hours": tuple(hours) if hours else None,
        "give_way_percent": give_way,
        "max_celsius": max_celsius,
        "max_watts": max_watts,
    }
    working.work_for(given, config=config, data=data, as_json=as_json)


@app.command()
def plan(
    model: Models = None,
    engine: Engines = None,
    config: Config = None,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """Say what a worker would serve on this machine, and why not the rest. Changes nothing.

    For example:

    - `dreamgrid work plan`
    - `dreamgrid work plan --json`
    """
    from dreamgrid.cli import planning  # noqa: PLC0415 (loads every engine's spec)

    given = {
        "models": tuple(model) if model else None,
        "engines": tuple(engine) if engine else None,
    }
    planning.show(given, config=config, data=data, as_json=as_json)


@app.command()
def measure(
    models: Annotated[
        list[str] | None, typer.Argument(metavar="[MODEL...]", help="Ids of models. Default: all.")
    ] = None,
    gpu: Gpus = None,
    config: Config = None,
    data: options.Data = None,
    threads: options.Threads = 0,
    as_json: options.Json = False,
) -> None:
    """Measure how long models take here, with each engine that can make them.

    A worker does the same by itself while it has nothing to do, and remembers it. Models that need
    a picture or another input are left out.

    For example:

    - `dreamgrid work measure`
    - `dreamgrid work measure z_image_turbo_bf16 --json`
    """
    from dreamgrid.cli import measuring  # noqa: PLC0415 (loads every engine's spec)

    given: dict[str, Any] = {
        "models": tuple(dict.fromkeys(models)) if models else None,
        "gpus": tuple(gpu) if gpu else None,
        "threads": threads or None,
    }
    raise typer.Exit(measuring.measure(given, config=config, data=data, as_json=as_json))


@app.command()
def pause(
    duration: Annotated[
        str | None,
        typer.Option("--for", metavar="TIME", help="Such as 90m or 2h. Default: until resumed."),
    ] = None,
    data: options.Data = None,
) -> None:
    """Let the workers of this machine rest: they leave their grid and free the GPU.

    A render under way gets a moment to finish, else it goes back to the grid. A pause lasts over
    restarts.

    For example:

    - `dreamgrid work pause`
    - `dreamgrid work pause --for 2h`
    """
    from dreamgrid.cli import resting  # noqa: PLC0415

    resting.pause_workers(duration, data)


@app.command()
def resume(data: options.Data = None) -> None:
    """End a pause: the workers go back to their grid.

    For example:

    - `dreamgrid work resume`
    """
    from dreamgrid.cli import resting  # noqa: PLC0415

    resting.resume_workers(data)


@app.command()
def download(
    models: Annotated[
        list[str] | None, typer.Argument(metavar="[MODEL...]", help="Ids of models.")
    ] = None,
    control_net: Annotated[
        list[str] | None,
        typer.Option(
            "--control-net",
            metavar="NAME",
            help="This ControlNet of the models instead of the models themselves; may be given "
            "several times. all: every one.",
        ),
    ] = None,
    lora: Annotated[
        list[str] | None,
        typer.Option(
            "--lora",
            metavar="ID=OWNER/NAME[/FILE]",
            help="A LoRA, by its id in the grid and its repository; may be given several times.",
        ),
    ] = None,
    config: Config = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say how much there is, and the licence.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Fetch weights of models, ControlNets and LoRAs, so that a worker can use them.

    Mind the licence of each. Every file is checked, and what belongs together appears when all of
    it has come. Whatever breaks it off, Ctrl-C too, the same command goes on where it stopped.

    For example:

    - `dreamgrid work download z_image_turbo_bf16`
    - `dreamgrid work download sd_xl_base_1.0 --dry-run`
    - `dreamgrid work download sd-v1-5 --control-net canny --control-net depth`
    - `dreamgrid work download --lora ink=some-artist/ink-lora`
    """
    from dreamgrid.cli import downloading  # noqa: PLC0415 (loads every engine's spec)

    downloading.bring(
        models=tuple(dict.fromkeys(models or ())),
        control_nets=tuple(control_net or ()),
        loras=tuple(dict.fromkeys(lora or ())),
        config=config,
        dry_run=dry_run,
        as_json=as_json,
    )


@app.command(name="map")
def map_workflow(
    workflow: Annotated[
        Path, typer.Argument(metavar="FILE", help="A workflow that ComfyUI exported: Export (API).")
    ],
    model: Annotated[
        str,
        typer.Option("--model", help="Id of the model that it becomes. Default: the file's name."),
    ] = "",
    show: Annotated[
        bool, typer.Option("--show", help="Only show the mapping; write nothing.")
    ] = False,
) -> None:
    """Make a workflow of yours a model: propose what goes where in it.

    The workflow and its mapping, a small file that you may change, are put into the folder where
    the worker looks for them.

    For example:

    - `dreamgrid work map lighthouse.json --model my-lighthouse-xl`
    - `dreamgrid work map lighthouse.json --show`
    """
    from dreamgrid.cli import mapping  # noqa: PLC0415

    mapping.propose(workflow, model=model or workflow.stem, show=show)


@app.command()
def doctor(
    server: options.Server = None,
    key: options.Key = None,
    config: Config = None,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """Look at this machine, its engines and the grid, and say what to do about what is wrong.

    Ends with 1 when there is a problem.

    For example:

    - `dreamgrid work doctor`
    - `dreamgrid work doctor --server https://grid.example.org --key dgk_...`
    """
    from dreamgrid.cli import doctor as examination  # noqa: PLC0415 (loads every engine's spec)

    raise typer.Exit(
        examination.look(server=server, key=key, config=config, data=data, as_json=as_json)
    )
