"""What an audit of the books finds. It only looks; nothing is repaired."""

import msgspec


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something in the books that cannot be.

    Attributes:
        check: Which rule is broken.
        rows: The rows that it is about, such as `job 4D5C...` or `balance ADA spark`.
        message: What is wrong, with the numbers.
        advice: What to do about it.
    """

    check: str
    rows: tuple[str, ...]
    message: str
    advice: str


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of an audit; it is of one moment, however long it took.

    Attributes:
        counted: How many rows of each kind were looked at.
        findings: What is wrong; empty when the books are in order.
    """

    counted: dict[str, int]
    findings: tuple[Finding, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not self.findings
