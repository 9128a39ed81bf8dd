"""The grid that a person signed in to: remembered between commands, readable by them alone.

`config.toml` lies in the user's configuration folder and may be edited by hand:

    server = "https://grid.example.org"
    api_key = "dgk_..."
    username = "alice"
"""

from __future__ import annotations

import json
import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from dreamgrid.errors import ConfigError

CONFIG_VARIABLE = "DREAMGRID_CONFIG"


@dataclass(frozen=True, kw_only=True)
class Login:
    """A grid and a key for it.

    Attributes:
        server: Its address.
        api_key: A key of the account.
        key_id: The key's id, if this program made it: then signing out revokes it.
        username: Whose account it is.
    """

    server: str
    api_key: str = field(repr=False)
    key_id: str = ""
    username: str = ""


def config_file() -> Path:
    """DREAMGRID_CONFIG, else `dreamgrid/config.toml` in the user's configuration folder."""
    if os.environ.get(CONFIG_VARIABLE):
        return Path(os.environ[CONFIG_VARIABLE]).expanduser()
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "dreamgrid" / "config.toml"


def remembered() -> Login | None:
    """The grid that the configuration file names; None: it names none, or is not there.

    Raises:
        ConfigError: The file is broken.
    """
    path = config_file()
    try:
        said = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigError(f"the configuration file {path} cannot be read: {error}") from None
    words = {name: said.get(name, "") for name in ("server", "api_key", "key_id", "username")}
    if not all(isinstance(word, str) for word in words.values()):
        raise ConfigError(f"the configuration file {path}: every value is text in quotes")
    return Login(**words) if words["server"] else None


def remember(login: Login) -> Path:
    """Writes the configuration file; where it is."""
    path = config_file()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_suffix(".part")
    partial.unlink(missing_ok=True)
    words = {
        "server": login.server,
        "api_key": login.api_key,
        "key_id": login.key_id,
        "username": login.username,
    }
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        # A TOML string in quotes is written like a JSON one.
        file.writelines(f"{name} = {json.dumps(word)}\n" for name, word in words.items() if word)
    partial.replace(path)
    return path


def forget() -> None:
    """Removes the configuration file."""
    config_file().unlink(missing_ok=True)


def set_aside() -> Path:
    """Renames a configuration file that nobody can read, as it may hold a key; its new name."""
    path = config_file()
    return path.replace(path.with_name(f"{path.name}.broken"))
