"""What administrators decided, held in memory: bans, blocked apps, paused workers, limits."""

from dreamgrid.errors import NotAllowed
from dreamgrid.server.store.admin import (
    AccountLimits,
    AdminStore,
    Restriction,
    RestrictionKind,
)

NO_LIMITS_OF_ITS_OWN = AccountLimits()


class Rules:
    """Read from the store at the start; whoever changes the store changes this as well."""

    def __init__(self, store: AdminStore) -> None:
        self._store = store
        self._restrictions: dict[tuple[RestrictionKind, str], Restriction] = {}
        self._limits: dict[str, AccountLimits] = {}

    async def load(self) -> None:
        """Takes up what is stored."""
        for one in await self._store.restrictions():
            self.add(one)
        self._limits = await self._store.limits()

    def add(self, restriction: Restriction) -> None:
        """A restriction begins."""
        self._restrictions[restriction.kind, restriction.target] = restriction

    def remove(self, kind: RestrictionKind, target: str) -> None:
        """A restriction ends."""
        self._restrictions.pop((kind, target), None)

    def reason(self, kind: RestrictionKind, target: str) -> str | None:
        """Why something is restricted; None: it is not."""
        found = self._restrictions.get((kind, target))
        return found.reason if found is not None else None

    def all(self) -> tuple[Restriction, ...]:
        """Every restriction."""
        return tuple(self._restrictions.values())

    def check_account(self, account_id: str) -> None:
        """Refuses a banned account.

        Raises:
            NotAllowed: It is banned; says why.
        """
        reason = self.reason("account", account_id)
        if reason is not None:
            raise NotAllowed(
                f"this account is banned from this grid: {reason}; whoever runs it can lift that"
            )

    def limits(self, account_id: str) -> AccountLimits:
        """An account's own limits."""
        return self._limits.get(account_id, NO_LIMITS_OF_ITS_OWN)

    def set_limits(self, account_id: str, limits: AccountLimits) -> None:
        """An account has other limits from now on."""
        self._limits[account_id] = limits
