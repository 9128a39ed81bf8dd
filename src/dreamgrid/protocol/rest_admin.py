"""Bodies of the endpoints under `/v1/admin`, for administrators of a grid."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

_Reason = Annotated[str, Meta(max_length=500)]
_Name = Annotated[str, Meta(min_length=1, max_length=200)]
_Most = Annotated[int, Meta(ge=0, le=1_000_000)]


class _Body(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Base of all of them; unknown fields are ignored."""


class PageQuery(_Body, frozen=True, kw_only=True):
    """Which part of a list.

    Attributes:
        limit: Most of the answer.
        offset: How many to leave out.
        search: Accounts: only those whose name contains this.
    """

    limit: Annotated[int, Meta(ge=1, le=500)] = 100
    offset: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 0
    search: str = ""


class Limits(_Body, frozen=True, kw_only=True):
    """Limits of one account; absent: as the server's settings say.

    Attributes:
        max_running_jobs: Most of its jobs that workers hold at once. 0: it is not rendered for.
        max_queued_projects: Most of its unfinished projects. 0: it cannot submit any.
        priority: How many minutes longer its jobs count as waiting; less than 0: shorter.
    """

    max_running_jobs: _Most | None = None
    max_queued_projects: _Most | None = None
    priority: Annotated[int, Meta(ge=-60, le=60)] = 0


class NewLimits(Limits, frozen=True, kw_only=True):
    """Body of `PUT /v1/admin/accounts/:username/limits`."""

    reason: _Reason = ""


class AccountPath(_Body, frozen=True, kw_only=True):
    """An account, by its name."""

    username: str


class AccountEntry(_Body, frozen=True, kw_only=True):
    """An account; amounts are decimal strings of what it can spend.

    Attributes:
        create_time: In milliseconds since 1970.
        banned_reason: Why it is banned. Absent: it is not.
    """

    username: str
    create_time: int
    spark: str
    sogni: str
    limits: Limits
    banned_reason: str | None = None


class AccountEntries(_Body, frozen=True, kw_only=True):
    """`GET /v1/admin/accounts`, by name."""

    accounts: tuple[AccountEntry, ...]


class NewRefund(_Body, frozen=True, kw_only=True):
    """Body of `POST /v1/admin/refunds`: a project, or one job of it."""

    project_id: _Name
    job_id: str | None = None
    reason: _Reason = ""


class RefundAnswer(_Body, frozen=True, kw_only=True):
    """What was given back now. No jobs: nothing was charged, or it was refunded before."""

    jobs: int
    amount: str
    token_type: str


class WorkerEntry(_Body, frozen=True, kw_only=True):
    """A connected worker, or one that said why it left for a while.

    Attributes:
        slots: How many jobs it holds at a time; 0 while it is away.
        state: `working`; `draining`: it takes no new jobs and leaves; `resting`: it failed at many
            jobs in a row and gets none for a while; `paused`: by an administrator; `away`: its
            owner lets it rest.
        paused_reason: Why it is paused, has to rest, or is away; the last in its own words.
    """

    id: str
    name: str
    owner: str
    network: str
    models: tuple[str, ...]
    slots: int
    jobs: tuple[str, ...]
    state: Literal["working", "draining", "resting", "paused", "away"]
    paused_reason: str | None = None


class WorkerEntries(_Body, frozen=True, kw_only=True):
    """`GET /v1/admin/workers`.

    Attributes:
        workers: Those that are connected.
        away: Those that left to rest and said why, as their owners' hours want it.
    """

    workers: tuple[WorkerEntry, ...]
    away: tuple[WorkerEntry, ...] = ()


class WorkerOrder(_Body, frozen=True, kw_only=True):
    """Body of `POST /v1/admin/workers`.

    Attributes:
        worker: Its id or its name.
        action: `pause`: it gets no jobs until `resume`, also when it comes back. `drain`: it gets
            none until it connects again.
    """

    worker: _Name
    action: Literal["pause", "resume", "drain"]
    reason: _Reason = ""


class OpenProject(_Body, frozen=True, kw_only=True):
    """A project of anybody that has not ended.

    Attributes:
        jobs: How many it has; of these `running` are on workers and `done` have ended.
        create_time: In milliseconds since 1970.
        starts_in_s: When its first job should start. Absent: it has, or nobody can tell.
        reason: Why jobs of it wait, in words. Absent: none does.
    """

    id: str
    username: str
    model_id: str
    jobs: int
    running: int
    done: int
    create_time: int
    starts_in_s: float | None = None
    reason: str | None = None


class OpenProjects(_Body, frozen=True, kw_only=True):
    """`GET /v1/admin/projects`, oldest first; `total` counts those beyond the page too."""

    projects: tuple[OpenProject, ...]
    total: int


class ActivityQuery(_Body, frozen=True, kw_only=True):
    """How far back, in minutes; the answer has about sixty parts."""

    minutes: Annotated[int, Meta(ge=1, le=7 * 24 * 60)] = 60


class ActivityPart(_Body, frozen=True, kw_only=True):
    """What ended within a part of the time.

    Attributes:
        time: When the part began, in milliseconds since 1970.
        completed: Jobs that were delivered.
        failed: Jobs that were not.
        waited_s: How long the delivered ones waited until they were rendered, on average.
        rendered_s: How long that took, on average. Absent: none was delivered.
        spark: What was charged, a decimal string.
    """

    time: int
    completed: int
    failed: int
    spark: str
    waited_s: float | None = None
    rendered_s: float | None = None


class Activity(_Body, frozen=True, kw_only=True):
    """`GET /v1/admin/activity`, oldest first; parts in which nothing ended are left out.

    Attributes:
        since: When the first part began, in milliseconds since 1970.
        part_s: How long each part is, in seconds.
    """

    parts: tuple[ActivityPart, ...]
    since: int
    part_s: int


class JobPath(_Body, frozen=True, kw_only=True):
    """A job of anybody."""

    job_id: str


class AnyProjectPath(_Body, frozen=True, kw_only=True):
    """A project of anybody."""

    project_id: str


class Because(_Body, frozen=True, kw_only=True):
    """Why."""

    reason: _Reason = ""


class NewBan(_Body, frozen=True, kw_only=True):
    """Body of `POST /v1/admin/bans`.

    Attributes:
        kind: `account`: its credentials are refused everywhere. `app`: no app of anybody connects
            with this app id.
        target: The account's name, or the app id.
        lift: End the ban instead.
    """

    kind: Literal["account", "app"]
    target: _Name
    reason: _Reason = ""
    lift: bool = False


class Ban(_Body, frozen=True, kw_only=True):
    """A banned account, a blocked app id, or a paused worker."""

    kind: Literal["account", "app", "worker"]
    target: str
    reason: str
    time: int


class Bans(_Body, frozen=True, kw_only=True):
    """`GET /v1/admin/bans`."""

    bans: tuple[Ban, ...]


class ActionEntry(_Body, frozen=True, kw_only=True):
    """Something that an administrator did: who, when (milliseconds), what, to whom, and why."""

    id: int
    time: int
    actor: str
    action: str
    target: str
    detail: str = ""
    reason: str = ""


class ActionEntries(_Body, frozen=True, kw_only=True):
    """`GET /v1/admin/actions`, newest first."""

    actions: tuple[ActionEntry, ...]


class MediaUsage(_Body, frozen=True, kw_only=True):
    """What the media store holds.

    Attributes:
        files: Results, previews and inputs.
        size_bytes: Their lengths together.
        free_bytes: What still fits. Absent: unknown.
    """

    files: int
    size_bytes: int
    free_bytes: int | None = None


class GridHealth(_Body, frozen=True, kw_only=True):
    """`GET /v1/admin/health`.

    Attributes:
        version: Of dreamgrid.
        since: When the server was started, in milliseconds since 1970.
        workers: Connected now.
        projects: That have not ended.
        waiting: Jobs that no worker has yet.
        media: What is stored.
    """

    version: str
    since: int
    workers: int
    projects: int
    waiting: int
    media: MediaUsage


class AuditFinding(_Body, frozen=True, kw_only=True):
    """Something in the books that cannot be.

    Attributes:
        check: Which rule is broken.
        rows: What it is about.
        message: What is wrong, with the numbers.
        advice: What to do about it.
    """

    check: str
    rows: tuple[str, ...]
    message: str
    advice: str


class AuditReport(_Body, frozen=True, kw_only=True):
    """`GET /v1/admin/audit`: of one moment, however long it took.

    Attributes:
        clean: Nothing was found.
        time: When it was done, in milliseconds since 1970.
        took_s: How long it took.
        counted: How many rows of each kind were looked at.
        findings: What is wrong.
    """

    clean: bool
    time: int
    took_s: float
    counted: dict[str, int]
    findings: tuple[AuditFinding, ...]
