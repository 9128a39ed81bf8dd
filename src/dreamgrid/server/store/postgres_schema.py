"""The shape of a PostgreSQL database: numbered scripts, applied in order, each once.

As in `sqlite_schema`, a script that has landed is never edited again.
"""

from importlib import resources

import psycopg

from dreamgrid.errors import ConfigError
from dreamgrid.server.store.postgres_connection import PostgresConnection
from dreamgrid.server.store.schema import Schema

_FOLDER = resources.files("dreamgrid.server.store") / "postgres_migrations"
_LOCK = 7_236_000_003
"""Key of the lock that lets one migration go on at a time."""

_WAITS_S = 10.0
"""How long a script waits for a table that somebody else reads or writes."""


def newest_version() -> int:
    """The number of the last script."""
    return len(_scripts())


def schema(version: int) -> Schema:
    """What a database of this version lacks."""
    return Schema(version=version, newest=newest_version(), missing=tuple(_scripts()[version:]))


def migrate(connection: PostgresConnection) -> None:
    """Applies the scripts that this database has not seen yet, all of them or none.

    Raises:
        ConfigError: The database is newer than this dreamgrid. Nothing was changed.
    """
    connection.execute("BEGIN")
    try:
        connection.execute("SELECT pg_advisory_xact_lock(?)", (_LOCK,))
        # Whoever waits for a table makes all wait that come later; better to give up and say so.
        connection.execute(f"SET LOCAL lock_timeout = {int(_WAITS_S * 1000)}")
        done = version(connection)
        for script in _scripts()[done:]:
            connection.execute((_FOLDER / script).read_text(encoding="utf-8"))
        if done == 0:
            connection.execute("CREATE TABLE dreamgrid_version (version BIGINT NOT NULL)")
            connection.execute("INSERT INTO dreamgrid_version VALUES (?)", (newest_version(),))
        else:
            connection.execute("UPDATE dreamgrid_version SET version = ?", (newest_version(),))
        connection.execute("COMMIT")
    except BaseException as error:
        if not connection.lost:
            connection.execute("ROLLBACK")
        if isinstance(error, psycopg.errors.InsufficientPrivilege):
            raise ConfigError(
                f"the database needs a change that this role may not make ({str(error).strip()}): "
                "run 'dreamgrid migrate' as the owner of the database"
            ) from None
        raise


def check(connection: PostgresConnection) -> None:
    """Looks whether a database is of this dreamgrid's version.

    Raises:
        ConfigError: It is not.
    """
    found = version(connection)
    if found != newest_version():
        raise ConfigError(
            f"the database has version {found}, and this dreamgrid makes it {newest_version()} "
            "when it serves it: audit it after that, or with the dreamgrid that serves it now"
        )


def version(connection: PostgresConnection) -> int:
    """The version of a database; 0: it is empty.

    Raises:
        ConfigError: It is newer than this dreamgrid.
    """
    if connection.execute("SELECT to_regclass('dreamgrid_version')").fetchone()[0] is None:
        return 0
    (found,) = connection.execute("SELECT version FROM dreamgrid_version").fetchone()
    if found > newest_version():
        raise ConfigError(
            f"the database was written by a newer dreamgrid: it has version {found}, and this one "
            f"knows {newest_version()}. Upgrade dreamgrid, or restore a backup from before; "
            "nothing was changed"
        )
    return int(found)


def _scripts() -> list[str]:
    return sorted(entry.name for entry in _FOLDER.iterdir() if entry.name.endswith(".sql"))
