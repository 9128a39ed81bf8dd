"""Writes that share a commit: each sees what those before it did, and all end as if one by one.

Hypothesis makes up lists of right and wrong writes to few projects, so that many of them meet. They
are made all at once in one store and one after the other in a second one: both must answer the same
and hold the same.
"""

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dreamgrid.server.store.base import JobRow, ProjectRow, Store
from dreamgrid.server.store.postgres import PostgresStore
from dreamgrid.server.store.sqlite import SqliteStore
from dreamgrid.states import JobState, ProjectState
from tests.support.stores import (
    ADA,
    BACKENDS,
    BOB,
    NOW,
    Backend,
    account,
    acquisition,
    end,
    key,
    project,
)

Write = Callable[[Store], asyncio.Future[Any]]
Opened = SqliteStore | PostgresStore

EXAMPLES = {"sqlite": 25, "postgres": 4}
MONEY = 100
CAPPED = "CAPPED"
TABLES = (
    "SELECT id, account_id, state, reason, charged_micros, claimed, key_id, updated_ms, ended_ms"
    " FROM project ORDER BY number",
    "SELECT project.id, request, renders FROM wish JOIN project ON project = number ORDER BY 1",
    "SELECT job_index, id, state, price_micros, attempt, failures, worker_id, worker_name, reason,"
    " seed, steps, sha256, sensitive, withheld, removed, charged_micros, created_ms, started_ms,"
    " ended_ms FROM job ORDER BY id",
    "SELECT project.id, event.number, at_ms, kind, job_id, details"
    " FROM event JOIN project ON project = project.number ORDER BY 1, 2",
    "SELECT kind, currency, payer, payee, amount_micros, project_id, job_id, at_ms, reverses"
    " FROM transfer ORDER BY id",
    "SELECT * FROM balance ORDER BY account_id, currency",
    "SELECT * FROM spending ORDER BY key_id, currency, day",
    "SELECT project_id, webhook_id, number, kind, state FROM delivery ORDER BY 1, 2, 3",
)
"""Everything but numbers that a database gives by itself, which may have gaps."""


def wish(name: int, prices: tuple[int, ...], account_id: str, key_id: str | None) -> ProjectRow:
    """A project with an id, and jobs with ids, that others may have as well."""
    row = project(
        *prices, account_id=account_id, project_id=f"P{name}", request=b"%d" % len(prices)
    )
    row.key_id = key_id
    for job in row.jobs:
        job.id = f"J{name}.{job.index}"
    return row


def job(name: int, index: int) -> JobRow:
    return JobRow(
        id=f"J{name}.{index}",
        project_id=f"P{name}",
        index=index,
        state=JobState.QUEUED,
        render=b"{}",
        price_micros=0,
        created_ms=NOW,
    )


names = st.integers(0, 3)
jobs = st.builds(job, names, st.integers(0, 1))
attempts = st.integers(0, 2)
times = st.integers(NOW, NOW + 9)
owners = st.sampled_from((ADA, ADA, BOB, "NOBODY"))


@st.composite
def submits(draw: st.DrawFn) -> Write:
    prices = tuple(draw(st.lists(st.integers(0, 60), min_size=1, max_size=2)))
    row = wish(draw(names), prices, draw(owners), draw(st.sampled_from((None, CAPPED))))
    return lambda store: store.submit(row)


@st.composite
def acquires(draw: st.DrawFn) -> Write:
    taken = [acquisition(draw(jobs), draw(st.integers(1, 2))) for _ in range(2)]
    return lambda store: store.acquire(taken, NOW)


@st.composite
def ends(draw: st.DrawFn) -> Write:
    ended = end(
        draw(jobs),
        draw(st.sampled_from((JobState.COMPLETED, JobState.FAILED))),
        attempt=draw(attempts),
        project_state=draw(st.sampled_from((ProjectState.PROCESSING, ProjectState.COMPLETED))),
        at_ms=draw(times),
        earner=draw(st.sampled_from(("", ADA, BOB))),
    )
    if ended.charge and ended.earner:
        ended = msgspec.structs.replace(ended, earned_micros=draw(st.integers(0, 1)))
    return lambda store: store.end_job(ended)


@st.composite
def others(draw: st.DrawFn) -> Write:
    one, attempt, at_ms, claimed = draw(jobs), draw(attempts), draw(times), draw(st.booleans())
    several: tuple[Write, ...] = (
        lambda store: store.start(one.id, attempt, at_ms),
        lambda store: store.requeue(one.id, attempt, 1, "lost", at_ms),
        lambda store: store.cancel(one.project_id, "enough", at_ms, claimed=claimed),
        lambda store: store.balances(ADA),  # this one goes past the group
    )
    return draw(st.sampled_from(several))


writes = st.one_of(submits(), acquires(), ends(), others())


async def opened(backend: Backend) -> Opened:
    """A store with two accounts, a key with a cap, and somebody who wants to hear of everything."""
    store = backend.store()
    assert isinstance(store, Opened)
    await store.open()
    for owner in (ADA, BOB):
        await store.create_account(account(owner), {"spark": MONEY})
    await store.add_key(msgspec.structs.replace(key(), id=CAPPED, max_total_micros=MONEY // 2))
    await store._write(
        lambda connection: (
            connection.execute(
                "INSERT INTO webhook (id, account_id, url, events, description, secret, created_ms)"
                " VALUES ('W', ?, '', '', '', '', 0)",
                (ADA,),
            ).rowcount
        )
    )
    return store


async def held(store: Opened) -> list[list[Any]]:
    """What is in the tables."""
    return [
        await store._read(lambda connection, sql=sql: connection.execute(sql).fetchall())  # type: ignore[misc]
        for sql in TABLES
    ]


async def compare(backends: tuple[Backend, Backend], groups: list[list[Write]]) -> None:
    together, alone = [await opened(backend) for backend in backends]
    try:
        for group in groups:
            at_once = await asyncio.gather(
                *[write(together) for write in group], return_exceptions=True
            )
            in_turn = [
                (await asyncio.gather(write(alone), return_exceptions=True))[0] for write in group
            ]
            assert list(map(told, at_once)) == list(map(told, in_turn))
            assert await held(together) == await held(alone)
        # Some of these writes leave a project open without an open job, which is what it then says.
        assert (await together.audit()).findings == (await alone.audit()).findings
    finally:
        await together.close()
        await alone.close()


def told(answer: object) -> object:
    """An answer; errors are compared by their kind."""
    return type(answer) if isinstance(answer, BaseException) else answer


@pytest.mark.parametrize("backend", BACKENDS)
def test_writes_in_one_group_do_what_they_do_one_by_one(backend: str) -> None:
    @settings(max_examples=EXAMPLES[backend], deadline=None)
    @given(groups=st.lists(st.lists(writes, min_size=1, max_size=12), min_size=1, max_size=3))
    def check(groups: list[list[Write]]) -> None:
        with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
            backends = BACKENDS[backend](Path(one)), BACKENDS[backend](Path(two))
            with asyncio.Runner() as runner:
                runner.run(compare(backends, groups))

    check()
