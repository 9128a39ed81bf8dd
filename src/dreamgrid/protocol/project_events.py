"""What happened to a project, event by event: the words of the event stream.

Our own; the published SDKs have no such stream. Ids are called what they are: a project and its
jobs.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

EventType = Literal[
    "queued",
    "assigned",
    "started",
    "retried",
    "job_completed",
    "job_failed",
    "completed",
    "failed",
    "canceled",
]

LAST_EVENTS: frozenset[EventType] = frozenset({"completed", "failed", "canceled"})
"""After one of these nothing happens to a project any more."""


class ProjectEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A change of state. Each is told once, in order, and never changes afterwards.

    Attributes:
        number: 1, 2, 3, ... within the project; send it back as `Last-Event-ID`.
        type: What happened: to the project (`queued`, and at the end one of `completed`, `failed`,
            `canceled`), or to one of its jobs.
        time: When, in milliseconds since 1970.
        project_id: The project.
        job_id: The job; absent where it is about the whole project.
        index: Place of the job in the project, from 0.
        attempt: How often the job has been given to a worker, from 1.
        worker: Name of the worker.
        reason: Why a job or project failed, was retried or canceled.
        message: Who else than its app canceled a project, and why, as a sentence.
        seed: Seed that made the result.
        steps: Steps that were done.
        sha256: Hash of the result's bytes.
        sensitive: What the content filter objects to in the result.
        withheld: The result is not delivered because of that.
        result_url: Where to fetch the result; made anew each time the event is told.
    """

    number: int
    type: EventType
    time: int
    project_id: str
    job_id: str | None = None
    index: int | None = None
    attempt: int | None = None
    worker: str | None = None
    reason: str | None = None
    message: str | None = None
    seed: int | None = None
    steps: int | None = None
    sha256: str | None = None
    sensitive: tuple[str, ...] = ()
    withheld: bool = False
    result_url: str | None = None


class ProgressEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How far a job has come. Never kept: whoever is slow sees only the newest.

    Attributes:
        project_id: The project.
        job_id: The job.
        step: Steps done so far.
        step_count: Steps in all.
        eta_s: Seconds until the job ends, as its worker measures it.
        has_preview: A new preview can be fetched.
    """

    project_id: str
    job_id: str
    step: int
    step_count: int
    eta_s: float | None = None
    has_preview: bool = False


class EventsQuery(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """From where on to tell.

    Attributes:
        after: Number of the last event that is known; 0 tells all. The header `Last-Event-ID`
            means the same and wins.
        follow: Go on with what happens next. False: the stream ends after what has happened so far.
    """

    after: Annotated[int, Meta(ge=0, le=2**53)] = 0
    follow: bool = True
