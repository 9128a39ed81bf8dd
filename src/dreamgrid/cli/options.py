"""Flags that several commands share, worded once."""

from pathlib import Path
from typing import Annotated

import typer

Server = Annotated[
    str | None,
    typer.Option(
        "--server",
        metavar="URL",
        help="Address of the grid. Else DREAMGRID_URL, else the grid that runs on this machine.",
        rich_help_panel="Which grid",
    ),
]
Key = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="KEY",
        help="API key for it. Else DREAMGRID_API_KEY, else that of this machine's grid.",
        rich_help_panel="Which grid",
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="Folder for all state. Else DREAMGRID_DATA, else ~/.local/share/dreamgrid.",
        rich_help_panel="Which grid",
        file_okay=True,
    ),
]
Threads = Annotated[
    int,
    typer.Option("--threads", min=0, help="CPU threads for rendering. 0: one per core."),
]
Host = Annotated[
    str,
    typer.Option(
        "--host", help="Address to listen on. 0.0.0.0 lets other machines in; keep your key safe."
    ),
]
Port = Annotated[
    int, typer.Option("--port", min=0, max=65535, help="TCP port. 0 picks a free one.")
]
Json = Annotated[
    bool, typer.Option("--json", help="Print JSON lines for programs, and nothing else.")
]
