"""Everything that happened to one project, for any number of readers at their own pace."""

from collections.abc import AsyncGenerator, Hashable

from dreamgrid.client.events import Event
from dreamgrid.client.signal import Signal
from dreamgrid.errors import DreamgridError

MAX_KEPT = 10_000
"""Changes of state of one project; a thousand pictures with three attempts each need 9,000."""


class EventLog:
    """A log that readers follow from its beginning to its end.

    Two lanes under one numbering: changes of state are kept for good, and of what merely gets out
    of date (a position, a step, a preview) only the newest per key is. So memory is bounded by the
    number of jobs, whoever reads slowly or not at all.

    Attributes:
        changed: Fires with every event, and at the end.
        ended: Fires at the end.
    """

    def __init__(self) -> None:
        self.changed = Signal()
        self.ended = Signal()
        self._kept: list[tuple[int, Event]] = []
        self._newest: dict[Hashable, tuple[int, Event]] = {}
        self._next = 0
        self._ended = False
        self._error: DreamgridError | None = None

    @property
    def is_full(self) -> bool:
        """Whether no change of state can be kept any more."""
        return len(self._kept) >= MAX_KEPT

    def append(self, event: Event) -> None:
        """Adds a change of state."""
        self._kept.append((self._number(), event))
        self.changed.fire()

    def replace(self, key: Hashable, event: Event) -> None:
        """Adds what makes the earlier event of the same key out of date."""
        self._newest[key] = (self._number(), event)
        self.changed.fire()

    def end(self, error: DreamgridError | None = None) -> None:
        """Nothing comes after this. With an error, readers get it after the last event."""
        self._ended = True
        self._error = error
        self.changed.fire()
        self.ended.fire()

    async def read(self) -> AsyncGenerator[Event, None]:
        """All events, from the first one to the end, waiting for those to come."""
        position, seen = 0, -1
        while True:
            waiting = [entry for entry in self._newest.values() if entry[0] > seen]
            if position < len(self._kept):
                waiting.append(self._kept[position])
            if waiting:
                # By number alone: no two are equal, so events are never compared.
                entry = min(waiting, key=lambda numbered: numbered[0])
                seen = entry[0]
                if position < len(self._kept) and self._kept[position] is entry:
                    position += 1
                yield entry[1]
            elif self._ended:
                if self._error is not None:
                    raise self._error
                return
            else:
                await self.changed.wait()

    def _number(self) -> int:
        self._next += 1
        return self._next
