"""Whether the coordinator is there, as another node sees it; pure.

No clock is compared with another one: who watches looks whether a number still changes, by a clock
that only has to go forward.
"""

from dreamgrid.server.store.postgres_nodes import Seen

SILENT_S = 3.0
"""A coordinator that has said nothing for so long is replaced."""


class Watch:
    """What was seen so far."""

    def __init__(self) -> None:
        self._seen: Seen | None = None
        self._changed_s = 0.0
        self._calm_from_s = 0.0

    def interrupted(self, now_s: float) -> None:
        """The database did not answer: the coordinator may be as cut off as we are."""
        self._seen = None
        self._calm_from_s = now_s + SILENT_S

    def free(self, seen: Seen, now_s: float) -> bool:
        """Whether nobody holds the database, so that we may."""
        self._note(seen, now_s)
        return not seen.held and now_s >= self._calm_from_s

    def silent(self, seen: Seen, now_s: float) -> bool:
        """Whether a node holds the database that has fallen silent.

        One that has said nothing at all is loading, or no node, and is left alone.
        """
        self._note(seen, now_s)
        known = seen.held and seen.reign == seen.newest
        return known and now_s - self._changed_s >= SILENT_S

    def _note(self, seen: Seen, now_s: float) -> None:
        if seen != self._seen:
            self._seen = seen
            self._changed_s = now_s
