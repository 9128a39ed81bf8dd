"""Spending caps of keys: checked with the hold, so that nothing gets past them."""

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dreamgrid.server.store.base import KeyRow, ProjectRow, Store, SubmitResult, Submitted
from dreamgrid.states import JobState, ProjectState
from tests.support.stores import (
    ADA,
    NOW,
    Backend,
    SqliteBackend,
    account,
    acquisition,
    end,
    key,
    project,
)

DAY_MS = 24 * 60 * 60 * 1000
MIDNIGHT = NOW - NOW % DAY_MS + DAY_MS


async def capped(store: Store, *, day: int | None = None, total: int | None = None) -> KeyRow:
    row = msgspec.structs.replace(key(), max_per_day_micros=day, max_total_micros=total)
    assert await store.add_key(row)
    return row


def of(row: KeyRow, *prices: int, **fields: Any) -> ProjectRow:
    asked = project(*prices, **fields)
    asked.key_id = row.id
    return asked


async def submit(store: Store, row: ProjectRow) -> SubmitResult:
    return (await store.submit(row)).result


async def test_a_cap_in_all_is_never_passed(store: Store) -> None:
    mine = await capped(store, total=100)
    assert await submit(store, of(mine, 60)) is SubmitResult.CREATED
    refused = of(mine, 41)
    assert await store.submit(refused) == Submitted(
        result=SubmitResult.OVER_TOTAL_CAP, cap_micros=100, left_micros=40
    )
    assert await store.project(refused.id) is None
    assert await submit(store, of(mine, 40)) is SubmitResult.CREATED
    assert await submit(store, of(mine, 0)) is SubmitResult.CREATED
    assert await submit(store, of(mine, 1)) is SubmitResult.OVER_TOTAL_CAP


async def test_a_cap_for_a_day_is_fresh_after_midnight_utc(store: Store) -> None:
    mine = await capped(store, day=50)
    assert await submit(store, of(mine, 50, at_ms=MIDNIGHT - 1)) is SubmitResult.CREATED
    assert await submit(store, of(mine, 1, at_ms=MIDNIGHT - 1)) is SubmitResult.OVER_DAY_CAP
    assert await submit(store, of(mine, 50, at_ms=MIDNIGHT)) is SubmitResult.CREATED


async def test_each_currency_has_its_own_room_under_a_cap(store: Store) -> None:
    await store.grant(ADA, "sogni", 100, NOW)
    mine = await capped(store, total=50)
    assert await submit(store, of(mine, 50)) is SubmitResult.CREATED
    assert await submit(store, of(mine, 50, token="sogni")) is SubmitResult.CREATED


async def test_a_key_of_its_own_and_a_sign_in_are_not_held_back(store: Store) -> None:
    mine, other = await capped(store, total=1), await capped_twin(store)
    assert await submit(store, of(mine, 2)) is SubmitResult.OVER_TOTAL_CAP
    assert await submit(store, of(other, 2)) is SubmitResult.CREATED
    assert await submit(store, project(2)) is SubmitResult.CREATED


async def capped_twin(store: Store) -> KeyRow:
    """Another key of the same account, without a cap."""
    row = key(secret=b"another")
    assert await store.add_key(row)
    return row


async def test_what_is_not_charged_can_be_spent_again(store: Store) -> None:
    mine = await capped(store, day=100, total=100)
    row = of(mine, 60, 40)
    await store.submit(row)
    delivered, failed = row.jobs
    await store.acquire([acquisition(job) for job in row.jobs], NOW)
    await store.end_job(end(delivered))
    assert await submit(store, of(mine, 1)) is SubmitResult.OVER_DAY_CAP
    await store.end_job(end(failed, JobState.FAILED, project_state=ProjectState.COMPLETED))
    again = of(mine, 40)
    assert await submit(store, again) is SubmitResult.CREATED
    await store.cancel(again.id, "artistCanceled", NOW, claimed=True)
    assert await submit(store, of(mine, 41)) is SubmitResult.OVER_DAY_CAP
    assert await submit(store, of(mine, 40)) is SubmitResult.CREATED


async def test_a_refused_or_repeated_project_is_not_counted(store: Store) -> None:
    mine = await capped(store, total=1_500)
    row = of(mine, 100)
    for expected in (SubmitResult.CREATED, SubmitResult.KNOWN):
        assert await submit(store, row) is expected
    assert await submit(store, of(mine, 1_400)) is SubmitResult.INSUFFICIENT
    assert await submit(store, of(mine, 900)) is SubmitResult.CREATED


async def test_many_at_once_cannot_pass_a_cap_together(store: Store) -> None:
    mine = await capped(store, day=100)
    answers = await asyncio.gather(*(store.submit(of(mine, 7)) for _ in range(60)))
    accepted = [one for one in answers if one.result is SubmitResult.CREATED]
    assert len(accepted) == 100 // 7
    assert {one.result for one in answers} == {SubmitResult.CREATED, SubmitResult.OVER_DAY_CAP}


async def test_two_servers_on_one_database_cannot_pass_a_cap_together(
    store: Store, backend: Backend
) -> None:
    second = backend.store()
    await second.open()
    mine = await capped(store, total=100)
    stores = [store, second] * 30
    answers = await asyncio.gather(*(one.submit(of(mine, 7)) for one in stores))
    await second.close()
    assert sum(one.result is SubmitResult.CREATED for one in answers) == 100 // 7


async def test_a_wrong_counter_is_found_by_the_audit(store: Store, backend: Backend) -> None:
    mine = await capped(store, total=100)
    await store.submit(of(mine, 60))
    assert (await store.audit()).clean
    backend.tamper("UPDATE spending SET micros = 59")
    (found,) = (await store.audit()).findings
    assert (found.check, found.rows) == ("spending", (f"key {mine.id} spark",))


@settings(max_examples=25, deadline=None)
@given(
    cap=st.integers(0, 120),
    wishes=st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=12),
)
def test_whatever_is_asked_the_cap_holds(
    tmp_path_factory: pytest.TempPathFactory, cap: int, wishes: list[tuple[int, bool]]
) -> None:
    async def run() -> None:
        store = SqliteBackend(tmp_path_factory.mktemp("cap")).store()
        await store.open()
        await store.create_account(account(ADA), {"spark": 1_000})
        mine = await capped(store, total=cap)
        spent = 0
        for price, keep in wishes:
            row = of(mine, price)
            fits = spent + price <= cap
            assert (await submit(store, row) is SubmitResult.CREATED) is fits
            if fits and keep:
                spent += price
            elif fits:
                await store.cancel(row.id, "artistCanceled", NOW, claimed=True)
        assert (await store.audit()).findings == ()
        await store.close()

    asyncio.run(run())
