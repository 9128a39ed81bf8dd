"""`GET /v1/explain/{id}`: where a project stands, why, and what it waits for."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Standing = Literal["runnable", "waiting", "impossible", "rendering", "ended"]
"""Where a project or a job stands.

runnable: a worker has room for it, so it starts in a moment. waiting: it runs as soon as what the
reason names has changed. impossible: no worker that this grid knows can ever run it. rendering: a
worker is at it. ended: nothing happens to it any more.
"""

WaitsFor = Literal[
    "no_free_slot",
    "account_limit",
    "model_loading",
    "preferred_worker",
    "another_worker",
    "workers_paused",
    "worker_away",
    "being_stored",
]
"""What something waits for.

no_free_slot: all workers that may have it are busy. account_limit: workers hold as many jobs of the
account as one may have. model_loading: a worker has it, and gets the model ready. preferred_worker:
one that it prefers may soon be free. another_worker: those with room have failed at it.
workers_paused: those that could are paused or finish what they have. worker_away: those that could
are not connected, but were not long ago. being_stored: what was decided is on its way to the disk.
"""


class ExplainPath(msgspec.Struct, frozen=True, kw_only=True):
    """A project of the caller, or one of its jobs.

    Attributes:
        id: The id of the project, or of the job; upper and lower case are the same.
    """

    id: Annotated[str, Meta(extra_json_schema={"format": "uuid"})]


class Missing(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What this grid would need to run it.

    Attributes:
        model: A worker that offers this model,
        network: on this network,
        workers: with one of these names, owners or ids; empty: whichever,
        skipped: and none of these.
    """

    model: str
    network: str
    workers: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()


class Start(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """When the first job of a project should start, in seconds from now.

    Attributes:
        seconds: Most likely.
        earliest_seconds: In eight of ten cases not before this,
        latest_seconds: and not after this, as earlier forecasts came out.
    """

    seconds: float
    earliest_seconds: float
    latest_seconds: float


class Calibration(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How forecasts came out since the server started; the aim is eight of ten.

    Attributes:
        starts: How many projects have started of which a start was foretold.
        within: How many of them did so within the interval that was foretold first.
    """

    starts: int
    within: int


class WhyThere(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Why a job went to the worker that it went to.

    Attributes:
        waited_seconds: How long it was in line.
        model_loaded: The worker had its model loaded.
        idle_workers: How many workers had room then, for whatever model, this one included.
        delivery_rate: The share of its last jobs that the worker delivered.
        pace: The worker's seconds for its model over what is usual. None: nothing is known of it.
    """

    waited_seconds: float
    model_loaded: bool
    idle_workers: int
    delivery_rate: float
    pace: float | None = None


class ExplainedJob(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One job.

    Attributes:
        index: 0, 1, 2, ... within its project.
        state: Where it stands.
        reason: What it waits for. None unless it waits.
        message: The same, or how it ended, as a sentence.
        attempt: How often it was given to a worker.
        failures: How many of these count as failed.
        worker: The worker that has it, or had it last; empty: none yet.
        why_there: Why it went there. None: it did not go anywhere yet.
    """

    job_id: str
    index: int
    state: Standing
    message: str
    reason: WaitsFor | None = None
    attempt: int = 0
    failures: int = 0
    worker: str = ""
    why_there: WhyThere | None = None


class Explanation(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where a project stands, and why.

    Attributes:
        state: That of the job that is furthest; `ended` when all have.
        reason: What it waits for. None unless it waits.
        message: The same as a sentence.
        missing: What would make it possible. None unless it is impossible, or its workers are away.
        queue_position: 1 for the project whose job is next; 0: it does not wait in line.
        start: When its first job should start. None: it has, or nothing was measured yet.
        calibration: How such forecasts came out so far.
        jobs: All of its jobs; of a job that was asked for, that one alone.
    """

    project_id: str
    model: str
    network: str
    state: Standing
    message: str
    reason: WaitsFor | None = None
    missing: Missing | None = None
    queue_position: int = 0
    start: Start | None = None
    calibration: Calibration
    jobs: tuple[ExplainedJob, ...]
