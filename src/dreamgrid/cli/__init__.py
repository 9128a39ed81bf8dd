"""The command line: a thin shell over the SDK, the server and the worker. One file per command."""

from dreamgrid.cli.app import main

__all__ = ["main"]
