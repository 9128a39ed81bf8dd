"""The log of each project in SQL: appended on the writer's thread, read by anyone.

An event is written in the transaction of the change that it tells, so that neither can be there
without the other.
"""

from typing import Any

import msgspec

from dreamgrid.server.store.base import EventKind, EventRow
from dreamgrid.server.store.connection import Connection

_APPEND = (
    "INSERT INTO event (project, number, at_ms, kind, job_id, details) VALUES"
    " (?1, (SELECT coalesce(max(number), 0) + 1 FROM event WHERE project = ?1), ?2, ?3, ?4, ?5)"
)


def append(
    connection: Connection,
    project: int,
    kind: EventKind,
    at_ms: int,
    job_id: str | None = None,
    **details: Any,
) -> None:
    """Adds an event at the end of a project's log.

    A trigger adds it to the outboxes of webhooks that want it. `project` is its number. Details
    that are None are left out.
    """
    told = {name: value for name, value in details.items() if value is not None}
    text = msgspec.json.encode(told).decode()
    connection.execute(_APPEND, (project, at_ms, kind, job_id, text))


def read(connection: Connection, project_id: str, after: int, most: int) -> list[EventRow]:
    """A project's events after a number, in order."""
    rows = connection.execute(
        "SELECT event.number, at_ms, kind, job_id, details"
        " FROM event JOIN project ON project = project.number"
        " WHERE project.id = ? AND event.number > ? ORDER BY event.number LIMIT ?",
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
