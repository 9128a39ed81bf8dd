"""Runs the asynchronous client for people who do not: one event loop in one background thread."""

import asyncio
import queue
import threading
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from dreamgrid.client.listeners import called
from dreamgrid.errors import ConnectionFailed

T = TypeVar("T")
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

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs `work` in the loop and returns its result; Ctrl-C cancels it.

        Raises:
            ConnectionFailed: The portal is closed.
        """
        try:
            loop = self._room.open()
        except BaseException:
            work.close()
            raise
        future = asyncio.run_coroutine_threadsafe(work, loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def run(self, function: Callable[..., T], *arguments: object) -> T:
        """Runs a plain function in the loop's thread and returns its result."""

        async def work() -> T:
            return function(*arguments)

        return self.call(work())

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
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False
        self._errands: queue.SimpleQueue[Errand | None] | None = None

    def open(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._closed:
                raise ConnectionFailed("this client is closed")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                # A daemon: a program that forgets to close its client must still be able to end.
                self._thread = threading.Thread(
                    target=_run, args=(self._loop,), name="dreamgrid-client", daemon=True
                )
                self._thread.start()
            return self._loop

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
        ending = asyncio.run_coroutine_threadsafe(self._last(), loop)
        ending.add_done_callback(lambda _: loop.call_soon_threadsafe(loop.stop))
        # The garbage collector may call this in any thread, the loop's own included.
        if thread is not threading.current_thread():
            thread.join()


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
