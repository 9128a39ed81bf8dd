"""The shape of the database: numbered scripts, applied in order, each once."""

import sqlite3
from importlib import resources

from dreamgrid.errors import ConfigError

_FOLDER = resources.files("dreamgrid.server.store") / "migrations"


def _scripts() -> list[str]:
    return sorted(entry.name for entry in _FOLDER.iterdir() if entry.name.endswith(".sql"))


def newest_version() -> int:
    """The number of the last script, which is the version of a database that has seen them all."""
    return len(_scripts())


def migrate(connection: sqlite3.Connection) -> None:
    """Applies the scripts that this database has not seen yet, each in a transaction."""
    done = connection.execute("PRAGMA user_version").fetchone()[0]
    scripts = _scripts()
    if done > len(scripts):
        raise ConfigError(
            "the database was written by a newer version of dreamgrid; install that one again"
        )
    for number, name in enumerate(scripts[done:], start=done + 1):
        script = (_FOLDER / name).read_text(encoding="utf-8")
        connection.executescript(f"BEGIN;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")
