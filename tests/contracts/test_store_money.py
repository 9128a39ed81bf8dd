"""Earnings, refunds and statements."""

from collections.abc import Iterable

import pytest

from dreamgrid.server.store import sql_group
from dreamgrid.server.store.base import HistoryRow, ProjectRow, Refunded, Store, SubmitResult
from dreamgrid.server.store.sql_money import Books
from dreamgrid.states import JobState, ProjectState
from tests.support.stores import ADA, BOB, GRANT, NOW, Backend, acquisition, end, project


async def owned(store: Store, account_id: str) -> int:
    return (await store.balances(account_id))["spark"].posted_micros


async def delivered(store: Store, *prices: int, earned: int = 0, at_ms: int = NOW) -> ProjectRow:
    """A project of Ada's, all of it rendered by Bob's worker."""
    row = project(*prices, at_ms=at_ms)
    await store.submit(row)
    await store.acquire([acquisition(job) for job in row.jobs], at_ms)
    for job in row.jobs:
        last = job is row.jobs[-1]
        state = ProjectState.COMPLETED if last else ProjectState.PROCESSING
        done = end(job, project_state=state, at_ms=at_ms, earner=BOB, earned=earned)
        assert (await store.end_job(done)).accepted
    return row


def told(rows: list[HistoryRow]) -> list[tuple[str, int, str | None]]:
    return [(row.kind, row.amount_micros, row.job_id or row.project_id) for row in rows]


async def test_the_owner_of_the_worker_earns_with_the_post(store: Store) -> None:
    row = project(30)
    await store.submit(row)
    await store.acquire([acquisition(row.jobs[0])], NOW)
    done = end(row.jobs[0], project_state=ProjectState.COMPLETED, earner=BOB, earned=24)
    answer = await store.end_job(done)
    assert answer.balance.posted_micros == GRANT - 30
    assert answer.earner_balance.posted_micros == GRANT + 24
    assert not (await store.end_job(done)).accepted
    assert await owned(store, BOB) == GRANT + 24
    assert await owned(store, "house") == 6


async def test_who_renders_for_themselves_pays_themselves(store: Store) -> None:
    row = project(30)
    await store.submit(row)
    await store.acquire([acquisition(row.jobs[0])], NOW)
    done = end(row.jobs[0], project_state=ProjectState.COMPLETED, earner=ADA, earned=30)
    answer = await store.end_job(done)
    assert answer.balance == answer.earner_balance
    assert answer.balance.posted_micros == GRANT


async def test_nothing_is_earned_with_what_is_not_charged(store: Store) -> None:
    row = project(30)
    await store.submit(row)
    await store.acquire([acquisition(row.jobs[0])], NOW)
    failed = end(
        row.jobs[0], JobState.FAILED, project_state=ProjectState.FAILED, earner=BOB, earned=24
    )
    assert (await store.end_job(failed)).accepted
    assert await owned(store, BOB) == GRANT


async def test_a_refund_has_one_effect_however_often_it_is_asked_for(store: Store) -> None:
    row = await delivered(store, 30, 20)
    one = await store.refund(row.id, row.jobs[0].id, NOW)
    assert one == Refunded(
        account_id=ADA, currency="spark", amount_micros=30, jobs=1, balance=one.balance
    )
    assert (await store.refund(row.id, row.jobs[0].id, NOW)).jobs == 0
    rest = await store.refund(row.id, None, NOW)
    assert (rest.jobs, rest.amount_micros) == (1, 20)
    assert (await store.refund(row.id, None, NOW)).jobs == 0
    assert await owned(store, ADA) == GRANT


async def test_a_refund_names_the_entry_that_it_takes_back(store: Store, backend: Backend) -> None:
    row = await delivered(store, 30)
    await store.refund(row.id, None, NOW)
    entries = backend.transfers()
    back = entries[-1]
    assert back.kind == "refund"
    assert back.reverses is not None
    assert entries[back.reverses - 1].kind == "post"
    assert entries[back.reverses - 1].job_id == back.job_id == row.jobs[0].id


async def test_a_refund_leaves_the_worker_its_earnings_and_the_house_pays(store: Store) -> None:
    row = await delivered(store, 30, earned=30)
    await store.refund(row.id, None, NOW)
    assert await owned(store, BOB) == GRANT + 30
    assert await owned(store, "house") == -30
    assert (await store.audit()).findings == ()


@pytest.mark.parametrize("job", [None, "NO-SUCH-JOB"])
async def test_what_was_never_charged_is_not_refunded(store: Store, job: str | None) -> None:
    row = project(30)
    await store.submit(row)
    assert await store.refund(row.id, job, NOW) == Refunded()
    assert await store.refund("NO-SUCH-PROJECT", job, NOW) == Refunded()


async def test_a_forgotten_project_can_still_be_refunded(store: Store) -> None:
    row = await delivered(store, 30)
    assert await store.prune(NOW + 1) == 1
    assert (await store.refund(row.id, None, NOW)).amount_micros == 30


async def test_the_id_of_a_forgotten_project_is_taken_for_ever(store: Store) -> None:
    row = await delivered(store, 30)
    assert await store.prune(NOW + 1) == 1
    assert (await store.submit(row)).result is SubmitResult.CONFLICT
    assert await store.project(row.id) is None
    assert (await store.balances(ADA))["spark"].held_micros == 0
    assert (await store.submit(project(30))).result is SubmitResult.CREATED


@pytest.mark.parametrize("entries_first", [False, True])
async def test_a_request_is_known_in_whatever_order_the_database_finds_its_traces(
    store: Store, monkeypatch: pytest.MonkeyPatch, entries_first: bool
) -> None:
    projects, entries = sql_group._KNOWN.split(" UNION ALL ")
    order = (entries, projects) if entries_first else (projects, entries)
    monkeypatch.setattr(sql_group, "_KNOWN", " UNION ALL ".join(order))
    row = project(30)
    assert (await store.submit(row)).result is SubmitResult.CREATED
    assert (await store.submit(row)).result is SubmitResult.KNOWN


async def test_what_else_moves_a_balance_meanwhile_is_not_undone(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writers take turns, so it would be against the rules; money is still not made or lost."""
    read = Books.read

    def read_too_early(books: Books, account_ids: Iterable[str]) -> None:
        read(books, account_ids)
        books._connection.execute(
            "UPDATE balance SET posted_micros = posted_micros + 7 WHERE account_id = ?", (ADA,)
        )

    row = project(30)
    await store.submit(row)
    await store.acquire([acquisition(row.jobs[0])], NOW)
    monkeypatch.setattr(Books, "read", read_too_early)
    done = end(row.jobs[0], project_state=ProjectState.COMPLETED, earner=BOB, earned=24)
    assert (await store.end_job(done)).accepted
    assert await owned(store, ADA) == GRANT - 30 + 7


async def test_a_statement_has_every_kind_of_line_newest_first(store: Store) -> None:
    row = await delivered(store, 30, 20, earned=5, at_ms=NOW + 10)
    await store.refund(row.id, row.jobs[0].id, NOW + 20)
    assert told(await store.history(ADA, 10, 0)) == [
        ("refund", 30, row.jobs[0].id),
        ("post", 50, row.id),
        ("grant", GRANT, None),
    ]
    assert told(await store.history(BOB, 10, 0)) == [
        ("earning", 5, row.jobs[1].id),
        ("earning", 5, row.jobs[0].id),
        ("grant", GRANT, None),
    ]


async def test_a_statement_explains_the_balance_for_ever(store: Store) -> None:
    """Also when the records of projects are gone, which are kept for some days only."""
    rows = [await delivered(store, 7, 5, at_ms=NOW + n) for n in range(3)]
    before = told(await store.history(ADA, 10, 0))
    assert await store.prune(NOW + 1_000) == len(rows)
    lines = await store.history(ADA, 10, 0)
    assert told(lines) == before
    received = sum(line.amount_micros for line in lines if line.kind != "post")
    paid = sum(line.amount_micros for line in lines if line.kind == "post")
    assert received - paid == await owned(store, ADA)


async def test_the_pages_of_a_statement_join_without_gap_or_overlap(store: Store) -> None:
    for n in range(5):
        await delivered(store, 7, at_ms=NOW + n // 2)  # some at the same time
    whole = await store.history(ADA, 100, 0)
    assert len(whole) == 6
    assert [line for n in range(0, 6, 2) for line in await store.history(ADA, 2, n)] == whole
