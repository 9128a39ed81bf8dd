"""A bus within one process."""

from collections.abc import Callable

from dreamgrid.server.bus.base import Receiver


class MemoryBus:
    """A `Bus` that calls its listeners directly."""

    def __init__(self) -> None:
        self._receivers: dict[str, tuple[Receiver, ...]] = {}

    def publish(self, subject: str, frame: bytes, key: str | None = None) -> None:
        for receiver in self._receivers.get(subject, ()):
            receiver(frame, key)

    def subscribe(self, subject: str, receiver: Receiver) -> Callable[[], None]:
        self._receivers[subject] = (*self._receivers.get(subject, ()), receiver)

        def unsubscribe() -> None:
            left = tuple(r for r in self._receivers.get(subject, ()) if r is not receiver)
            if left:
                self._receivers[subject] = left
            else:
                self._receivers.pop(subject, None)

        return unsubscribe

    def listening(self, subject: str) -> bool:
        return subject in self._receivers
