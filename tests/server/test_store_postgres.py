"""What only the PostgreSQL store promises: connections that break, several processes, versions."""

import asyncio
import hashlib
import re
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from dreamgrid.errors import ConfigError, ServerUnavailable
from dreamgrid.server import store as store_package
from dreamgrid.server.store import postgres as postgres_module
from dreamgrid.server.store import sqlite_schema
from dreamgrid.server.store.base import SubmitResult
from dreamgrid.server.store.choice import audit_at, migrate_at, postgres_store
from dreamgrid.server.store.connection import Connection
from dreamgrid.server.store.postgres import PostgresStore
from dreamgrid.server.store.postgres_connection import PostgresConnection, parsed
from dreamgrid.states import ProjectState
from tests.server.conftest import MakeGrid
from tests.support import postgres
from tests.support.stores import ADA, BOB, NOW, PostgresBackend, account, end, key, project
from tests.support.wire import PNG, finished

MIGRATIONS = Path(store_package.__file__).parent / "postgres_migrations"
RELEASED = {
    "0001_initial.sql": "7ef61b706d90eb235ed5ace9549438032cdd6dea27e2375ac146fb7b41415813",
    "0002_reign.sql": "7f6271870548ad6936d434fbb12b4fe97d499045b83266c0f31a45533bdf24e5",
    "0003_nodes.sql": "756ce97babf3320ddd3a46833836405f4d072228afc8221ae16c231611d73ccd",
}
"""Every script and its SHA-256. A new one is added here in the commit that brings it."""

END_IT = "pg_terminate_backend(pid, 10000)"  # and waits until it has ended
OTHERS = "pid <> pg_backend_pid() AND datname = current_database()"


@pytest.fixture
def address(tmp_path: Path) -> str:
    return PostgresBackend(tmp_path).address


def cut(address: str) -> None:
    """Breaks every connection to a database, as a restart of PostgreSQL does."""
    with closing(PostgresConnection(address)) as connection:
        connection.execute(f"SELECT {END_IT} FROM pg_stat_activity WHERE {OTHERS}")


def allow(address: str, *, connections: bool) -> None:
    """Lets a database take connections, or no more."""
    database = parsed(address)["dbname"]
    with psycopg.connect(postgres.server(), autocommit=True) as connection:
        words = "true" if connections else "false"
        connection.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS {words}".encode())
        if not connections:
            ended = f"SELECT {END_IT} FROM pg_stat_activity WHERE datname = '{database}'"
            connection.execute(ended.encode())


async def opened(store: PostgresStore) -> PostgresStore:
    await store.open()
    await store.create_account(account(ADA), {"spark": 1_000})
    return store


@pytest.fixture
async def store(address: str) -> AsyncIterator[PostgresStore]:
    store = await opened(PostgresStore(address))
    yield store
    await store.close()


def test_scripts_that_databases_have_seen_are_never_edited() -> None:
    found = {
        script.name: hashlib.sha256(script.read_bytes()).hexdigest()
        for script in sorted(MIGRATIONS.iterdir())
        if script.suffix == ".sql"
    }
    assert found == RELEASED, "write a new script for what is to be changed, and name it above"


# ── connections that break ───────────────────────────────────────────────────────────────────────


async def test_reading_goes_on_after_a_broken_connection(
    store: PostgresStore, address: str
) -> None:
    cut(address)
    assert await store.account(ADA) is not None


async def test_writing_goes_on_after_a_broken_connection(
    store: PostgresStore, address: str
) -> None:
    cut(address)
    with pytest.raises(ServerUnavailable, match="does not answer"):
        await store.grant(ADA, "spark", 1, NOW)
    assert (await store.grant(ADA, "spark", 1, NOW)).posted_micros == 1_001


async def test_a_database_that_is_away_is_said_clearly_and_heals(
    store: PostgresStore, address: str
) -> None:
    allow(address, connections=False)
    for _ in range(2):
        with pytest.raises(ServerUnavailable, match="database"):
            await store.grant(ADA, "spark", 1, NOW)
    with pytest.raises(ServerUnavailable, match="database"):
        await store.account(ADA)
    allow(address, connections=True)
    assert (await store.grant(ADA, "spark", 1, NOW)).posted_micros == 1_001
    assert await store.account(ADA) is not None


async def test_text_that_postgresql_cannot_hold_fails_its_own_write_and_no_other(
    store: PostgresStore,
) -> None:
    rename = "UPDATE account SET username = ? WHERE id = ? RETURNING username"

    def twice(connection: Connection) -> None:
        assert connection.execute(rename, ("half", ADA)).fetchone() == ("half",)
        connection.execute(rename, ("a\0b", ADA))

    with pytest.raises(psycopg.DataError):
        await store._write(twice)
    assert (await store.grant(ADA, "spark", 1, NOW)).posted_micros == 1_001
    assert await store.account(ADA) == account(ADA)


class Deaf(PostgresConnection):
    """Breaks at a commit that comes after `armed` was set: before or after it took effect."""

    armed: str | None = None

    def commit(self) -> None:
        if Deaf.armed is not None:
            when, Deaf.armed = Deaf.armed, None
            if when == "after":
                super().commit()
            self.close()
            raise psycopg.OperationalError("the network is down")
        super().commit()


class DeafStore(PostgresStore):
    def _connect(self) -> PostgresConnection:
        return Deaf(self._address)


async def test_a_commit_whose_answer_was_lost_counts_as_what_it_is(address: str) -> None:
    store = await opened(DeafStore(address))
    try:
        Deaf.armed = "after"
        both = await asyncio.gather(
            store.grant(ADA, "spark", 10, NOW), store.grant(ADA, "spark", 10, NOW)
        )
        assert [one.posted_micros for one in both] == [1_010, 1_020]
        Deaf.armed = "before"
        with pytest.raises(ServerUnavailable):
            await store.grant(ADA, "spark", 100, NOW)
        assert (await store.balances(ADA))["spark"].posted_micros == 1_020
        assert (await store.audit()).clean
    finally:
        Deaf.armed = None
        await store.close()


class AwayStore(DeafStore):
    """Its database cannot be reached `away` times, once a commit was stored and not answered."""

    away = 0

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.asked = threading.Event()

    def _connect(self) -> PostgresConnection:
        if self.away:
            self.away -= 1
            self.asked.set()
            raise psycopg.OperationalError("nobody answers")
        return super()._connect()


@pytest.fixture
async def away(address: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AwayStore]:
    monkeypatch.setattr(postgres_module, "_ASK_AGAIN_S", 0.01)
    store = AwayStore(address)
    await opened(store)
    Deaf.armed = "after"
    yield store
    Deaf.armed = None
    await store.close()


async def test_what_became_of_a_commit_is_asked_until_the_database_is_back(away: AwayStore) -> None:
    away.away = 50
    both = [away.grant(ADA, "spark", 10, NOW)]
    await asyncio.to_thread(away.asked.wait)
    both.append(away.grant(ADA, "spark", 10, NOW))
    assert [one.posted_micros for one in await asyncio.gather(*both)] == [1_010, 1_020]
    assert away.away == 0


async def test_a_server_stops_though_nobody_can_say_what_became_of_a_commit(
    away: AwayStore, address: str
) -> None:
    away.away = 1_000_000
    granted = away.grant(ADA, "spark", 10, NOW)
    await asyncio.to_thread(away.asked.wait)
    await away.close()
    with pytest.raises(ServerUnavailable):
        await granted
    next_one = PostgresStore(address)
    await next_one.open()
    assert (await next_one.balances(ADA))["spark"].posted_micros == 1_010
    await next_one.close()


async def test_a_copy_that_took_over_never_heard_of_a_lost_commit(store: PostgresStore) -> None:
    assert not store._writer._ask_about(str(2**62))


# ── several processes ────────────────────────────────────────────────────────────────────────────


async def test_two_processes_that_write_at_once_lose_and_invent_nothing(
    store: PostgresStore, address: str
) -> None:
    """The money suffices for ten projects, the cap of their key for five."""
    await store.create_account(account(BOB), {})
    capped = key(ADA)
    capped = type(capped)(
        **{name: getattr(capped, name) for name in capped.__struct_fields__}
        | {"max_total_micros": 500}
    )
    await store.add_key(capped)
    other = PostgresStore(address)
    await other.open()
    try:
        rows = [project(100) for _ in range(16)]
        for row in rows:
            row.key_id = capped.id
        stores = [store, other]
        answers = await asyncio.gather(
            *(stores[number % 2].submit(row) for number, row in enumerate(rows))
        )
        accepted = [
            row
            for row, answer in zip(rows, answers, strict=True)
            if answer.result is SubmitResult.CREATED
        ]
        assert len(accepted) == 5
        ends = await asyncio.gather(
            *(
                one.end_job(
                    end(
                        row.jobs[0],
                        attempt=0,
                        earner=BOB,
                        earned=7,
                        project_state=ProjectState.COMPLETED,
                    )
                )
                for row in accepted
                for one in stores
            )
        )
        assert sum(answer.accepted for answer in ends) == 5
        for row in accepted:
            log = await store.events(row.id, 0)
            assert [event.number for event in log] == [1, 2, 3]
        assert (await other.balances(BOB))["spark"].posted_micros == 35
        assert (await store.audit()).clean
    finally:
        await other.close()


async def test_a_database_has_one_server_and_one_that_was_replaced_cannot_write(
    address: str,
) -> None:
    first = await opened(PostgresStore(address, alone=True))
    second = PostgresStore(address, alone=True)
    with pytest.raises(ConfigError, match="another server uses this database"):
        await second.open()
    cut(address)
    third = PostgresStore(address, alone=True)
    await third.open()
    for _ in range(2):
        with pytest.raises(ServerUnavailable):
            await first.grant(ADA, "spark", 1, NOW)
    cut(address)  # a connection that broke is no reason to stop
    with pytest.raises(ServerUnavailable):
        await third.grant(ADA, "spark", 1, NOW)
    assert (await third.grant(ADA, "spark", 1, NOW)).posted_micros == 1_001
    await third.close()
    with pytest.raises(ServerUnavailable, match="start it again"):
        await first.grant(ADA, "spark", 1, NOW)
    await first.close()


# ── the database itself ──────────────────────────────────────────────────────────────────────────


async def test_a_newer_database_is_left_alone(store: PostgresStore, address: str) -> None:
    with closing(PostgresConnection(address)) as connection:
        connection.execute("UPDATE dreamgrid_version SET version = version + 1")
    with pytest.raises(ConfigError, match="newer dreamgrid"):
        await PostgresStore(address).open()
    with pytest.raises(ConfigError, match="newer dreamgrid"):
        await store.audit()


async def test_a_database_that_nobody_serves_yet_is_not_audited(
    address: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="version 0"):
        audit_at(address, tmp_path / "none")


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("mysql://host/grid", "must begin with postgresql://"),
        ("postgresql://%zz/grid", "cannot be read"),
        ("postgresql://127.0.0.1:9/grid", "cannot be opened"),
    ],
)
async def test_what_is_wrong_with_an_address_is_said(address: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        await postgres_store(address).open()


async def test_both_databases_have_the_same_columns(store: PostgresStore, address: str) -> None:
    """Their SQL is the same: a migration of the one needs its twin for the other."""
    with closing(PostgresConnection(address)) as connection:
        found = connection.execute(
            "SELECT table_name || '.' || column_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND table_name NOT LIKE 'dreamgrid%'"
        ).fetchall()
    assert {column for (column,) in found} == sqlite_schema._columns_of(
        sqlite_schema.newest_version()
    )


# ── a whole grid ─────────────────────────────────────────────────────────────────────────────────


async def test_a_grid_lives_in_postgresql_and_survives_a_restart(
    make_grid: MakeGrid, address: str, tmp_path: Path
) -> None:
    async with make_grid(store=address, known_models=()) as grid:
        app, worker = await grid.app(), await grid.worker()
        done = await app.request()
        await worker.finish(await worker.assigned())
        await app.wait_state("jobCompleted", jobID=done)
        waiting = await app.request(numberOfImages=2)
        job = await worker.assigned()
        await worker.upload(job)
        cut(address)
        await worker.send(finished(job.job_id, 1, PNG))
        await app.wait_for("jobResult", jobID=waiting)
        await grid.restart()
        assert (await grid.record(done))["status"] == "completed"
        assert (await grid.live(waiting))["status"] != "completed"
        assert not (grid.config.data_dir / "dreamgrid.sqlite").exists()
    assert audit_at(address, tmp_path / "none").clean


PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text("utf-8")


async def test_a_server_may_read_and_write_rows_and_nothing_else(make_grid: MakeGrid) -> None:
    """The roles are those of the page, as it makes them."""
    (statements,) = re.findall(r"^```sql\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    address = postgres.new_database()
    statements = statements.replace("CREATE DATABASE grid OWNER grid_owner;\n", "")
    with psycopg.connect(address, autocommit=True) as connection:
        try:
            connection.execute(statements.encode())
            owner, server = (
                address.replace("postgres@", f"{role}@") for role in ("grid_owner", "grid")
            )
            with pytest.raises(ConfigError, match="run 'dreamgrid migrate' as the owner"):
                migrate_at(server, Path())
            migrate_at(owner, Path())
            async with make_grid(store=server, known_models=()) as grid:
                app, worker = await grid.app(), await grid.worker()
                made = await app.request()
                await worker.finish(await worker.assigned())
                await app.wait_state("jobCompleted", jobID=made)
            for forbidden in ("DROP TABLE job", "CREATE TABLE mine (id INT)", "TRUNCATE transfer"):
                with (
                    pytest.raises(psycopg.errors.InsufficientPrivilege),
                    psycopg.connect(server) as limited,
                ):
                    limited.execute(forbidden.encode())
            assert audit_at(server, Path()).clean
        finally:
            connection.execute(b"DROP OWNED BY grid, grid_owner CASCADE")
            connection.execute(b"DROP ROLE grid, grid_owner")
