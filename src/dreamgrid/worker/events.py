"""What a worker tells whoever runs it, such as the command line. All in the past tense."""

from dataclasses import dataclass, field

from dreamgrid.protocol.renders import AnyRender
from dreamgrid.protocol.worker import MeasuredSpeed


@dataclass(frozen=True, kw_only=True)
class Joined:
    """The server welcomed the worker; sent again after each reconnect.

    Attributes:
        worker_id: The worker's stable id.
        name: Name shown to users.
        server_url: The server that it joined.
        models: Catalogue ids that it serves there.
        unknown_models: Ids that it could serve but the server's catalogue does not list.
        slots: Jobs that it holds at the same time.
    """

    worker_id: str
    name: str
    server_url: str
    models: tuple[str, ...]
    unknown_models: tuple[str, ...]
    slots: int


@dataclass(frozen=True, kw_only=True)
class Disconnected:
    """The connection is gone, or could not be made; the next try comes in `retry_in_s`."""

    reason: str
    retry_in_s: float


@dataclass(frozen=True, kw_only=True)
class JobStarted:
    """The model is loaded and a render begins."""

    job_id: str
    render: AnyRender


@dataclass(frozen=True, kw_only=True)
class JobFinished:
    """A result was uploaded. `render_s` is the engine's time, without transfers."""

    job_id: str
    size_bytes: int
    render_s: float


@dataclass(frozen=True, kw_only=True)
class JobFailed:
    """A job ended without result. `detail` is for the worker's owner, `message` for the app."""

    job_id: str
    error: str
    message: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class JobCanceled:
    """The server does not want a job any more."""

    job_id: str


@dataclass(frozen=True, kw_only=True)
class JobReleased:
    """A job was handed back unfinished; it costs nobody an attempt."""

    job_id: str


@dataclass(frozen=True, kw_only=True)
class EngineFailed:
    """The engine of one GPU does not start; the others go on, and it is tried again."""

    reason: str
    retry_in_s: float


@dataclass(frozen=True, kw_only=True)
class Rested:
    """The worker left its grid and the GPU to its owner; `reason` says why."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Resumed:
    """The rest is over: the worker goes back to its grid."""


@dataclass(frozen=True, kw_only=True)
class DrainBegan:
    """The worker takes no new jobs; `reason` says who asked."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The worker had nothing to do and measured itself.

    Attributes:
        threads: CPU threads that an engine gets from the next start on.
        took_s: Seconds of each model's trial render.
    """

    threads: int
    took_s: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class TrialBegan:
    """The worker has nothing to do, and measures how long a model takes with an engine."""

    model: str
    engine: str


@dataclass(frozen=True, kw_only=True)
class TrialEnded:
    """It has measured that.

    Attributes:
        model: Catalogue id.
        engine: Name of the engine.
        took_s: Seconds for a render with all the defaults, with the model loaded.
        step_s: Seconds for one of its steps.
        made: That render in words, such as `1024x1024 in 8 steps`.
        speed: What servers are told.
    """

    model: str
    engine: str
    took_s: float
    step_s: float
    made: str
    speed: MeasuredSpeed = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class TrialFailed:
    """That could not be made; jobs may be, with other settings."""

    model: str
    engine: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class TrialStopped:
    """A job came first, or the worker stops; it is made when there is time again."""

    model: str
    engine: str


WorkerEvent = (
    Joined
    | Disconnected
    | JobStarted
    | JobFinished
    | JobFailed
    | JobCanceled
    | JobReleased
    | EngineFailed
    | Rested
    | Resumed
    | DrainBegan
    | Measured
    | TrialBegan
    | TrialEnded
    | TrialFailed
    | TrialStopped
)
