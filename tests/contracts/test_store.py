"""What every store promises. A new backend joins by adding itself to `tests.support.stores`."""

import asyncio
from collections.abc import Awaitable
from functools import partial
from typing import Any

import pytest

from dreamgrid.errors import ServerUnavailable
from dreamgrid.server.store import sql_store
from dreamgrid.server.store.admin import ActivityRow
from dreamgrid.server.store.base import Acquisition, Balance, ProjectRow, Store, SubmitResult
from dreamgrid.states import FINAL_PROJECT_STATES, JobState, ProjectState
from tests.support.stores import (
    ADA,
    BOB,
    GRANT,
    NOW,
    Backend,
    account,
    acquisition,
    end,
    key,
    new_id,
    open_rows,
    project,
)

RECENT = NOW - 1_000


async def spark(store: Store, account_id: str = ADA) -> tuple[int, int]:
    """What an account owns, and how much of it is held."""
    balance = (await store.balances(account_id)).get("spark", Balance())
    return balance.posted_micros, balance.held_micros


async def submitted(store: Store, *prices: int) -> ProjectRow:
    """A project that was accepted."""
    row = project(*prices)
    assert (await store.submit(row)).result is SubmitResult.CREATED
    return row


async def running(store: Store, *prices: int) -> ProjectRow:
    """A project whose jobs are all on a worker."""
    row = await submitted(store, *prices)
    assert all(await store.acquire([acquisition(job) for job in row.jobs], NOW))
    return row


async def stored(store: Store, row: ProjectRow) -> ProjectRow:
    """A project as the store has it."""
    found = await store.project(row.id)
    assert found is not None
    return found


async def refused(answer: Awaitable[object]) -> None:
    """A write that must fail, whatever the backend calls the reason."""
    with pytest.raises(Exception):  # noqa: B017, PT011
        await answer


# ── submit ───────────────────────────────────────────────────────────────────────────────────────


async def test_a_submitted_project_is_stored_as_it_was_given(store: Store) -> None:
    row = project(30, 20, request=b'{"\xc3\xa9":"\x00"}', app_id="app/ü 'x'")
    answer = await store.submit(row)
    assert answer.result is SubmitResult.CREATED
    assert answer.balance == Balance(posted_micros=GRANT, held_micros=50)
    assert await stored(store, row) == row
    assert await spark(store) == (GRANT, 50)


async def test_the_same_request_twice_has_one_effect(store: Store, backend: Backend) -> None:
    row = await submitted(store, 30, 20)
    again = project(30, 20, project_id=row.id)
    assert (await store.submit(again)).result is SubmitResult.KNOWN
    assert await stored(store, row) == row
    assert await spark(store) == (GRANT, 50)
    assert [entry.kind for entry in backend.transfers()] == ["grant", "grant", "hold"]


async def test_the_same_request_twice_at_once_has_one_effect(store: Store) -> None:
    row = project(30)
    answers = await asyncio.gather(store.submit(row), store.submit(row))
    assert [answer.result for answer in answers] == [SubmitResult.CREATED, SubmitResult.KNOWN]
    assert await spark(store) == (GRANT, 30)


async def test_a_request_is_known_after_its_project_has_ended(store: Store) -> None:
    row = await running(store, 30)
    await store.end_job(end(row.jobs[0], project_state=ProjectState.COMPLETED))
    again = project(30, project_id=row.id)
    assert (await store.submit(again)).result is SubmitResult.KNOWN
    assert await spark(store) == (GRANT - 30, 0)


@pytest.mark.parametrize(
    "other", [{"request": b"{}"}, {"account_id": BOB}], ids=["other request", "other account"]
)
async def test_an_id_belongs_to_its_first_request(store: Store, other: dict[str, str]) -> None:
    row = await submitted(store, 30)
    intruder = project(10, project_id=row.id, **other)  # type: ignore[arg-type]
    assert (await store.submit(intruder)).result is SubmitResult.CONFLICT
    assert await stored(store, row) == row
    assert await spark(store) == (GRANT, 30)
    assert await spark(store, BOB) == (GRANT, 0)


async def test_what_cannot_be_paid_leaves_nothing(store: Store, backend: Backend) -> None:
    row = project(GRANT, 1)
    assert (await store.submit(row)).result is SubmitResult.INSUFFICIENT
    assert await store.project(row.id) is None
    assert await open_rows(store) == []
    assert await spark(store) == (GRANT, 0)
    assert [entry.kind for entry in backend.transfers()] == ["grant", "grant"]


async def test_a_refused_id_can_be_used_again(store: Store) -> None:
    row = project(GRANT + 1)
    await store.submit(row)
    affordable = project(GRANT, project_id=row.id)
    assert (await store.submit(affordable)).result is SubmitResult.CREATED


async def test_the_last_micro_can_be_spent(store: Store) -> None:
    await submitted(store, GRANT)
    assert (await store.submit(project(1))).result is SubmitResult.INSUFFICIENT
    assert await spark(store) == (GRANT, GRANT)


async def test_projects_that_arrive_together_cannot_overdraw(store: Store) -> None:
    wishes = [project(GRANT // 3) for _ in range(6)]
    answers = await asyncio.gather(*map(store.submit, wishes))
    results = [answer.result for answer in answers]
    assert results == [SubmitResult.CREATED] * 3 + [SubmitResult.INSUFFICIENT] * 3


async def test_currencies_are_apart(store: Store) -> None:
    assert (await store.submit(project(1, token="sogni"))).result is SubmitResult.INSUFFICIENT


async def test_what_costs_nothing_needs_no_money(store: Store, backend: Backend) -> None:
    await store.create_account(account("POOR"), {})
    row = project(0, 0, account_id="POOR")
    assert (await store.submit(row)).result is SubmitResult.CREATED
    await store.acquire([acquisition(job) for job in row.jobs], NOW)
    first, last = row.jobs
    assert (await store.end_job(end(first))).accepted
    assert (await store.end_job(end(last, project_state=ProjectState.COMPLETED))).accepted
    assert await spark(store, "POOR") == (0, 0)
    assert {entry.kind for entry in backend.transfers()} == {"grant"}


async def test_an_unknown_account_cannot_submit(store: Store) -> None:
    row = project(0, account_id="NOBODY")
    await refused(store.submit(row))
    assert await store.project(row.id) is None


async def test_a_job_id_that_is_taken_fails_the_whole_project(store: Store) -> None:
    first = await submitted(store, 10)
    second = project(20, 30)
    second.jobs[1].id = first.jobs[0].id
    await refused(store.submit(second))
    assert await store.project(second.id) is None
    assert await spark(store) == (GRANT, 10)


# ── acquire, start, requeue ──────────────────────────────────────────────────────────────────────


async def test_of_two_workers_one_gets_the_job(store: Store) -> None:
    (job,) = (await submitted(store, 10)).jobs
    answers = await asyncio.gather(
        store.acquire([acquisition(job, worker="W1")], NOW),
        store.acquire([acquisition(job, worker="W2")], NOW),
    )
    assert list(answers) == [[True], [False]]
    row = await store.project(job.project_id)
    assert row is not None
    assert (row.jobs[0].state, row.jobs[0].worker_id) == (JobState.ASSIGNED, "W1")
    assert (row.jobs[0].attempt, row.jobs[0].worker_name) == (1, "W1!")


async def test_one_acquisition_of_many_may_be_refused(store: Store) -> None:
    one, two = (await submitted(store, 10, 10)).jobs
    answer = await store.acquire(
        [
            acquisition(one),
            acquisition(one, worker="W2"),
            Acquisition(job_id="NOTHING", attempt=1, worker_id="W3", worker_name=""),
            acquisition(two, worker="W4"),
        ],
        NOW,
    )
    assert answer == [True, False, False, True]


@pytest.mark.parametrize("attempt", [-1, 0, 2, 3])
async def test_an_attempt_must_follow_the_one_before(store: Store, attempt: int) -> None:
    (job,) = (await submitted(store, 10)).jobs
    assert await store.acquire([acquisition(job, attempt=attempt)], NOW) == [False]


async def test_a_job_that_was_taken_back_is_acquired_with_the_next_attempt(store: Store) -> None:
    row = await running(store, 10)
    (job,) = row.jobs
    assert await store.requeue(job.id, 1, failures=1, reason="lost", at_ms=NOW)
    (again,) = (await stored(store, row)).jobs
    assert (again.state, again.attempt, again.failures) == (JobState.QUEUED, 1, 1)
    assert again.started_ms is None
    assert await store.acquire([acquisition(job, attempt=1)], NOW) == [False]
    assert await store.acquire([acquisition(job, attempt=2)], NOW) == [True]


async def test_a_job_is_taken_back_only_from_the_attempt_that_holds_it(store: Store) -> None:
    waiting, held, ended = (await submitted(store, 10, 10, 10)).jobs
    await store.acquire([acquisition(held), acquisition(ended)], NOW)
    await store.end_job(end(ended))
    assert not await store.requeue(waiting.id, 0, failures=0, reason="lost", at_ms=NOW)
    assert not await store.requeue(held.id, 2, failures=0, reason="lost", at_ms=NOW)
    assert not await store.requeue(ended.id, 1, failures=0, reason="lost", at_ms=NOW)
    assert await store.requeue(held.id, 1, failures=0, reason="lost", at_ms=NOW)
    assert not await store.requeue(held.id, 1, failures=0, reason="lost", at_ms=NOW)


async def test_starting_notes_state_and_time(store: Store) -> None:
    row = await running(store, 10)
    await store.start(row.jobs[0].id, 1, NOW + 1)
    (job,) = (await stored(store, row)).jobs
    assert (job.state, job.started_ms) == (JobState.RUNNING, NOW + 1)


async def test_a_stale_start_changes_nothing(store: Store) -> None:
    row = await running(store, 10)
    before = await stored(store, row)
    await store.start(row.jobs[0].id, 2, NOW + 1)
    assert await stored(store, row) == before


async def test_a_start_after_the_end_changes_nothing(store: Store) -> None:
    row = await running(store, 10)
    await store.end_job(end(row.jobs[0], project_state=ProjectState.COMPLETED))
    before = await stored(store, row)
    await store.start(row.jobs[0].id, 1, NOW + 9)
    assert await stored(store, row) == before


# ── ends and money ───────────────────────────────────────────────────────────────────────────────


async def test_a_delivered_job_is_charged_and_the_project_goes_on(store: Store) -> None:
    row = await running(store, 30, 20)
    answer = await store.end_job(end(row.jobs[0]))
    assert answer.accepted
    assert answer.balance == Balance(posted_micros=GRANT - 30, held_micros=20)
    after = await stored(store, row)
    assert (after.state, after.charged_micros, after.ended_ms) == (
        ProjectState.PROCESSING,
        30,
        None,
    )
    job = after.jobs[0]
    assert (job.state, job.seed, job.steps, job.reason) == (
        JobState.COMPLETED,
        42,
        8,
        "jobCompleted",
    )
    assert job.ended_ms == NOW + 5


async def test_the_last_job_ends_its_project(store: Store) -> None:
    row = await running(store, 30, 20)
    await store.end_job(end(row.jobs[0]))
    await store.end_job(end(row.jobs[1], project_state=ProjectState.COMPLETED, at_ms=NOW + 9))
    after = await stored(store, row)
    assert (after.state, after.charged_micros) == (ProjectState.COMPLETED, 50)
    assert after.ended_ms == after.updated_ms == NOW + 9
    assert await spark(store) == (GRANT - 50, 0)
    assert await spark(store, "house") == (50, 0)


async def test_a_failed_job_is_given_back(store: Store) -> None:
    row = await running(store, 30)
    answer = await store.end_job(
        end(row.jobs[0], JobState.FAILED, project_state=ProjectState.FAILED)
    )
    assert answer.balance == Balance(posted_micros=GRANT, held_micros=0)
    after = await stored(store, row)
    assert (after.state, after.charged_micros) == (ProjectState.FAILED, 0)


async def test_the_same_end_twice_is_charged_once(store: Store, backend: Backend) -> None:
    row = await running(store, 30, 20)
    ending = end(row.jobs[0])
    answers = await asyncio.gather(*(store.end_job(ending) for _ in range(3)))
    assert [answer.accepted for answer in answers] == [True, False, False]
    assert await spark(store) == (GRANT - 30, 20)
    assert [entry.kind for entry in backend.transfers()].count("post") == 1


async def test_a_failure_after_the_delivery_gives_nothing_back(store: Store) -> None:
    row = await running(store, 30, 20)
    await store.end_job(end(row.jobs[0]))
    assert not (await store.end_job(end(row.jobs[0], JobState.FAILED))).accepted
    assert await spark(store) == (GRANT - 30, 20)


async def test_a_late_result_of_an_old_attempt_is_refused(store: Store) -> None:
    row = await running(store, 30)
    (job,) = row.jobs
    await store.requeue(job.id, 1, failures=1, reason="lost", at_ms=NOW)
    late = end(job, attempt=1, project_state=ProjectState.COMPLETED)
    await store.acquire([acquisition(job, attempt=2, worker="W2")], NOW)
    before = await stored(store, row)
    assert not (await store.end_job(late)).accepted
    assert await stored(store, row) == before
    assert await spark(store) == (GRANT, 30)
    new = end(job, attempt=2, project_state=ProjectState.COMPLETED)
    assert (await store.end_job(new)).accepted


async def test_a_job_that_was_never_assigned_can_fail(store: Store) -> None:
    row = await submitted(store, 30)
    failed = end(row.jobs[0], JobState.FAILED, attempt=0, project_state=ProjectState.FAILED)
    assert (await store.end_job(failed)).accepted
    assert await spark(store) == (GRANT, 0)


async def test_ends_that_arrive_together_are_stored_in_order(store: Store) -> None:
    row = await running(store, 30, 20)
    one = store.end_job(end(row.jobs[0]))
    two = store.end_job(end(row.jobs[1], project_state=ProjectState.COMPLETED))
    assert (await one).accepted
    assert (await two).accepted
    assert (await stored(store, row)).state is ProjectState.COMPLETED


async def test_a_project_with_open_jobs_cannot_end(store: Store) -> None:
    row = await running(store, 30, 20)
    before = await stored(store, row)
    await refused(store.end_job(end(row.jobs[0], project_state=ProjectState.COMPLETED)))
    assert await stored(store, row) == before
    assert await spark(store) == (GRANT, 50)


# ── cancel ───────────────────────────────────────────────────────────────────────────────────────


async def test_a_cancel_gives_back_what_was_not_delivered(store: Store) -> None:
    row = await running(store, 30, 20, 10)
    await store.end_job(end(row.jobs[0]))
    await store.requeue(row.jobs[2].id, 1, failures=0, reason="lost", at_ms=NOW)
    answer = await store.cancel(row.id, "artistCanceled", NOW + 7, claimed=True)
    assert answer.accepted
    assert answer.balance == Balance(posted_micros=GRANT - 30, held_micros=0)
    after = await stored(store, row)
    assert (after.state, after.reason) == (ProjectState.CANCELED, "artistCanceled")
    assert (after.charged_micros, after.ended_ms) == (30, NOW + 7)
    assert [job.state for job in after.jobs] == [
        JobState.COMPLETED,
        JobState.CANCELED,
        JobState.CANCELED,
    ]


async def test_a_project_is_canceled_once(store: Store) -> None:
    row = await submitted(store, 30)
    answers = await asyncio.gather(
        *(store.cancel(row.id, "artistCanceled", NOW, claimed=True) for _ in range(2))
    )
    assert [answer.accepted for answer in answers] == [True, False]
    assert await spark(store) == (GRANT, 0)


async def test_what_has_ended_cannot_be_canceled(store: Store) -> None:
    row = await running(store, 30)
    await store.end_job(end(row.jobs[0], project_state=ProjectState.COMPLETED))
    assert not (await store.cancel(row.id, "artistCanceled", NOW, claimed=True)).accepted
    assert (await stored(store, row)).state is ProjectState.COMPLETED
    assert await spark(store) == (GRANT - 30, 0)


async def test_a_project_that_never_was_cannot_be_canceled(store: Store) -> None:
    assert not (await store.cancel(new_id(), "artistCanceled", NOW, claimed=True)).accepted


async def test_nothing_happens_to_a_canceled_job_any_more(store: Store) -> None:
    row = await submitted(store, 30, 20)
    queued, held = row.jobs
    await store.acquire([acquisition(held)], NOW)
    await store.cancel(row.id, "artistCanceled", NOW, claimed=True)
    before = await stored(store, row)
    assert await store.acquire([acquisition(queued)], NOW) == [False]
    assert not await store.requeue(held.id, 1, failures=1, reason="lost", at_ms=NOW)
    assert not (await store.end_job(end(held, project_state=ProjectState.COMPLETED))).accepted
    await store.start(held.id, 1, NOW)
    assert await stored(store, row) == before
    assert await spark(store) == (GRANT, 0)


# ── looking things up ────────────────────────────────────────────────────────────────────────────


async def test_open_projects_are_found_again_after_a_restart(
    store: Store, backend: Backend
) -> None:
    young, old = project(10, at_ms=NOW + 5), project(10, 10, at_ms=NOW)
    done = project(10)
    for row in (young, old, done):
        await store.submit(row)
    await store.acquire([acquisition(old.jobs[1]), acquisition(done.jobs[0])], NOW)
    await store.end_job(end(done.jobs[0], project_state=ProjectState.COMPLETED))
    await store.cancel(project().id, "artistCanceled", NOW, claimed=True)
    await store.close()

    reopened = backend.store()
    await reopened.open()
    found = await open_rows(reopened)
    await reopened.close()
    assert [row.id for row in found] == [old.id, young.id]
    assert [job.state for job in found[0].jobs] == [JobState.QUEUED, JobState.ASSIGNED]
    assert [job.index for job in found[0].jobs] == [0, 1]


async def test_open_projects_come_some_at_a_time_with_all_of_their_jobs(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_store, "OPEN_AT_ONCE", 2)
    projects = [project(10, 10, 10, at_ms=NOW + number) for number in range(5)]
    for row in projects:
        await store.submit(row)
    first, second, _ = projects[3].jobs
    await store.acquire([acquisition(first), acquisition(second)], NOW)
    await store.end_job(end(second))
    pages = [page async for page in store.open_projects()]
    assert [len(page) for page in pages] == [2, 2, 1]
    found = [row for page in pages for row in page]
    assert [row.id for row in found] == [row.id for row in projects]
    for row, known in zip(found, projects, strict=True):
        assert [job.id for job in row.jobs] == [job.id for job in known.jobs]
        one = await store.project(row.id)
        assert one == row
    states = [JobState.ASSIGNED, JobState.COMPLETED, JobState.QUEUED]
    assert [job.state for job in found[3].jobs] == states
    assert found[0] == projects[0]


async def ended(store: Store, *, at_ms: int, app_id: str) -> str:
    """A project that has ended; its id."""
    row = project(1, app_id=app_id)
    await store.submit(row)
    await store.acquire([acquisition(row.jobs[0])], NOW)
    completed = ProjectState.COMPLETED
    await store.end_job(end(row.jobs[0], project_state=completed, at_ms=at_ms))
    return row.id


async def test_ends_that_no_app_heard_of_are_kept_for_it(store: Store) -> None:
    late = await ended(store, at_ms=NOW + 2, app_id="app-1")
    early = await ended(store, at_ms=NOW + 1, app_id="app-1")
    other = await ended(store, at_ms=NOW + 3, app_id="app-2")
    await store.claim([await ended(store, at_ms=NOW, app_id="app-1")])
    await ended(store, at_ms=RECENT - 1, app_id="app-1")
    await store.submit(project(1, app_id="app-1"))

    async def kept(account_id: str, app_id: str | None) -> list[str]:
        return [row.id for row in await store.unclaimed_projects(account_id, app_id, RECENT)]

    assert await kept(ADA, "app-1") == [early, late]
    assert await kept(ADA, None) == [early, late, other]
    assert await kept(BOB, None) == []
    await store.claim([late, other])
    assert await kept(ADA, None) == [early]
    await store.claim([])


async def test_ended_projects_are_forgotten_after_a_while_but_their_money_is_not(
    store: Store,
) -> None:
    old, young, open_still = [await running(store, 10) for _ in range(3)]
    await store.end_job(end(old.jobs[0], at_ms=NOW, project_state=ProjectState.COMPLETED))
    await store.end_job(end(young.jobs[0], at_ms=NOW + 2, project_state=ProjectState.COMPLETED))
    before = await store.balances(ADA)
    assert await store.prune(NOW + 2) == 1
    assert await store.prune(NOW + 2) == 0
    assert await store.project(old.id) is None
    assert await store.project(young.id) is not None
    assert await store.project(open_still.id) is not None
    assert await store.balances(ADA) == before


async def test_what_ended_lately_is_counted_in_parts(store: Store) -> None:
    ended, half = await running(store, 30, 20), await running(store, 10, 10)
    assert await store.admin.activity(NOW, 1_000) == []
    for job in ended.jobs:
        await store.start(job.id, 1, NOW + 500)
    await store.end_job(end(ended.jobs[0], at_ms=NOW + 900))
    last = end(ended.jobs[1], at_ms=NOW + 1_700, project_state=ProjectState.COMPLETED)
    await store.end_job(last)
    await store.end_job(end(half.jobs[0], JobState.FAILED, at_ms=NOW + 1_800))
    first, second = await store.admin.activity(NOW, 1_000)
    created_ms = ended.jobs[0].created_ms
    assert first == ActivityRow(
        part=0,
        completed=1,
        failed=0,
        waited_ms=NOW + 500 - created_ms,
        rendered_ms=400,
        charged_micros=30,
    )
    assert (second.part, second.completed, second.failed) == (1, 1, 1)
    assert (second.rendered_ms, second.charged_micros) == (1_200, 20)
    (only_late,) = await store.admin.activity(NOW + 1_000, 60_000)
    assert (only_late.completed, only_late.failed) == (1, 1)


async def test_what_an_account_removed_is_in_no_list_and_its_money_stays(store: Store) -> None:
    ended, open_still = await running(store, 30, 20), await running(store, 10)
    await store.end_job(end(ended.jobs[0]))
    await store.end_job(end(ended.jobs[1], project_state=ProjectState.COMPLETED))
    before = await store.balances(ADA)
    first = ended.jobs[0].id
    assert await store.remove_results(ended.id, first) == 1
    assert await store.remove_results(ended.id, first) == 0
    assert [job.removed for job in (await stored(store, ended)).jobs] == [True, False]
    assert [row.id for row in await store.ended_projects(ADA, 10, None)] == [ended.id]
    assert await store.remove_results(ended.id, None) == 1
    assert await store.ended_projects(ADA, 10, None) == []
    assert await store.recent_projects(ADA, 0, 10, None) == []
    assert await store.unclaimed_projects(ADA, None, 0) == []
    assert await store.remove_results(open_still.id, None) == 0
    assert await store.remove_results(new_id(), None) == 0
    assert await store.balances(ADA) == before
    assert (await store.audit()).clean
    # The id is taken all the same, as long as the record is there.
    again = project(30, 20, project_id=ended.id)
    assert (await store.submit(again)).result is SubmitResult.KNOWN


async def test_a_project_that_never_was_is_not_found(store: Store) -> None:
    assert await store.project(new_id()) is None


async def test_state_and_end_always_agree(store: Store) -> None:
    rows = [await running(store, 10) for _ in range(3)]
    await store.end_job(end(rows[0].jobs[0], project_state=ProjectState.COMPLETED))
    await store.cancel(rows[1].id, "artistCanceled", NOW, claimed=False)
    for row in rows:
        after = await stored(store, row)
        assert (after.ended_ms is not None) is (after.state in FINAL_PROJECT_STATES)


# ── accounts and keys ────────────────────────────────────────────────────────────────────────────


async def test_an_account_is_created_once(store: Store) -> None:
    assert not await store.create_account(account(ADA), {"spark": GRANT})
    assert await spark(store) == (GRANT, 0)
    namesake = account("OTHER")
    namesake = type(namesake)(id="OTHER", username="ada", created_ms=NOW)
    assert not await store.create_account(namesake, {"spark": GRANT})
    assert await store.account("OTHER") is None
    assert await store.balances("OTHER") == {}


async def test_an_account_is_found_by_id_and_by_name(store: Store) -> None:
    assert await store.account(ADA) == await store.account_by_username("ada") == account(ADA)
    assert await store.account("NOBODY") is None
    assert await store.account_by_username("nobody") is None


async def test_grants_come_from_the_mint(store: Store) -> None:
    assert await spark(store, "mint") == (-2 * GRANT, 0)


async def test_a_key_leads_to_its_account_until_it_is_revoked(store: Store) -> None:
    old, new = key(secret=b"old"), key(secret=b"new", created_ms=NOW + 1)
    await store.add_key(new)
    await store.add_key(old)
    assert await store.keys(ADA) == [old, new]
    assert await store.key_by_hash(b"old") == old
    assert await store.revoke_key(ADA, old.id, NOW) == b"old"
    assert await store.key_by_hash(b"old") is None
    assert await store.key_by_hash(b"new") == new
    assert await store.keys(ADA) == [new]


async def test_only_its_owner_revokes_a_key_and_only_once(store: Store) -> None:
    mine = key(ADA)
    await store.add_key(mine)
    assert await store.revoke_key(BOB, mine.id, NOW) is None
    assert await store.key_by_hash(mine.hash) == mine
    assert await store.revoke_key(ADA, mine.id, NOW) == mine.hash
    assert await store.revoke_key(ADA, mine.id, NOW) is None
    assert await store.revoke_key(ADA, new_id(), NOW) is None


async def test_two_keys_never_share_a_secret(store: Store) -> None:
    await store.add_key(key(ADA, secret=b"same"))
    await refused(store.add_key(key(BOB, secret=b"same")))
    assert await store.keys(BOB) == []


# ── order and durability ─────────────────────────────────────────────────────────────────────────


async def test_balances_are_in_order_with_the_writes_around_them(store: Store) -> None:
    before = store.balances(ADA)
    row = project(30)
    answer = store.submit(row)
    between = store.balances(ADA)
    canceled = store.cancel(row.id, "artistCanceled", NOW, claimed=True)
    after = store.balances(ADA)
    assert (await after)["spark"].held_micros == 0
    assert (await canceled).accepted
    assert (await between)["spark"].held_micros == 30
    assert (await answer).result is SubmitResult.CREATED
    assert (await before)["spark"].held_micros == 0


async def test_answers_come_in_the_order_of_the_calls(store: Store) -> None:
    answered: list[int] = []
    writes: list[asyncio.Future[Any]] = []
    for _ in range(100):
        writes += [store.submit(project(1)), store.balances(ADA), store.claim([])]
    for number, write in enumerate(writes):
        write.add_done_callback(partial(lambda number, _: answered.append(number), number))
    await asyncio.gather(*writes)
    assert answered == list(range(300))


async def test_one_write_that_breaks_a_rule_fails_alone(store: Store) -> None:
    good = [project(1) for _ in range(40)]
    bad = project(1, account_id="NOBODY")
    answers = [store.submit(row) for row in (*good[:20], bad, *good[20:])]
    outcomes = await asyncio.gather(*answers, return_exceptions=True)
    assert [n for n, outcome in enumerate(outcomes) if isinstance(outcome, Exception)] == [20]
    assert len(await open_rows(store)) == 40
    assert await spark(store) == (GRANT, 40)


async def test_a_write_whose_caller_has_gone_is_stored_all_the_same(store: Store) -> None:
    row = project(30)
    store.submit(row).cancel()
    assert await spark(store) == (GRANT, 30)
    assert await stored(store, row) == row


async def test_closing_stores_what_was_begun(store: Store, backend: Backend) -> None:
    rows = [project(1) for _ in range(50)]
    answers = [store.submit(row) for row in rows]
    await store.close()
    results = [answer.result().result for answer in answers]
    assert results == [SubmitResult.CREATED] * 50
    reopened = backend.store()
    await reopened.open()
    assert len(await open_rows(reopened)) == 50
    await reopened.close()


async def test_a_closed_store_takes_nothing_more(store: Store) -> None:
    await store.close()
    await store.close()
    with pytest.raises(ServerUnavailable):
        await store.submit(project(1))


async def test_recent_projects_are_those_that_delivered_newest_first(store: Store) -> None:
    early = await ended(store, at_ms=NOW + 1, app_id="app-1")
    late = await ended(store, at_ms=NOW + 2, app_id="app-2")
    await ended(store, at_ms=RECENT - 1, app_id="app-1")
    await store.submit(project(1, app_id="app-1"))
    failed = await running(store, 10)
    await store.cancel(failed.id, "artistCanceled", NOW + 3, claimed=False)

    async def recent(account_id: str, limit: int, app_source: str | None = None) -> list[str]:
        found = await store.recent_projects(account_id, RECENT, limit, app_source)
        return [row.id for row in found]

    assert await recent(ADA, 10) == [late, early]
    assert await recent(ADA, 1) == [late]
    assert await recent(BOB, 10) == []
    assert await recent(ADA, 10, "shop") == []


async def test_a_job_leads_to_its_project(store: Store) -> None:
    row = await submitted(store, 100)
    assert await store.project_of_job(row.jobs[0].id) == row.id
    assert await store.project_of_job(new_id()) is None


async def test_ended_projects_come_in_pages_newest_end_first(store: Store) -> None:
    at_once = [await ended(store, at_ms=NOW + 1, app_id="app-1") for _ in range(3)]
    late = await ended(store, at_ms=NOW + 2, app_id="app-2")
    await submitted(store, 1)
    failed = await running(store, 10)
    await store.cancel(failed.id, "artistCanceled", NOW + 3, claimed=False)

    async def page(account_id: str, limit: int, before: str | None = None) -> list[str]:
        return [row.id for row in await store.ended_projects(account_id, limit, before)]

    everything = await page(ADA, 10)
    assert everything[:2] == [failed.id, late]
    assert sorted(everything[2:]) == sorted(at_once)
    for place, project_id in enumerate(everything):
        assert await page(ADA, 2, project_id) == everything[place + 1 : place + 3]
    assert await page(BOB, 10) == []
    assert await page(BOB, 10, late) == []
    assert await page(ADA, 10, new_id()) == []


async def test_ended_projects_are_found_by_the_types_of_their_files(store: Store) -> None:
    made: dict[str, str] = {}
    for place, kind in enumerate(("mp4", "png", "webm", "jpg")):
        row = project(1)
        row.output_format = kind
        await store.submit(row)
        await store.cancel(row.id, "artistCanceled", NOW + place, claimed=False)
        made[kind] = row.id

    async def found(limit: int, before: str | None, *formats: str) -> list[str]:
        rows = await store.ended_projects(ADA, limit, before, formats=formats)
        return [row.id for row in rows]

    videos = ("mp4", "webm", "mov")
    assert await found(2, None, *videos) == [made["webm"], made["mp4"]]
    assert await found(2, made["webm"], *videos) == [made["mp4"]]
    assert await found(1, None) == [made["jpg"]]
    assert await found(9, None, "mp3") == []
