"""Stores for tests: every backend behind one door, and rows with sensible defaults."""

import sqlite3
import uuid
from contextlib import closing
from pathlib import Path

from dreamgrid.protocol.params import TokenType
from dreamgrid.server.ledger import Transfer
from dreamgrid.server.store.base import (
    AccountRow,
    Acquisition,
    JobEnd,
    JobRow,
    KeyRow,
    ProjectRow,
    Store,
)
from dreamgrid.server.store.postgres import PostgresStore
from dreamgrid.server.store.postgres_connection import PostgresConnection
from dreamgrid.server.store.sqlite import SqliteStore
from dreamgrid.states import JobState, ProjectState
from tests.support import postgres

ADA = "ADA"
BOB = "BOB"
GRANT = 1_000
NOW = 1_700_000_000_000
"""A moment, in milliseconds."""


class SqliteBackend:
    """Databases in one file; a second store on it is another process, or the same one later."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "grid.sqlite"

    def store(self) -> Store:
        """A store on the database; not opened yet."""
        return SqliteStore(self.path)

    def transfers(self) -> list[Transfer]:
        """Every entry of the ledger, oldest first; read behind the store's back."""
        connection = sqlite3.connect(self.path)
        try:
            columns = ", ".join(Transfer._fields)
            rows = connection.execute(f"SELECT {columns} FROM transfer ORDER BY id")
            return [Transfer(*row) for row in rows]
        finally:
            connection.close()

    def tamper(self, *statements: str) -> None:
        """Changes the database behind the store's back, against all of its rules."""
        connection = sqlite3.connect(self.path, isolation_level=None, timeout=5)
        try:
            connection.execute("PRAGMA ignore_check_constraints = on")
            for statement in statements:
                connection.execute(statement)
        finally:
            connection.close()


class PostgresBackend:
    """A database of its own, whose address lies in a folder, where other processes find it."""

    def __init__(self, folder: Path) -> None:
        note = folder / "postgres"
        if not note.exists():
            note.write_text(postgres.new_database())
        self.address = note.read_text()

    def store(self) -> Store:
        """A store on the database; not opened yet."""
        return PostgresStore(self.address)

    def transfers(self) -> list[Transfer]:
        """Every entry of the ledger, oldest first; read behind the store's back."""
        with closing(PostgresConnection(self.address)) as connection:
            columns = ", ".join(Transfer._fields)
            rows = connection.execute(f"SELECT {columns} FROM transfer ORDER BY id")
            return [Transfer(*row) for row in rows]

    def tamper(self, *statements: str) -> None:
        """Changes the database behind the store's back, against all of its rules."""
        with closing(PostgresConnection(self.address)) as connection:
            rules = connection.execute(
                "SELECT conrelid::regclass::text, quote_ident(conname) FROM pg_constraint"
                " WHERE contype IN ('c', 'f') AND connamespace = 'public'::regnamespace"
            ).fetchall()
            for table, rule in rules:
                connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {rule}")
            for statement in statements:
                connection.execute(statement)


Backend = SqliteBackend | PostgresBackend

BACKENDS: dict[str, type[Backend]] = {"sqlite": SqliteBackend, "postgres": PostgresBackend}
"""A new backend joins every contract test by adding itself here."""


async def open_rows(store: Store) -> list[ProjectRow]:
    """All projects that have not ended, oldest first."""
    return [row async for some in store.open_projects() for row in some]


def new_id() -> str:
    """An id as the server mints them."""
    return str(uuid.uuid4()).upper()


def account(account_id: str = ADA) -> AccountRow:
    """An account named after its id."""
    return AccountRow(id=account_id, username=account_id.lower(), created_ms=NOW)


def key(account_id: str = ADA, *, secret: bytes = b"secret", created_ms: int = NOW) -> KeyRow:
    """An API key."""
    return KeyRow(
        id=new_id(),
        account_id=account_id,
        name="laptop",
        prefix="dgk_abcd",
        hash=secret,
        created_ms=created_ms,
    )


def project(
    *prices: int,
    account_id: str = ADA,
    app_id: str = "app-1",
    project_id: str | None = None,
    request: bytes = b'{"jobID":"P"}',
    token: TokenType = "spark",
    at_ms: int = NOW,
) -> ProjectRow:
    """A new project with one job for each price."""
    project_id = project_id or new_id()
    return ProjectRow(
        id=project_id,
        account_id=account_id,
        app_id=app_id,
        model="pattern-v1",
        network="fast",
        token_type=token,
        origin="http://grid.example",
        request=request,
        state=ProjectState.QUEUED,
        width=64,
        height=96,
        steps=8,
        previews=1,
        output_format="png",
        hold_micros=sum(prices),
        created_ms=at_ms,
        updated_ms=at_ms,
        jobs=tuple(
            JobRow(
                id=new_id(),
                project_id=project_id,
                index=index,
                state=JobState.QUEUED,
                render=b'{"model":"pattern-v1"}',
                price_micros=price,
                created_ms=at_ms,
            )
            for index, price in enumerate(prices)
        ),
    )


def acquisition(job: JobRow, attempt: int = 1, worker: str = "W1") -> Acquisition:
    """A job goes to a worker."""
    return Acquisition(job_id=job.id, attempt=attempt, worker_id=worker, worker_name=f"{worker}!")


def end(
    job: JobRow,
    state: JobState = JobState.COMPLETED,
    *,
    attempt: int = 1,
    project_state: ProjectState = ProjectState.PROCESSING,
    at_ms: int = NOW + 5,
    earner: str = "",
    earned: int = 0,
) -> JobEnd:
    """A job ends; charged when it was completed."""
    return JobEnd(
        project_id=job.project_id,
        job_id=job.id,
        attempt=attempt,
        state=state,
        reason="jobCompleted" if state is JobState.COMPLETED else "genfailure",
        charge=state is JobState.COMPLETED,
        seed=42,
        steps=8,
        earner=earner,
        earned_micros=earned,
        at_ms=at_ms,
        project_state=project_state,
    )
