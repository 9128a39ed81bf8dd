"""`dreamgrid dev`: a grid for app authors, whose workers and network do as they are told."""

from __future__ import annotations

from typing import Annotated

import typer

from dreamgrid.cli import options
from dreamgrid.cli.up import PORT


def dev(
    port: options.Port = PORT,
    worker: Annotated[
        list[str] | None,
        typer.Option(
            "--worker",
            metavar="ORDER",
            help="A worker to begin with, as 'fail' or 'finish render=5 slots=2'; may be given "
            "several times. Default: one that finishes after 2 s.",
        ),
    ] = None,
    faults: Annotated[
        str, typer.Option(metavar="ORDER", help="A bad network, as 'cut=0.05 repeat=0.1'.")
    ] = "",
    balance: Annotated[int, typer.Option(min=0, help="What the account has of each token.")] = 1000,
    as_json: options.Json = False,
) -> None:
    """Run a grid to develop an app against: the real server, scripted workers, nothing kept.

    Needs no GPU and no weights. Orders are read from stdin, a line each, and 'help' lists them:
    workers fail, crash, fall silent or object, the network breaks, time passes at once, the server
    restarts. With --json every answer is a JSON line, so that tests in any language can drive it.

    For example:

    - `dreamgrid dev`
    - `dreamgrid dev --worker "finish render=5" --worker crash --faults cut=0.02`
    - `echo "worker fail" | dreamgrid dev --json --port 0`
    """
    from dreamgrid.cli import developing  # noqa: PLC0415 (loads the whole server)

    developing.develop(
        port=port,
        workers=[f"worker {order}" for order in worker or ("finish render=2",)],
        faults=faults,
        balance=balance,
        as_json=as_json,
    )
