"""Where commands print what was asked for: a terminal, or a pipe that takes lines of any length."""

import os

from rich.console import Console

_PIPE_COLUMNS = 10_000
"""Wider than any table of ours: a program that reads it, or a file, has no edge to wrap at."""


def stdout() -> Console:
    """A console as wide as the terminal; for tables in a pipe as wide as they are.

    COLUMNS in the environment decides where it is set.
    """
    console = Console(highlight=False)
    if not console.file.isatty() and not os.environ.get("COLUMNS"):
        console.width = _PIPE_COLUMNS
    return console
