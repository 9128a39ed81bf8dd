"""The life of projects and jobs as two tables. Pure: no I/O, no clock, no imports of dreamgrid.

Nothing else in dreamgrid decides whether a state may follow another. A *project* is what an app
asked for; a *job* is one render of it (one picture of four). What a crash does to each state:

- QUEUED: the row waits in the store; the scheduler finds it again after a restart.
- ASSIGNED, RUNNING: a worker holds a lease. If the worker dies, the lease runs out, the job is
  lost by that worker and queued again under the same id with a higher attempt number.
- COMPLETED, FAILED, CANCELED: final. No arrow leaves; a late message about it is refused.
"""

from enum import StrEnum


class JobState(StrEnum):
    """Where one render stands."""

    QUEUED = "queued"
    ASSIGNED = "assigned"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"


class JobEvent(StrEnum):
    """What can happen to one render."""

    ASSIGN = "assign"  # the scheduler gave it to a worker
    START = "start"  # the worker began to infer
    COMPLETE = "complete"  # the result is stored
    FAIL = "fail"  # the worker gave up, or the attempts are used up
    LOSE = "lose"  # the lease ran out or the worker handed it back
    CANCEL = "cancel"  # the app does not want it any more


class ProjectState(StrEnum):
    """Where a project stands."""

    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"


JOB_TRANSITIONS: dict[JobState, dict[JobEvent, JobState]] = {
    JobState.QUEUED: {
        JobEvent.ASSIGN: JobState.ASSIGNED,
        JobEvent.CANCEL: JobState.CANCELED,
        JobEvent.FAIL: JobState.FAILED,
    },
    JobState.ASSIGNED: {
        JobEvent.START: JobState.RUNNING,
        JobEvent.COMPLETE: JobState.COMPLETED,  # a very short render may report only its end
        JobEvent.FAIL: JobState.FAILED,
        JobEvent.LOSE: JobState.QUEUED,
        JobEvent.CANCEL: JobState.CANCELED,
    },
    JobState.RUNNING: {
        JobEvent.COMPLETE: JobState.COMPLETED,
        JobEvent.FAIL: JobState.FAILED,
        JobEvent.LOSE: JobState.QUEUED,
        JobEvent.CANCEL: JobState.CANCELED,
    },
    JobState.COMPLETED: {},
    JobState.FAILED: {},
    JobState.CANCELED: {},
}

FINAL_JOB_STATES = frozenset(state for state, arrows in JOB_TRANSITIONS.items() if not arrows)
_ALL_QUEUED = {JobState.QUEUED}
FINAL_PROJECT_STATES = frozenset(
    {ProjectState.COMPLETED, ProjectState.FAILED, ProjectState.CANCELED}
)


class ForbiddenTransition(AssertionError):
    """A state was asked to follow an arrow that is not in the table: a bug, not bad input."""


def next_job_state(state: JobState, event: JobEvent) -> JobState:
    """The state that follows `event` in `state`.

    Raises:
        ForbiddenTransition: The table has no such arrow.
    """
    try:
        return JOB_TRANSITIONS[state][event]
    except KeyError:
        raise ForbiddenTransition(f"a {state} job cannot {event}") from None


def may(state: JobState, event: JobEvent) -> bool:
    """Whether the table has an arrow for `event` in `state`."""
    return event in JOB_TRANSITIONS[state]


def project_state(jobs: list[JobState], *, canceled: bool = False) -> ProjectState:
    """The state of a project, derived from those of its jobs (at least one).

    A project is completed when every job has ended and at least one delivered; it failed when
    every job ended and none did.
    """
    if canceled:
        return ProjectState.CANCELED
    states = set(jobs)
    if states <= FINAL_JOB_STATES:
        delivered = JobState.COMPLETED in states
        return ProjectState.COMPLETED if delivered else ProjectState.FAILED
    return ProjectState.QUEUED if states == _ALL_QUEUED else ProjectState.PROCESSING
