"""Where commands print what was asked for: a terminal, or a pipe that takes lines of any length."""

import os

from rich.console import Console

_PIPE_COLUMNS = 10_000
"""Wider than any table of ours: a program that reads it, or a file, has no edge to wrap at."""


def stdout(*, soft_wrap: bool = False) -> Console:
    """A console as wide as the terminal; in a pipe nothing is wrapped or cut.

    COLUMNS in the environment decides where it is set.

    Args:
        soft_wrap: Leave it to the terminal to wrap lines, so that what is copied is whole.
    """
    console = Console(highlight=False, soft_wrap=soft_wrap)
    if not console.file.isatty() and not os.environ.get("COLUMNS"):
        console.width = _PIPE_COLUMNS
    return console
