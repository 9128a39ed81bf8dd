"""Functions that are called when something happens; for those who do not iterate over events."""

import asyncio
import inspect
import logging
from collections.abc import Callable
from typing import Any, TypeVar

_log = logging.getLogger("dreamgrid.client")

E = TypeVar("E")


class Listeners:
    """Who wants to know of which kinds of events."""

    def __init__(self) -> None:
        self._wanted: dict[type, list[Callable[[Any], Any]]] = {}
        self._once: set[tuple[type, Callable[[Any], Any]]] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    def add(self, kind: type[E], listener: Callable[[E], Any], *, once: bool) -> Callable[[], None]:
        """Calls `listener` with events of a kind; the result takes it away again."""
        self._wanted.setdefault(kind, []).append(listener)
        if once:
            self._once.add((kind, listener))
        return lambda: self.remove(kind, listener)

    def remove(self, kind: type[E] | None, listener: Callable[[E], Any] | None) -> None:
        """Takes away one listener, all of a kind, or all."""
        if kind is None:
            self._wanted.clear()
            self._once.clear()
            return
        present = self._wanted.get(kind, [])
        self._wanted[kind] = [one for one in present if listener is not None and one != listener]
        self._once = {pair for pair in self._once if pair[1] in self._wanted.get(pair[0], [])}

    def tell(self, event: object) -> None:
        """Calls everyone who wants to know of this event."""
        if not self._wanted:
            return
        for kind in type(event).__mro__:
            for listener in tuple(self._wanted.get(kind, ())):
                if (kind, listener) in self._once:
                    self.remove(kind, listener)
                self._run(listener, event)

    def cancel(self) -> set[asyncio.Task[Any]]:
        """Ends listeners that are still at work; they have to be waited for."""
        for task in self._tasks:
            task.cancel()
        return set(self._tasks)

    def _run(self, listener: Callable[[Any], Any], event: object) -> None:
        answer = called(listener, event)
        if inspect.iscoroutine(answer):
            task = asyncio.ensure_future(answer)
            self._tasks.add(task)
            task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("a listener failed", exc_info=task.exception())


def called(listener: Callable[[Any], Any], event: object) -> object:
    """What a listener returns. One that fails is logged, and harms nobody else."""
    try:
        return listener(event)
    except Exception:
        _log.exception("a listener failed")
        return None


class Emitter:
    """Base of what can be listened to."""

    def __init__(self) -> None:
        self._listeners = Listeners()

    def on(self, kind: type[E], listener: Callable[[E], Any]) -> Callable[[], None]:
        """Calls `listener` with every event of a kind from now on.

        Args:
            kind: A class such as `dreamgrid.JobCompleted`. A base class means all below it.
            listener: A function or a coroutine function of one argument, the event. One that fails
                is logged and stays.

        Returns:
            A function that takes the listener away again.
        """
        return self._listeners.add(kind, listener, once=False)

    def once(self, kind: type[E], listener: Callable[[E], Any]) -> Callable[[], None]:
        """As `on`, for the next event of that kind only."""
        return self._listeners.add(kind, listener, once=True)

    def off(self, kind: type[E], listener: Callable[[E], Any] | None = None) -> None:
        """Takes a listener away. None: all listeners of that kind."""
        self._listeners.remove(kind, listener)

    def remove_all_listeners(self) -> None:
        """Takes all listeners away."""
        self._listeners.remove(None, None)
