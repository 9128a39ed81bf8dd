"""Whether pictures of one pass are the same as alone, to the last bit, and quicker. Measured.

Libraries choose their kernels by shape, so a picture that is computed beside others may round
differently, and then some of its pixels differ by a level. A pass is shared only where this machine
has shown that it makes no difference: a picture is the same alone and at every place of a pass.

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
"""A pass must take less than this share of the time of its pictures one by one."""

SHORT_S = 2.0
"""A picture that takes longer alone may keep others waiting: no more jobs than two are held."""

MOST_DEATHS = 2
"""Passes of a kind that ended their process, one after the other, before it is shared no more: one
may have been its jobs' fault, or somebody pulled the plug."""

PROVED_AT = 2
"""The picture of a kind with which finding out begins: it takes two dozen pictures' time, and most
kinds with a length of text or a LoRA's strength of their own come only once."""

MOST_REMEMBERED = 500
_FILE = "passes"


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What was found for one kind of picture.

    Attributes:
        width: Pictures in one pass; 1: one by one.
        alone_s: One picture.
        together_s: So many pictures in one pass; 0: not tried.
        deaths: Passes that began since the last one that ended: their process died of them, but
            for one that is under way.
    """

    width: int
    alone_s: float = 0.0
    together_s: float = 0.0
    deaths: int = 0

    def width_for(self, count: int) -> int:
        """The width of a pass for so many jobs; 1: they are made one by one."""
        return self.width if count * self.alone_s > self.together_s > 0 else 1

    @property
    def pays(self) -> bool:
        """Whether a full pass is worth it."""
        return 0 < self.together_s < WORTH_IT * self.width * self.alone_s


ALONE = Proof(width=1)
"""Nothing is known, or nothing is to be gained."""

Make = Callable[[Sequence[int]], tuple[Sequence[Any], float]]
"""Takes seeds, one for each picture of a pass; gives the pictures as tensors, and the seconds."""


def prove(make: Make, equal: Callable[[Any, Any], bool]) -> Proof:
    """Renders the same pictures alone and together, each at every place, and compares them.

    Args:
        make: Renders them; whatever it raises is passed on.
        equal: Whether two pictures are the same to the last bit.
    """
    seeds = list(range(WIDTHS[0]))
    made_alone = [make([seed]) for seed in seeds]
    alone = [pictures[0] for pictures, _ in made_alone]
    alone_s = min(seconds for _, seconds in made_alone)
    widths = WIDTHS if alone_s <= LONGEST_ALONE_S else ()
    for width in widths:
        together_s = _together_s(make, equal, alone[:width])
        if together_s is None:
            continue
        proof = Proof(width=width, alone_s=alone_s, together_s=together_s)
        if proof.pays:
            return proof
    return Proof(width=1, alone_s=alone_s)


def _together_s(
    make: Make, equal: Callable[[Any, Any], bool], alone: Sequence[Any]
) -> float | None:
    """How long a pass of these pictures takes; None: one of them differs at one of its places."""
    shortest_s = float("inf")
    seeds = list(range(len(alone)))
    for shift in seeds:
        order = seeds[shift:] + seeds[:shift]
        pictures, seconds = make(order)
        if not all(equal(alone[seed], one) for seed, one in zip(order, pictures, strict=True)):
            return None
        shortest_s = min(shortest_s, seconds)
    return shortest_s


class Proofs:
    """What was found so far, on this machine and by these libraries. Kept over restarts."""

    def __init__(self) -> None:
        known = remembered.recall(_FILE, dict[str, Proof]) or {}
        self._known = {kind: _without_deadly(proof) for kind, proof in known.items()}
        self._came: dict[str, int] = {}

    def of(self, kind: str) -> Proof | None:
        """What was found for a kind of picture."""
        return self._known.get(kind)

    def wanted(self, kind: str) -> bool:
        """A picture of a kind came of which nothing is known; whether that is to be found out."""
        self._came[kind] = self._came.pop(kind, 0) + 1
        while len(self._came) > MOST_REMEMBERED:
            del self._came[next(iter(self._came))]
        return self._came[kind] >= PROVED_AT

    def note(self, kind: str, proof: Proof) -> None:
        """This was found."""
        self._known[kind] = proof
        while len(self._known) > MOST_REMEMBERED:
            del self._known[next(iter(self._known))]
        remembered.keep(_FILE, self._known)

    def begin(self, kind: str) -> None:
        """A shared pass begins; should the process die of it, the next one knows."""
        proof = self._known[kind]
        self.note(kind, msgspec.structs.replace(proof, deaths=proof.deaths + 1))

    def ended(self, kind: str) -> None:
        """It has ended, in whatever way."""
        self.note(kind, msgspec.structs.replace(self._known[kind], deaths=0))

    def forget(self, kind: str) -> None:
        """Nothing was found after all."""
        if self._known.pop(kind, None) is not None:
            remembered.keep(_FILE, self._known)


def _without_deadly(proof: Proof) -> Proof:
    if proof.deaths < MOST_DEATHS:
        return proof
    return Proof(width=1, alone_s=proof.alone_s)


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
