"""`dreamgrid work`: a worker for a grid that runs somewhere."""

from typing import Annotated

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


Gpus = Annotated[
    list[str] | None,
    typer.Option("--gpu", help="Use only this GPU, by number or UUID; may be given several times."),
]


@app.callback(invoke_without_command=True)
def work(
    context: typer.Context,
    server: options.Server = None,
    key: options.Key = None,
    name: Annotated[str, typer.Option(help="Name that users see. Default: made up.")] = "",
    model: Models = None,
    data: options.Data = None,
    threads: options.Threads = 0,
    gpu: Gpus = None,
    filter_threshold: options.FilterThreshold = None,
    sound_font: options.SoundFont = None,
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

    working.work_for(
        server=server,
        key=key,
        name=name,
        models=tuple(model or ()),
        data=data,
        threads=threads,
        gpus=tuple(gpu or ()),
        filter_threshold=filter_threshold,
        sound_font=sound_font,
        as_json=as_json,
    )


@app.command()
def plan(model: Models = None, data: options.Data = None, as_json: options.Json = False) -> None:
    """Say what a worker would serve on this machine, and why not the rest. Changes nothing.

    For example:

    - `dreamgrid work plan`
    - `dreamgrid work plan --json`
    """
    from dreamgrid.cli import planning  # noqa: PLC0415 (loads every engine's spec)

    planning.show(models=tuple(model or ()), data=data, as_json=as_json)


@app.command()
def download(
    models: Annotated[list[str], typer.Argument(metavar="MODEL...", help="Ids of models.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say how much there is, and the licence.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Fetch the weights of models, so that a worker can serve them. Mind the licence of each.

    Every file is checked, and the model appears when all have come. Whatever breaks it off, Ctrl-C
    too, the same command goes on where it stopped.

    For example:

    - `dreamgrid work download z_image_turbo_bf16`
    - `dreamgrid work download sd_xl_base_1.0 --dry-run`
    """
    from dreamgrid.cli import downloading  # noqa: PLC0415 (loads every engine's spec)

    downloading.bring(models=tuple(dict.fromkeys(models)), dry_run=dry_run, as_json=as_json)


@app.command()
def doctor(
    server: options.Server = None,
    key: options.Key = None,
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

    raise typer.Exit(examination.look(server=server, key=key, data=data, as_json=as_json))
