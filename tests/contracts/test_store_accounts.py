"""What every store promises about names, sessions and histories."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dreamgrid.server.store.base import AccountRow, HistoryRow, Rotation, SessionRow, Store
from dreamgrid.states import JobState, ProjectState
from tests.support.stores import (
    ADA,
    BACKENDS,
    BOB,
    GRANT,
    NOW,
    account,
    acquisition,
    end,
    project,
)

DAY_MS = 24 * 3600 * 1000
SESSION = SessionRow(id="S1", account_id=ADA, token_id="T1", expires_ms=NOW + DAY_MS)


@pytest.fixture(params=BACKENDS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """An open store with two accounts that own 1000 spark each."""
    store = BACKENDS[request.param](tmp_path).store()
    await store.open()
    for owner in (ADA, BOB):
        assert await store.create_account(account(owner), {"spark": GRANT})
    yield store
    await store.close()


def rotation(presented: str, fresh: str, *, after_ms: int = 0) -> Rotation:
    """An exchange of the refresh token, a while after now; the grace is 10 ms."""
    return Rotation(
        session_id="S1",
        presented=presented,
        fresh=fresh,
        at_ms=NOW + after_ms,
        grace_ms=10,
        expires_ms=NOW + after_ms + DAY_MS,
    )


async def test_names_and_addresses_are_unique_in_any_case(store: Store) -> None:
    first = AccountRow(id="C", username="Carol", address="0xAB", email="c@x.org", created_ms=NOW)
    assert await store.create_account(first, {})
    twin = AccountRow(id="D", username="CAROL", created_ms=NOW)
    assert not await store.create_account(twin, {"spark": GRANT})
    same_wallet = AccountRow(id="E", username="eve", address="0xab", created_ms=NOW)
    assert not await store.create_account(same_wallet, {})
    assert await store.account_by_username("cArOl") == first
    assert await store.account_by_address("0xaB") == first
    assert await store.balances("D") == {}


async def test_accounts_without_a_wallet_do_not_share_one(store: Store) -> None:
    assert await store.account_by_address("") is None


async def test_a_grant_adds_to_what_can_be_spent_and_to_the_history(store: Store) -> None:
    assert (await store.grant(ADA, "spark", 7, NOW + 1)).posted_micros == GRANT + 7
    assert (await store.grant(ADA, "sogni", 5, NOW + 2)).free_micros == 5
    assert (await store.balances(ADA))["spark"].free_micros == GRANT + 7
    assert (await store.balances(BOB))["spark"].free_micros == GRANT
    rows = await store.history(ADA, 10, 0)
    assert [(row.currency, row.amount_micros) for row in rows] == [
        ("sogni", 5),
        ("spark", 7),
        ("spark", GRANT),
    ]


async def test_a_session_can_be_found_until_it_is_ended(store: Store) -> None:
    await store.add_session(SESSION, NOW)
    assert await store.session("S1") == SESSION
    await store.end_session("S1")
    assert await store.session("S1") is None
    await store.end_session("S1")


async def test_sessions_that_have_run_out_are_forgotten(store: Store) -> None:
    await store.add_session(SESSION, NOW)
    other = SessionRow(id="S2", account_id=BOB, token_id="T", expires_ms=NOW + 9 * DAY_MS)
    await store.add_session(other, NOW + DAY_MS)
    assert await store.session("S1") is None
    assert await store.session("S2") == other


async def test_a_refresh_token_is_exchanged_once(store: Store) -> None:
    await store.add_session(SESSION, NOW)
    assert await store.rotate_session(rotation("T1", "T2")) == "T2"
    assert await store.rotate_session(rotation("T2", "T3", after_ms=1)) == "T3"
    assert await store.rotate_session(rotation("T1", "T4", after_ms=2)) is None
    found = await store.session("S1")
    assert found is not None
    assert (found.token_id, found.expires_ms) == ("T3", NOW + 1 + DAY_MS)


async def test_the_token_before_the_last_one_is_good_for_a_moment(store: Store) -> None:
    await store.add_session(SESSION, NOW)
    assert await store.rotate_session(rotation("T1", "T2")) == "T2"
    assert await store.rotate_session(rotation("T1", "T3", after_ms=10)) == "T2"
    assert await store.rotate_session(rotation("T1", "T4", after_ms=11)) is None


async def test_no_token_of_an_ended_or_unknown_session_is_exchanged(store: Store) -> None:
    assert await store.rotate_session(rotation("T1", "T2")) is None
    await store.add_session(SESSION, NOW)
    assert await store.rotate_session(rotation("T1", "T2", after_ms=DAY_MS)) is None
    assert await store.rotate_session(rotation("", "T2")) is None
    await store.end_session("S1")
    assert await store.rotate_session(rotation("T1", "T2")) is None


async def test_a_session_is_made_longer_and_never_shorter(store: Store) -> None:
    await store.add_session(SESSION, NOW)
    await store.extend_session("S1", NOW + 2 * DAY_MS)
    await store.extend_session("S1", NOW)
    found = await store.session("S1")
    assert found is not None
    assert found.expires_ms == NOW + 2 * DAY_MS


async def test_a_history_has_grants_and_ended_projects_newest_first(store: Store) -> None:
    charged = project(10, 20)
    await store.submit(charged)
    first, second = charged.jobs
    await store.acquire([acquisition(first), acquisition(second)], NOW)
    await store.end_job(end(first, at_ms=NOW + 1))
    (granted,) = await store.history(ADA, 10, 0)  # nothing is told of a project before its end
    assert granted == HistoryRow(
        number=granted.number, kind="grant", at_ms=NOW, currency="spark", amount_micros=GRANT
    )
    await store.end_job(
        end(second, JobState.FAILED, project_state=ProjectState.COMPLETED, at_ms=NOW + 2)
    )
    paid, before = await store.history(ADA, 10, 0)
    assert before == granted
    assert paid == HistoryRow(
        number=paid.number,
        kind="post",
        at_ms=NOW + 2,
        currency="spark",
        amount_micros=10,
        project_id=charged.id,
    )
    assert await store.history(ADA, 1, 1) == [granted]
    assert [row.kind for row in await store.history(BOB, 10, 0)] == ["grant"]
