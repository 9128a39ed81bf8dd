"""A write that fails half-way: nothing of it is ever stored, and nobody else is kept waiting."""

import asyncio
from collections.abc import Callable

import pytest

from dreamgrid.server.store.base import Store
from dreamgrid.server.store.connection import Connection
from dreamgrid.server.store.sql_store import SqlStore
from tests.support.stores import ADA, BOB, GRANT, NOW, Backend
from tests.support.wire import PATIENCE_S

RENAME = "UPDATE account SET username = ? WHERE id = ?"


def refuse(connection: Connection) -> None:
    raise ValueError("a rule says no")


def write_what_no_column_takes(connection: Connection) -> None:
    connection.execute(RENAME, (object(), ADA))


def write_what_the_database_forbids(connection: Connection) -> None:
    connection.execute(RENAME, ("bob", ADA)).fetchone()


@pytest.mark.parametrize(
    "fail", [refuse, write_what_no_column_takes, write_what_the_database_forbids]
)
@pytest.mark.parametrize("together", [1, 3])
async def test_a_write_that_reads_and_then_fails_leaves_nothing_and_the_next_one_is_alone(
    store: Store, backend: Backend, fail: Callable[[Connection], None], together: int
) -> None:
    def half(connection: Connection) -> None:
        connection.execute(RENAME, ("half", ADA))
        assert connection.execute("SELECT username FROM account WHERE id = ?", (ADA,)).fetchone()
        fail(connection)

    assert isinstance(store, SqlStore)
    other = backend.store()
    await other.open()
    try:
        async with asyncio.timeout(PATIENCE_S):
            answers = [store._write(half) for _ in range(together)]
            told = await asyncio.gather(*answers, return_exceptions=True)
            assert all(isinstance(error, Exception) for error in told)
            await other.grant(BOB, "spark", 1, NOW)  # nobody holds the database
            await store.grant(BOB, "spark", 1, NOW)
            account = await other.account(ADA)
            balance = (await other.balances(BOB))["spark"]
    finally:
        await other.close()
    assert account is not None
    assert account.username == "ada"
    assert balance.posted_micros == GRANT + 2
