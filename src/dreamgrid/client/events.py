"""What can happen to a project, one frozen class each, named in the past tense.

    async for event in project.events():
        match event:
            case dreamgrid.Progressed(job_id=job, fraction=done):
                ...

Watch the kinds that you need; later versions may add more. Every iteration starts with what has
happened so far, so nothing is missed between `create()` and `events()`. Changes of state are
delivered once each and in order; of positions, progress and previews only the newest is kept, so a
slow reader skips frames instead of falling behind. What happens while the connection is lost is
told afterwards, from the server's log of the project; a server without such logs (the original
network) still tells all results and ends, but not that a job was assigned, started or retried
meanwhile.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeAlias

from typing_extensions import TypeVar

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

    from dreamgrid.client.catalog import AvailableModel
    from dreamgrid.client.current_account import Balance

R = TypeVar("R", default=Any)
"""The kind of result object: that of the asynchronous door or that of the synchronous one."""


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
        reason: Why it waits, in words. Empty: not told.
        state: `runnable`, `waiting` or `impossible`. None: not told.
        waits_for: What it waits for, as `explain` names it. None: nothing, or not told.
        earliest_start_s: In eight of ten cases it starts not before this. None: no estimate.
        latest_start_s: And not after this.
    """

    position: int | None
    estimated_start_s: float | None
    no_workers: bool
    reason: str = ""
    state: str | None = None
    waits_for: str | None = None
    earliest_start_s: float | None = None
    latest_start_s: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Assigned(Event):
    """A worker took one job and loads the model."""

    job_id: str
    job_index: int
    worker: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Started(Event):
    """A worker began to render one job."""

    job_id: str
    job_index: int
    worker: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Progressed(Event):
    """One job is a step further.

    Attributes:
        step: Steps done, 1..`step_count`.
        step_count: Steps in all.
        fraction: How much of this job is done, 0..1.
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

    def to_pillow(self) -> "PillowImage":
        """The preview as a Pillow image.

        Raises:
            ConfigError: Pillow is not installed.
        """
        from dreamgrid.client.results import as_pillow  # noqa: PLC0415 (loads the network library)

        return as_pillow(self.data)

    def _repr_png_(self) -> bytes | None:
        return self.data if self.data.startswith(b"\x89PNG") else None

    def _repr_jpeg_(self) -> bytes | None:
        return self.data if self.data.startswith(b"\xff\xd8\xff") else None


@dataclass(frozen=True, kw_only=True, slots=True)
class JobRetried(Event):
    """An attempt at one job was lost; it is queued again under the same id.

    Attributes:
        attempt: Which attempt was lost, 1 for the first.
        max_attempts: How many may fail. One that a worker only handed back did not fail. 0: not
            told.
        message: Why.
    """

    job_id: str
    job_index: int
    attempt: int
    max_attempts: int
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class JobCompleted(Event, Generic[R]):
    """One result is finished and can be saved."""

    job_id: str
    job_index: int
    result: R


@dataclass(frozen=True, kw_only=True, slots=True)
class JobWithheld(Event):
    """One result was finished, but the content filter keeps it back."""

    job_id: str
    job_index: int


@dataclass(frozen=True, kw_only=True, slots=True)
class JobFailed(Event):
    """One result cannot be made; the others go on."""

    job_id: str
    job_index: int
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Completed(Event, Generic[R]):
    """The project is done. `results` are those that were delivered, in order."""

    results: tuple[R, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed(Event):
    """The project ended without any result, or the server refused it.

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
    | JobCompleted[R]
    | JobWithheld
    | JobFailed
    | Completed[R]
    | Failed
    | Canceled
)
"""One of these."""


# ── what happens to the client itself ────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientEvent:
    """Base of what happens to the client itself; `client.on()` and `client.projects.on()`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Connected(ClientEvent):
    """The socket is open and the server has let us in."""

    username: str
    address: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Disconnected(ClientEvent):
    """The socket is lost.

    Attributes:
        reason: Why, in words.
        final: It does not come back by itself: the key was refused, or another client took over.
    """

    reason: str
    final: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class BalanceChanged(ClientEvent):
    """The account can spend more or less than before."""

    balance: "Balance"


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelsChanged(ClientEvent):
    """Other models than before have a worker, or other numbers of workers."""

    models: "tuple[AvailableModel, ...]"
