"""The engines as the worker sees them: renders go in, files or errors come out, crashes are mended.

A host owns one child process and replaces it when it dies. A pool lends out its hosts. A job may
wait inside the process of a single one: then it begins at once when the one before it ends.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from dreamgrid.errors import EngineCrashed
from dreamgrid.protocol.renders import AnyRender
from dreamgrid.worker import frames
from dreamgrid.worker.frames import Loaded, Rendered, Stepped
from dreamgrid.worker.line import Line, Patience, Run
from dreamgrid.worker.process import EngineProcess
from dreamgrid.worker.tasks import task_group

MAX_RESTART_DELAY_S = 30.0

_log = logging.getLogger(__name__)


def restart_delay_s(crashes: int) -> float:
    """How long to wait before a new child, after this many crashes in a row.

    The first one is followed at once; a child that keeps dying gets 1, 2, 4 ... 30 s.
    """
    return 0.0 if crashes < 2 else min(MAX_RESTART_DELAY_S, 2.0 ** (crashes - 2))


class EngineHost:
    """Renders jobs in a child process, one after the other, or several in one pass.

    Attributes:
        model: The model of its last render, which its child has loaded. None: a fresh child.
        kept: Models that its child had in memory when its last render began.
        crashes: Crashes in a row; a finished render or one that failed in order sets it to 0.
    """

    def __init__(
        self, tasks: asyncio.TaskGroup, setup: frames.Setup, patience: Patience | None = None
    ) -> None:
        self.model: str | None = None
        self.kept: tuple[str, ...] = ()
        self.crashes = 0
        self._tasks = tasks
        self._setup = setup
        self._patience = patience or Patience()
        self._line: Line | None = None
        self._starting = asyncio.Lock()
        self._number = 0
        self._not_before_s = 0.0  # loop time; when a crashed child may be replaced

    async def start(self) -> None:
        """Starts the child ahead of the first render.

        Raises:
            EngineCrashed: It did not start.
        """
        await self._living_line()

    async def render(
        self,
        render: AnyRender,
        inputs: Mapping[str, bytes],
        *,
        previews: int = 0,
        upcoming: Sequence[str] = (),
        engines: Sequence[str] = (),
        alone: bool = False,
        on_begun: Callable[[], None] = lambda: None,
        on_loaded: Callable[[int], None] = lambda _: None,
        on_step: Callable[[Stepped], None] = lambda _: None,
    ) -> Rendered:
        """Renders one job, when those before it are done. Canceling stops it before its next step.

        A canceled call ends when the engine has stopped, so the host is free again. Canceling it
        a second time kills the child instead of waiting for it.

        Args:
            render: What to make.
            inputs: Input files by role.
            previews: How many previews to compute on the way.
            upcoming: Models of the jobs that wait.
            engines: References of the engines to ask, in order. Empty: as its setup says.
            alone: It shares no pass: something went wrong with it, or beside it.
            on_begun: Called when its turn has come; again after another one's crash.
            on_loaded: Called when the model is loaded and inference begins, with how many renders
                share its pass.
            on_step: Called after each step.

        Raises:
            EngineCrashed: The process died or gave no sign for too long, and it was at work on this
                job alone: others are begun anew.
            EngineError: The render failed; so do its subclasses and `UnreadableMedia`.
        """

        def loaded(frame: Loaded) -> None:
            self.kept = frame.kept
            on_loaded(frame.together)

        while True:
            line = await self._living_line()
            self._number += 1
            self.model = render.model
            job = frames.Render(
                number=self._number,
                render=render,
                inputs=dict(inputs),
                previews=previews,
                upcoming=tuple(upcoming),
                alone=alone,
                engines=tuple(engines),
            )
            run = Run(job=job, on_begun=on_begun, on_loaded=loaded, on_step=on_step)
            try:
                return await line.render(run)
            except EngineCrashed:
                if run is line.latest and run.together == 1:
                    raise
                alone = alone or run.begun

    def kill_if_busy(self) -> None:
        """Ends a child that is rendering, at once; `render` raises soon after."""
        if self._line is not None and self._line.busy:
            self._line.kill()

    async def close(self) -> None:
        """Ends the child. No render may be under way."""
        line, self._line = self._line, None
        if line is not None:
            if line.busy:
                line.kill()
            await line.ended()
            await line.child.close()

    async def _living_line(self) -> Line:
        async with self._starting:
            if self._line is not None and not self._line.child.alive:
                await self._bury(self._line)
            if self._line is None:
                self._line = await self._fresh_line()
            return self._line

    async def _bury(self, line: Line) -> None:
        """Takes leave of a child that is dead, whoever noticed it first."""
        if line.busy:
            await line.ended()
        else:
            crash = await line.child.report()
            self._crashed(line, crash)
            await line.child.close()
        if self._line is line:
            self._line = None

    async def _fresh_line(self) -> Line:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._not_before_s - loop.time()))
        try:
            child = await EngineProcess.start(
                self._tasks, self._setup, within_s=self._patience.start_s
            )
        except EngineCrashed as crash:
            self._crashed(None, crash)
            raise
        _log.info("engine process %d is ready", child.pid, extra={"engine_pid": child.pid})
        return Line(self._tasks, child, self._patience, self._crashed, self._fine)

    def _fine(self) -> None:
        self.crashes = 0

    def _crashed(self, line: Line | None, crash: EngineCrashed) -> None:
        """A child has died, or did not start."""
        if self._line is line:
            self._line = None
            self.model = None
            self.kept = ()
        if line is not None and line.killed:
            return
        self.crashes += 1
        delay_s = restart_delay_s(self.crashes)
        self._not_before_s = asyncio.get_running_loop().time() + delay_s
        _log.warning(
            "%s; a new one starts in %g s", crash, delay_s, extra={"crashes": self.crashes}
        )


class EnginePool:
    """Lends hosts to jobs, first come, first served.

    Args:
        hosts: To lend.
        each: How many jobs a host may have at once: all but one wait in its process.
    """

    def __init__(self, hosts: Sequence[EngineHost], each: int = 1) -> None:
        self._hosts = tuple(hosts)
        self._held = dict.fromkeys(hosts, 0)
        self._each = each
        self._free = asyncio.Semaphore(len(self._hosts) * each)
        self._waiting: list[str] = []

    @property
    def waiting(self) -> tuple[str, ...]:
        """Models of the jobs that wait for their turn, each once."""
        return tuple(dict.fromkeys(self._waiting))

    @property
    def kept(self) -> tuple[str, ...]:
        """Models in the memory of its hosts, each once."""
        return tuple(dict.fromkeys(model for host in self._hosts for model in host.kept))

    @asynccontextmanager
    async def turn(self, model: str) -> AsyncIterator[EngineHost]:
        """Waits for a host; of those with the fewest jobs prefers one that has `model` loaded."""
        self._waiting.append(model)
        try:
            await self._free.acquire()
        finally:
            self._waiting.remove(model)
        host = min(self._hosts, key=lambda one: (self._held[one], one.model != model))
        self._held[host] += 1
        try:
            yield host
        finally:
            self._held[host] -= 1
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
