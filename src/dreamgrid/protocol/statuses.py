"""How the states of projects and jobs are spelled in records, and back. Source: `rest.md` 2.

Our own names of states are those of `dreamgrid.states`.
"""

PROJECT_STATUS = {
    "queued": "queued",
    "processing": "progress",
    "completed": "completed",
    "failed": "errored",
    "canceled": "cancelled",
}
"""Raw words of `v1/projects/:id` and of recovery, by state; `v2` speaks the SDKs' words, ours."""

PROJECT_STATE = {word: state for state, word in PROJECT_STATUS.items()} | {
    "pending": "queued",
    "authorized": "queued",
    "active": "queued",
    "assigned": "processing",
    **{state: state for state in PROJECT_STATUS},
}
"""The state behind a word of either kind."""

JOB_DELIVERED = "jobCompleted"
JOB_FAILED = "jobError"

JOB_STATUS = {
    "queued": "queued",
    "assigned": "initiatingModel",
    "running": "jobProgress",
    "completed": JOB_DELIVERED,
    "failed": JOB_FAILED,
    "canceled": JOB_FAILED,
}
"""Words of jobs, by state. A canceled job is told from a failed one by its reason."""

JOB_STATE = {
    "created": "queued",
    "queued": "queued",
    "assigned": "assigned",
    "initiatingModel": "assigned",
    "jobStarted": "running",
    "jobProgress": "running",
    JOB_DELIVERED: "completed",
    JOB_FAILED: "failed",
}
"""The state behind a word, as far as the word alone says it."""

ALL_DELIVERED = "allJobsCompleted"
"""Why a project is completed."""
