"""The shape of the database: numbered scripts, applied in order, each once.

A script that has landed is never edited again, since databases that have seen it would not notice:
what is to be changed gets a script of its own.
"""

import sqlite3
from contextlib import closing
from functools import cache
from importlib import resources

from dreamgrid.errors import ConfigError
from dreamgrid.server.store.schema import Schema

_FOLDER = resources.files("dreamgrid.server.store") / "migrations"
_COLUMNS = """
    SELECT sqlite_master.name || '.' || info.name
      FROM sqlite_master JOIN pragma_table_info(sqlite_master.name) AS info
     WHERE sqlite_master.type = 'table'
"""


def _scripts() -> list[str]:
    return sorted(entry.name for entry in _FOLDER.iterdir() if entry.name.endswith(".sql"))


def newest_version() -> int:
    """The number of the last script, which is the version of a database that has seen them all."""
    return len(_scripts())


def schema(version: int) -> Schema:
    """What a database of this version lacks."""
    return Schema(version=version, newest=newest_version(), missing=tuple(_scripts()[version:]))


def migrate(connection: sqlite3.Connection) -> None:
    """Applies the scripts that this database has not seen yet, each in a transaction.

    Raises:
        ConfigError: The database is newer, or its tables are not those of its version. Nothing
            was changed.
    """
    done = check(connection)
    for number in range(done + 1, newest_version() + 1):
        _apply(connection, number)


def check(connection: sqlite3.Connection) -> int:
    """The version of a database, once it is certain that its tables are those of that version.

    Tables of others are none of our business.

    Raises:
        ConfigError: It is newer than this dreamgrid, or its tables are others.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > newest_version():
        raise ConfigError(
            f"the database was written by a newer dreamgrid: it has version {version}, and this "
            f"one knows {newest_version()}. Upgrade dreamgrid, or go back to a copy of the data "
            "folder from before; nothing was changed"
        )
    expected, found = _columns_of(version), _columns(connection)
    ours = {_table(column) for column in expected}
    unknown = {column for column in found - expected if _table(column) in ours}
    differences = [
        *(f"it has no {column}" for column in sorted(expected - found)),
        *(f"it has {column}" for column in sorted(unknown)),
    ]
    if differences:
        raise ConfigError(
            f"the database says that it has version {version}, but it is not as that version is: "
            f"{', '.join(differences[:3])}{', and more' if differences[3:] else ''}. It was made "
            "by a dreamgrid between two releases, or changed by hand. Serve it with the dreamgrid "
            "that wrote it, or take another data folder (--data); nothing was changed"
        )
    return int(version)


def _apply(connection: sqlite3.Connection, number: int) -> None:
    script = (_FOLDER / _scripts()[number - 1]).read_text(encoding="utf-8")
    connection.executescript(f"BEGIN;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")


def _columns(connection: sqlite3.Connection) -> frozenset[str]:
    """Every `table.column` of a database."""
    return frozenset(column for (column,) in connection.execute(_COLUMNS))


@cache
def _columns_of(version: int) -> frozenset[str]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for number in range(1, version + 1):
            _apply(connection, number)
        return _columns(connection)


def _table(column: str) -> str:
    return column.partition(".")[0]
