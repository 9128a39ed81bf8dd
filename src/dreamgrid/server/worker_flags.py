"""Which workers may render a project: fields of its request, or flags in its prompt. Pure.

    --workers=ada,bob            only these
    --preferred-workers=ada      these first; the others when these are busy for a while
    --skip-workers=mallory       never these

A single em dash may stand for the two hyphens, because some keyboards put it there. Values are
names of workers, names of their owners, or worker ids, separated by commas without spaces; upper
and lower case are the same. A flag stands between spaces and may come anywhere in the prompt. The
fields of the request mean the same; who is named in both places is named once.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

from dreamgrid.errors import InvalidRequest

MAX_NAMES = 32
"""Most workers that a project may name for each purpose."""

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
"""Nothing was said: any worker will do."""


def targeting_of(
    required: Collection[str], preferred: Collection[str], skipped: Collection[str]
) -> Targeting:
    """What these names say, in any case; empty ones say nothing.

    Raises:
        InvalidRequest: They are more than `MAX_NAMES`, or every required worker is to be skipped.
    """
    if not (required or preferred or skipped):  # as in most requests
        return ANYBODY
    said = {"workers": required, "preferred-workers": preferred, "skip-workers": skipped}
    named = {
        purpose: frozenset(name.strip().casefold() for name in names if name.strip())
        for purpose, names in said.items()
    }
    for purpose, names in named.items():
        if len(names) > MAX_NAMES:
            raise InvalidRequest(f"{purpose} names more than {MAX_NAMES} workers; name fewer")
    targeting = Targeting(
        required=named["workers"],
        preferred=named["preferred-workers"],
        skipped=named["skip-workers"],
    )
    if targeting.required and targeting.required <= targeting.skipped:
        raise InvalidRequest(
            "workers and skip-workers name the same workers, so that none is left; "
            "leave one of the two out"
        )
    return targeting if targeting != ANYBODY else ANYBODY


def take_out(prompt: str) -> tuple[str, Targeting]:
    """The prompt without flags, and what they said.

    A prompt without flags comes back as it was.

    Raises:
        InvalidRequest: A flag names more than `MAX_NAMES` workers, or every required worker is to
            be skipped.
    """
    if "workers=" not in prompt.lower():  # as most prompts are
        return prompt, ANYBODY
    named: dict[str, list[str]] = {}
    for flag, value in _FLAG.findall(prompt):
        named.setdefault(flag.lower(), []).extend(value.split(","))
    if not named:
        return prompt, ANYBODY
    targeting = targeting_of(
        named.get("workers", ()), named.get("preferred-workers", ()), named.get("skip-workers", ())
    )
    return _FLAG.sub("", prompt).strip(), targeting
