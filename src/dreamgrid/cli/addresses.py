"""Addresses with passwords in them, where no list of processes and no environment shows them."""

import os
from pathlib import Path

from dreamgrid.errors import ConfigError

STORE_FILE = "DREAMGRID_STORE_FILE"
BUS_FILE = "DREAMGRID_BUS_FILE"


def store_address(flag: str | None) -> str | None:
    """What `--store` says, else what is in the file that DREAMGRID_STORE_FILE names.

    Raises:
        ConfigError: There is no such file.
    """
    return flag or _in_file(STORE_FILE)


def bus_address(flag: str | None) -> str | None:
    """The same of `--bus` and DREAMGRID_BUS_FILE.

    Raises:
        ConfigError: There is no such file.
    """
    return flag or _in_file(BUS_FILE)


def _in_file(variable: str) -> str | None:
    path = os.environ.get(variable)
    if not path:
        return None
    try:
        return Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"{variable} names {path}, which cannot be read: {error}") from None
