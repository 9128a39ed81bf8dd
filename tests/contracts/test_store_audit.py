"""The audit: silent about every true history, and loud about each kind of damage."""

import asyncio

import pytest

from dreamgrid.server.store.audit import Finding
from dreamgrid.server.store.base import ProjectRow, Store
from dreamgrid.states import JobState, ProjectState
from tests.support.stores import ADA, BOB, NOW, Backend, acquisition, end, project

NO_UNIQUE_SETTLING = "DROP INDEX transfer_once"
NO_UNIQUE_HOLD = "DROP INDEX transfer_hold_once"
COPY = (
    "INSERT INTO transfer (kind, currency, payer, payee, amount_micros, project_id, job_id, at_ms,"
    " reverses) SELECT {kind}, currency, payer, payee, amount_micros, project_id, job_id, at_ms,"
    " reverses"
    " FROM transfer WHERE kind = '{of}'"
)


async def history(store: Store) -> tuple[ProjectRow, ProjectRow]:
    """A project that ended with one job delivered and one failed, and one that is half done."""
    ended, half = project(30, 20), project(5, 7)
    for row in (ended, half):
        await store.submit(row)
        assert all(await store.acquire([acquisition(job) for job in row.jobs], NOW))
    await store.end_job(end(ended.jobs[0], earner=BOB, earned=24))
    last = end(ended.jobs[1], JobState.FAILED, project_state=ProjectState.COMPLETED)
    assert (await store.end_job(last)).accepted
    assert (await store.end_job(end(half.jobs[0]))).accepted
    assert (await store.refund(ended.id, None, NOW)).amount_micros == 30
    return ended, half


async def findings(store: Store) -> list[Finding]:
    return list((await store.audit()).findings)


async def test_true_books_are_clean(store: Store) -> None:
    await history(store)
    await store.submit(project(0, 0))
    report = await store.audit()
    assert report.clean
    assert report.counted == {"account": 2, "transfer": 9, "project": 3, "job": 6}


async def test_books_stay_clean_when_old_projects_are_forgotten(store: Store) -> None:
    await history(store)
    assert await store.prune(NOW + 1_000) == 1
    assert await findings(store) == []


@pytest.mark.parametrize(
    ("check", "damage"),
    [
        ("sum", ["UPDATE balance SET posted_micros = posted_micros + 1 WHERE account_id = 'mint'"]),
        (
            "balance",
            ["UPDATE balance SET posted_micros = posted_micros - 1 WHERE account_id = 'ADA'"],
        ),
        ("balance", ["UPDATE balance SET held_micros = held_micros + 1 WHERE account_id = 'ADA'"]),
        ("balance", ["DELETE FROM balance WHERE account_id = 'house'"]),
        ("balance", ["DELETE FROM transfer WHERE kind = 'grant'"]),
        ("overdrawn", ["UPDATE balance SET held_micros = 10000 WHERE account_id = 'ADA'"]),
        ("charged twice", [NO_UNIQUE_SETTLING, COPY.format(kind="kind", of="post")]),
        ("charged and given back", [NO_UNIQUE_SETTLING, COPY.format(kind="'void'", of="post")]),
        ("charged and given back", [NO_UNIQUE_SETTLING, COPY.format(kind="kind", of="void")]),
        ("orphaned hold", ["DELETE FROM transfer WHERE kind = 'void'"]),
        ("orphaned hold", ["UPDATE transfer SET amount_micros = 19 WHERE kind = 'void'"]),
        ("orphaned hold", ["DELETE FROM transfer WHERE kind = 'void'", "DELETE FROM project"]),
        ("open hold", ["UPDATE project SET hold_micros = 99 WHERE ended_ms IS NULL"]),
        ("open hold", ["UPDATE job SET price_micros = 8 WHERE ended_ms IS NULL"]),
        ("settled without a hold", ["DELETE FROM transfer WHERE kind = 'hold'"]),
        ("settled without a hold", ["UPDATE transfer SET payer = 'BOB' WHERE kind = 'void'"]),
        ("earning", ["UPDATE transfer SET amount_micros = 31 WHERE kind = 'earning'"]),
        ("earning", ["UPDATE transfer SET job_id = 'another' WHERE kind = 'earning'"]),
        ("earning", ["UPDATE transfer SET payer = 'mint' WHERE kind = 'earning'"]),
        ("earning", ["DROP INDEX transfer_earning_once", COPY.format(kind="kind", of="earning")]),
        ("refund", ["UPDATE transfer SET amount_micros = 29 WHERE kind = 'refund'"]),
        ("refund", ["UPDATE transfer SET payee = 'BOB' WHERE kind = 'refund'"]),
        ("refund", ["UPDATE transfer SET reverses = 1 WHERE kind = 'refund'"]),
        ("refund", ["DROP INDEX transfer_refund_once", COPY.format(kind="kind", of="refund")]),
        ("job and money", ["UPDATE job SET charged_micros = 0"]),
        ("job and money", ["UPDATE job SET state = 'completed' WHERE state = 'failed'"]),
        ("job and money", ["UPDATE job SET state = 'failed' WHERE state = 'completed'"]),
        ("job and money", ["UPDATE job SET price_micros = 29 WHERE price_micros = 30"]),
        ("job and money", ["UPDATE job SET ended_ms = 1, state = 'failed' WHERE ended_ms IS NULL"]),
        ("charge", ["UPDATE project SET charged_micros = 29 WHERE charged_micros = 30"]),
        ("end", ["UPDATE project SET ended_ms = 1 WHERE ended_ms IS NULL"]),
        ("end", ["UPDATE project SET ended_ms = NULL"]),
    ],
)
async def test_damage_is_found(
    store: Store, backend: Backend, check: str, damage: list[str]
) -> None:
    await history(store)
    backend.tamper(*damage)
    found = {one.check: one for one in await findings(store)}
    assert check in found
    assert all(found[check].rows), "it names what it is about"
    assert found[check].advice


async def test_a_finding_names_the_rows_and_the_numbers(store: Store, backend: Backend) -> None:
    ended, _ = await history(store)
    backend.tamper("UPDATE project SET charged_micros = 29 WHERE charged_micros = 30")
    (found,) = await findings(store)
    assert found.rows == (f"project {ended.id}",)
    assert "29" in found.message
    assert "30" in found.message


async def test_an_audit_is_of_one_moment_and_stops_nobody(store: Store) -> None:
    """Whatever is written meanwhile, no audit sees half of it."""
    await store.grant(ADA, "spark", 1_000_000, NOW)

    async def keep_busy() -> None:
        for _ in range(40):
            await history(store)
            await store.submit(project(1))

    busy = asyncio.create_task(keep_busy())
    audits = 0
    while not busy.done():
        assert await findings(store) == []
        audits += 1
    await busy
    assert audits > 1, "they ran beside each other"
