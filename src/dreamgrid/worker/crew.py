"""Several workers of one machine, kept at work in one process: see `lanes`."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from dreamgrid.engines.registry import Registry
from dreamgrid.errors import DreamgridError, EngineCrashed
from dreamgrid.worker import events
from dreamgrid.worker.config import WorkerConfig
from dreamgrid.worker.events import WorkerEvent
from dreamgrid.worker.tasks import task_group
from dreamgrid.worker.worker import run_worker

OnCrewEvent = Callable[[WorkerConfig, WorkerEvent], None]


async def run_crew(
    lanes: Sequence[WorkerConfig],
    registry: Registry,
    *,
    stop: asyncio.Event,
    on_event: OnCrewEvent = lambda _lane, _event: None,
    retry_s: float = 30.0,
) -> None:
    """Works for a server with all of them until told to stop.

    Args:
        lanes: The settings of each worker.
        registry: The engines that are installed.
        stop: Set it to end them all; see `run_worker`.
        on_event: Called with the worker's settings and everything that happens to it.
        retry_s: Seconds after which an engine that did not start is tried again.

    Raises:
        EngineCrashed: The engine of the only worker does not start.
        ConfigError: See `run_worker`; so do the other errors, which would meet every worker.
    """
    over = asyncio.Event()
    errors: list[DreamgridError] = []

    async def keep(keeper: _Keeper) -> None:
        try:
            await keeper.run()
        except DreamgridError as error:
            errors.append(error)
        over.set()  # what ends one meets all: they end in order, each with its engine

    async with task_group() as tasks:
        relay = tasks.create_task(_relay(stop, over), name="stop")
        await asyncio.gather(
            *(keep(_Keeper(lane, registry, over, on_event, retry_s, len(lanes))) for lane in lanes)
        )
        relay.cancel()
    if errors:
        raise errors[0]


async def _relay(stop: asyncio.Event, over: asyncio.Event) -> None:
    await stop.wait()
    over.set()


class _Keeper:
    """Keeps one worker at work."""

    def __init__(
        self,
        lane: WorkerConfig,
        registry: Registry,
        stop: asyncio.Event,
        on_event: OnCrewEvent,
        retry_s: float,
        crew_size: int,
    ) -> None:
        self._lane = lane
        self._registry = registry
        self._stop = stop
        self._on_event = on_event
        self._retry_s = retry_s
        self._alone = crew_size == 1

    async def run(self) -> None:
        while not self._stop.is_set():
            try:
                await run_worker(
                    self._lane,
                    stop=self._stop,
                    registry=self._registry,
                    on_event=self._tell,
                )
            except EngineCrashed as crash:
                if self._alone:
                    raise
                self._tell(events.EngineFailed(reason=str(crash), retry_in_s=self._retry_s))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._retry_s):
                        await self._stop.wait()

    def _tell(self, event: WorkerEvent) -> None:
        self._on_event(self._lane, event)
