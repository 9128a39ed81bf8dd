"""A wake-up call for everyone who waits, as often as it is needed."""

import asyncio


class Signal:
    """Wakes all present waiters each time it fires; remembers nothing.

    Look first, then wait: between the two nothing else runs, so no firing is missed.
    """

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()

    def fire(self) -> None:
        """Wakes everyone who waits now."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    async def wait(self) -> None:
        """Returns when the signal fires next."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)
