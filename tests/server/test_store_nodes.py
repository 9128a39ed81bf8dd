"""What nodes tell each other through the database, and that only one of them writes into it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import pytest

from dreamgrid.errors import DatabaseInUse, ServerUnavailable
from dreamgrid.server.store.postgres import PostgresStore
from dreamgrid.server.store.postgres_nodes import PostgresNodes, Seen
from tests.support.stores import ADA, NOW, PostgresBackend, account
from tests.support.wire import PATIENCE_S


@pytest.fixture
def address(tmp_path: Path) -> str:
    return PostgresBackend(tmp_path).address


@pytest.fixture
def nodes(address: str) -> Iterator[PostgresNodes]:
    found = PostgresNodes(address)
    yield found
    found.close()


@pytest.fixture
async def old(address: str) -> AsyncIterator[PostgresStore]:
    """The store of the first coordinator."""
    store = PostgresStore(address, alone=True)
    await store.open()
    assert await store.create_account(account(ADA), {"spark": 1_000})
    yield store
    await store.close()


async def spark(store: PostgresStore) -> int:
    return (await store.balances(ADA))["spark"].posted_micros


async def test_who_coordinates_is_seen_from_its_first_word_on(
    nodes: PostgresNodes, old: PostgresStore
) -> None:
    assert nodes.look() == Seen(reign=0, node="", beats=0, held=True, newest=old.reign)
    assert nodes.beat(old.reign, "")
    assert nodes.beat(old.reign, "one:1")
    assert nodes.look() == Seen(reign=old.reign, node="one:1", beats=2, held=True, newest=old.reign)


async def test_a_database_without_a_server_is_nobodys(nodes: PostgresNodes) -> None:
    assert nodes.look() == Seen(reign=0, node="", beats=0, held=False, newest=0)


async def test_an_evicted_coordinator_writes_nothing_any_more(
    nodes: PostgresNodes, old: PostgresStore, address: str
) -> None:
    nodes.beat(old.reign, "one:1")
    young = PostgresStore(address, alone=True)
    with pytest.raises(DatabaseInUse):
        await young.open()
    nodes.evict(nodes.look())
    young = PostgresStore(address, alone=True)
    await young.open()
    assert young.reign > old.reign
    for _ in range(3):  # on its old connection, and on new ones
        with pytest.raises(ServerUnavailable):
            await old.grant(ADA, "spark", 1, NOW)
    assert not nodes.beat(old.reign, "one:1")
    assert nodes.beat(young.reign, "two:1")
    assert await spark(young) == 1_000
    await young.close()
    async with asyncio.timeout(PATIENCE_S):
        while nodes.look().held:  # noqa: ASYNC110 -- the database lets go a moment later
            await asyncio.sleep(0.02)
    with pytest.raises(ServerUnavailable, match="another server has used"):
        await old.grant(ADA, "spark", 1, NOW)


async def test_two_coordinators_at_once_do_no_harm(old: PostgresStore, address: str) -> None:
    """Forced: somebody takes the lock from the connection that relies on it."""
    await old._write(lambda connection: connection.execute("SELECT pg_advisory_unlock_all()"))
    young = PostgresStore(address, alone=True)
    await young.open()
    try:
        answers = await asyncio.gather(
            *(store.grant(ADA, "spark", 1, NOW) for _ in range(20) for store in (old, young)),
            return_exceptions=True,
        )
        assert all(isinstance(answer, ServerUnavailable) for answer in answers[::2])
        assert not any(isinstance(answer, BaseException) for answer in answers[1::2])
        assert await spark(young) == 1_020
        assert (await young.audit()).clean
    finally:
        await young.close()


async def test_a_coordinator_that_speaks_again_is_not_evicted(
    nodes: PostgresNodes, old: PostgresStore
) -> None:
    nodes.beat(old.reign, "one:1")
    before = nodes.look()
    nodes.beat(old.reign, "one:1")
    nodes.evict(before)
    assert nodes.look().held
    assert (await old.grant(ADA, "spark", 1, NOW)).posted_micros == 1_001


async def test_the_first_that_needs_a_secret_makes_it_for_all(address: str) -> None:
    everybody = [PostgresNodes(address) for _ in range(5)]
    try:
        secrets = await asyncio.gather(
            *(
                asyncio.to_thread(one.secret, "s", partial(str, number))
                for number, one in enumerate(everybody)
            )
        )
        assert len(set(secrets)) == 1
        everybody[0].keep_secret("s", "new")
        assert {one.secret("s", str) for one in everybody} == {"new"}
    finally:
        for one in everybody:
            one.close()
