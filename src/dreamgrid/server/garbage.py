"""How often Python looks for garbage that refers to itself, in a process that serves a grid.

Nearly all that a server makes goes away as soon as nobody refers to it any more. A project and its
jobs refer to each other, so they wait for a collection; but each collection looks at all that was
made lately, most of which is in use.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

MANY_OBJECTS = 100_000
"""So many make a collection of garbage take a tenth of a second."""

NEW_OBJECTS = 10_000
"""How many more objects than at the last collection there may be: a few megabytes."""

MANY_PROJECTS = 5_000
"""With so many open projects a collection of everything takes some hundredths of a second."""


class LongQueue:
    """Keeps a long queue out of sight of the collector, which would hold everybody up for it.

    What is there while many projects wait is looked through no more. When as many projects have
    ended as there were, most of those are garbage, and all of it is looked through once.

    Python can only put all of that back in sight together. So where somebody else in this process
    keeps something out of sight, another grid or the program around this one, nothing is done.
    """

    def __init__(self) -> None:
        self._kept = 0
        self._ended_before = 0

    def look(self, projects: int, ended: int) -> None:
        """To be called every second or so.

        Args:
            projects: How many are open.
            ended: How many have ended since the beginning.
        """
        if self._kept and ended - self._ended_before >= self._kept:
            self.release()
            gc.collect()
        if projects - self._kept >= MANY_PROJECTS and (self._kept or not gc.get_freeze_count()):
            if not self._kept:
                self._ended_before = ended
            gc.freeze()
            self._kept = projects

    def release(self) -> None:
        """Puts back in sight what it keeps; to be called when the grid stops."""
        if self._kept:
            gc.unfreeze()
            self._kept = 0


@contextmanager
def rarely_collected() -> Iterator[None]:
    """Collects garbage less often while the block runs.

    With Python's own limit of 700 objects the event loop spends 7 % of its time on it under load:
    what belongs to projects under way is looked at again and again.
    """
    before, *older = gc.get_threshold()
    gc.set_threshold(max(before, NEW_OBJECTS), *older)
    try:
        yield
    finally:
        gc.set_threshold(before, *older)


@contextmanager
def uncollected() -> Iterator[None]:
    """No garbage collection while many projects are taken up: all that is made then stays.

    Looking for garbage among it took as long as the rest. If it is a lot, it counts as old at once:
    else it would be looked through for each generation right afterwards. Not so where somebody else
    keeps something out of the collector's sight, which would bring that back.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            if gc.get_count()[0] >= MANY_OBJECTS and not gc.get_freeze_count():
                gc.freeze()
                gc.unfreeze()  # which puts it among the oldest
            gc.enable()
