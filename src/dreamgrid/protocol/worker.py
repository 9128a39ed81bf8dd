"""The words between a worker and the server, one struct each. `docs/worker-protocol.md` tells it.

Each WebSocket message is one JSON object with a `type`. A worker dials the server and needs no open
port; files travel through presigned URLs, so a worker never holds a credential for the store.
Every message about a job carries its `attempt`: the server refuses what an older attempt says.
"""

from typing import Annotated, Literal

import msgspec

from dreamgrid.protocol.params import MAX_SEED, Network
from dreamgrid.protocol.renders import AnyRender

WORKER_PROTOCOL = 1
"""Version of this protocol. The server closes a worker that speaks another one, saying so."""

WORKER_PATH = "/v1/worker"
"""Path of the WebSocket upgrade on the server."""


MAX_SECONDS = 7 * 24 * 60 * 60.0
"""Longest time that a worker may name: a week."""

# A worker is somebody else's machine: what it reports is stored and shown, so it has limits.
Seed = Annotated[int, msgspec.Meta(ge=0, le=MAX_SEED)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Size = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=MAX_SECONDS)]
ModelName = Annotated[str, msgspec.Meta(max_length=200)]
Objection = Literal["image", "prompt"]
"""What a content filter objects to."""

Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class WorkerMessage(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all messages from a worker to the server."""


class RunningJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job that the worker still holds, named when it connects again."""

    job_id: str
    attempt: int


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """What the worker runs on, for people to read."""

    kind: str = "cpu"
    name: str = ""
    memory_bytes: int = 0


class MeasuredSpeed(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker found when it measured itself: one render, with its model loaded.

    Attributes:
        render: What it rendered.
        took_s: How long that took.
    """

    render: AnyRender
    took_s: Seconds


class Hello(WorkerMessage, tag="hello", frozen=True, kw_only=True):
    """First message of a connection: who the worker is and what it can serve.

    Attributes:
        protocol: `WORKER_PROTOCOL` of the worker.
        worker_id: Stable id of this worker, an upper-case UUID. A second connection replaces the
            first.
        name: Name shown to users.
        version: Version of the worker's software.
        models: Catalogue ids that it can serve.
        slots: How many jobs it holds at once, those that only wait or transfer files included.
        slots_of: Catalogue id to how many it holds at once, where these are more: as long as all
            that it holds are of such models.
        network: The pool it belongs to.
        running: Jobs it still holds from an earlier connection, unsettled outcomes included.
        device: What it runs on.
        speeds: How fast it found itself to be. A server takes it for a claim: it counts for less
            than the jobs that the worker finishes. Empty: it has not measured itself.
    """

    protocol: int
    worker_id: str
    name: str
    version: str
    models: tuple[str, ...]
    slots: int = 1
    slots_of: dict[str, int] = {}
    network: Network = "fast"
    running: tuple[RunningJob, ...] = ()
    device: Device = Device()
    speeds: tuple[MeasuredSpeed, ...] = ()


class Started(WorkerMessage, tag="started", frozen=True, kw_only=True):
    """The model is loaded and inference begins. Sent again on a new connection.

    Attributes:
        together: How many jobs are rendered in one pass with it, itself included: when the worker
            dies at it, nobody knows which of them it was. It renders what comes back alone.
    """

    job_id: str
    attempt: int
    together: Count = 1


class Progress(WorkerMessage, tag="progress", frozen=True, kw_only=True):
    """A step is done.

    Attributes:
        step: Steps done so far, 1..`step_count`.
        step_count: Steps in all (some samplers take more than were asked for).
        preview_ready: A new preview lies at the assignment's preview URL.
        eta_s: Seconds until this job ends, as the worker measures it. None: unknown.
    """

    job_id: str
    attempt: int
    step: Count
    step_count: Count
    preview_ready: bool = False
    eta_s: Seconds | None = None


class Finished(WorkerMessage, tag="finished", frozen=True, kw_only=True):
    """The result lies at the assignment's output URL.

    Attributes:
        seed: The seed that made it.
        steps: Steps performed.
        sha256: Hash of the uploaded bytes, 64 hex characters.
        size_bytes: Length of the uploaded file.
        render_s: Seconds of rendering, uploads not included.
        sensitive: What the worker's content filter objects to: `image`, `prompt`. Empty: nothing,
            or there is no filter.
    """

    job_id: str
    attempt: int
    seed: Seed
    steps: Count
    sha256: Sha256
    size_bytes: Size
    render_s: Seconds
    sensitive: Annotated[tuple[Objection, ...], msgspec.Meta(max_length=2)] = ()


class Failed(WorkerMessage, tag="failed", frozen=True, kw_only=True):
    """The job cannot be finished here.

    Attributes:
        error: Short name: `generation_failed`, `out_of_memory`, `model_not_available`,
            `input_unreadable`, `upload_failed`, `engine_crashed`.
        message: One sentence for the app's user.
        retryable: Another attempt, perhaps elsewhere, can succeed.
    """

    job_id: str
    attempt: int
    error: str
    message: str
    retryable: bool = True


class Released(WorkerMessage, tag="released", frozen=True, kw_only=True):
    """The worker hands the job back unfinished (it is shutting down); uses up no attempt."""

    job_id: str
    attempt: int


class Heartbeat(WorkerMessage, tag="heartbeat", frozen=True, kw_only=True):
    """Sent every `heartbeat_s`: the worker lives, and so do the leases of all jobs it holds.

    Attributes:
        kept: Models that it has in memory beside the one that it renders with. A server believes
            it of models that it saw the worker deliver jobs for.
        speeds: What it has found out about its speed since it said hello.
    """

    kept: Annotated[tuple[ModelName, ...], msgspec.Meta(max_length=100)] = ()
    speeds: Annotated[tuple[MeasuredSpeed, ...], msgspec.Meta(max_length=100)] = ()


class Draining(WorkerMessage, tag="draining", frozen=True, kw_only=True):
    """The worker takes no new jobs from now on.

    Attributes:
        reason: Why it leaves and will come back by itself, for people to read. Empty: it ends.
    """

    reason: Annotated[str, msgspec.Meta(max_length=500)] = ""


class ServerMessage(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all messages from the server to a worker."""


class Welcome(ServerMessage, tag="welcome", frozen=True, kw_only=True):
    """Answer to `hello`.

    Attributes:
        lease_s: A job is given to another worker when nothing was heard for this long.
        heartbeat_s: How often to send `heartbeat`.
        unknown_models: Ids from `hello` that this grid's catalogue does not list.
        trials: A render with all the defaults of each model that the worker serves and that needs
            no input: by what it can measure itself.
    """

    lease_s: float
    heartbeat_s: float
    unknown_models: tuple[str, ...] = ()
    trials: tuple[AnyRender, ...] = ()


class Download(msgspec.Struct, frozen=True, kw_only=True):
    """An input of a job: GET `url`. `role` is an asset role such as `startingImage`."""

    role: str
    url: str


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """Where a file goes: PUT the bytes to `url` with exactly this `content_type`."""

    url: str
    content_type: str
    max_bytes: int


class Assign(ServerMessage, tag="assign", frozen=True, kw_only=True):
    """Render this job. Not acknowledged: the lease covers a lost assignment.

    Attributes:
        render: What to make.
        deliver_sensitive: Upload the result even if the content filter objects to it. Otherwise
            only `finished` says that there was one.
        inputs: Files to fetch first.
        output: Where the result goes.
        preview: Where previews go, if the app wants any.
        last_frame: Where the last frame of a video goes as a picture, before `finished`; a worker
            that cannot make one leaves it out. None: not a video.
        traceparent: The trace that the app is in, as W3C Trace Context writes it; empty: none.
    """

    job_id: str
    project_id: str
    attempt: int
    render: AnyRender
    deliver_sensitive: bool = False
    inputs: tuple[Download, ...] = ()
    output: Upload
    preview: Upload | None = None
    last_frame: Upload | None = None
    traceparent: str = ""


class Cancel(ServerMessage, tag="cancel", frozen=True, kw_only=True):
    """Stop this job before its next step and forget it; needs no answer."""

    job_id: str
    attempt: int


class Settled(ServerMessage, tag="settled", frozen=True, kw_only=True):
    """The outcome is stored.

    Until this arrives a worker keeps it and sends it again after a reconnect; `accepted` is False
    when an old attempt was refused.
    """

    job_id: str
    attempt: int
    accepted: bool = True


class Drain(ServerMessage, tag="drain", frozen=True, kw_only=True):
    """Finish what you hold and take nothing new."""


AnyWorkerMessage = Hello | Started | Progress | Finished | Failed | Released | Heartbeat | Draining
AnyServerMessage = Welcome | Assign | Cancel | Settled | Drain
