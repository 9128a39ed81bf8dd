"""The engines as the worker sees them: renders go in, files or errors come out, crashes are mended.

A host owns one child process and replaces it when it dies. A pool lends out its hosts, one render
each, because an engine is a serial resource; transfers go on beside it.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from dreamgrid.errors import EngineCrashed
from dreamgrid.protocol.renders import AnyRender
from dreamgrid.worker import frames
from dreamgrid.worker.frames import Failure, Loaded, Rendered, Stepped
from dreamgrid.worker.process import EngineProcess
from dreamgrid.worker.tasks import task_group

MAX_RESTART_DELAY_S = 30.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a host waits for its child, in seconds.

    Attributes:
        start_s: For a new process to be ready.
        cancel_s: For a canceled render to reach its next step, before the process is killed.
        stall_s: For any sign (model loaded, step done) before the process is killed.
    """

    start_s: float = 60.0
    cancel_s: float = 30.0
    stall_s: float = 900.0


def restart_delay_s(crashes: int) -> float:
    """How long to wait before a new child, after this many crashes in a row.

    The first one is followed at once; a child that keeps dying gets 1, 2, 4 ... 30 s.
    """
    return 0.0 if crashes < 2 else min(MAX_RESTART_DELAY_S, 2.0 ** (crashes - 2))


class EngineHost:
    """Renders one job at a time in a child process.

    Attributes:
        model: The model of its last render, which its child has loaded. None: a fresh child.
        crashes: Crashes in a row; a finished render or one that failed in order sets it to 0.
    """

    def __init__(
        self, tasks: asyncio.TaskGroup, setup: frames.Setup, patience: Patience | None = None
    ) -> None:
        self.model: str | None = None
        self.crashes = 0
        self._tasks = tasks
        self._setup = setup
        self._patience = patience or Patience()
        self._child: EngineProcess | None = None
        self._number = 0
        self._busy = False
        self._killed = False  # by us: no crash
        self._not_before_s = 0.0  # loop time; when a crashed child may be replaced

    async def start(self) -> None:
        """Starts the child ahead of the first render.

        Raises:
            EngineCrashed: It did not start.
        """
        await self._living_child()

    async def render(
        self,
        render: AnyRender,
        inputs: Mapping[str, bytes],
        *,
        previews: int = 0,
        upcoming: Sequence[str] = (),
        on_loaded: Callable[[], None] = lambda: None,
        on_step: Callable[[Stepped], None] = lambda _: None,
    ) -> Rendered:
        """Renders one job. Canceling this call stops the engine before its next step.

        A canceled call ends when the engine has stopped, so the host is free again. Canceling it
        a second time kills the child instead of waiting for it.

        Args:
            render: What to make.
            inputs: Input files by role.
            previews: How many previews to compute on the way.
            upcoming: Models of the jobs that wait.
            on_loaded: Called when the model is loaded and inference begins.
            on_step: Called after each step.

        Raises:
            EngineCrashed: The process died or gave no sign for too long.
            EngineError: The render failed; so do its subclasses and `UnreadableMedia`.
        """
        assert not self._busy, "one render at a time"
        self._busy = True
        try:
            child = await self._living_child()
            self._number += 1
            self.model = render.model
            job = frames.Render(
                number=self._number,
                render=render,
                inputs=dict(inputs),
                previews=previews,
                upcoming=tuple(upcoming),
            )
            return await self._exchange(child, job, on_loaded, on_step)
        finally:
            self._busy = False

    def kill_if_busy(self) -> None:
        """Ends a child that is rendering, at once; `render` raises soon after."""
        if self._busy and self._child is not None:
            self._killed = True
            self._child.kill()

    async def close(self) -> None:
        """Ends the child. No render may be under way."""
        child, self._child = self._child, None
        if child is not None:
            await child.close()

    async def _exchange(
        self,
        child: EngineProcess,
        job: frames.Render,
        on_loaded: Callable[[], None],
        on_step: Callable[[Stepped], None],
    ) -> Rendered:
        try:
            await child.send(job)
            while True:
                match await self._sign_of_life(child):
                    case Loaded(number=job.number):
                        on_loaded()
                    case Stepped(number=job.number) as step:
                        on_step(step)
                    case Rendered(number=job.number) as rendered:
                        self.crashes = 0
                        return rendered
                    case Failure(number=job.number) as failure:
                        self.crashes = 0
                        raise frames.error_from(failure)
        except EngineCrashed as crash:
            await self._crashed(crash)
            raise
        except asyncio.CancelledError:
            await self._stop(child, job.number)
            raise

    async def _sign_of_life(self, child: EngineProcess) -> frames.AnyFromChild:
        try:
            async with asyncio.timeout(self._patience.stall_s):
                return await child.receive()
        except TimeoutError:
            child.kill()
            stall_s = self._patience.stall_s
            sentence = f"the engine gave no sign for {stall_s:g} s, so it was ended"
            raise EngineCrashed(sentence) from None

    async def _stop(self, child: EngineProcess, number: int) -> None:
        """Waits until a canceled render has ended; kills a child that takes too long."""
        try:
            async with asyncio.timeout(self._patience.cancel_s):
                await child.send(frames.Stop(number=number))
                while True:
                    frame = await child.receive()
                    if isinstance(frame, Rendered | Failure) and frame.number == number:
                        return
        except TimeoutError:
            _log.warning("the engine did not stop in %g s, killing it", self._patience.cancel_s)
            await self._discard(child)
        except EngineCrashed as crash:
            await self._crashed(crash)
        except asyncio.CancelledError:
            child.kill()
            raise

    async def _living_child(self) -> EngineProcess:
        if self._child is not None and not self._child.alive:
            await self._crashed(await self._child.report())
        if self._child is None:
            loop = asyncio.get_running_loop()
            await asyncio.sleep(max(0.0, self._not_before_s - loop.time()))
            try:
                self._child = await EngineProcess.start(
                    self._tasks, self._setup, within_s=self._patience.start_s
                )
            except EngineCrashed as crash:
                await self._crashed(crash)
                raise
            pid = self._child.pid
            _log.info("engine process %d is ready", pid, extra={"engine_pid": pid})
        return self._child

    async def _crashed(self, crash: EngineCrashed) -> None:
        if self._killed:
            self._killed = False
        else:
            self.crashes += 1
            delay_s = restart_delay_s(self.crashes)
            self._not_before_s = asyncio.get_running_loop().time() + delay_s
            _log.warning(
                "%s; a new one starts in %g s", crash, delay_s, extra={"crashes": self.crashes}
            )
        if self._child is not None:
            await self._discard(self._child)

    async def _discard(self, child: EngineProcess) -> None:
        self._child = None
        self.model = None
        child.kill()
        await child.close()


class EnginePool:
    """Lends hosts to jobs, first come, first served."""

    def __init__(self, hosts: Sequence[EngineHost]) -> None:
        self._hosts = tuple(hosts)
        self._idle = list(hosts)
        self._free = asyncio.Semaphore(len(self._idle))
        self._waiting: list[str] = []

    @property
    def waiting(self) -> tuple[str, ...]:
        """Models of the jobs that wait for their turn, each once."""
        return tuple(dict.fromkeys(self._waiting))

    @asynccontextmanager
    async def turn(self, model: str) -> AsyncIterator[EngineHost]:
        """Waits for a host; prefers one that has `model` loaded."""
        self._waiting.append(model)
        try:
            await self._free.acquire()
        finally:
            self._waiting.remove(model)
        try:
            host = next((host for host in self._idle if host.model == model), self._idle[0])
            self._idle.remove(host)
            try:
                yield host
            finally:
                self._idle.append(host)
        finally:
            self._free.release()

    async def start(self) -> None:
        """Starts every child, so that a broken installation shows at once.

        Raises:
            EngineCrashed: One did not start.
        """
        async with task_group() as tasks:
            for host in self._hosts:
                tasks.create_task(host.start())

    def kill_busy(self) -> None:
        """Ends every child that is rendering."""
        for host in self._hosts:
            host.kill_if_busy()

    async def close(self) -> None:
        """Ends every child. No render may be under way."""
        async with task_group() as tasks:
            for host in self._hosts:
                tasks.create_task(host.close())
