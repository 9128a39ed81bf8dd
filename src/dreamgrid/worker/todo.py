"""What waits in the engine's process: renders, until their turn or a `Stop` comes."""

import threading
from collections.abc import Callable

from dreamgrid.worker.frames import Render


class Todo:
    """Renders that wait, and which of those under way shall stop. For several threads."""

    def __init__(self) -> None:
        self._waiting: list[Render] = []
        self._stopped: set[int] = set()
        self._all_stopped = False
        self._changed = threading.Condition()

    def put(self, job: Render) -> None:
        """Adds a render at the end."""
        with self._changed:
            self._waiting.append(job)
            self._changed.notify_all()

    def stop(self, number: int) -> bool:
        """A render shall stop. Whether it only waited: then it is out, and its turn never comes."""
        with self._changed:
            waiting = [job for job in self._waiting if job.number != number]
            waited = len(waiting) < len(self._waiting)
            self._waiting = waiting
            if not waited:
                self._stopped.add(number)
            return waited

    def stop_all(self) -> None:
        """Nobody waits for anything any more."""
        with self._changed:
            self._all_stopped = True
            self._waiting.clear()
            self._changed.notify_all()

    def stopped(self, number: int) -> bool:
        """Whether a render under way shall stop."""
        return self._all_stopped or number in self._stopped

    def over(self, number: int) -> None:
        """A render has ended, in whatever way."""
        with self._changed:
            self._stopped.discard(number)

    def next(self) -> Render | None:
        """Waits for the next render and takes it; None: there will be none."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._all_stopped)
            return self._waiting.pop(0) if self._waiting else None

    def quiet(self, for_s: float) -> bool:
        """Waits; whether nothing came for so many seconds."""
        with self._changed:
            return not self._changed.wait_for(lambda: not self.empty, for_s)

    def take(self, alike: Callable[[Render], bool], most: int, within_s: float) -> list[Render]:
        """Takes others that are alike, out of turn.

        Args:
            alike: Whether one is.
            most: How many.
            within_s: How long to wait until there are so many, in seconds.
        """
        if most < 1:
            return []

        def found() -> list[Render]:
            return [job for job in self._waiting if alike(job)][:most]

        with self._changed:
            self._changed.wait_for(lambda: len(found()) == most or self._all_stopped, within_s)
            taken = found()
            self._waiting = [job for job in self._waiting if job not in taken]
            return taken

    @property
    def models(self) -> tuple[str, ...]:
        """Of the renders that wait, each once."""
        with self._changed:
            return tuple(dict.fromkeys(job.render.model for job in self._waiting))

    @property
    def empty(self) -> bool:
        """Whether nothing waits, and something may come."""
        return not self._waiting and not self._all_stopped
