"""What the nodes of a grid tell each other through its database: who coordinates, and secrets.

It needs no clock that nodes agree on. The coordinator counts up a number; the others watch whether
it still changes, each by a clock of its own. Blocking: called from one thread at a time.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

import psycopg

from dreamgrid.errors import ConfigError
from dreamgrid.server.store.postgres import SERVER_LOCK
from dreamgrid.server.store.postgres_connection import PostgresConnection
from dreamgrid.server.store.postgres_schema import migrate

T = TypeVar("T")

_HOLDERS = (
    "pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    f" AND classid = {SERVER_LOCK >> 32} AND objid = {SERVER_LOCK & 0xFFFFFFFF}"
)
_SECRET = "SELECT value FROM dreamgrid_secret WHERE name = ?"
_SECRETS = "SELECT name, value FROM dreamgrid_secret WHERE name = ? OR starts_with(name, ?)"
_KEEP_SECRET = (
    "INSERT INTO dreamgrid_secret VALUES (?, ?)"
    " ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)
_STATEMENT_MS = 2_000
"""How long the database may take for one statement of ours; they are tiny."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the database says about the coordinator.

    Attributes:
        reign: Its number. 0: there was never one.
        node: Where other nodes reach it. Empty: it does not serve yet.
        beats: How often it said that it lives.
        held: Whether a server holds the database in this moment.
        newest: The number of the last server that did. Another one than `reign`: it has not said
            anything yet, or is no node.
    """

    reign: int
    node: str
    beats: int
    held: bool
    newest: int


class PostgresNodes:
    """See the module's text.

    Args:
        address: As `PostgresConnection` takes it.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._connection: PostgresConnection | None = None

    def close(self) -> None:
        """Hangs up."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def look(self) -> Seen:
        """What is true in this moment."""

        def ask(connection: PostgresConnection) -> Seen:
            held = f"EXISTS (SELECT 1 FROM {_HOLDERS})"
            row = connection.execute(
                f"SELECT reign, node, beats, {held} FROM dreamgrid_coordinator"
                " UNION ALL "
                f"SELECT 0, '', 0, {held} ORDER BY 1 DESC LIMIT 1"
            ).fetchone()
            reign, node, beats, is_held = row
            newest = _newest(connection)
            return Seen(reign=reign, node=node, beats=beats, held=is_held, newest=newest)

        return self._do(ask)

    def beat(self, reign: int, node: str) -> bool:
        """Says that the coordinator of a reign lives; False: there is a newer one.

        Args:
            reign: Its number.
            node: Where it serves. Empty: it does not yet.
        """

        def tell(connection: PostgresConnection) -> bool:
            if _newest(connection) != reign:
                return False
            connection.execute("DELETE FROM dreamgrid_coordinator WHERE reign < ?", (reign,))
            connection.execute(
                "INSERT INTO dreamgrid_coordinator AS known (reign, node, beats) VALUES (?, ?, 1)"
                " ON CONFLICT (reign) DO UPDATE SET beats = known.beats + 1, node = excluded.node",
                (reign, node),
            )
            return True

        return self._do(tell)

    def evict(self, seen: Seen) -> None:
        """Takes the database from a coordinator that has fallen silent: ends its connection.

        Whatever it had begun is undone or done before this returns, or soon after.
        """
        if self.look() == seen:
            self._do(
                lambda connection: connection.execute(
                    f"SELECT pg_terminate_backend(pid, 2000) FROM {_HOLDERS}"
                ).fetchall()
            )

    def secret(self, name: str, make: Callable[[], str]) -> str:
        """The secret of that name, which all nodes share; the first one that asks makes it."""

        def ask(connection: PostgresConnection) -> str:
            found = connection.execute(_SECRET, (name,)).fetchone()
            if found is None:
                connection.execute(
                    "INSERT INTO dreamgrid_secret VALUES (?, ?) ON CONFLICT DO NOTHING",
                    (name, make()),
                )
                found = connection.execute(_SECRET, (name,)).fetchone()
            return str(found[0])

        return self._do(ask)

    def secrets(self, name: str) -> dict[str, str]:
        """The secret of that name and those whose names begin with it and a dot."""

        def ask(connection: PostgresConnection) -> dict[str, str]:
            rows = connection.execute(_SECRETS, (name, f"{name}.")).fetchall()
            return {str(known): str(value) for known, value in rows}

        return self._do(ask)

    def change_secrets(
        self, name: str, change: Callable[[dict[str, str]], dict[str, str]]
    ) -> dict[str, str]:
        """Replaces those by what becomes of them, all of it or nothing; what they are now."""

        def ask(connection: PostgresConnection) -> dict[str, str]:
            connection.execute("BEGIN")
            connection.execute("SET LOCAL synchronous_commit = on")  # what signs is not to be lost
            connection.execute("LOCK TABLE dreamgrid_secret IN SHARE ROW EXCLUSIVE MODE")
            before = dict(connection.execute(_SECRETS, (name, f"{name}.")).fetchall())
            after = change(before)
            for gone in before.keys() - after.keys():
                connection.execute("DELETE FROM dreamgrid_secret WHERE name = ?", (gone,))
            for known in after.keys() - {one for one in before if before[one] == after.get(one)}:
                connection.execute(_KEEP_SECRET, (known, after[known]))
            connection.execute("COMMIT")
            return after

        return self._do(ask)

    def keep_secret(self, name: str, value: str) -> None:
        """Lets all nodes know another secret of that name."""
        self._do(lambda connection: connection.execute(_KEEP_SECRET, (name, value)))

    def _do(self, work: Callable[[PostgresConnection], T]) -> T:
        """Does something; the connection is made anew where it broke before.

        Raises:
            psycopg.Error: The database does not answer, or refuses.
            ConfigError: It lacks what nodes need, and this role may not make it.
        """
        connection = self._connection
        if connection is None or connection.lost:
            connection = self._connection = self._connected()
        try:
            return work(connection)
        except BaseException:  # also one of the caller's own, in the middle of a transaction
            self.close()
            raise

    def _connected(self) -> PostgresConnection:
        connection = PostgresConnection(self._address)
        try:
            (there,) = connection.execute("SELECT to_regclass('dreamgrid_secret')").fetchone()
            if there is None:
                migrate(connection)  # later versions are for whoever coordinates
            connection.execute(f"SET statement_timeout = {_STATEMENT_MS}")
            connection.execute("SET synchronous_commit = off")  # a beat more or less means nothing
        except BaseException:
            connection.close()
            raise
        return connection


def _newest(connection: PostgresConnection) -> int:
    number, given = connection.execute(
        "SELECT last_value, is_called FROM dreamgrid_reign"
    ).fetchone()
    return int(number) if given else 0


def rotate_shared(
    address: str, name: str, change: Callable[[dict[str, str]], dict[str, str]]
) -> bool:
    """Changes the secrets of a name that the nodes of a grid share; False: there are none.

    Args:
        address: Of the grid's database.
        name: As `PostgresNodes.change_secrets` takes it.
        change: Likewise; never given nothing.

    Raises:
        ConfigError: The database does not answer, or does not let us.
    """
    try:
        with closing(PostgresConnection(address)) as connection:
            (there,) = connection.execute("SELECT to_regclass('dreamgrid_secret')").fetchone()
        if there is None:
            return False
        with closing(PostgresNodes(address)) as nodes:
            return bool(nodes.change_secrets(name, lambda known: change(known) if known else known))
    except psycopg.Error as error:
        raise ConfigError(f"the database cannot be changed: {str(error).strip()}") from None
