"""The log of a project: every change of state once, in order, with the change itself."""

import asyncio

import msgspec

from dreamgrid.server.store.base import EventKind, EventRow, ProjectRow, Store
from dreamgrid.states import JobState, ProjectState
from tests.support.stores import NOW, acquisition, end, new_id, project


async def log(store: Store, row: ProjectRow) -> list[EventRow]:
    return await store.events(row.id, 0)


async def submitted(store: Store, *prices: int) -> ProjectRow:
    row = project(*prices)
    await store.submit(row)
    return row


async def kinds(store: Store, row: ProjectRow) -> list[EventKind]:
    return [event.kind for event in await log(store, row)]


async def test_the_life_of_a_project_is_told_from_its_first_event_to_its_last(
    store: Store,
) -> None:
    row = await submitted(store, 10)
    (job,) = row.jobs
    await store.acquire([acquisition(job)], NOW + 1)
    await store.start(job.id, 1, NOW + 2)
    await store.requeue(job.id, 1, failures=1, reason="lost", at_ms=NOW + 3)
    await store.acquire([acquisition(job, attempt=2, worker="W2")], NOW + 4)
    await store.end_job(end(job, attempt=2, project_state=ProjectState.COMPLETED, at_ms=NOW + 5))
    events = await log(store, row)
    assert [event.kind for event in events] == [
        EventKind.QUEUED,
        EventKind.ASSIGNED,
        EventKind.STARTED,
        EventKind.RETRIED,
        EventKind.ASSIGNED,
        EventKind.JOB_COMPLETED,
        EventKind.COMPLETED,
    ]
    assert [event.number for event in events] == [1, 2, 3, 4, 5, 6, 7]
    assert [event.at_ms - NOW for event in events] == [0, 1, 2, 3, 4, 5, 5]
    assert [event.job_id for event in events] == [None, *[job.id] * 5, None]
    told = events[5].details
    assert (told["index"], told["attempt"], told["seed"], told["steps"]) == (0, 2, 42, 8)
    assert events[4].details["worker"] == "W2!"
    assert events[3].details["reason"] == "lost"


async def test_a_reader_goes_on_after_what_it_knows(store: Store) -> None:
    row = await submitted(store, 10)
    await store.acquire([acquisition(row.jobs[0])], NOW)
    await store.start(row.jobs[0].id, 1, NOW)
    assert [event.number for event in await store.events(row.id, 1)] == [2, 3]
    assert [event.number for event in await store.events(row.id, 1, most=1)] == [2]
    assert await store.events(row.id, 3) == []


async def test_what_is_refused_leaves_no_event(store: Store) -> None:
    row = await submitted(store, 10)
    (job,) = row.jobs
    await store.acquire([acquisition(job)], NOW)
    before = await log(store, row)
    await store.acquire([acquisition(job, worker="W2")], NOW)
    await store.start(job.id, 7, NOW)
    await store.requeue(job.id, 7, failures=1, reason="lost", at_ms=NOW)
    await store.end_job(end(job, attempt=7))
    await store.submit(row)
    assert await log(store, row) == before
    too_dear = await submitted(store, 10**9)
    assert await log(store, too_dear) == []


async def test_a_failed_and_a_withheld_job_say_so(store: Store) -> None:
    row = await submitted(store, 10, 10)
    await store.acquire([acquisition(job) for job in row.jobs], NOW)
    await store.end_job(end(row.jobs[0], JobState.FAILED))
    withheld = end(row.jobs[1], project_state=ProjectState.COMPLETED)
    await store.end_job(
        msgspec.structs.replace(withheld, sensitive="image prompt", withheld=True, charge=False)
    )
    failed, kept_back, last = (await log(store, row))[-3:]
    assert (failed.kind, failed.details["reason"]) == (EventKind.JOB_FAILED, "genfailure")
    assert "seed" not in failed.details
    assert kept_back.details["withheld"] is True
    assert kept_back.details["sensitive"] == ["image", "prompt"]
    assert last.kind is EventKind.COMPLETED


async def test_a_cancel_is_the_last_event(store: Store) -> None:
    row = await submitted(store, 10, 10)
    await store.cancel(row.id, "artistCanceled", NOW + 9, claimed=True)
    await store.cancel(row.id, "artistCanceled", NOW + 9, claimed=True)
    assert await kinds(store, row) == [EventKind.QUEUED, EventKind.CANCELED]


async def test_who_else_canceled_a_project_stands_in_its_log_and_row(store: Store) -> None:
    row, own = await submitted(store, 10), await submitted(store, 10)
    await store.cancel(row.id, "artistCanceled", NOW, claimed=False, message="by somebody")
    await store.cancel(own.id, "artistCanceled", NOW, claimed=True)
    assert [(await log(store, one))[-1].details for one in (row, own)] == [
        {"reason": "artistCanceled", "message": "by somebody"},
        {"reason": "artistCanceled"},
    ]
    found = [await store.project(one.id) for one in (row, own)]
    assert [one and one.cancel_message for one in found] == ["by somebody", ""]


async def test_logs_of_projects_are_apart(store: Store) -> None:
    one, two = await submitted(store, 1), await submitted(store, 1)
    await store.acquire([acquisition(two.jobs[0])], NOW)
    assert await kinds(store, one) == [EventKind.QUEUED]
    assert [event.number for event in await log(store, two)] == [1, 2]
    assert await store.events(new_id(), 0) == []


async def test_the_log_of_a_forgotten_project_is_forgotten(store: Store) -> None:
    row = await submitted(store, 10)
    await store.cancel(row.id, "artistCanceled", NOW, claimed=True)
    assert await store.prune(NOW + 1) == 1
    assert await log(store, row) == []


async def test_changes_that_arrive_together_are_numbered_without_gaps(store: Store) -> None:
    count = 50
    row = await submitted(store, *[1] * count)
    await store.acquire([acquisition(job) for job in row.jobs], NOW)
    await asyncio.gather(
        *(store.start(job.id, 1, NOW) for job in row.jobs),
        *(store.end_job(end(job)) for job in row.jobs[:-1]),
    )
    events = await log(store, row)
    assert [event.number for event in events] == list(range(1, 1 + 3 * count))
