"""The contract of a store for administrators: what they decided, and the trail of what they did.

Every write takes the `Action` that it is and adds it to the trail in the same transaction.
"""

import asyncio
from typing import Literal, Protocol

import msgspec

from dreamgrid.protocol.params import TokenType
from dreamgrid.server.store.rows import Balance, Refunded

RestrictionKind = Literal["account", "app", "worker"]


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """Something that an administrator did. Never changed.

    Attributes:
        id: 1, 2, 3, ...; 0 before it is stored.
        actor: Name of the administrator.
        target: To whom or what.
        detail: How much, or which of it.
        reason: Why, in the administrator's words.
    """

    id: int = 0
    at_ms: int
    actor: str
    action: str
    target: str
    detail: str = ""
    reason: str = ""


class Restriction(msgspec.Struct, frozen=True, kw_only=True):
    """A banned account, a blocked app id, or a worker that gets no jobs."""

    kind: RestrictionKind
    target: str
    reason: str
    at_ms: int


class AccountLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one account. None: as the server's settings say.

    Attributes:
        priority: How many minutes longer its jobs count as waiting; less than 0: shorter.
    """

    max_running_jobs: int | None = None
    max_queued_projects: int | None = None
    priority: int = 0


class AccountSummary(msgspec.Struct, frozen=True, kw_only=True):
    """An account in a list."""

    id: str
    username: str
    created_ms: int
    balances: dict[TokenType, Balance]
    banned_reason: str | None
    limits: AccountLimits


class ActivityRow(msgspec.Struct, frozen=True, kw_only=True):
    """What ended within a part of the time; averages are of what was delivered, None without any.

    Attributes:
        part: 0 for the first part, and so on.
        waited_ms: From a job's creation to its start.
        rendered_ms: From its start to its end.
        charged_micros: In spark.
    """

    part: int
    completed: int
    failed: int
    waited_ms: int | None
    rendered_ms: int | None
    charged_micros: int


class AdminStore(Protocol):
    """See the module's text."""

    def grant(
        self, account_id: str, currency: TokenType, amount_micros: int, action: Action
    ) -> asyncio.Future[Balance]:
        """Gives new money to an account that is there; its balance afterwards."""

    def refund(
        self, project_id: str, job_id: str | None, action: Action
    ) -> asyncio.Future[Refunded]:
        """As `Store.refund`. Where there was nothing to refund, nothing is noted."""

    def restrict(self, restriction: Restriction, action: Action) -> asyncio.Future[None]:
        """Bans, blocks or pauses; a second time only changes the reason."""

    def lift(self, kind: RestrictionKind, target: str, action: Action) -> asyncio.Future[bool]:
        """Ends a restriction; False when there was none, and nothing is noted."""

    def set_limits(
        self, account_id: str, limits: AccountLimits, action: Action
    ) -> asyncio.Future[None]:
        """Gives an account limits of its own, or those of the settings again."""

    def note(self, action: Action) -> asyncio.Future[None]:
        """Notes what changes nothing in the database by itself, before it is done."""

    async def restrictions(self) -> list[Restriction]:
        """All of them."""

    async def limits(self) -> dict[str, AccountLimits]:
        """The accounts that have limits of their own."""

    async def actions(self, limit: int, offset: int) -> list[Action]:
        """The trail, newest first."""

    async def activity(self, since_ms: int, part_ms: int) -> list[ActivityRow]:
        """What ended since a time, counted in parts of equal length; empty parts are left out."""

    async def accounts(self, search: str, limit: int, offset: int) -> list[AccountSummary]:
        """Accounts whose name contains a text, in the order of their names."""
