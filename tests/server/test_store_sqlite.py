"""The embedded store on bad disks and old files, and the thread that commits for many."""

import asyncio
import json
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dreamgrid.errors import ConfigError, ServerUnavailable
from dreamgrid.protocol.renders import AnyRender, ImageRender
from dreamgrid.server import store as store_package
from dreamgrid.server.store.base import SubmitResult
from dreamgrid.server.store.group_commit import GroupCommitWriter
from dreamgrid.server.store.sqlite import SqliteStore
from tests.support.stores import ADA, NOW, account, acquisition, end, open_rows, project

MIGRATIONS = Path(store_package.__file__).parent / "migrations"


Writer = GroupCommitWriter[sqlite3.Connection]


class LimitedStore(SqliteStore):
    """A store whose connections begin with a pragma: a small disk, or little patience."""

    pragma = ""

    def _connect(self) -> sqlite3.Connection:
        connection = super()._connect()
        connection.execute(self.pragma)
        return connection


class SmallDisk(LimitedStore):
    pragma = "PRAGMA max_page_count = 60"


class Impatient(LimitedStore):
    pragma = "PRAGMA busy_timeout = 20"


async def opened(store: SqliteStore) -> SqliteStore:
    await store.open()
    await store.create_account(account(ADA), {"spark": 1_000_000})
    return store


async def test_a_full_disk_refuses_and_stores_nothing(tmp_path: Path) -> None:
    store = await opened(SmallDisk(tmp_path / "grid.sqlite"))
    accepted = []
    while True:
        row = project(10, request=b"x" * 20_000)
        try:
            answer = await store.submit(row)
        except ServerUnavailable as error:
            full = str(error)
            break
        assert answer.result is SubmitResult.CREATED
        accepted.append(row)
    assert "disk is full" in full
    assert "nothing was stored or charged" in full
    assert accepted
    assert (await store.balances(ADA))["spark"].held_micros == 10 * len(accepted)
    assert await store.project(row.id) is None
    await store.close()

    roomy = SqliteStore(tmp_path / "grid.sqlite")
    await roomy.open()
    assert {one.id for one in await open_rows(roomy)} == {one.id for one in accepted}
    assert (await roomy.submit(row)).result is SubmitResult.CREATED
    await roomy.close()


async def test_on_a_full_disk_small_writes_of_a_batch_still_go_through(tmp_path: Path) -> None:
    store = await opened(SmallDisk(tmp_path / "grid.sqlite"))
    row = project(10)
    await store.submit(row)
    outcomes = await asyncio.gather(
        store.submit(project(10, request=b"x" * 500_000)),
        store.acquire([acquisition(row.jobs[0])], NOW),
        store.submit(project(10, request=b"x" * 500_000)),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [ServerUnavailable, list, ServerUnavailable]
    assert outcomes[1] == [True]
    assert [one.id for one in await open_rows(store)] == [row.id]
    await store.close()


async def test_a_locked_database_is_an_error_of_the_moment(tmp_path: Path) -> None:
    store = await opened(Impatient(tmp_path / "grid.sqlite"))
    other = sqlite3.connect(tmp_path / "grid.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    row = project(10)
    with pytest.raises(ServerUnavailable, match="cannot be written"):
        await store.submit(row)
    assert await store.project(row.id) is None
    other.execute("ROLLBACK")
    other.close()
    assert (await store.submit(row)).result is SubmitResult.CREATED
    await store.close()


async def test_a_file_that_is_no_database_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "grid.sqlite"
    path.write_text("my shopping list " * 100)
    with pytest.raises(ConfigError, match=r"grid\.sqlite"):
        await SqliteStore(path).open()
    assert path.read_text().startswith("my shopping list")


async def test_books_of_the_time_before_earnings_still_add_up(tmp_path: Path) -> None:
    path = tmp_path / "grid.sqlite"
    connection = sqlite3.connect(path)
    scripts = sorted(MIGRATIONS.glob("*.sql"))[:6]
    for script in scripts:
        connection.executescript(script.read_text())
    connection.executescript(
        f"""
        PRAGMA user_version = {len(scripts)};
        INSERT INTO account (id, username, created_ms) VALUES ('ADA', 'ada', 1);
        INSERT INTO balance VALUES ('mint', 'spark', -100, 0), ('ADA', 'spark', 70, 0),
               ('house', 'spark', 30, 0);
        INSERT INTO project (id, account_id, app_id, model, network, token_type, origin, request,
               state, width, height, steps, previews, output_format, hold_micros, charged_micros,
               created_ms, updated_ms, ended_ms)
        VALUES ('P', 'ADA', 'APP', 'm', 'fast', 'spark', 'o', '{{}}', 'completed', 8, 8, 2, 0,
                'png', 60, 30, 1, 1, 2);
        INSERT INTO job (project_id, job_index, id, state, render, price_micros, withheld,
               created_ms, ended_ms)
        VALUES ('P', 0, 'J0', 'completed', '{{}}', 30, 0, 1, 2),
               ('P', 1, 'J1', 'completed', '{{}}', 30, 1, 1, 2);
        INSERT INTO transfer VALUES
               (1, 'grant', 'spark', 'mint', 'ADA', 100, NULL, NULL, 1),
               (2, 'hold', 'spark', 'ADA', 'house', 60, 'P', NULL, 1),
               (3, 'post', 'spark', 'ADA', 'house', 30, 'P', 'J0', 2),
               (4, 'void', 'spark', 'ADA', 'house', 30, 'P', 'J1', 2);
        """
    )
    connection.close()
    store = SqliteStore(path)
    await store.open()
    assert (await store.audit()).findings == ()
    assert [row.amount_micros for row in await store.history("ADA", 10, 0)] == [30, 100]
    assert (await store.refund("P", None, 3)).amount_micros == 30
    await store.close()


async def test_a_folder_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere"):
        await SqliteStore(tmp_path / "nowhere" / "grid.sqlite").open()


async def test_renders_of_the_first_version_are_read_as_pictures(tmp_path: Path) -> None:
    """They named neither their media nor their inputs, which followed from the strength."""
    path = tmp_path / "grid.sqlite"
    connection = sqlite3.connect(path)
    for name in ("0001_initial.sql", "0002_wallets.sql"):
        connection.executescript((MIGRATIONS / name).read_text())
    connection.execute("PRAGMA user_version = 2")
    connection.execute("INSERT INTO account VALUES ('ADA', 'ada', '', 1, '')")
    fields = "'APP', 'm', 'fast', 'spark', 'o', '{}', 'queued', NULL, 8, 8, 2, 0, 'png', 5, 0, 0"
    connection.execute(f"INSERT INTO project VALUES ('P', 'ADA', {fields}, 1, 1, NULL)")
    render = {"model": "m", "prompt": "a cat", "width": 8, "height": 8, "steps": 2, "seed": 1}
    for index, strength in enumerate((None, 0.25)):
        blob = json.dumps(render | {"guidance": 1.0, "strength": strength}).encode()
        connection.execute(
            "INSERT INTO job (project_id, job_index, id, state, render, price_micros, created_ms)"
            " VALUES ('P', ?, ?, 'queued', ?, 0, 1)",
            (index, f"J{index}", blob),
        )
    connection.commit()
    connection.close()
    store = SqliteStore(path)
    await store.open()
    (project,) = await open_rows(store)
    plain, started = (msgspec.json.decode(job.render, type=AnyRender) for job in project.jobs)
    assert isinstance(plain, ImageRender)
    assert isinstance(started, ImageRender)
    assert (plain.strength, plain.assets) == (None, ())
    assert (started.strength, started.assets) == (0.25, ("startingImage",))
    await store.close()


async def test_projects_of_the_time_before_numbers_keep_all_that_is_theirs(tmp_path: Path) -> None:
    path = tmp_path / "grid.sqlite"
    connection = sqlite3.connect(path)
    scripts = sorted(MIGRATIONS.glob("*.sql"))[:10]
    for script in scripts:
        connection.executescript(script.read_text())
    connection.executescript(
        f"""
        PRAGMA user_version = {len(scripts)};
        INSERT INTO account (id, username, created_ms) VALUES ('ADA', 'ada', 1);
        INSERT INTO project (id, account_id, app_id, model, network, token_type, origin, request,
               state, width, height, steps, previews, output_format, hold_micros, created_ms,
               updated_ms, key_id, disable_safety)
        VALUES ('LATER', 'ADA', 'APP', 'm', 'fast', 'spark', 'o', CAST('{{"a": 1}}' AS BLOB),
                'processing', 8, 8, 2, 0, 'png', 0, 2, 2, 'KEY', 1),
               ('FIRST', 'ADA', 'APP', 'm', 'fast', 'spark', 'o', CAST('{{"b": 2}}' AS BLOB),
                'queued', 8, 8, 2, 0, 'png', 0, 1, 1, NULL, 0);
        INSERT INTO job (project_id, job_index, id, state, render, price_micros, worker_id,
               attempt, created_ms)
        VALUES ('LATER', 1, 'L1', 'queued', CAST('{{"seed":12345678901234567}}' AS BLOB), 0, '',
                0, 2),
               ('LATER', 0, 'L0', 'assigned', CAST('{{"guidance":0.25}}' AS BLOB), 0, 'W', 3, 2),
               ('FIRST', 0, 'F0', 'queued', CAST('{{}}' AS BLOB), 0, '', 0, 1);
        INSERT INTO event VALUES ('FIRST', 1, 1, 'queued', NULL, '{{}}'),
               ('LATER', 1, 2, 'queued', NULL, '{{}}'),
               ('LATER', 2, 3, 'assigned', 'L0', '{{"index": 0}}');
        """
    )
    connection.close()
    store = SqliteStore(path)
    await store.open()
    first, later = await open_rows(store)
    assert (first.id, first.request, first.key_id) == ("FIRST", b'{"b": 2}', None)
    assert (later.id, later.request, later.key_id) == ("LATER", b'{"a": 1}', "KEY")
    assert later.disable_safety
    assert [(job.id, job.index, job.attempt, job.render) for job in later.jobs] == [
        ("L0", 0, 3, b'{"guidance":0.25}'),
        ("L1", 1, 0, b'{"seed":12345678901234567}'),
    ]
    assert [(event.number, event.job_id) for event in await store.events("LATER", 0)] == [
        (1, None),
        (2, "L0"),
    ]
    assert (await store.cancel("LATER", "artistCanceled", 4, claimed=True)).accepted
    assert [event.number for event in await store.events("LATER", 2)] == [3]
    await store.close()


async def test_opening_again_migrates_nothing_twice(tmp_path: Path) -> None:
    for _ in range(2):
        store = SqliteStore(tmp_path / "grid.sqlite")
        await store.open()
        await store.close()


@pytest.mark.parametrize(
    "break_it",
    [
        "UPDATE balance SET held_micros = -1",
        "UPDATE balance SET held_micros = posted_micros + 1 WHERE account_id = 'ADA'",
        "UPDATE balance SET posted_micros = -1 WHERE account_id = 'ADA'",
        "UPDATE project SET charged_micros = hold_micros + 1",
        "UPDATE project SET state = 'completed'",
        "UPDATE project SET ended_ms = 5 WHERE ended_ms IS NULL",
        "UPDATE job SET state = 'failed' WHERE ended_ms IS NULL",
        "UPDATE job SET state = 'lost'",
        "UPDATE job SET price_micros = -1",
        "INSERT INTO transfer SELECT NULL, 'void', currency, payer, payee, amount_micros,"
        " project_id, job_id, at_ms, NULL FROM transfer WHERE kind = 'post'",
        "INSERT INTO transfer SELECT NULL, kind, currency, payer, payee, amount_micros,"
        " project_id, job_id, at_ms, NULL FROM transfer WHERE kind = 'hold'",
        "INSERT INTO transfer SELECT NULL, 'refund', currency, payee, payer, amount_micros,"
        " project_id, job_id, at_ms, NULL FROM transfer WHERE kind = 'post'",
        "UPDATE transfer SET amount_micros = 0",
    ],
)
async def test_the_database_itself_refuses_impossible_rows(tmp_path: Path, break_it: str) -> None:
    store = await opened(SqliteStore(tmp_path / "grid.sqlite"))
    row = project(30, 20)
    await store.submit(row)
    await store.acquire([acquisition(job) for job in row.jobs], NOW)
    await store.end_job(end(row.jobs[0]))
    await store.close()
    vandal = sqlite3.connect(tmp_path / "grid.sqlite")
    with pytest.raises(sqlite3.IntegrityError):
        vandal.execute(break_it)
    vandal.close()


# ── group commit ─────────────────────────────────────────────────────────────────────────────────


class Tape:
    """A database with one table, and every statement that was run on it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.statements: list[str] = []

    def connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        connection.execute("CREATE TABLE IF NOT EXISTS number (value INTEGER PRIMARY KEY)")
        connection.set_trace_callback(self.statements.append)
        return connection

    def values(self) -> list[int]:
        connection = sqlite3.connect(self._path)
        rows = connection.execute("SELECT value FROM number ORDER BY value").fetchall()
        connection.close()
        return [row[0] for row in rows]


@pytest.fixture
def tape(tmp_path: Path) -> Tape:
    return Tape(tmp_path / "numbers.sqlite")


@pytest.fixture
async def writer(tape: Tape) -> AsyncIterator[Writer]:
    writer = GroupCommitWriter(tape.connect)
    writer.start()
    yield writer
    await writer.close()


def add(value: int) -> Callable[[sqlite3.Connection], int]:
    """An operation that stores a number and answers with it."""

    def operation(connection: sqlite3.Connection) -> int:
        connection.execute("INSERT INTO number VALUES (?)", (value,))
        return value

    return operation


class Gate:
    """An operation that keeps the writer busy until it is opened."""

    def __init__(self, writer: Writer) -> None:
        self._open = threading.Event()
        self._entered = threading.Event()
        self.answer = writer.write(self._wait)

    def _wait(self, connection: sqlite3.Connection) -> None:
        del connection
        self._entered.set()
        assert self._open.wait(timeout=60)

    async def entered(self) -> None:
        assert await asyncio.to_thread(self._entered.wait, 10)

    def open(self) -> None:
        self._open.set()


async def test_writes_that_wait_share_one_commit(writer: Writer, tape: Tape) -> None:
    gate = Gate(writer)
    await gate.entered()
    answers = [writer.write(add(number)) for number in range(50)]
    gate.open()
    assert await asyncio.gather(*answers) == list(range(50))
    assert tape.statements.count("COMMIT") == 2  # the gate's, and one for all the others
    assert tape.values() == list(range(50))


async def test_nobody_is_answered_before_the_commit(writer: Writer, tape: Tape) -> None:
    answer = writer.write(add(1))
    answer.add_done_callback(lambda _: tape.statements.append("ANSWERED"))
    await answer
    assert tape.statements[-2:] == ["COMMIT", "ANSWERED"]


async def test_of_a_batch_only_the_culprit_fails(writer: Writer, tape: Tape) -> None:
    gate = Gate(writer)
    await gate.entered()

    def half_done(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO number VALUES (100)")
        raise ValueError("changed my mind")

    answers: list[asyncio.Future[Any]] = [
        writer.write(add(1)),
        writer.write(half_done),
        writer.write(add(2)),
        writer.write(add(1)),  # the number is taken
    ]
    gate.open()
    one, bad, two, taken = await asyncio.gather(*answers, return_exceptions=True)
    assert (one, two) == (1, 2)
    assert isinstance(bad, ValueError)
    assert isinstance(taken, sqlite3.IntegrityError)
    assert tape.values() == [1, 2]


async def test_a_failed_batch_does_not_disturb_the_next(writer: Writer, tape: Tape) -> None:
    await writer.write(add(7))
    with pytest.raises(sqlite3.IntegrityError):
        await writer.write(add(7))
    assert await writer.write(add(1)) == 1
    assert tape.values() == [1, 7]


async def test_closing_commits_more_than_fits_into_one_batch(writer: Writer, tape: Tape) -> None:
    gate = Gate(writer)
    await gate.entered()
    answers = [writer.write(add(number)) for number in range(2_500)]
    closing = asyncio.create_task(writer.close())
    gate.open()
    await closing
    assert [answer.result() for answer in answers] == list(range(2_500))
    assert tape.values() == list(range(2_500))
    with pytest.raises(ServerUnavailable):
        await writer.write(add(3_000))


class Stubborn(sqlite3.Connection):
    """A connection that cannot undo anything."""

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if sql == "ROLLBACK":
            raise sqlite3.OperationalError("disk I/O error")
        return super().execute(sql, *values)


async def test_a_rollback_that_fails_hangs_nobody_and_stores_nothing(tmp_path: Path) -> None:
    tape = Tape(tmp_path / "numbers.sqlite")
    kinds = [Stubborn]
    tape.connect().close()

    def connect() -> sqlite3.Connection:
        kind = kinds.pop() if kinds else sqlite3.Connection
        return sqlite3.connect(
            tmp_path / "numbers.sqlite", isolation_level=None, factory=kind, timeout=0
        )

    def half_done(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO number VALUES (100)")
        raise ValueError("changed my mind")

    writer = GroupCommitWriter(connect)
    writer.start()
    async with asyncio.timeout(60):
        outcomes = await asyncio.gather(
            writer.write(add(1)), writer.write(half_done), return_exceptions=True
        )
        assert [type(outcome) for outcome in outcomes] == [ServerUnavailable, ServerUnavailable]
        assert await writer.write(add(2)) == 2
        await writer.close()
    assert tape.values() == [2]


async def test_a_database_that_cannot_be_opened_hangs_nobody(tape: Tape) -> None:
    refusals = [sqlite3.OperationalError("unable to open database file")]

    def connect() -> sqlite3.Connection:
        if refusals:
            raise refusals.pop()
        return tape.connect()

    writer = GroupCommitWriter(connect)
    writer.start()
    async with asyncio.timeout(60):
        with pytest.raises(ServerUnavailable, match="unable to open"):
            await writer.write(add(1))
        assert await writer.write(add(2)) == 2
        await writer.close()
    assert tape.values() == [2]
