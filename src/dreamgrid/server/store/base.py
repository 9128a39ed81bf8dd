"""The contract of a store; the rows that cross it are in `rows`.

A store is the only durable truth about projects and money. Every method that writes is one
transaction, durable when its future resolves; calls take effect in the order in which they were
made. Writes return a future at once, so that a caller on the hot path may attach a callback instead
of spending a task; awaiting it works as well.

Who sets what: `Projects` decides every state (by the tables in `dreamgrid.states`) and mints every
id; the store fences by attempt number, moves the money and refuses impossible rows.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from dreamgrid.protocol.params import TokenType
from dreamgrid.server.store.admin import AdminStore
from dreamgrid.server.store.audit import Audit
from dreamgrid.server.store.rows import (
    AccountRow,
    Acquisition,
    Balance,
    Choice,
    Ended,
    EventKind,
    EventRow,
    HistoryRow,
    JobEnd,
    JobRow,
    KeyRow,
    ProjectRow,
    Refunded,
    Rotation,
    SessionRow,
    SubmitResult,
    Submitted,
    WorkerRow,
)
from dreamgrid.server.store.webhooks import WebhookStore

__all__ = [
    "Store",
    "AccountRow",
    "Acquisition",
    "Balance",
    "Choice",
    "Ended",
    "EventKind",
    "EventRow",
    "HistoryRow",
    "JobEnd",
    "JobRow",
    "KeyRow",
    "ProjectRow",
    "Refunded",
    "Rotation",
    "SessionRow",
    "SubmitResult",
    "Submitted",
    "WorkerRow",
]


class Store(Protocol):
    """See the module's text. Times are milliseconds since 1970, given by the caller.

    Attributes:
        webhooks: Endpoints of accounts, and the outbox of events for them.
        admin: What administrators decided, and the trail of what they did.
    """

    @property
    def webhooks(self) -> WebhookStore: ...

    @property
    def admin(self) -> AdminStore: ...

    async def open(self) -> None:
        """Opens and migrates the database.

        Raises:
            ConfigError: It cannot be opened, or is of a version that this dreamgrid cannot serve.
        """

    async def close(self) -> None:
        """Finishes what was begun and closes."""

    def backlog(self) -> tuple[int, float]:
        """How many writes are not stored yet, and for how many seconds the oldest of them waits."""

    # accounts and keys

    def create_account(
        self, account: AccountRow, grant_micros: dict[TokenType, int]
    ) -> asyncio.Future[bool]:
        """Adds an account with its starting grant; False when id, username or address is taken.

        Names and addresses that differ only in case are the same.
        """

    async def account(self, account_id: str) -> AccountRow | None:
        """The account with this id."""

    async def account_by_username(self, username: str) -> AccountRow | None:
        """The account with this name, in any case."""

    async def account_by_address(self, address: str) -> AccountRow | None:
        """The account with this wallet address, in any case."""

    async def key_by_hash(self, key_hash: bytes) -> KeyRow | None:
        """A key that is not revoked."""

    def add_key(self, key: KeyRow, *, most: int | None = None) -> asyncio.Future[bool]:
        """Adds a key, unless its account has `most` keys or more; whether it was added."""

    async def keys(self, account_id: str) -> list[KeyRow]:
        """The account's keys that are not revoked, oldest first."""

    def revoke_key(self, account_id: str, key_id: str, at_ms: int) -> asyncio.Future[bytes | None]:
        """Revokes a key of this account and returns its hash; None when it has no such key."""

    def balances(self, account_id: str) -> asyncio.Future[dict[TokenType, Balance]]:
        """The account's balances, in order with the writes around this call.

        A currency that it never had is absent.
        """

    def grant(
        self, account_id: str, currency: TokenType, amount_micros: int, at_ms: int
    ) -> asyncio.Future[Balance]:
        """Gives new money to an account that is there; its balance of that currency afterwards."""

    def refund(self, project_id: str, job_id: str | None, at_ms: int) -> asyncio.Future[Refunded]:
        """Takes back what was charged for a project (None: all its jobs), each job once.

        Every refund is an entry that names the post that it reverses. What a worker's owner
        earned stays earned: the house pays.
        """

    async def audit(self) -> Audit:
        """Proves the books as of one moment: what does not add up, names the rows.

        Nothing waits for it, and it changes nothing.
        """

    # sessions and history

    def add_session(self, session: SessionRow, at_ms: int) -> asyncio.Future[None]:
        """Adds a session; forgets those that have run out by `at_ms`."""

    async def session(self, session_id: str) -> SessionRow | None:
        """A session that was not ended."""

    def rotate_session(self, rotation: Rotation) -> asyncio.Future[str | None]:
        """Exchanges a session's refresh token; the id of the one that is good from now on.

        That is `fresh` if the presented one was current; the current one if the presented one was
        exchanged less than `grace_ms` ago. None: it is neither, or the session has ended or run
        out.
        """

    def extend_session(self, session_id: str, expires_ms: int) -> asyncio.Future[None]:
        """Lets a session last longer; never shorter."""

    def end_session(self, session_id: str) -> asyncio.Future[None]:
        """Ends a session, if there is one of this id."""

    async def history(self, account_id: str, limit: int, offset: int) -> list[HistoryRow]:
        """What an account received and paid, newest first."""

    # projects

    def submit(self, project: ProjectRow) -> asyncio.Future[Submitted]:
        """Holds the money and inserts project and jobs. The same project twice has one effect.

        The caps of its key are checked with the balance: what is held counts as spent, and no
        longer once it is voided.
        """

    def acquire(
        self, acquisitions: Sequence[Acquisition], at_ms: int
    ) -> asyncio.Future[list[bool]]:
        """Gives queued jobs to workers; one answer each, False when somebody was faster."""

    def start(self, job_id: str, attempt: int, at_ms: int) -> asyncio.Future[None]:
        """Notes that inference began. A stale attempt changes nothing."""

    def requeue(
        self, job_id: str, attempt: int, failures: int, reason: str, at_ms: int
    ) -> asyncio.Future[bool]:
        """Takes a job back from the attempt that holds it; False when it does not."""

    def end_job(self, end: JobEnd) -> asyncio.Future[Ended]:
        """Ends a job, moves its money and moves its project."""

    def cancel(
        self, project_id: str, reason: str, at_ms: int, *, claimed: bool, message: str = ""
    ) -> asyncio.Future[Ended]:
        """Cancels a project and every job of it that has not ended; voids what they held.

        `message` goes into its log: who else than its app did that, and why, as a sentence.
        """

    def claim(self, project_ids: Sequence[str]) -> asyncio.Future[None]:
        """Notes that the app of these projects has heard of their ends."""

    def remove_results(self, project_id: str, job_id: str | None) -> asyncio.Future[int]:
        """Marks results of a project that has ended as removed by its account; no money moves.

        Args:
            project_id: Which project; one that has not ended, or is unknown, stays as it is.
            job_id: The one job whose result it is. None: all of the project, which disappears from
                its account's lists.

        Returns:
            How many were not removed before.
        """

    def prune(self, before_ms: int) -> asyncio.Future[int]:
        """Forgets some hundreds of projects that ended before then; how many. Money stays."""

    async def events(self, project_id: str, after: int, most: int = 1_000) -> list[EventRow]:
        """The log of a project from the event after number `after` on, in order.

        Every method that changes the state of a project or of its jobs appends what happened, in
        the transaction of the change.
        """

    async def project(self, project_id: str) -> ProjectRow | None:
        """A project with its jobs."""

    async def project_of_job(self, job_id: str) -> str | None:
        """The id of the project that a job belongs to."""

    def open_projects(self) -> AsyncIterator[list[ProjectRow]]:
        """All projects that have not ended, oldest first, with their jobs; some at a time.

        To be called while nothing is written: at the start of a server.
        """

    async def unclaimed_projects(
        self, account_id: str, app_id: str | None, since_ms: int
    ) -> list[ProjectRow]:
        """Projects that ended since then and whose app may not have heard of it, with jobs.

        The newest 500 at most, oldest first.
        """

    # workers

    def note_workers(self, workers: Sequence[WorkerRow]) -> asyncio.Future[None]:
        """Remembers workers, each as it was seen last."""

    def forget_workers(self, before_ms: int) -> asyncio.Future[None]:
        """Forgets workers that were not seen since then."""

    async def workers(self, since_ms: int) -> list[WorkerRow]:
        """The workers that were seen since then, the one seen last at the end."""

    async def recent_projects(
        self, account_id: str, since_ms: int, limit: int, app_source: str | None
    ) -> list[ProjectRow]:
        """Projects that ended since then with at least one completed job, with jobs, newest first.

        Args:
            account_id: Whose.
            since_ms: Milliseconds since 1970.
            limit: Most projects.
            app_source: Only those whose request carried this label. None: all.
        """

    async def ended_projects(
        self, account_id: str, limit: int, before: str | None, *, formats: Sequence[str] = ()
    ) -> list[ProjectRow]:
        """Projects that have ended in any way, with jobs, newest end first.

        Args:
            account_id: Whose.
            limit: Most projects.
            before: Only those that follow this project in the list. None: from the newest on.
            formats: Only those whose results are files of these types. None of them: all.
        """
