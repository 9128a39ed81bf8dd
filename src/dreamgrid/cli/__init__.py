"""The command line: a thin shell over the SDK, the server and the worker. One file per command."""

import atexit
import gc
import sys


def main() -> None:
    """Entry point of the command `dreamgrid`."""
    # Or Python looks for cycles in everything before the process ends, which takes 0.1 s.
    atexit.register(gc.freeze)
    try:
        # Inside, so that a Ctrl-C during the imports is no traceback either.
        from dreamgrid.cli import app  # noqa: PLC0415

        app.run()
    except KeyboardInterrupt:
        sys.exit(130)
