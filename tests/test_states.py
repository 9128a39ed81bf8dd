"""The tables of states: every pair of state and event, and what a project's jobs make of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamgrid.states import (
    FINAL_JOB_STATES,
    FINAL_PROJECT_STATES,
    JOB_TRANSITIONS,
    ForbiddenTransition,
    JobEvent,
    JobState,
    ProjectState,
    may,
    next_job_state,
    project_state,
)

ARROWS = """
queued    assign    assigned
queued    cancel    canceled
queued    fail      failed
assigned  start     running
assigned  complete  completed
assigned  fail      failed
assigned  lose      queued
assigned  cancel    canceled
running   complete  completed
running   fail      failed
running   lose      queued
running   cancel    canceled
"""
"""The table once more, written by hand: whoever changes it must mean it."""

EXPECTED = {
    (JobState(state), JobEvent(event)): JobState(after)
    for state, event, after in (line.split() for line in ARROWS.split("\n") if line)
}
EVERY_PAIR = [(state, event) for state in JobState for event in JobEvent]

job_states = st.sampled_from(list(JobState))
jobs_of_a_project = st.lists(job_states, min_size=1, max_size=6)


@pytest.mark.parametrize(("state", "event"), EVERY_PAIR)
def test_an_event_leads_where_the_table_says_or_is_refused(
    state: JobState, event: JobEvent
) -> None:
    after = EXPECTED.get((state, event))
    assert may(state, event) is (after is not None)
    if after is not None:
        assert next_job_state(state, event) is after
    else:
        with pytest.raises(ForbiddenTransition, match=f"a {state} job cannot {event}"):
            next_job_state(state, event)


def test_every_state_has_its_row() -> None:
    assert set(JOB_TRANSITIONS) == set(JobState)


def test_final_states_are_exactly_those_without_an_arrow() -> None:
    assert sorted(FINAL_JOB_STATES) == [JobState.CANCELED, JobState.COMPLETED, JobState.FAILED]
    assert ProjectState.QUEUED not in FINAL_PROJECT_STATES
    assert ProjectState.PROCESSING not in FINAL_PROJECT_STATES


def test_every_state_can_be_reached_from_queued() -> None:
    reached = {JobState.QUEUED}
    while more := {EXPECTED[pair] for pair in EXPECTED if pair[0] in reached} - reached:
        reached |= more
    assert reached == set(JobState)


@pytest.mark.parametrize("state", sorted(set(JobState) - FINAL_JOB_STATES))
@pytest.mark.parametrize("event", [JobEvent.CANCEL, JobEvent.FAIL])
def test_a_job_can_be_ended_at_any_time_before_its_end(state: JobState, event: JobEvent) -> None:
    assert next_job_state(state, event) in FINAL_JOB_STATES


@given(jobs_of_a_project)
def test_a_canceled_project_is_canceled_whatever_its_jobs_did(jobs: list[JobState]) -> None:
    assert project_state(jobs, canceled=True) is ProjectState.CANCELED


@given(jobs_of_a_project)
def test_a_project_has_ended_exactly_when_all_of_its_jobs_have(jobs: list[JobState]) -> None:
    all_ended = all(job in FINAL_JOB_STATES for job in jobs)
    assert (project_state(jobs) in FINAL_PROJECT_STATES) is all_ended


@given(st.lists(st.sampled_from(sorted(FINAL_JOB_STATES)), min_size=1, max_size=6))
def test_an_ended_project_is_completed_exactly_when_a_job_delivered(jobs: list[JobState]) -> None:
    delivered = JobState.COMPLETED in jobs
    assert project_state(jobs) is (ProjectState.COMPLETED if delivered else ProjectState.FAILED)


@given(jobs_of_a_project)
def test_a_project_is_queued_exactly_when_all_of_its_jobs_are(jobs: list[JobState]) -> None:
    all_queued = set(jobs) == {JobState.QUEUED}
    assert (project_state(jobs) is ProjectState.QUEUED) is all_queued


@given(jobs_of_a_project)
def test_the_order_of_the_jobs_does_not_matter(jobs: list[JobState]) -> None:
    assert project_state(sorted(jobs)) is project_state(jobs)


@given(st.integers(1, 4), st.data())
def test_no_sequence_of_events_un_ends_a_project(count: int, data: st.DataObject) -> None:
    jobs = [JobState.QUEUED] * count
    ended: ProjectState | None = None
    for _ in range(12):
        index = data.draw(st.integers(0, count - 1))
        event = data.draw(st.sampled_from(list(JobEvent)))
        if may(jobs[index], event):
            jobs[index] = next_job_state(jobs[index], event)
        if ended is not None:
            assert project_state(jobs) is ended
        elif project_state(jobs) in FINAL_PROJECT_STATES:
            ended = project_state(jobs)
