"""Flags in a prompt that say which workers may render it. Pure.

    --workers=ada,bob            only these
    --preferred-workers=ada      these first; the others when these are busy for a while
    --skip-workers=mallory       never these

A single em dash may stand for the two hyphens, because some keyboards put it there. Values are
names of workers, names of their owners, or worker ids, separated by commas without spaces; upper
and lower case are the same. A flag stands between spaces and may come anywhere in the prompt.
"""

import re
from dataclasses import dataclass

from dreamgrid.errors import InvalidRequest

MAX_NAMES = 32
"""Most workers that one flag may name."""

_FLAG = re.compile(
    r" ?(?<!\S)(?:--|—)(workers|preferred-workers|skip-workers)=(\S*)", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Targeting:
    """Which workers a project wants; all names are case-folded.

    Attributes:
        required: Only these may render it. Empty: all may.
        preferred: These are asked first.
        skipped: These never get it.
    """

    required: frozenset[str] = frozenset()
    preferred: frozenset[str] = frozenset()
    skipped: frozenset[str] = frozenset()

    def allows(self, known_as: frozenset[str]) -> bool:
        """Whether a worker with these (case-folded) names may render it at all."""
        if self.required and self.required.isdisjoint(known_as):
            return False
        return self.skipped.isdisjoint(known_as)

    def prefers(self, known_as: frozenset[str]) -> bool:
        """Whether a worker with these names is one of those that are asked first."""
        return not self.preferred.isdisjoint(known_as)


ANYBODY = Targeting()
"""No flags: any worker will do."""


def take_out(prompt: str) -> tuple[str, Targeting]:
    """The prompt without flags, and what they said.

    A prompt without flags comes back as it was.

    Raises:
        InvalidRequest: A flag names more than `MAX_NAMES` workers, or every required worker is to
            be skipped.
    """
    if "workers=" not in prompt.lower():  # as most prompts are
        return prompt, ANYBODY
    named: dict[str, set[str]] = {}
    for flag, value in _FLAG.findall(prompt):
        names = named.setdefault(flag.lower(), set())
        names.update(name for name in value.casefold().split(",") if name)
        if len(names) > MAX_NAMES:
            raise InvalidRequest(
                f"--{flag.lower()} names more than {MAX_NAMES} workers; name fewer"
            )
    if not named:
        return prompt, ANYBODY
    targeting = Targeting(
        required=frozenset(named.get("workers", ())),
        preferred=frozenset(named.get("preferred-workers", ())),
        skipped=frozenset(named.get("skip-workers", ())),
    )
    if targeting.required and targeting.required <= targeting.skipped:
        raise InvalidRequest(
            "--workers and --skip-workers name the same workers, so that none is left; "
            "leave one of the two flags out"
        )
    return _FLAG.sub("", prompt).strip(), targeting
