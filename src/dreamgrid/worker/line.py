"""One engine process and the renders that it has: words to it, and answers to whom they concern."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from dreamgrid.errors import EngineCrashed
from dreamgrid.worker import frames
from dreamgrid.worker.frames import Begun, Failure, Loaded, Rendered, Stepped
from dreamgrid.worker.process import EngineProcess

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a host waits for its child, in seconds.

    Attributes:
        start_s: For a new process to be ready.
        cancel_s: For a canceled render to reach its next step, before the process is killed. 0: it
            is killed at once, and that is no trouble.
        stall_s: For any sign (model loaded, step done) before the process is killed.
    """

    start_s: float = 60.0
    cancel_s: float = 30.0
    stall_s: float = 900.0


def _unanswered() -> asyncio.Future[Rendered]:
    return asyncio.get_running_loop().create_future()


@dataclass(eq=False, kw_only=True)
class Run:
    """One render at a process.

    Attributes:
        job: What to make; its number is that of this try.
        begun: Its turn has come.
        together: How many renders share its pass.
    """

    job: frames.Render
    on_begun: Callable[[], None]
    on_loaded: Callable[[Loaded], None]
    on_step: Callable[[Stepped], None]
    begun: bool = False
    together: int = 1
    answer: asyncio.Future[Rendered] = field(default_factory=_unanswered)


class Line:
    """The renders of one process. What ends the process ends all of them.

    Attributes:
        child: The process.
        killed: It was ended on purpose, which is no crash.
        latest: The render that began last; files of those before it may be unfinished.
    """

    def __init__(
        self,
        tasks: asyncio.TaskGroup,
        child: EngineProcess,
        patience: Patience,
        crashed: "Callable[[Line, EngineCrashed], None]",
        fine: Callable[[], None],
    ) -> None:
        """Takes a process that is ready.

        Args:
            tasks: Owns the task that listens.
            child: The process.
            patience: How long to wait for it.
            crashed: Called when it has died, before anybody hears of it.
            fine: Called when a render has ended in order.
        """
        self.child = child
        self.killed = False
        self.latest: Run | None = None
        self._tasks = tasks
        self._patience = patience
        self._crashed = crashed
        self._fine = fine
        self._runs: dict[int, Run] = {}
        self._listening: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether it has renders."""
        return bool(self._runs)

    async def render(self, run: Run) -> Rendered:
        """Renders. Canceling this call stops it before its next step; others go on.

        A canceled call ends when the engine has stopped. Canceling it a second time kills the
        process instead of waiting for it.

        Raises:
            EngineCrashed: The process died or gave no sign for too long.
            EngineError: The render failed; so do its subclasses and `UnreadableMedia`.
        """
        self._runs[run.job.number] = run
        if self._listening is None or self._listening.done():
            self._listening = self._tasks.create_task(
                self._listen(), name=f"engine-{self.child.pid}"
            )
        try:
            await self.child.send(run.job)
            await asyncio.wait({run.answer})
        except asyncio.CancelledError:
            await self._stop(run)
            raise
        return run.answer.result()

    async def ended(self) -> None:
        """Waits until everybody has heard of the end of a process that died."""
        if self._listening is not None:
            await asyncio.wait({self._listening})

    async def _listen(self) -> None:
        try:
            while self._runs:
                self._hear(await self._sign_of_life())
        except EngineCrashed as crash:
            self._crashed(self, crash)
            await self.child.close()
            runs, self._runs = self._runs, {}
            for run in runs.values():
                run.answer.set_exception(EngineCrashed(str(crash)))
                run.answer.exception()  # a canceled render asks no more
        finally:
            for run in self._runs.values():
                run.answer.cancel()

    def _hear(self, frame: frames.AnyFromChild) -> None:
        match frame:
            case Begun() if run := self._runs.get(frame.number):
                run.begun = True
                self.latest = run
                run.on_begun()
            case Loaded() if run := self._runs.get(frame.number):
                run.together = frame.together
                run.on_loaded(frame)
            case Stepped() if run := self._runs.get(frame.number):
                run.on_step(frame)
            case Rendered() if run := self._runs.pop(frame.number, None):
                self._fine()
                run.answer.set_result(frame)
            case Failure() if run := self._runs.pop(frame.number, None):
                self._fine()
                run.answer.set_exception(frames.error_from(frame))
                run.answer.exception()

    async def _sign_of_life(self) -> frames.AnyFromChild:
        try:
            async with asyncio.timeout(self._patience.stall_s):
                return await self.child.receive()
        except TimeoutError:
            self.child.kill()
            stall_s = self._patience.stall_s
            sentence = f"the engine gave no sign for {stall_s:g} s, so it was ended"
            raise EngineCrashed(sentence) from None

    async def _stop(self, run: Run) -> None:
        """Waits until a canceled render has ended; kills a process that takes too long."""
        try:
            async with asyncio.timeout(self._patience.cancel_s):
                await self.child.send(frames.Stop(number=run.job.number))
                await asyncio.wait({run.answer})
        except TimeoutError:
            if self._patience.cancel_s > 0:
                _log.warning("the engine did not stop in %g s, killing it", self._patience.cancel_s)
            self.kill()
            await self.ended()
        except asyncio.CancelledError:
            self.child.kill()
            raise

    def kill(self) -> None:
        """Ends the process; who waits for a render hears of it soon after."""
        self.killed = True
        self.child.kill()
