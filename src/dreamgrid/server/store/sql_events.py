"""The log of each project in SQL: appended on the writer's thread, read by anyone.

An event is written in the transaction of the change that it tells, so that neither can be there
without the other.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from dreamgrid.server.store import sql_many
from dreamgrid.server.store.base import EventKind, EventRow
from dreamgrid.server.store.connection import Connection

_APPEND = "INSERT INTO event (project, number, at_ms, kind, job_id, details) VALUES {}"
_AN_EVENT = "(?, ?, ?, ?, nullif(?, ''), ?)"
_encode = msgspec.json.Encoder().encode


def told(details: dict[str, Any]) -> str:
    """What else is known of an event, as it is kept: without what is None."""
    return _encode({name: value for name, value in details.items() if value is not None}).decode()


def append(connection: Connection, events: Sequence[tuple[int, int, int, str, str, str]]) -> None:
    """Adds events to the logs of projects.

    A trigger adds each of them to the outboxes of webhooks that want it.

    Args:
        connection: In the transaction of the changes that they tell.
        events: The number of the project, that of the event, which follows the one before without
            a gap, the time, the kind, the id of the job (empty: the whole project) and what
            `told` makes of the rest.
    """
    sql_many.change(connection, _APPEND, _AN_EVENT, events)


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
