"""What can happen to a project, one frozen class each, named in the past tense.

    async for event in project.events():
        match event:
            case dreamgrid.Progressed(job_id=job, fraction=done):
                ...

Watch the kinds that you need; later versions may add more. Every iteration starts with what has
happened so far, so nothing is missed between `create()` and `events()`. Changes of state are all
delivered, once each and in order; of positions, progress and previews only the newest is kept, so a
slow reader skips frames instead of falling behind.
"""

from dataclasses import dataclass, field
from typing import Generic, TypeAlias, TypeVar

Picture = TypeVar("Picture")
"""The kind of picture object: that of the asynchronous door or that of the synchronous one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Base of everything that happens to a project."""

    project_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Queued(Event):
    """The project waits; told again whenever its place changes.

    Attributes:
        position: Place in the queue, 1 is next. None: unknown.
        estimated_start_s: Seconds until it starts, as the server estimates. None: no estimate.
        no_workers: Nobody who is connected can render it; it starts when such a worker comes.
    """

    position: int | None
    estimated_start_s: float | None
    no_workers: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Assigned(Event):
    """A worker took one picture and loads the model."""

    job_id: str
    job_index: int
    worker: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Started(Event):
    """A worker began to render one picture."""

    job_id: str
    job_index: int
    worker: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Progressed(Event):
    """One picture is a step further.

    Attributes:
        step: Steps done, 1..`step_count`.
        step_count: Steps in all.
        fraction: How much of this picture is done, 0..1.
        eta_s: Seconds until it is finished, as the worker measures. None: unknown.
    """

    job_id: str
    job_index: int
    step: int
    step_count: int
    fraction: float
    eta_s: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Previewed(Event):
    """A small picture of how one render looks right now.

    Attributes:
        data: The encoded picture, usually JPEG.
        url: Where it was fetched; a later preview replaces it there.
    """

    job_id: str
    job_index: int
    data: bytes = field(repr=False)
    url: str


@dataclass(frozen=True, kw_only=True, slots=True)
class JobRetried(Event):
    """An attempt at one picture was lost; it is queued again under the same id.

    Attributes:
        attempt: Which attempt was lost, 1 for the first.
        max_attempts: After how many the picture counts as failed.
        message: Why.
    """

    job_id: str
    job_index: int
    attempt: int
    max_attempts: int
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class JobCompleted(Event, Generic[Picture]):
    """One picture is finished and can be saved."""

    job_id: str
    job_index: int
    image: Picture


@dataclass(frozen=True, kw_only=True, slots=True)
class JobWithheld(Event):
    """One picture was finished, but the content filter keeps it back."""

    job_id: str
    job_index: int


@dataclass(frozen=True, kw_only=True, slots=True)
class JobFailed(Event):
    """One picture cannot be made; the others go on."""

    job_id: str
    job_index: int
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Completed(Event, Generic[Picture]):
    """The project is done. `images` are those that were delivered, in order."""

    images: tuple[Picture, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed(Event):
    """The project ended without any picture, or the server refused it.

    Attributes:
        message: What happened, in words.
        code: The server's number for it, when it gave one.
    """

    message: str
    code: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Canceled(Event):
    """Somebody canceled the project."""


AnyEvent: TypeAlias = (
    Queued
    | Assigned
    | Started
    | Progressed
    | Previewed
    | JobRetried
    | JobCompleted[Picture]
    | JobWithheld
    | JobFailed
    | Completed[Picture]
    | Failed
    | Canceled
)
"""One of these."""
