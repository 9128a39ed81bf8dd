"""The contract of a store, and the rows that cross it.

A store is the only durable truth about projects and money. Every method that writes is one
transaction, durable when its future resolves; calls take effect in the order in which they were
made. Writes return a future at once, so that a caller on the hot path may attach a callback instead
of spending a task; awaiting it works as well.

Who sets what: `Projects` decides every state (by the tables in `dreamgrid.states`) and mints every
id; the store fences by attempt number, moves the money and refuses impossible rows.
"""

import asyncio
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Protocol

import msgspec

from dreamgrid.protocol.params import Network, TokenType
from dreamgrid.protocol.scopes import Scope
from dreamgrid.server.store.audit import Audit
from dreamgrid.states import JobState, ProjectState


class AccountRow(msgspec.Struct, frozen=True, kw_only=True):
    """An account. `created_ms` is milliseconds since 1970, as all `_ms` times here."""

    id: str
    username: str
    address: str = ""
    email: str = ""
    created_ms: int


class KeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """An API key; `hash` is all that is kept of the secret.

    Attributes:
        max_per_day_micros: Most of each currency that it may spend on a day in UTC. None: no cap.
        max_total_micros: Most of each currency that it may ever spend. None: no cap.
    """

    id: str
    account_id: str
    name: str
    prefix: str
    hash: bytes
    created_ms: int
    scope: Scope = "all"
    max_per_day_micros: int | None = None
    max_total_micros: int | None = None


class SessionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One sign-in. `token_id` names the refresh token that is good now."""

    id: str
    account_id: str
    token_id: str
    expires_ms: int


class Rotation(msgspec.Struct, frozen=True, kw_only=True):
    """The exchange of a session's refresh token.

    Attributes:
        presented: Id of the token that somebody wants to exchange.
        fresh: Id of the one that takes its place.
        grace_ms: How long the token before the last exchange stays good.
        expires_ms: When the session runs out if it is not used again.
    """

    session_id: str
    presented: str
    fresh: str
    at_ms: int
    grace_ms: int
    expires_ms: int


class HistoryRow(msgspec.Struct, frozen=True, kw_only=True):
    """A line of an account's statement: something that it received, or a project that it paid.

    Attributes:
        number: Of the ledger's entry; of the last one for a project.
        kind: `grant`, `earning`, `refund`, or `post` for what an ended project cost in all.
        project_id: The project that it is about; None for a grant.
        job_id: The job of an earning or a refund.
    """

    number: int
    at_ms: int
    currency: TokenType
    amount_micros: int
    kind: str
    project_id: str | None = None
    job_id: str | None = None


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """What an account owns of one currency, in micro-units.

    Attributes:
        posted_micros: The sum of everything received less everything paid.
        held_micros: The part of it that open projects have reserved.
    """

    posted_micros: int = 0
    held_micros: int = 0

    @property
    def free_micros(self) -> int:
        """What can be spent."""
        return self.posted_micros - self.held_micros


class Refunded(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of `refund`: who got how much back for how many jobs. No jobs: there was nothing.

    Attributes:
        balance: What the account owns of that currency afterwards.
    """

    account_id: str = ""
    currency: TokenType = "spark"
    amount_micros: int = 0
    jobs: int = 0
    balance: Balance = Balance()


class WorkerRow(msgspec.Struct, frozen=True, kw_only=True):
    """A worker that is or was connected.

    Attributes:
        id: Its own id, scoped by its owner's account.
        owner: Name of that account.
        models: Catalogue ids that it offered.
        seen_ms: When it was last known to be connected.
    """

    id: str
    account_id: str
    owner: str
    name: str
    network: Network
    models: tuple[str, ...]
    seen_ms: int


class JobRow(msgspec.Struct, kw_only=True):
    """One render. `render` is the JSON of its `Render`.

    Attributes:
        sensitive: What the content filter objected to, words with spaces between.
        withheld: It is not delivered because of that.
        charged_micros: What was posted for it.
        attempt: How often it was assigned; the fencing number.
        failures: How many of those attempts count as failed.
    """

    id: str
    project_id: str
    index: int
    state: JobState
    render: bytes
    price_micros: int
    attempt: int = 0
    failures: int = 0
    worker_id: str = ""
    worker_name: str = ""
    reason: str | None = None
    seed: int | None = None
    steps: int = 0
    sha256: str | None = None
    sensitive: str = ""
    withheld: bool = False
    charged_micros: int = 0
    created_ms: int
    started_ms: int | None = None
    ended_ms: int | None = None


class ProjectRow(msgspec.Struct, kw_only=True):
    """What an app asked for.

    Attributes:
        request: The JSON of the job request as the app sent it.
        origin: How the app reached the server; begins the URLs that it receives.
        charged_micros: What was posted for it so far.
        claimed: Whether its app has heard of its end.
        key_id: The API key that it was submitted with. None: a sign-in.
    """

    id: str
    account_id: str
    app_id: str
    model: str
    network: Network
    token_type: TokenType
    origin: str
    request: bytes
    state: ProjectState
    reason: str | None = None
    width: int
    height: int
    steps: int
    previews: int
    output_format: str
    disable_safety: bool = False
    hold_micros: int
    charged_micros: int = 0
    claimed: bool = False
    created_ms: int
    updated_ms: int
    ended_ms: int | None = None
    key_id: str | None = None
    jobs: tuple[JobRow, ...] = ()


class EventKind(StrEnum):
    """What happened, in a project's log."""

    QUEUED = "queued"  # the project was accepted
    ASSIGNED = "assigned"  # a worker took a job
    STARTED = "started"  # inference of a job began
    RETRIED = "retried"  # an attempt at a job failed or was lost; the job waits again
    JOB_COMPLETED = "job_completed"
    JOB_FAILED = "job_failed"
    COMPLETED = "completed"  # the project's last events, one of three
    FAILED = "failed"
    CANCELED = "canceled"


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    """An event in the log of a project.

    Attributes:
        number: 1, 2, 3, ... within the project.
        job_id: The job that it happened to. None: the whole project.
        details: What else is known: `index`, `attempt`, `worker`, `reason`, `seed`, `steps`,
            `sha256`, `withheld`.
    """

    project_id: str
    number: int
    at_ms: int
    kind: EventKind
    job_id: str | None = None
    details: dict[str, Any] = {}


class SubmitResult(StrEnum):
    """What became of a submission."""

    CREATED = "created"
    KNOWN = "known"  # the same account sent the same request before
    CONFLICT = "conflict"  # the id is taken by another account or another request
    INSUFFICIENT = "insufficient"  # the free balance does not cover the hold
    OVER_DAY_CAP = "over_day_cap"  # its key may not spend so much today
    OVER_TOTAL_CAP = "over_total_cap"  # its key may not spend so much at all


class Submitted(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of `submit`; `balance` is the payer's afterwards, where it was looked at.

    Attributes:
        cap_micros: The cap of the key that stands in the way.
        left_micros: What can still be spent under it.
    """

    result: SubmitResult
    balance: Balance = Balance()
    cap_micros: int = 0
    left_micros: int = 0


class Acquisition(msgspec.Struct, frozen=True, kw_only=True):
    """A queued job goes to a worker. Refused unless it is queued with `attempt - 1`."""

    job_id: str
    attempt: int
    worker_id: str
    worker_name: str


class JobEnd(msgspec.Struct, frozen=True, kw_only=True):
    """A job ends. Refused unless `attempt` still holds it (0: a job that was never assigned).

    Attributes:
        charge: Post the job's price (True) or void it (False).
        earner: Account of the worker's owner, who receives `earned_micros` of what is posted.
        project_state: State of the project afterwards; a final one ends it.
    """

    project_id: str
    job_id: str
    attempt: int
    state: JobState
    reason: str
    charge: bool
    failures: int = 0
    seed: int | None = None
    steps: int = 0
    sha256: str | None = None
    sensitive: str = ""
    withheld: bool = False
    earner: str = ""
    earned_micros: int = 0
    at_ms: int
    project_state: ProjectState
    project_reason: str | None = None


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of `end_job` and `cancel`; nothing was written when `accepted` is False.

    Attributes:
        balance: The payer's afterwards.
        earner_balance: The earner's afterwards, where something was earned.
    """

    accepted: bool
    balance: Balance = Balance()
    earner_balance: Balance = Balance()


class Store(Protocol):
    """See the module's text. Times are milliseconds since 1970, given by the caller."""

    async def open(self) -> None:
        """Opens and migrates the database.

        Raises:
            ConfigError: It cannot be opened, or a newer version of dreamgrid wrote it.
        """

    async def close(self) -> None:
        """Finishes what was begun and closes."""

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
        self, project_id: str, reason: str, at_ms: int, *, claimed: bool
    ) -> asyncio.Future[Ended]:
        """Cancels a project and every job of it that has not ended; voids what they held."""

    def claim(self, project_ids: Sequence[str]) -> asyncio.Future[None]:
        """Notes that the app of these projects has heard of their ends."""

    def prune(self, before_ms: int) -> asyncio.Future[int]:
        """Forgets some hundreds of projects that ended before then; how many. Money stays."""

    async def events(self, project_id: str, after: int, most: int = 1_000) -> list[EventRow]:
        """The log of a project from the event after number `after` on, in order.

        Every method that changes the state of a project or of its jobs appends what happened, in
        the transaction of the change.
        """

    async def project(self, project_id: str) -> ProjectRow | None:
        """A project with its jobs."""

    async def open_projects(self) -> list[ProjectRow]:
        """All projects that have not ended, oldest first, with their jobs."""

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
