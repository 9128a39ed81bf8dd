"""What sessions do in SQL."""

from typing import cast

from dreamgrid.server.store.base import Rotation, SessionRow
from dreamgrid.server.store.connection import Connection


def add_session(connection: Connection, session: SessionRow, at_ms: int) -> None:
    """Adds a session, and forgets those of anybody that have run out."""
    connection.execute("DELETE FROM session WHERE expires_ms <= ?", (at_ms,))
    connection.execute(
        "INSERT INTO session (id, account_id, token_id, rotated_ms, expires_ms)"
        " VALUES (?, ?, ?, ?, ?)",
        (session.id, session.account_id, session.token_id, at_ms, session.expires_ms),
    )


def session(connection: Connection, session_id: str) -> SessionRow | None:
    """A session that has not ended."""
    row = connection.execute(
        "SELECT id, account_id, token_id, expires_ms FROM session WHERE id = ?", (session_id,)
    ).fetchone()
    if row is None:
        return None
    return SessionRow(id=row[0], account_id=row[1], token_id=row[2], expires_ms=row[3])


def rotate_session(connection: Connection, rotation: Rotation) -> str | None:
    """Exchanges the refresh token; the id of the one that is good from now on."""
    rotated = connection.execute(
        "UPDATE session SET token_id = ?, previous_id = token_id, rotated_ms = ?, expires_ms = ?"
        " WHERE id = ? AND token_id = ? AND expires_ms > ?",
        (
            rotation.fresh,
            rotation.at_ms,
            rotation.expires_ms,
            rotation.session_id,
            rotation.presented,
            rotation.at_ms,
        ),
    )
    if rotated.rowcount:
        return rotation.fresh
    row = connection.execute(
        "SELECT token_id FROM session"
        " WHERE id = ? AND previous_id = ? AND rotated_ms >= ? AND expires_ms > ?",
        (
            rotation.session_id,
            rotation.presented,
            rotation.at_ms - rotation.grace_ms,
            rotation.at_ms,
        ),
    ).fetchone()
    return cast(str, row[0]) if row else None


def extend_session(connection: Connection, session_id: str, expires_ms: int) -> None:
    """Lets a session last longer; never shorter."""
    connection.execute(
        "UPDATE session SET expires_ms = ?1 WHERE id = ?2 AND expires_ms < ?1",
        (expires_ms, session_id),
    )


def end_session(connection: Connection, session_id: str) -> None:
    """Forgets a session; its tokens are refused from now on."""
    connection.execute("DELETE FROM session WHERE id = ?", (session_id,))
