"""Time that stands still until a test moves it."""

import asyncio
import time


class ManualClock:
    """What a server and scripted workers go by: leases, URLs, render times.

    Attributes:
        now_s: Seconds since 1970; begins with the real time.
    """

    def __init__(self) -> None:
        self.now_s = time.time()
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def __call__(self) -> float:
        """Seconds since 1970, as the server asks for them."""
        return self.now_s

    def move(self, seconds: float) -> None:
        """Moves on and wakes whoever slept until then. `Grid.advance` does it properly."""
        self.now_s += seconds
        due = [sleeper for sleeper in self._sleepers if sleeper[0] <= self.now_s]
        self._sleepers = [sleeper for sleeper in self._sleepers if sleeper[0] > self.now_s]
        for _, woken in due:
            if not woken.done():
                woken.set_result(None)

    async def wait_until(self, at_s: float) -> None:
        """Waits until the clock shows this time; one that is past returns at once."""
        if at_s > self.now_s:
            woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._sleepers.append((at_s, woken))
            await woken
