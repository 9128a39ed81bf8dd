"""An event of the log as it is told: on the event stream and to webhooks. Pure."""

import msgspec

from dreamgrid.protocol.project_events import ProjectEvent
from dreamgrid.server.store.base import EventKind, EventRow

_DETAILS = frozenset(field.encode_name for field in msgspec.structs.fields(ProjectEvent))


def told(row: EventRow, url: str | None) -> ProjectEvent:
    """An event, and where its result can be fetched."""
    details = {name: value for name, value in row.details.items() if name in _DETAILS}
    return msgspec.convert(
        {
            "number": row.number,
            "type": row.kind,
            "time": row.at_ms,
            "projectId": row.project_id,
            "jobId": row.job_id,
            "resultUrl": url,
            **details,
        },
        ProjectEvent,
    )


def has_result(row: EventRow) -> bool:
    """Whether it tells of a result that can be fetched."""
    return row.kind is EventKind.JOB_COMPLETED and "withheld" not in row.details
