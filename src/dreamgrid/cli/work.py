"""`dreamgrid work`: a worker for a grid that runs somewhere."""

from typing import Annotated

import typer

from dreamgrid.cli import options


def work(
    server: options.Server = None,
    key: options.Key = None,
    name: Annotated[str, typer.Option(help="Name that users see. Default: made up.")] = "",
    model: Annotated[
        list[str] | None,
        typer.Option(help="Serve only this model; may be given several times. Default: all."),
    ] = None,
    data: options.Data = None,
    threads: options.Threads = 0,
    as_json: options.Json = False,
) -> None:
    """Run a worker that renders for a grid. It dials out and needs no open port.

    Ctrl-C ends it: a render under way gets a moment to finish, others go back to the grid and cost
    nobody anything.

    For example:

    - `dreamgrid work --server https://grid.example.org --key dgk_...`
    - `dreamgrid work --name studio-pc --threads 8 --model dreamlet-v1`
    """
    from dreamgrid.cli import working  # noqa: PLC0415 (loads the whole worker)

    working.work_for(
        server=server,
        key=key,
        name=name,
        models=tuple(model or ()),
        data=data,
        threads=threads,
        as_json=as_json,
    )
