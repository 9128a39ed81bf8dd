"""How far a database is: which of its numbered scripts it has seen."""

import msgspec


class Schema(msgspec.Struct, frozen=True, kw_only=True):
    """The shape of a database.

    Attributes:
        version: How many scripts it has seen. 0: it is empty.
        newest: How many this dreamgrid knows.
        missing: The names of those that it has not seen.
    """

    version: int
    newest: int
    missing: tuple[str, ...]

    @property
    def is_newest(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing
