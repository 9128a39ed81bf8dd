"""The base of the synchronous door: an asynchronous object, and the way to its loop."""

import functools
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Concatenate, ParamSpec, TypeVar

from dreamgrid.client.listeners import E
from dreamgrid.client.portal import Portal

A = TypeVar("A")
P = ParamSpec("P")
R = TypeVar("R")


class Door:
    """Base of the synchronous twins: the asynchronous object, and the way to its loop.

    What is written below as a bare annotation is an attribute of the asynchronous object.
    """

    def __init__(self, portal: Portal, inner: Any) -> None:
        self._portal = portal
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in attributes(type(self)):
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        return getattr(self._inner, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *attributes(type(self))})

    def __repr__(self) -> str:
        return repr(self._inner)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Door) and other._inner is self._inner

    def __hash__(self) -> int:
        return hash(self._inner)


def attributes(kind: type) -> frozenset[str]:
    """What a door and the doors below it annotate."""
    return frozenset[str]().union(*(vars(one).get("__annotations__", {}) for one in kind.__mro__))


def same(
    method: Callable[Concatenate[A, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[Any, P], R]:
    """The twin of a method whose result is the same through both doors."""

    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        portal: Portal = self._portal
        return portal.call(method, self._inner, *args, **kwargs)

    functools.update_wrapper(call, method)
    return call


@dataclass(frozen=True)
class _Hearer:
    """A listener of this door, as the other one calls it. Two of one function are equal."""

    listener: Callable[[Any], Any]
    portal: Portal = field(compare=False)
    through: Callable[[Any], Any] = field(compare=False)

    def __call__(self, event: object) -> None:
        # In a thread of its own, so that it may wait and use the client like any other code.
        self.portal.hand_over(self.listener, self.through(event))


class EmitterDoor(Door):
    """The twin of an `Emitter`. Listeners are called one after the other, in a thread of theirs."""

    def on(self, kind: type[E], listener: Callable[[E], Any]) -> Callable[[], None]:
        """Calls `listener` with every event of a kind from now on.

        Args:
            kind: A class such as `dreamgrid.JobCompleted`. A base class means all below it.
            listener: A function of one argument, the event; called in another thread. One that
                fails is logged and stays.

        Returns:
            A function that takes the listener away again.
        """
        self._portal.run(self._inner.on, kind, self._hearer(listener))
        return lambda: self.off(kind, listener)

    def once(self, kind: type[E], listener: Callable[[E], Any]) -> Callable[[], None]:
        """As `on`, for the next event of that kind only."""
        self._portal.run(self._inner.once, kind, self._hearer(listener))
        return lambda: self.off(kind, listener)

    def off(self, kind: type[E], listener: Callable[[E], Any] | None = None) -> None:
        """Takes a listener away. None: all listeners of that kind."""
        hearer = None if listener is None else self._hearer(listener)
        self._portal.run(self._inner.off, kind, hearer)

    def remove_all_listeners(self) -> None:
        """Takes all listeners away."""
        self._portal.run(self._inner.remove_all_listeners)

    def _hearer(self, listener: Callable[[Any], Any]) -> _Hearer:
        return _Hearer(listener, self._portal, self._through)

    def _through(self, event: Any) -> Any:
        """The event with the objects of this door."""
        return event
