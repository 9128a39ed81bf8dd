"""Transactions whose statements do not wait for each other: answers, errors, broken connections."""

from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from dreamgrid.server.store.postgres_connection import PostgresConnection
from tests.support import postgres


@pytest.fixture(scope="module")
def address() -> str:
    return postgres.new_database()


@pytest.fixture
def connection(address: str) -> Iterator[PostgresConnection]:
    """With an empty table `thing`."""
    with closing(PostgresConnection(address)) as opened:
        opened.execute("DROP TABLE IF EXISTS thing")
        opened.execute("CREATE TABLE thing (id BIGINT PRIMARY KEY, name TEXT, bytes BYTEA)")
        yield opened


def begin(connection: PostgresConnection) -> None:
    connection.begin("SELECT 1", (), lambda row: None)


def stored(connection: PostgresConnection) -> list[tuple[int]]:
    return connection.execute("SELECT id FROM thing ORDER BY id").fetchall()


def test_each_answer_belongs_to_its_statement_in_whatever_order_they_are_read(
    connection: PostgresConnection,
) -> None:
    begin(connection)
    added = connection.executemany(
        "INSERT INTO thing VALUES (?, ?, ?)", [(1, "a", b"\0\xff"), (2, None, None)]
    )
    all_of_them = connection.execute("SELECT * FROM thing ORDER BY id")
    none = connection.execute("SELECT id FROM thing WHERE id = ?", (9,))
    changed = connection.execute("UPDATE thing SET name = 'b' WHERE id > ? RETURNING id", (0,))
    assert (changed.rowcount, sorted(changed)) == (2, [(1,), (2,)])
    assert none.fetchone() is None
    assert all_of_them.fetchmany(1) == [(1, "a", b"\0\xff")]
    assert all_of_them.fetchall() == [(2, None, None)]
    assert added.rowcount == 2
    connection.commit()
    assert not connection.in_transaction
    assert stored(connection) == [(1,), (2,)]


def test_a_statement_is_prepared_once_whichever_of_its_values_are_missing(
    connection: PostgresConnection,
) -> None:
    insert = "INSERT INTO thing VALUES (?, ?, ?), (?, ?, ?)"
    begin(connection)
    connection.execute(insert, (1, None, None, 2, "b", b"\xff"))
    connection.execute(insert, (3, "c", b"\0", 4, None, None))
    connection.execute(insert, (5, "e", None, 6, None, b""))
    connection.commit()
    assert connection.execute("SELECT * FROM thing ORDER BY id").fetchall() == [
        (1, None, None),
        (2, "b", b"\xff"),
        (3, "c", b"\0"),
        (4, None, None),
        (5, "e", None),
        (6, None, b""),
    ]
    prepared = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'INSERT INTO th%'"
    assert connection.execute(prepared).fetchone() == (1,)


def test_a_statement_that_fails_is_told_by_the_commit_and_nothing_is_stored(
    connection: PostgresConnection,
) -> None:
    for _ in range(2):  # what was prepared before is forgotten, and prepared again
        begin(connection)
        connection.execute("INSERT INTO thing VALUES (?, 'a', NULL)", (1,))
        connection.execute("INSERT INTO thing VALUES (?, 'a', NULL)", (1,))
        connection.execute("SELECT count(*) FROM thing")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.commit()
        connection.rollback()
        assert stored(connection) == []


def test_a_statement_that_fails_is_told_to_whoever_reads_an_answer_after_it(
    connection: PostgresConnection,
) -> None:
    begin(connection)
    connection.execute("INSERT INTO thing VALUES (1 / ?, 'a', NULL)", (0,))
    with pytest.raises(psycopg.errors.DivisionByZero):
        connection.execute("SELECT 1").fetchone()
    connection.rollback()
    begin(connection)
    connection.execute("INSERT INTO thing VALUES (3, 'a', NULL)")
    connection.commit()
    assert stored(connection) == [(3,)]


def test_nothing_is_answered_before_the_beginning_was_checked(
    connection: PostgresConnection,
) -> None:
    def refuse(row: tuple[int]) -> None:
        raise ValueError(f"not {row[0]}")

    connection.begin("SELECT 7", (), refuse)
    connection.execute("INSERT INTO thing VALUES (1, 'a', NULL)")
    with pytest.raises(ValueError, match="not 7"):
        connection.execute("SELECT id FROM thing").fetchone()
    connection.rollback()
    assert stored(connection) == []


def test_a_transaction_whose_beginning_is_refused_is_open_until_it_is_undone(
    connection: PostgresConnection,
) -> None:
    with pytest.raises(ZeroDivisionError):
        connection.begin("SELECT 0", (), lambda row: 1 // row[0]).fetchone()
    assert connection.in_transaction
    connection.rollback()
    assert stored(connection) == []


def test_a_transaction_is_open_though_every_answer_has_been_read(
    connection: PostgresConnection,
) -> None:
    begin(connection)
    assert connection.execute("SELECT 1").fetchone() == (1,)
    assert connection.in_transaction
    connection.commit()
    assert not connection.in_transaction


def test_a_table_that_was_changed_meanwhile_fails_one_transaction_and_no_more(
    connection: PostgresConnection, address: str
) -> None:
    def read() -> None:
        begin(connection)
        assert connection.execute("SELECT * FROM thing").fetchall() == []
        connection.commit()

    read()
    with closing(PostgresConnection(address)) as other:
        other.execute("ALTER TABLE thing ADD COLUMN more TEXT")
    with pytest.raises(psycopg.errors.FeatureNotSupported):  # the plan is of before
        read()
    connection.rollback()
    read()


def test_much_goes_both_ways_at_once(connection: PostgresConnection) -> None:
    """More than sockets hold: nobody may wait for the other to read."""
    big = b"x" * 100_000
    begin(connection)
    answers = [
        connection.execute("INSERT INTO thing VALUES (?, 'a', ?) RETURNING bytes", (number, big))
        for number in range(200)
    ]
    connection.commit()
    assert all(answer.fetchone() == (big,) for answer in answers)


@pytest.mark.parametrize("reads", [True, False])
def test_a_connection_that_breaks_is_said_and_known_as_lost(
    connection: PostgresConnection, address: str, reads: bool
) -> None:
    begin(connection)
    (pid,) = connection.execute("SELECT pg_backend_pid()").fetchone()
    with closing(PostgresConnection(address)) as other:
        other.execute(f"SELECT pg_terminate_backend({pid}, 10000)")
    answer = connection.execute("INSERT INTO thing VALUES (1, 'a', NULL)")
    with pytest.raises(psycopg.OperationalError):
        (answer.fetchone if reads else connection.commit)()
    for _ in range(2):
        with pytest.raises(psycopg.OperationalError):
            connection.rollback()
    assert connection.in_transaction
    assert connection.lost
