"""What the owner of a machine decided about its workers: typed, in the environment, in a file."""

import os
from pathlib import Path
from typing import Any

import msgspec

from dreamgrid.client.endpoint import KEY_VARIABLE, URL_VARIABLE
from dreamgrid.errors import ConfigError
from dreamgrid.worker.settings import Settings, config_file, place_of, read_settings


def settings_from(file: Path | None, given: dict[str, Any] | None = None) -> Settings:
    """The settings of a worker; its engines know of the file's folders from then on.

    Args:
        file: The file that was named. None: the usual one, if it is there.
        given: What was typed, by the names of `Settings`; None for what was not.

    Raises:
        ConfigError: The file is wrong, or that of the key cannot be read; the message names the
            line, and what is allowed there.
    """
    path = config_file(file)
    settings = Settings() if path is None else read_settings(path)
    settings.show_engines()
    typed = {name: value for name, value in (given or {}).items() if value is not None}
    if "server" in typed or os.environ.get(URL_VARIABLE):
        # Another grid than the file's: it shall not get the key of that one.
        settings = msgspec.structs.replace(settings, server=None, key=None)
    elif os.environ.get(KEY_VARIABLE):
        settings = msgspec.structs.replace(settings, key=None)
    elif path is not None:
        settings = msgspec.structs.replace(settings, key=_key(settings, path))
    return msgspec.structs.replace(settings, **typed)


def _key(settings: Settings, path: Path) -> str | None:
    try:
        return settings.api_key()
    except ConfigError as error:
        raise ConfigError(f"{place_of(path, 'key_file')}: {error}") from None
