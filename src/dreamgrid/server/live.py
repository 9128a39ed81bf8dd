"""Projects and jobs that have not ended, as the server holds them in memory.

The store is the truth that these can always be rebuilt from (`from_row`). `Projects` and
`Rendering` move them, and only along the arrows of `dreamgrid.states`.
"""

from collections.abc import Mapping
from math import inf
from sys import intern
from types import MappingProxyType

import msgspec

from dreamgrid.protocol.params import Network, TokenType
from dreamgrid.protocol.renders import AnyRender, AudioRender
from dreamgrid.protocol.statuses import ALL_DELIVERED
from dreamgrid.server.bus.base import app_subject, project_subject
from dreamgrid.server.forecasts import Forecast
from dreamgrid.server.prompt_language import Said, recall
from dreamgrid.server.store.base import Choice, JobRow, ProjectRow
from dreamgrid.server.worker_flags import ANYBODY, Targeting
from dreamgrid.states import (
    FINAL_JOB_STATES,
    FINAL_PROJECT_STATES,
    JobEvent,
    JobState,
    ProjectState,
    next_job_state,
    project_state,
)

NO_WORKERS: Mapping[str, int] = MappingProxyType({})
"""Of most jobs nothing is to be remembered of any worker: all of them share this."""

_render = msgspec.json.Decoder(AnyRender)


class AccountLoad(msgspec.Struct, eq=False):
    """What one account occupies, and may occupy.

    Attributes:
        on_workers: Its jobs that workers hold, by id.
        max_running: Most of them. None: as the settings say.
        ahead_ms: How much longer its jobs count as waiting.
    """

    on_workers: dict[str, "LiveJob"] = msgspec.field(default_factory=dict)
    max_running: int | None = None
    ahead_ms: int = 0

    @property
    def running(self) -> int:
        """How many of its jobs workers hold."""
        return len(self.on_workers)

    def note(self, job: "LiveJob") -> None:
        """Takes over whether a worker holds this job."""
        if job.on_worker:
            self.on_workers[job.id] = job
        else:
            self.on_workers.pop(job.id, None)

    def most(self, usual: int) -> int:
        """Most of its jobs that workers may hold at once."""
        return usual if self.max_running is None else self.max_running


class LiveJob(msgspec.Struct, eq=False, kw_only=True):
    """One render.

    Many thousands may wait: until something happens to one, it holds no container of its own.

    Attributes:
        attempt: The fencing number: how often it was assigned.
        failures: How many attempts count as failed; interrupted ones do not.
        lease_until_s: Clock time at which a silent worker loses it.
        run_until_s: Clock time at which its worker loses it, however much it says.
        waits_since_ms: When it came into line; its own time of creation unless it came back.
        settling: A change of it is on the way into the store; nothing else may happen to it.
        assigning: What is on the way into the store is that a worker gets it; nobody is told yet.
        ending: The final state that is on the way into the store.
        in_line: `WaitingJobs` has it; jobs that no longer wait stay there until they come up.
        previewed: A preview can be fetched.
        last_frame: The last frame of its video can be fetched; not stored, its file tells.
        ends_at_s: Clock time at which its worker expects to be done. None: not said.
        eta_told_s: Clock time at which its app was last told that.
        failed_on: Ids of workers that had it and did not deliver; others are asked first.
        back_at_ms: Worker id to when it may get it again, where that handed it back.
        shares: It is rendered in one pass with others.
        suspect: Its worker vanished at work on it, and may have been killed by it.
        suspected_at: Worker id to the attempt that counts as failed because of that.
        choice: Why it went to the worker that holds it.
        delivered_before: How many jobs that worker had delivered by then.
        message: Why it failed, in words; not stored.
        sensitive: What the content filter objected to: `image`, `prompt`; empty for nothing.
        withheld: It was made, but is not delivered because of that.
        removed: Its account removed what it had delivered.
        handed_out_s: Clock time at which its worker got it.
        reported_s: Clock time at which its worker said that it is done.
        charged_micros: What was posted for it.
    """

    id: str
    project: "LiveProject"
    index: int
    render: AnyRender
    price_micros: int
    created_ms: int
    state: JobState = JobState.QUEUED
    attempt: int = 0
    failures: int = 0
    worker_id: str = ""
    worker_name: str = ""
    lease_until_s: float = 0.0
    run_until_s: float = inf
    waits_since_ms: int = 0
    step: int = 0
    step_count: int = 0
    in_line: bool = False
    previewed: bool = False
    last_frame: bool = False
    ends_at_s: float | None = None
    eta_told_s: float = 0.0
    failed_on: frozenset[str] = frozenset()
    back_at_ms: Mapping[str, int] = NO_WORKERS
    shares: bool = False
    suspect: bool = False
    suspected_at: Mapping[str, int] = NO_WORKERS
    settling: bool = False
    assigning: bool = False
    ending: JobState | None = None
    seed: int | None = None
    steps: int = 0
    sha256: str | None = None
    sensitive: tuple[str, ...] = ()
    withheld: bool = False
    removed: bool = False
    handed_out_s: float = 0.0
    reported_s: float = 0.0
    charged_micros: int = 0
    choice: Choice | None = None
    delivered_before: int = 0
    message: str = ""
    reason: str | None = None
    started_ms: int | None = None
    ended_ms: int | None = None

    def __post_init__(self) -> None:
        self.waits_since_ms = self.created_ms

    def move(self, event: JobEvent) -> None:
        """Follows an arrow of the state table."""
        self.state = next_job_state(self.state, event)
        self.project.load.note(self)

    @property
    def ended(self) -> bool:
        """Whether nothing can happen to it any more."""
        return self.state in FINAL_JOB_STATES

    @property
    def on_worker(self) -> bool:
        """Whether a worker holds it."""
        return self.state is JobState.ASSIGNED or self.state is JobState.RUNNING


class LiveProject(msgspec.Struct, eq=False, kw_only=True):
    """What an app asked for.

    Attributes:
        request: The job request as the app sent it.
        disable_safety: Its app wants results that the content filter objects to.
        origin: Begins the URLs that its app receives.
        key_id: The API key that it was submitted with. None: a sign-in.
        targeting: Which workers it wants; what the flags in its prompt say.
        dynamic: Its jobs have prompts of their own, which its app is told.
        load: What its account occupies, shared by all open projects of the account.
        stored: Whether the store has confirmed it; before that nobody is told about it.
        cancel_message: Who else canceled it and why, as a sentence; empty where its app did.
        canceling: A cancel is on the way into the store; its app is told no more of its renders,
            except that one was lost.
        told_position: The last queue position that was sent.
        told_at_s: Clock time of that.
        told_starts_at_s: When it was told to start. None: it was not told a time.
        told_reason: Why it waits, as it was told then.
        noticed_reason: The same, as those were told who follow nothing but the reasons.
        starts_at_s: Clock time at which its first job should start. None: nobody can tell.
        starts_between_s: The interval around it in which it starts in eight of ten cases.
        forecast: The first forecast of that, until it starts.
        subject: Where its app listens.
        watch_subject: Where those listen who watch it alone.
        also_told: Where other apps of the account listen that sent the same request.
    """

    id: str
    account_id: str
    app_id: str
    model: str
    network: Network
    token_type: TokenType
    origin: str
    request: bytes
    width: int
    height: int
    steps: int
    previews: int
    output_format: str
    disable_safety: bool
    hold_micros: int
    created_ms: int
    charged_micros: int = 0
    key_id: str | None = None
    targeting: Targeting = ANYBODY
    dynamic: bool = False
    jobs: list[LiveJob] = msgspec.field(default_factory=list)
    load: AccountLoad = msgspec.field(default_factory=AccountLoad)
    stored: bool = False
    cancel_message: str = ""
    canceling: bool = False
    canceled: bool = False
    reason: str | None = None
    ended_ms: int | None = None
    told_position: int = 0
    told_at_s: float = 0.0
    told_starts_at_s: float | None = None
    told_reason: str = ""
    noticed_reason: str = ""
    starts_at_s: float | None = None
    starts_between_s: tuple[float, float] = (0.0, 0.0)
    forecast: Forecast | None = None
    subject: str = ""
    watch_subject: str = ""
    also_told: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.subject = app_subject(self.account_id, self.app_id)
        self.watch_subject = project_subject(self.id)

    @property
    def state(self) -> ProjectState:
        """Derived from the jobs."""
        return project_state([job.state for job in self.jobs], canceled=self.canceled)

    @property
    def waiting(self) -> bool:
        """Whether no job of it is on a worker and at least one is queued, as far as is stored."""
        waits = False
        for job in self.jobs:
            if job.assigning or job.state is JobState.QUEUED:
                waits = True
            elif job.on_worker:
                return False
        return waits


def extent_of(render: AnyRender) -> tuple[int, int]:
    """Width and height in pixels; sound has none."""
    return (0, 0) if isinstance(render, AudioRender) else (render.width, render.height)


def end_reason(state: ProjectState, job_reason: str) -> str | None:
    """Why a project ended, when it did."""
    if state not in FINAL_PROJECT_STATES:
        return None
    return ALL_DELIVERED if state is ProjectState.COMPLETED else job_reason


def to_row(project: LiveProject) -> ProjectRow:
    """A new project as the store takes it."""
    return ProjectRow(
        id=project.id,
        account_id=project.account_id,
        app_id=project.app_id,
        model=project.model,
        network=project.network,
        token_type=project.token_type,
        origin=project.origin,
        request=project.request,
        state=project.state,
        width=project.width,
        height=project.height,
        steps=project.steps,
        previews=project.previews,
        output_format=project.output_format,
        disable_safety=project.disable_safety,
        hold_micros=project.hold_micros,
        key_id=project.key_id,
        created_ms=project.created_ms,
        updated_ms=project.created_ms,
        jobs=tuple(
            JobRow(
                id=job.id,
                project_id=project.id,
                index=job.index,
                state=job.state,
                render=msgspec.json.encode(job.render),
                price_micros=job.price_micros,
                created_ms=job.created_ms,
            )
            for job in project.jobs
        ),
    )


def from_row(row: ProjectRow) -> LiveProject:
    """A project as it was stored; thousands share the words that are the same in most."""
    said = recall(row.request, row.network) if row.ended_ms is None else Said()
    project = LiveProject(
        id=row.id,
        account_id=intern(row.account_id),
        app_id=intern(row.app_id),
        model=intern(row.model),
        network=row.network,
        token_type=row.token_type,
        origin=intern(row.origin),
        request=row.request,
        width=row.width,
        height=row.height,
        steps=row.steps,
        previews=row.previews,
        output_format=intern(row.output_format),
        disable_safety=row.disable_safety,
        hold_micros=row.hold_micros,
        key_id=row.key_id,
        created_ms=row.created_ms,
        charged_micros=row.charged_micros,
        targeting=said.targeting,
        dynamic=said.dynamic,
        stored=True,
        canceled=row.state is ProjectState.CANCELED,
        reason=row.reason,
        cancel_message=row.cancel_message,
        ended_ms=row.ended_ms,
    )
    project.jobs = [_job_from_row(project, job) for job in row.jobs]
    return project


def _job_from_row(project: LiveProject, row: JobRow) -> LiveJob:
    job = LiveJob(
        id=row.id,
        project=project,
        index=row.index,
        render=_render.decode(row.render),
        price_micros=row.price_micros,
        created_ms=row.created_ms,
    )
    if row.attempt or row.ended_ms is not None:  # else it waits, and all the rest is to come
        job.state = row.state
        job.attempt = row.attempt
        job.failures = row.failures
        job.worker_id = row.worker_id
        job.worker_name = row.worker_name
        job.seed = row.seed
        job.steps = row.steps
        job.sha256 = row.sha256
        job.sensitive = tuple(row.sensitive.split())
        job.withheld = row.withheld
        job.removed = row.removed
        job.charged_micros = row.charged_micros
        job.reason = row.reason
        job.started_ms = row.started_ms
        job.ended_ms = row.ended_ms
    return job


def ids_of(job: LiveJob) -> dict[str, str | int]:
    """What a line of the log says of a job, for programs."""
    return {
        "project_id": job.project.id,
        "job_id": job.id,
        "attempt": job.attempt,
        "worker_id": job.worker_id,
        "account_id": job.project.account_id,
    }
