"""By how much later than asked the event loop comes to something."""

import asyncio

from dreamgrid.server.measures import Histogram

LOOK_S = 0.25


async def follow(lag: Histogram) -> None:
    """Asks to be woken now and then, and notes how late that is."""
    loop = asyncio.get_running_loop()
    while True:
        asked_s = loop.time() + LOOK_S
        await asyncio.sleep(LOOK_S)
        lag.observe(loop.time() - asked_s)
