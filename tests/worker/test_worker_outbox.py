"""What waits to be sent: order, newest progress, and outcomes until they are settled."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamgrid.protocol.worker import (
    Draining,
    Failed,
    Finished,
    Heartbeat,
    Progress,
    Released,
    RunningJob,
    Started,
    WorkerMessage,
)
from dreamgrid.worker import outbox as outbox_module
from dreamgrid.worker.outbox import Outbox


def progress(step: int, job_id: str = "1", *, preview_ready: bool = False) -> Progress:
    return Progress(job_id=job_id, attempt=1, step=step, step_count=9, preview_ready=preview_ready)


def finished(job_id: str = "1") -> Finished:
    return Finished(
        job_id=job_id, attempt=1, seed=1, steps=9, sha256="0" * 64, size_bytes=1, render_s=1.0
    )


async def sent(outbox: Outbox) -> list[WorkerMessage]:
    """Everything that would be sent now."""
    messages: list[WorkerMessage] = []
    while True:
        following = asyncio.create_task(outbox.next())
        done, _ = await asyncio.wait({following}, timeout=0)
        if not done:
            following.cancel()
            await asyncio.wait({following})
            return messages
        messages.append(following.result())


async def test_only_the_newest_progress_of_each_job_is_kept() -> None:
    outbox = Outbox()
    outbox.post(Started(job_id="1", attempt=1))
    for step in range(1, 9):
        outbox.post(progress(step, "1"))
        outbox.post(progress(step + 1, "2"))
    assert await sent(outbox) == [
        Started(job_id="1", attempt=1),
        progress(8, "1"),
        progress(9, "2"),
    ]


async def test_a_preview_that_nobody_was_told_of_survives_newer_progress() -> None:
    outbox = Outbox()
    outbox.post(progress(3, preview_ready=True))
    outbox.post(progress(4))
    outbox.post(progress(5))
    assert await sent(outbox) == [progress(5, preview_ready=True)]
    outbox.post(progress(6))
    assert await sent(outbox) == [progress(6)]


async def test_no_progress_follows_the_outcome() -> None:
    outbox = Outbox()
    outbox.post(progress(8))
    outbox.post(progress(1, "2"))
    outbox.post(finished())
    assert await sent(outbox) == [finished(), progress(1, "2")]


async def test_heartbeats_do_not_pile_up() -> None:
    outbox = Outbox()
    for _ in range(5):
        outbox.post(Heartbeat())
    assert await sent(outbox) == [Heartbeat()]
    outbox.post(Heartbeat(kept=("one",)))
    outbox.post(Heartbeat(kept=("two",)))
    assert await sent(outbox) == [Heartbeat(kept=("two",))], "what is true now"


async def test_outcomes_come_first_on_a_new_connection_until_they_are_settled() -> None:
    outbox = Outbox()
    outbox.post(finished("1"))
    failed = Failed(job_id="2", attempt=1, error="out_of_memory", message="too large")
    outbox.post(failed)
    assert await sent(outbox) == [finished("1"), failed]
    outbox.post(Draining())
    outbox.begin_connection()
    assert await sent(outbox) == [finished("1"), failed, Draining()]
    outbox.settle("1", 1)
    outbox.settle("2", 2)  # another attempt: says nothing about ours
    outbox.begin_connection()
    assert outbox.unsettled() == (RunningJob(job_id="2", attempt=1),)
    assert await sent(outbox) == [failed]


async def test_a_settled_outcome_that_was_not_sent_yet_is_not_sent() -> None:
    outbox = Outbox()
    outbox.post(finished())
    outbox.settle("1", 1)
    assert await sent(outbox) == []


async def test_it_is_empty_when_all_is_sent_and_settled() -> None:
    outbox = Outbox()
    empty = asyncio.create_task(outbox.wait_empty())
    await empty
    outbox.post(finished())
    outbox.post(progress(1, "2"))
    outbox.settle("9", 1)  # somebody else's
    await sent(outbox)
    empty = asyncio.create_task(outbox.wait_empty())
    assert not (await asyncio.wait({empty}, timeout=0))[0]
    empty.cancel()
    outbox.settle("1", 1)
    await outbox.wait_empty()


async def test_a_server_that_settles_nothing_does_not_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(outbox_module, "MAX_WAITING", 3)
    outbox = Outbox()
    for number in range(5):
        outbox.post(finished(str(number)))
    assert [held.job_id for held in outbox.unsettled()] == ["2", "3", "4"]
    assert "the outcome of job 0 is given up" in caplog.text


@given(
    st.lists(
        st.one_of(
            st.builds(progress, st.integers(1, 9), st.sampled_from("12")),
            st.builds(lambda job_id: Released(job_id=job_id, attempt=1), st.sampled_from("12")),
            st.builds(finished, st.sampled_from("12")),
            st.just(Heartbeat()),
        ),
        max_size=30,
    )
)
def test_nothing_but_progress_and_heartbeats_is_ever_left_out(posts: list[WorkerMessage]) -> None:
    async def run() -> list[WorkerMessage]:
        outbox = Outbox()
        for message in posts:
            outbox.post(message)
        return await sent(outbox)

    kept = [m for m in asyncio.run(run()) if not isinstance(m, Progress | Heartbeat)]
    assert kept == [m for m in posts if not isinstance(m, Progress | Heartbeat)]
