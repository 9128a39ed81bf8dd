"""The rows that cross the contract of a store, and the answers to writes."""

from enum import StrEnum
from typing import Any

import msgspec

from dreamgrid.protocol.params import Network, TokenType
from dreamgrid.protocol.scopes import Scope
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


class JobRow(msgspec.Struct):
    """One render. `render` is the JSON of its `Render`.

    A restart makes one of every open job, by the places of its fields: by name takes four times as
    long.

    Attributes:
        sensitive: What the content filter objected to, words with spaces between.
        withheld: It is not delivered because of that.
        removed: Its account removed what it had delivered.
        charged_micros: What was posted for it.
        attempt: How often it was assigned; the fencing number.
        failures: How many of those attempts count as failed.
    """

    project_id: str
    render: bytes
    id: str
    index: int
    state: JobState
    price_micros: int
    created_ms: int
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
    removed: bool = False
    charged_micros: int = 0
    started_ms: int | None = None
    ended_ms: int | None = None


class ProjectRow(msgspec.Struct):
    """What an app asked for; made like `JobRow`.

    Attributes:
        request: The JSON of the job request as the app sent it.
        origin: How the app reached the server; begins the URLs that it receives.
        charged_micros: What was posted for it so far.
        claimed: Whether its app has heard of its end.
        key_id: The API key that it was submitted with. None: a sign-in.
        cancel_message: Who else than its app canceled it and why, as its log says.
    """

    request: bytes
    id: str
    account_id: str
    app_id: str
    model: str
    network: Network
    token_type: TokenType
    origin: str
    state: ProjectState
    width: int
    height: int
    steps: int
    previews: int
    output_format: str
    hold_micros: int
    created_ms: int
    updated_ms: int
    disable_safety: bool = False
    charged_micros: int = 0
    claimed: bool = False
    reason: str | None = None
    ended_ms: int | None = None
    key_id: str | None = None
    cancel_message: str = ""
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
            `sha256`, `withheld`; `message`; `why` a job was assigned, as `Choice`.
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


class Choice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a job went to the worker that it went to; noted in the project's log.

    Attributes:
        waited_ms: How long it was in line.
        turn_ms: How long ago its account had a turn. None: not lately.
        loaded: The worker had its model loaded.
        pace: The worker's seconds for its model over what is usual; above 1 is slower. None: not
            measured yet.
        delivery_rate: The share of its last jobs that the worker delivered.
        idle: How many workers had room then, for whatever model, this one included.
    """

    waited_ms: int
    turn_ms: int | None = None
    loaded: bool = False
    pace: float | None = None
    delivery_rate: float = 1.0
    idle: int = 1


class Acquisition(msgspec.Struct, frozen=True, kw_only=True):
    """A queued job goes to a worker. Refused unless it is queued with `attempt - 1`."""

    job_id: str
    attempt: int
    worker_id: str
    worker_name: str
    why: Choice | None = None


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
