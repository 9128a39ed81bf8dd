"""`client.stats`: numbers about the grid as a whole."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from dreamgrid.client.current_account import decimal
from dreamgrid.client.http import Http
from dreamgrid.protocol.rest_account import LeaderEntry


@dataclass(frozen=True, kw_only=True)
class Leader:
    """One row of a leaderboard.

    Attributes:
        rank: Its place, 1 is first.
        username: Whose it is.
        value: What is counted.
        role: As what: `artist` or `worker`.
    """

    rank: int
    username: str
    value: Decimal
    role: str


class Stats:
    """`client.stats`."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def leaderboard(
        self,
        kind: str,
        *,
        period: Literal["day", "lifetime"] = "day",
        username: str | None = None,
        network: str | None = None,
        page: int = 1,
        limit: int = 20,
    ) -> tuple[Leader, ...]:
        """Who did most of something. A grid of your own keeps no such list: it is empty there.

        Args:
            kind: What is counted, as the grid names it.
            period: Of today or of all time.
            username: Only this account.
            network: Only this worker pool.
            page: Which page, from 1.
            limit: Rows of a page.
        """
        query = {"type": kind, "period": period, "page": str(page), "limit": str(limit)}
        query |= {"username": username} if username else {}
        query |= {"network": network} if network else {}
        rows = await self._http.rest(
            "GET", "/v1/leaderboard/", tuple[LeaderEntry, ...], query=query
        )
        return tuple(
            Leader(
                rank=row.rank,
                username=row.username,
                value=decimal(str(row.value), "a value"),
                role=row.role,
            )
            for row in rows
        )
