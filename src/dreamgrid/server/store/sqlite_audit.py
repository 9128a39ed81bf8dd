"""The audit of a SQLite database, beside a busy server or of one that is stopped.

It reads a snapshot through a connection of its own that cannot write.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from dreamgrid.errors import ConfigError
from dreamgrid.server.store import sqlite_schema
from dreamgrid.server.store.audit import Audit
from dreamgrid.server.store.sql_audit import audited


def audit_file(path: Path) -> Audit:
    """Audits the database in a file, whether or not a server is using it.

    Raises:
        ConfigError: There is no database, or it is one of another version.
    """
    if not path.is_file():
        raise ConfigError(f"there is no database at {path}; name the data folder with --data")
    uri = f"file:{quote(str(path.absolute()))}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
            connection.execute("PRAGMA busy_timeout = 5000")
            return audit(connection)
    except sqlite3.Error as error:
        raise ConfigError(f"the database {path} cannot be read: {error}") from error


def audit(connection: sqlite3.Connection) -> Audit:
    """Audits what a connection sees, all of it as of one moment."""
    connection.execute("BEGIN")
    try:
        version = sqlite_schema.check(connection)
        if version != sqlite_schema.newest_version():
            raise ConfigError(
                f"the database has version {version}, and this dreamgrid makes it "
                f"{sqlite_schema.newest_version()} when it serves it: audit it after that, or with "
                "the dreamgrid that serves it now"
            )
        return audited(connection)
    finally:
        connection.execute("ROLLBACK")
