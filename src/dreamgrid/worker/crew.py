"""Several workers of one machine, kept at work in one process: see `lanes`."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from dreamgrid.engines.registry import Registry
from dreamgrid.errors import DreamgridError, EngineCrashed
from dreamgrid.worker import events
from dreamgrid.worker.config import WorkerConfig
from dreamgrid.worker.events import WorkerEvent
from dreamgrid.worker.rest import RestRules, Watch
from dreamgrid.worker.tasks import task_group
from dreamgrid.worker.worker import run_worker

_TRIAL = "trial"  # beside ids of jobs; a worker makes one at a time

OnCrewEvent = Callable[[WorkerConfig, WorkerEvent], None]


async def run_crew(
    lanes: Sequence[WorkerConfig],
    registry: Registry,
    *,
    stop: asyncio.Event,
    on_event: OnCrewEvent = lambda _lane, _event: None,
    rules: RestRules,
    retry_s: float = 30.0,
) -> None:
    """Works for a server with all of them until told to stop.

    Args:
        lanes: The settings of each worker.
        registry: The engines that are installed.
        stop: Set it to end them all; see `run_worker`.
        on_event: Called with the worker's settings and everything that happens to it.
        rules: When its workers rest.
        retry_s: Seconds after which an engine that did not start is tried again.

    Raises:
        EngineCrashed: The engine of the only worker does not start.
        ConfigError: See `run_worker`; so do the other errors, which would meet every worker.
    """
    over = asyncio.Event()
    errors: list[DreamgridError] = []
    alone = len(lanes) == 1
    measuring = asyncio.Lock()
    keepers = [
        _Keeper(
            lane, registry, over, on_event, measuring, rules=rules, retry_s=retry_s, alone=alone
        )
        for lane in lanes
    ]

    async def keep(keeper: _Keeper) -> None:
        try:
            await keeper.run()
        except DreamgridError as error:
            errors.append(error)
        over.set()  # what ends one meets all: they end in order, each with its engine

    async with task_group() as tasks:
        relay = tasks.create_task(_relay(stop, over), name="stop")
        async with task_group() as kept:
            for keeper in keepers:
                kept.create_task(keep(keeper), name="keeper")
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
        over: asyncio.Event,
        on_event: OnCrewEvent,
        measuring: asyncio.Lock,
        *,
        rules: RestRules,
        retry_s: float,
        alone: bool,
    ) -> None:
        self._lane = lane
        self._registry = registry
        self._over = over
        self._on_event = on_event
        self._measuring = measuring
        self._look_every_s = rules.look_every_s
        self._rendering: set[str] = set()
        self._watch = Watch(
            rules, lane.gpu, lends_gpu=lambda: lane.shares_gpu and bool(self._rendering)
        )
        self._retry_s = retry_s
        self._alone = alone
        self._because = ""  # it rests

    async def run(self) -> None:
        while not self._over.is_set():
            await self._rest()
            try:
                await self._work()
            except EngineCrashed as crash:
                if self._alone:
                    raise
                self._tell(events.EngineFailed(reason=str(crash), retry_in_s=self._retry_s))
                await self._sleep(self._retry_s)

    async def _rest(self) -> None:
        """Waits until there is no reason to rest."""
        told = ""
        while not self._over.is_set():
            rest = await asyncio.to_thread(self._watch.look)
            if rest is None:
                break
            if rest.reason != told:
                told = rest.reason
                self._tell(events.Rested(reason=told))
            await self._sleep(self._look_every_s)
        if told and not self._over.is_set():
            self._tell(events.Resumed())

    async def _work(self) -> None:
        """Works until there is a reason to rest, or it is all over."""
        stop, finish = asyncio.Event(), asyncio.Event()
        self._because = ""
        self._rendering.clear()  # whatever was under way when it ended was not told
        async with task_group() as tasks:
            watching = tasks.create_task(self._observe(stop, finish), name="watch")
            if not self._over.is_set():
                await run_worker(
                    self._lane,
                    stop=stop,
                    finish=finish,
                    registry=self._registry,
                    on_event=self._tell,
                    why=lambda: self._because,
                    measuring=self._measuring,
                )
            watching.cancel()

    async def _observe(self, stop: asyncio.Event, finish: asyncio.Event) -> None:
        while not self._over.is_set():
            rest = await asyncio.to_thread(self._watch.look)
            if rest is not None:
                self._because = rest.reason
            if rest is not None and rest.urgent:
                break
            if rest is not None:
                finish.set()
            await self._sleep(self._look_every_s)
        stop.set()

    async def _sleep(self, seconds: float) -> None:
        """Until then, or until it is all over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._over.wait()

    def _tell(self, event: WorkerEvent) -> None:
        match event:
            case events.JobStarted():
                self._rendering.add(event.job_id)
            case events.JobFinished() | events.JobFailed():
                self._rendering.discard(event.job_id)
            case events.JobCanceled() | events.JobReleased():
                self._rendering.discard(event.job_id)
            case events.TrialBegan():
                self._rendering.add(_TRIAL)
            case events.TrialEnded() | events.TrialFailed() | events.TrialStopped():
                self._rendering.discard(_TRIAL)
        self._on_event(self._lane, event)
