"""The log as JSON lines, for programs that collect it."""

import json
import logging
from datetime import UTC, datetime

_OURS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""What every record has; the rest was said about this one alone, such as `job_id`."""


class JsonLines(logging.Formatter):
    """One object a line: `at`, `level`, `logger`, `message`, what else is known, and `trace`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line for a record."""
        told = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        told |= {name: value for name, value in vars(record).items() if name not in _OURS}
        if record.exc_info:
            told["trace"] = self.formatException(record.exc_info)
        return json.dumps(told, default=str)
