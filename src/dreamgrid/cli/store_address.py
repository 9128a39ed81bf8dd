"""The address of a store where it is not to be seen in a list of processes or in an environment."""

import os
from pathlib import Path

from dreamgrid.errors import ConfigError

VARIABLE = "DREAMGRID_STORE_FILE"


def store_address(flag: str | None) -> str | None:
    """What `--store` says, else what is in the file that DREAMGRID_STORE_FILE names.

    Raises:
        ConfigError: There is no such file.
    """
    path = os.environ.get(VARIABLE)
    if flag or not path:
        return flag
    try:
        return Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"{VARIABLE} names {path}, which cannot be read: {error}") from None
