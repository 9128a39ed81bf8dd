"""Runs the asynchronous client for people who do not: one event loop in one background thread."""

import asyncio
import queue
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Generic, ParamSpec, TypeVar

from dreamgrid.client.listeners import called
from dreamgrid.errors import ConnectionFailed

P = ParamSpec("P")
T = TypeVar("T")
_LOOKS_UP_S = 0.5
"""How often somebody who waits looks up: of a Ctrl-C that strikes in the moment before a thread
falls asleep, Python takes notice only when the thread wakes."""

Errand = tuple[Callable[[Any], Any], object]
"""A listener and the event to call it with."""


class Portal:
    """A door into an event loop of its own. Any thread may call through it.

    The thread starts with the first call. It ends with `close()`, when nobody holds the portal any
    more, or with the program, whichever comes first.

    Args:
        last: Makes the coroutine to run last in the loop.
    """

    def __init__(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._room = _Room(last)
        # The room knows nothing of the portal, so that the portal can be forgotten.
        self._finalizer = weakref.finalize(self, self._room.close)

    def call(self, function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Awaits what `function` gives in the loop and returns the result; Ctrl-C cancels it.

        Raises:
            ConnectionFailed: The portal is closed.
        """
        call = _Call(lambda: function(*args, **kwargs))
        try:
            self._room.begin(call)
            return call.result()
        except BaseException:
            call.give_up()
            raise

    def forget(self, function: Callable[[], Awaitable[object]], /) -> None:
        """Begins what nobody waits for; does nothing when the portal is closed.

        The garbage collector may call this in any thread and at any moment, which a `call` would
        not survive: in the loop's thread it would wait for itself.
        """
        with suppress(ConnectionFailed):
            self._room.begin(_Call(function))

    def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs a plain function in the loop's thread and returns its result."""

        async def work() -> T:
            return function(*args, **kwargs)

        return self.call(work)

    def hand_over(self, listener: Callable[[Any], Any], event: object) -> None:
        """Calls a listener in a thread of its own, after those that were handed over before."""
        self._room.hand_over((listener, event))

    def close(self) -> None:
        """Runs what comes last and ends the loop. The second time it does nothing."""
        self._finalizer()


class _Room:
    """The loop and its thread."""

    def __init__(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._last = last
        self._lock = threading.RLock()  # the garbage collector may come while it is held
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False
        self._errands: queue.SimpleQueue[Errand | None] | None = None

    def begin(self, call: "_Call[T]") -> None:
        with self._lock:
            if self._closed:
                raise ConnectionFailed("this client is closed")
            if self._loop is None:
                loop = asyncio.new_event_loop()
                # A daemon: a program that forgets to close its client must still be able to end.
                thread = threading.Thread(
                    target=_run, args=(loop,), name="dreamgrid-client", daemon=True
                )
                thread.start()
                self._loop, self._thread = loop, thread
            call.begin(self._loop)

    def hand_over(self, errand: Errand) -> None:
        """Only called in the loop's thread."""
        if self._errands is None:
            self._errands = queue.SimpleQueue()
            threading.Thread(
                target=_listen, args=(self._errands,), name="dreamgrid-listeners", daemon=True
            ).start()
        self._errands.put(errand)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._errands is not None:
                self._errands.put(None)
            loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        _Call(self._last, then=loop.stop).begin(loop)
        # The garbage collector may call this in any thread, the loop's own included.
        if thread is not threading.current_thread():
            thread.join()


class _Call(Generic[T]):
    """Something that one thread has the loop do, and waits for.

    Ctrl-C strikes a program's first thread between any two steps. So the coroutine is made in the
    loop's thread, where it cannot be lost before the loop has it, and nothing here is locked that
    could stay so.
    """

    def __init__(
        self, work: Callable[[], Awaitable[T]], then: Callable[[], None] | None = None
    ) -> None:
        self._work = work
        self._then = then
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[T] | None = None
        self._given_up = False
        self._done: queue.SimpleQueue[asyncio.Task[T]] = queue.SimpleQueue()

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        loop.call_soon_threadsafe(self._start)

    def result(self) -> T:
        """Waits for it."""
        while True:
            with suppress(queue.Empty):
                task = self._done.get(timeout=_LOOKS_UP_S)
                break
        try:
            return task.result()
        except asyncio.CancelledError:
            raise ConnectionFailed("this client was closed meanwhile") from None

    def give_up(self) -> None:
        """Nobody waits any more: it need not be done."""
        self._given_up = True
        ended = self._task is not None and self._task.done()
        if self._loop is not None and not ended:
            self._loop.call_soon_threadsafe(self._cancel)

    def _start(self) -> None:
        if not self._given_up:
            self._task = asyncio.ensure_future(self._run())
            self._task.add_done_callback(self._finish)

    async def _run(self) -> T:
        return await self._work()

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _finish(self, task: asyncio.Task[T]) -> None:
        if not task.cancelled():
            task.exception()  # whether or not anybody still waits to hear of it
        self._done.put(task)
        if self._then is not None:
            self._then()


def _listen(errands: "queue.SimpleQueue[Errand | None]") -> None:
    while (errand := errands.get()) is not None:
        called(*errand)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()
