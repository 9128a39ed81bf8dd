"""Which version of dreamgrid serves."""

from functools import cache
from importlib import metadata


@cache  # looking it up reads a file
def version() -> str:
    """The version of this program, as it was installed."""
    return metadata.version("dreamgrid")
