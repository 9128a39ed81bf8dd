"""The log of each project in SQLite: appended on the writer's thread, read by anyone.

An event is written in the transaction of the change that it tells, so that neither can be there
without the other.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec

from dreamgrid.server.store import sqlite_webhooks
from dreamgrid.server.store.base import EventKind, EventRow

_APPEND = (
    "INSERT INTO event (project_id, number, at_ms, kind, job_id, details)"
    " SELECT ?1, coalesce(max(number), 0) + 1, ?2, ?3, ?4, ?5 FROM event WHERE project_id = ?1"
    " RETURNING number"
)


def append(
    connection: sqlite3.Connection,
    project_id: str,
    kind: EventKind,
    at_ms: int,
    job_id: str | None = None,
    **details: Any,
) -> None:
    """Adds an event at the end of a project's log, and to the outboxes of webhooks that want it.

    Details that are None are left out.
    """
    told = {name: value for name, value in details.items() if value is not None}
    text = msgspec.json.encode(told).decode()
    row = connection.execute(_APPEND, (project_id, at_ms, kind, job_id, text)).fetchone()
    sqlite_webhooks.enqueue(connection, project_id, row[0], kind, at_ms)


def read(connection: sqlite3.Connection, project_id: str, after: int, most: int) -> list[EventRow]:
    """A project's events after a number, in order."""
    rows = connection.execute(
        "SELECT number, at_ms, kind, job_id, details FROM event"
        " WHERE project_id = ? AND number > ? ORDER BY number LIMIT ?",
        (project_id, after, most),
    )
    return [
        EventRow(
            project_id=project_id,
            number=number,
            at_ms=at_ms,
            kind=EventKind(kind),
            job_id=job_id,
            details=msgspec.json.decode(details),
        )
        for number, at_ms, kind, job_id, details in rows
    ]


def forget(connection: sqlite3.Connection, project_ids: Sequence[tuple[str]]) -> None:
    """Removes the logs of projects."""
    sqlite_webhooks.forget(connection, project_ids)
    connection.executemany("DELETE FROM event WHERE project_id = ?", project_ids)
