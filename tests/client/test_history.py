"""Whatever frames come, in whatever order and however often, a project tells one sane story."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dreamgrid
from dreamgrid.client.event_log import MAX_KEPT, EventLog
from dreamgrid.client.history import Found, History
from dreamgrid.client.job import Job
from dreamgrid.client.results import Image, Result
from dreamgrid.protocol import socket
from dreamgrid.protocol.params import ImageParams
from dreamgrid.states import FINAL_JOB_STATES, JobState
from tests.client import stub as wire
from tests.client.stub import JOB_A, JOB_B

P = "EEEEEEEE-EEEE-4EEE-8EEE-EEEEEEEEEEEE"
JOBS = st.sampled_from([JOB_A, JOB_B, "FFFFFFFF-FFFF-4FFF-8FFF-FFFFFFFFFFFF"])


PARAMS = ImageParams(model="m", prompt="x", count=2)


def make_image(job: Job[Result], found: Found) -> Image:
    return Image(
        None,  # type: ignore[arg-type]
        project_id=P,
        params=PARAMS,
        job_id=job.id,
        index=job.index,
        seed=job.seed,
        content_type="image/png",
        url=found.url,
    )


def history() -> History:
    return History(P, PARAMS, make_image)


def retry(job_id: str, attempt: int) -> socket.JobRetry:
    return socket.JobRetry(
        project_id=P,
        job_id=job_id,
        job_index=0,
        attempt=attempt,
        max_attempts=3,
        is_from_worker=True,
        error="genfailure",
        error_message="",
    )


Fold = tuple[Any, Any]
FOLDS: st.SearchStrategy[Fold] = st.one_of(
    st.builds(lambda n: (History.on_state, wire.queued(P, n)), st.integers(0, 3)),
    st.builds(
        lambda job, index: (History.on_state, wire.initiating(P, job, index)),
        JOBS,
        st.integers(0, 1),
    ),
    st.builds(
        lambda job, index: (History.on_state, wire.started(P, job, index)), JOBS, st.integers(0, 1)
    ),
    st.builds(
        lambda job, step: (History.on_progress, wire.progress(P, step, job)),
        JOBS,
        st.integers(-1, 25),
    ),
    st.builds(lambda job: (History.on_result, wire.result(P, job)), JOBS),
    st.builds(lambda job, n: (History.on_retry, retry(job, n)), JOBS, st.integers(0, 3)),
    st.builds(
        lambda job, code: (History.on_error, wire.failed(P, code, "words", job)),
        st.one_of(st.none(), JOBS),
        st.sampled_from(["genfailure", "artistCanceled", 4003, 1001, "4104"]),
    ),
    st.just((History.on_state, wire.completed(P))),
    st.builds(
        lambda yes: (
            History.on_cancel_answer,
            socket.CancelConfirmation(project_id=P, did_cancel=yes),
        ),
        st.booleans(),
    ),
    st.builds(
        lambda status, job: (
            History.on_record,
            wire.record(P, status, completed_jobs=(wire.job_record(P, "jobCompleted", job),)),
        ),
        st.sampled_from(["queued", "processing", "completed", "failed", "canceled"]),
        JOBS,
    ),
    st.just((lambda told, _: told.on_reconnect(), None)),
)


async def story(told: History) -> list[dreamgrid.Event]:
    if not told.finished:
        told.log.end()
    return [event async for event in told.log.read()]


@given(folds=st.lists(FOLDS, max_size=40))
def test_any_frames_in_any_order_keep_the_story_sane(folds: list[Fold]) -> None:
    told = history()
    ended: tuple[Any, ...] | None = None
    for fold, frame in folds:
        before = {job.id: job.state for job in told.jobs.values()}
        fold(told, frame)
        for job_id, state in before.items():
            if state in FINAL_JOB_STATES:
                assert told.jobs[job_id].state is state, "a final state was left"
        now = (told.state, told.results, str(told.error))
        assert ended in (None, now), "something happened after the end"
        ended = now if told.finished else None

    assert len(told.jobs) <= 2
    for job in told.jobs.values():
        assert 0 <= job.fraction <= 1
        assert (job.result is not None) == (job.state is JobState.COMPLETED)
    events = asyncio.run(story(told))
    count = Counter(type(event).__name__ for event in events)
    assert count["Completed"] + count["Failed"] + count["Canceled"] == int(told.finished)
    assert count["JobCompleted"] == len(told.results)
    if told.finished:
        assert type(events[-1]).__name__ in {"Completed", "Failed", "Canceled"}


@given(folds=st.lists(FOLDS, max_size=30))
def test_every_frame_twice_is_the_same_as_once(folds: list[Fold]) -> None:
    once, twice = history(), history()
    for fold, frame in folds:
        fold(once, frame)
        fold(twice, frame)
        fold(twice, frame)

    def gist(events: list[dreamgrid.Event]) -> list[str]:
        return [str(event) for event in events]

    assert gist(asyncio.run(story(once))) == gist(asyncio.run(story(twice)))
    assert once.state == twice.state


def test_indexes_that_were_guessed_are_corrected_by_the_record() -> None:
    told = history()
    told.on_result(wire.result(P, JOB_B))
    told.on_record(
        wire.record(
            P,
            "completed",
            completed_jobs=(
                wire.job_record(P, "jobCompleted", JOB_A, job_index=0),
                wire.job_record(P, "jobCompleted", JOB_B, job_index=1),
            ),
        )
    )
    assert [image.job_id for image in told.results] == [JOB_A, JOB_B]


async def test_a_server_that_sends_events_without_end_is_left() -> None:
    told = History(P, ImageParams(model="m", count=2), make_image)
    for attempt in range(1, MAX_KEPT + 2):
        told.on_state(wire.started(P))
        told.on_retry(retry(JOB_A, attempt))
    assert isinstance(told.error, dreamgrid.ProtocolError)
    with pytest.raises(dreamgrid.ProtocolError):
        [event async for event in told.log.read()]


async def test_readers_of_a_log_do_not_disturb_each_other() -> None:
    log = EventLog()
    first, second = log.read(), log.read()
    log.append(dreamgrid.Canceled(project_id="1"))
    assert (await anext(first)).project_id == "1"
    log.replace("k", dreamgrid.Canceled(project_id="2"))
    log.replace("k", dreamgrid.Canceled(project_id="3"))
    log.append(dreamgrid.Canceled(project_id="4"))
    log.end()
    assert [event.project_id async for event in first] == ["3", "4"]
    assert [event.project_id async for event in second] == ["1", "3", "4"]
