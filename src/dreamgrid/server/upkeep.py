"""The loops that keep a server true to itself: leases, positions, old media.

Each is a child of the server's task group: if one dies, the server stops loudly instead of running
on with a part of it missing.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from dreamgrid.errors import DreamgridError
from dreamgrid.server import loop_lag
from dreamgrid.server.clock import milliseconds
from dreamgrid.server.garbage import LongQueue
from dreamgrid.server.services import Services
from dreamgrid.server.worker_sockets import WorkerSockets

LEASES_EVERY_S = 1.0
POSITIONS_EVERY_S = 2.0
MEDIA_EVERY_S = 10 * 60.0
HISTORY_EVERY_S = 60 * 60.0

WORKS_ONE_IN = 10
"""A loop whose turn took long rests for longer: it works for a tenth of the time at most."""

_log = logging.getLogger("dreamgrid.upkeep")


async def tick(services: Services, sockets: WorkerSockets) -> None:
    """One turn of everything that hangs on seconds: leases, lost hints, queue positions."""
    await _leases(services, sockets)
    await _positions(services)


async def _leases(services: Services, sockets: WorkerSockets) -> None:
    sockets.close_silent()
    services.rendering.end_pauses()
    services.rendering.end_long_waits()
    services.rendering.expire_leases()
    services.rendering.etas.repeat()
    services.rendering.scheduler.hint()  # the tick that makes a lost hint harmless


async def _positions(services: Services) -> None:
    await services.queue.notify()
    services.recovery.claim_heard()


def start(group: asyncio.TaskGroup, services: Services, sockets: WorkerSockets) -> None:
    """Starts every loop as a child of `group`."""
    long_queue = LongQueue()

    async def leases() -> None:
        await _leases(services, sockets)
        long_queue.look(len(services.open_projects), services.open_projects.ended)

    async def all_leases() -> None:
        try:
            await _every(LEASES_EVERY_S, leases)
        finally:
            long_queue.release()

    async def positions() -> None:
        await _positions(services)

    async def media() -> None:
        # A server that was replaced while it was paused knows nothing of what came since, and the
        # database would refuse this write: then nothing is removed.
        await services.store.claim([])
        removed = await services.blobs.expire(
            services.config.media_kept_s, keep=services.projects.needs
        )
        if removed:
            _log.info("removed %d files older than %d s", removed, services.config.media_kept_s)
        removed = await services.uploads.remove_unused()
        if removed:
            _log.info("removed %d uploads that no project used", removed)

    group.create_task(all_leases(), name="upkeep-leases")
    positions_loop = _every(POSITIONS_EVERY_S, positions, rests=False)  # it rests on its way
    group.create_task(positions_loop, name="upkeep-positions")

    async def history() -> None:
        before_ms = milliseconds(services.clock) - services.config.history_kept_s * 1000
        while await services.store.prune(before_ms):
            pass  # a few hundred projects at a time, so that others can write in between
        await services.known_workers.keep()

    group.create_task(loop_lag.follow(services.rendering.measures.loop_lag), name="upkeep-lag")
    group.create_task(services.webhook_sender.run(), name="webhooks")
    group.create_task(_every(MEDIA_EVERY_S, media), name="upkeep-media")
    group.create_task(_every(HISTORY_EVERY_S, history), name="upkeep-history")


async def _every(
    period_s: float, work: Callable[[], Awaitable[None]], *, rests: bool = True
) -> None:
    loop = asyncio.get_running_loop()
    while True:
        began_s = loop.time()
        try:
            await work()
        except (DreamgridError, OSError) as error:  # such as a full disk: the next turn may succeed
            _log.warning("upkeep failed and is tried again: %s", error)
        took_s = loop.time() - began_s
        await asyncio.sleep(max(period_s, (WORKS_ONE_IN - 1) * took_s if rests else 0.0))
