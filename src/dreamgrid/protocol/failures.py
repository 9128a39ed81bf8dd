"""How errors are spelled on the wire: numeric codes, HTTP statuses, and back.

The published clients know a few numbers (1001, 4104, 5001-5005); 4000-4005 are ours, chosen outside
theirs (`socket.md` 4.8 of the wire contract).
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from dreamgrid import errors
from dreamgrid.protocol.statuses import ALL_DELIVERED, JOB_DELIVERED

SERVER_RESTARTING = 1001
ARTIST_CANCELED = "artistCanceled"
WORKER_DISCONNECTED = "workerDisconnected"
GENERATION_FAILURE = "genfailure"
JOB_TIMED_OUT = "jobTimedOut"
"""It took longer than it may; the name is one that the published clients know."""

QUEUE_TIMED_OUT = "queueTimedOut"
"""No worker took it for longer than whoever runs the grid lets anything wait."""

NOT_FROM_WORKERS = frozenset({WORKER_DISCONNECTED, JOB_TIMED_OUT, QUEUE_TIMED_OUT})
"""Reasons that the server found itself; all others came from a worker."""

OUT_OF_MEMORY = "out_of_memory"
"""What a worker says of a job that is too large for its device, but perhaps not for others."""

_WORDS = {
    ALL_DELIVERED: "completed",
    JOB_DELIVERED: "delivered",
    ARTIST_CANCELED: "canceled",
    WORKER_DISCONNECTED: "its workers went away",
    GENERATION_FAILURE: "rendering failed",
    JOB_TIMED_OUT: "it took longer than it may",
    QUEUE_TIMED_OUT: "no worker took it in time",
    OUT_OF_MEMORY: "it is too large for the worker's device",
}


def in_words(reason: str) -> str:
    """A reason for an end as people read it; what is not one of ours stays as it is."""
    return _WORDS.get(reason, reason)


USERNAME_TAKEN = 108
"""The one HTTP error code that clients know: the name belongs to another account."""


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The one shape of an HTTP error.

    Attributes:
        status: Always `error`.
        message: What happened, and what to do.
        error_code: A number for programs, told beside each answer; else the HTTP status.
        retry_after: Seconds after which another try can work, where that is known.
    """

    # Other servers may write other words, so these two are for documents, not for decoding.
    status: Annotated[str, Meta(extra_json_schema={"const": "error"})] = "error"
    message: Annotated[str, Meta(extra_json_schema={"minLength": 1})]
    error_code: int
    retry_after: float | msgspec.UnsetType = msgspec.UNSET


class _Spelling(msgspec.Struct, frozen=True):
    kind: type[errors.DreamgridError]
    code: int
    http_status: int


# Most specific first: the first class that an error is an instance of decides.
_SPELLINGS = (
    _Spelling(errors.UnknownModel, 4001, 404),
    _Spelling(errors.MissingAsset, 4002, 400),
    _Spelling(errors.DuplicateProject, 4005, 409),
    _Spelling(errors.UsernameTaken, USERNAME_TAKEN, 400),
    _Spelling(errors.UnreadableMedia, 4006, 400),
    _Spelling(errors.RenderRefused, 4008, 400),
    _Spelling(errors.InvalidRequest, 4000, 400),
    _Spelling(errors.ModelNotServed, 4104, 503),
    _Spelling(errors.SpendingCapReached, 4007, 402),
    _Spelling(errors.InsufficientFunds, 4003, 402),
    _Spelling(errors.NotAllowed, 4004, 403),
    _Spelling(errors.NotFound, 404, 404),
    _Spelling(errors.AuthenticationFailed, 401, 401),
    _Spelling(errors.TooManyRequests, 429, 429),
    _Spelling(errors.ServerRestarting, SERVER_RESTARTING, 503),
    _Spelling(errors.ServerUnavailable, 5006, 503),
    _Spelling(errors.ProtocolError, 4000, 400),
)
_FALLBACK = _Spelling(errors.DreamgridError, 5000, 500)


def _spelling(error: errors.DreamgridError) -> _Spelling:
    return next((row for row in _SPELLINGS if isinstance(error, row.kind)), _FALLBACK)


def code_of(error: errors.DreamgridError) -> int:
    """The numeric code of an error."""
    return _spelling(error).code


def http_status_of(error: errors.DreamgridError) -> int:
    """The HTTP status of an error."""
    return _spelling(error).http_status


def body_of(error: errors.DreamgridError) -> ErrorBody:
    """The HTTP body of an error."""
    wait_s = error.retry_after_s
    return ErrorBody(
        message=str(error),
        error_code=code_of(error),
        retry_after=msgspec.UNSET if wait_s is None else wait_s,
    )


def error_from(http_status: int, body: ErrorBody) -> errors.DreamgridError:
    """The error that an HTTP answer stands for: by its code, else by its status."""
    if body.error_code == 429 or http_status == 429:
        wait_s = None if body.retry_after is msgspec.UNSET else body.retry_after
        return errors.TooManyRequests(body.message, retry_after_s=wait_s)
    for row in _SPELLINGS:
        if row.code == body.error_code and row.http_status == http_status:
            return row.kind(body.message)
    for row in reversed(_SPELLINGS):  # the most general class of that status
        if row.http_status == http_status and row.kind is not errors.ProtocolError:
            return row.kind(body.message)
    return errors.DreamgridError(f"HTTP {http_status}: {body.message}")


def error_from_code(
    code: int, message: str, retry_after_s: float | None = None
) -> errors.DreamgridError | None:
    """The error behind a numeric code in a socket message, if it names one of ours."""
    error = next((row.kind(message) for row in _SPELLINGS if row.code == code), None)
    if error is not None and retry_after_s is not None:
        error.retry_after_s = retry_after_s
    return error
