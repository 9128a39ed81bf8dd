"""A grid in this process: server, worker, or both, from ready to stopped."""

import asyncio
import importlib
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreamgrid.cli.folder import Running, announced, forget_the_last
from dreamgrid.engines.machine import look
from dreamgrid.engines.registry import Registry, find_engines
from dreamgrid.engines.safety import PICTURE_THRESHOLD
from dreamgrid.errors import DreamgridError
from dreamgrid.server import open_files
from dreamgrid.server.config import ServerConfig
from dreamgrid.server.folder_lock import held
from dreamgrid.server.garbage import rarely_collected
from dreamgrid.worker.config import WorkerConfig
from dreamgrid.worker.plan import plan_work
from dreamgrid.worker.started_engines import started_engines

if TYPE_CHECKING:
    from dreamgrid.server.app import ServerReady
    from dreamgrid.worker.events import Joined

_DRAIN_S = 1.0
"""How long renders under way get to finish when the grid stops; then they are handed back."""

_WORKER_STOPS_S = 3.0
"""How long the worker may take to end; the server gets the rest of the 5 s that we promise."""


@dataclass(frozen=True, kw_only=True)
class GridReady:
    """A grid that is ready to serve.

    Attributes:
        url: Address of the server.
        api_key: Key of the person who started it.
        account: Name of that account.
        studio_url: Opens the studio in a browser of this machine, signed in; good once. None: there
            is none.
        models: What its worker can render; empty without a worker.
        advice: What to install on this machine so that it could render more.
    """

    url: str
    api_key: str
    account: str
    studio_url: str | None = None
    models: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class GridOptions:
    """What to start.

    Attributes:
        server: Settings of the server.
        threads: CPU threads of the worker; 0: one per core.
        filter_threshold: Score from which the worker's content filter objects to a picture.
        sound_font: SoundFont 2 file with which the worker plays music.
        worker: Whether to start a worker beside the server.
        announce: Whether other commands may find and use this grid.
    """

    server: ServerConfig
    threads: int = 0
    filter_threshold: float = PICTURE_THRESHOLD
    sound_font: Path | None = None
    worker: bool = True
    announce: bool = False


async def run_grid(
    options: GridOptions, *, stop: asyncio.Event, on_ready: Callable[[GridReady], None]
) -> None:
    """Serves until `stop` is set.

    Raises:
        ConfigError: The port or the data folder cannot be used, or no engine is installed.
    """
    try:
        with rarely_collected():
            async with asyncio.TaskGroup() as tasks:
                await _run(tasks, options, stop, on_ready)
    except BaseExceptionGroup as group:
        raise _first(group) from None


async def _run(
    tasks: asyncio.TaskGroup,
    options: GridOptions,
    stop: asyncio.Event,
    on_ready: Callable[[GridReady], None],
) -> None:
    options.server.validate()
    with held(options.server.data_dir):  # nothing is started in vain while somebody else has it
        forget_the_last(options.server.data_dir)
    server_ready: asyncio.Future[ServerReady] = asyncio.get_running_loop().create_future()
    joined: asyncio.Future[Joined] = asyncio.get_running_loop().create_future()
    server_stop, worker_stop = asyncio.Event(), asyncio.Event()
    registry = find_engines() if options.worker else Registry()
    worker: asyncio.Task[None] | None = None
    started = asyncio.Event()
    if options.worker:
        work = _work(options, registry, started, server_ready, worker_stop, joined)
        worker = tasks.create_task(work, name="worker")
    else:
        started.set()
    # In a thread, so that the server's code and the engine's process load at the same time.
    app = await asyncio.to_thread(importlib.import_module, "dreamgrid.server.app")
    await started.wait()
    open_files.allow_many()
    tasks.create_task(
        app.run_server(options.server, stop=server_stop, on_ready=server_ready.set_result),
        name="server",
    )
    server = await server_ready
    stopped = tasks.create_task(stop.wait())
    try:
        if worker is not None:
            either: list[asyncio.Future[Any]] = [joined, stopped]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set():
            models = joined.result().models if worker else ()
            await _serve(options, server, models, registry.advice(), stop, on_ready)
        worker_stop.set()
        if worker is not None:
            await asyncio.wait([worker], timeout=_WORKER_STOPS_S)
            worker.cancel()
    finally:
        stopped.cancel()
        server_stop.set()


async def _serve(
    options: GridOptions,
    server: "ServerReady",
    models: tuple[str, ...],
    advice: tuple[str, ...],
    stop: asyncio.Event,
    on_ready: Callable[[GridReady], None],
) -> None:
    running = Running(
        url=server.url, api_key=server.api_key, pid=os.getpid(), has_worker=options.worker
    )
    with announced(options.server.data_dir, running) if options.announce else nullcontext():
        on_ready(
            GridReady(
                url=server.url,
                api_key=server.api_key,
                account=server.account,
                studio_url=server.studio_url,
                models=models,
                advice=advice,
            )
        )
        await stop.wait()


async def _work(
    options: GridOptions,
    registry: Registry,
    started: asyncio.Event,
    server_ready: "asyncio.Future[ServerReady]",
    stop: asyncio.Event,
    joined: "asyncio.Future[Joined]",
) -> None:
    """A worker whose engines start before there is a server; sets `started` when they have."""
    config = WorkerConfig(
        server_url="",
        api_key="",
        data_dir=options.server.data_dir / "worker",
        threads=options.threads,
        filter_threshold=options.filter_threshold,
        sound_font=options.sound_font,
        models=plan_work(registry, look(options.server.data_dir)).models,
        drain_grace_s=_DRAIN_S,
    )
    async with started_engines(config, registry) as engines:
        started.set()
        server = await server_ready
        from dreamgrid.worker.worker import run_worker  # noqa: PLC0415 - as late as the server

        dialing = replace(config, server_url=server.url, api_key=server.api_key)
        await run_worker(dialing, on_ready=joined.set_result, stop=stop, engines=engines)


@asynccontextmanager
async def embedded(options: GridOptions) -> AsyncIterator[GridReady]:
    """A grid for as long as the block runs.

    Raises:
        ConfigError: The data folder cannot be used, or no engine is installed.
    """
    stop = asyncio.Event()
    ready: asyncio.Future[GridReady] = asyncio.get_running_loop().create_future()
    grid = asyncio.create_task(run_grid(options, stop=stop, on_ready=ready.set_result))
    try:
        grid.add_done_callback(lambda _: ready.cancel())
        await asyncio.wait([ready])
        if grid.done():
            await grid  # raises why
        yield await ready
    finally:
        ready.cancel()
        stop.set()
        await grid


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error of a group that a person should see: ours before anything else."""
    errors: list[BaseException] = []
    nested: list[BaseException] = [group]
    while nested:
        error = nested.pop()
        if isinstance(error, BaseExceptionGroup):
            nested.extend(error.exceptions)
        else:
            errors.append(error)
    return next((error for error in errors if isinstance(error, DreamgridError)), errors[0])
