"""Whether several pictures in one pass are the same, to the last bit, and quicker. Measured.

Libraries choose their kernels by shape, so a picture that is computed beside others may round
differently, and then some of its pixels differ by a level. A pass is shared only where this machine
has shown that it makes no difference, in one of two ways:

- **As it comes.** A picture is the same alone and beside others.
- **Fixed.** It is not, but it is the same at every place of a pass of one width, whatever is beside
  it. Then every picture of that kind is made in a pass of that width, also a single one, whose pass
  is filled up. That is worth it where a wide pass takes hardly longer than a narrow one: small
  pictures on a large GPU.

What is compared are the decoder's own numbers, before they are rounded to pixels.
"""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import msgspec

from dreamgrid.engines import remembered

WIDTHS = (4, 2)
"""Pictures in one pass, in the order in which they are tried."""

LONGEST_ALONE_S = 10.0
"""A picture that takes longer alone fills its device: nothing is tried."""

WORTH_IT = 0.9
"""As it comes: a pass must take less than this share of the time of its pictures one by one."""

LATER_AT_MOST = 1.25
"""Fixed: a pass may take so many times as long as one picture alone, which then waits for it."""

SHORT_S = 2.0
"""A picture that takes longer alone may keep others waiting: no more jobs than two are held."""

MOST_REMEMBERED = 500
_FILE = "passes"


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What was found for one kind of picture.

    Attributes:
        width: Pictures in one pass; 1: one by one.
        fixed: Every pass has that width, also that of a single picture.
        alone_s: One picture.
        together_s: So many pictures in one pass; 0: not tried.
    """

    width: int
    fixed: bool = False
    alone_s: float = 0.0
    together_s: float = 0.0

    def width_for(self, count: int) -> int:
        """The width of a pass for so many jobs; 1: they are made one by one."""
        if self.fixed or count * self.alone_s > self.together_s > 0:
            return self.width
        return 1


ALONE = Proof(width=1)
"""Nothing is known, or nothing is to be gained."""

Make = Callable[[Sequence[int]], tuple[Sequence[Any], float]]
"""Takes seeds, one for each picture of a pass; gives the pictures as tensors, and the seconds."""


def prove(make: Make, equal: Callable[[Any, Any], bool]) -> Proof:
    """Renders the same pictures alone and together, at different places, and compares them.

    Args:
        make: Renders them; whatever it raises is passed on.
        equal: Whether two pictures are the same to the last bit.
    """
    seeds = range(1, WIDTHS[0] + 1)
    alone = [make([seed]) for seed in seeds[:2]]
    alone_s = min(seconds for _, seconds in alone)
    if alone_s > LONGEST_ALONE_S:
        return Proof(width=1, alone_s=alone_s)
    for width in WIDTHS:
        some, some_s = make(seeds[:width])
        moved, moved_s = make(seeds[:width][::-1])
        if not all(equal(a, b) for a, b in zip(some, reversed(moved), strict=True)):
            continue
        together_s = min(some_s, moved_s)
        same = all(equal(one[0], other) for (one, _), other in zip(alone, some, strict=False))
        proof = judged(width, alone_s, together_s, same=same)
        if proof.width > 1:
            return proof
    return Proof(width=1, alone_s=alone_s)


def judged(width: int, alone_s: float, together_s: float, *, same: bool) -> Proof:
    """Whether a pass is worth it whose pictures do not depend on each other.

    Args:
        width: Of the pass.
        alone_s: One picture.
        together_s: The pass.
        same: Its pictures are those that are made alone.
    """
    if same:
        worth_it = together_s < WORTH_IT * width * alone_s
    else:
        worth_it = together_s < LATER_AT_MOST * alone_s
    if not worth_it:
        return Proof(width=1, alone_s=alone_s, together_s=together_s)
    return Proof(width=width, fixed=not same, alone_s=alone_s, together_s=together_s)


class Proofs:
    """What was found so far, on this machine and by these libraries. Kept over restarts."""

    def __init__(self) -> None:
        self._known = remembered.recall(_FILE, dict[str, Proof]) or {}

    def of(self, kind: str) -> Proof | None:
        """What was found for a kind of picture."""
        return self._known.get(kind)

    def note(self, kind: str, proof: Proof) -> None:
        """This was found."""
        self._known[kind] = proof
        while len(self._known) > MOST_REMEMBERED:
            del self._known[next(iter(self._known))]
        remembered.keep(_FILE, self._known)


def worth_holding(folder: Path, models: Collection[str]) -> int:
    """How many jobs of some models to hold at a time.

    Where all of their pictures are known to be short: two of the widest passes, or one to render,
    one to upload and one that waits. Else two, because what is held keeps others waiting.

    Args:
        folder: The worker's, where what was found is kept.
        models: Catalogue ids of those that it serves.
    """
    known = remembered.recall(_FILE, dict[str, Proof], folder) or {}
    found = [(kind.partition(" ")[0], proof) for kind, proof in known.items()]
    proofs = [proof for model, proof in found if model in models]
    unknown = set(models) - {model for model, _ in found}
    if unknown or not all(0 < one.alone_s <= SHORT_S for one in proofs):
        return 2
    return max(3, *(2 * one.width for one in proofs))
