"""One child process that hosts engines: start, frames in and out, and what it died of."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque

import msgspec

from dreamgrid.errors import EngineCrashed
from dreamgrid.worker import frames

STDERR_LINES = 20
"""Last lines of stderr that the report of a crash quotes."""

CLOSE_GRACE_S = 0.5
"""How long an idle child may take to end by itself once its pipe is closed."""

_REAP_S = 2.0
_MAX_LINE_CHARS = 500

_log = logging.getLogger(__name__)


class EngineProcess:
    """A running child. Only one coroutine may receive from it at a time.

    Use `start`; whoever started it must `close` it.
    """

    def __init__(self, process: Process, tasks: asyncio.TaskGroup) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._process = process
        self._stdin = process.stdin
        self._stdout = process.stdout
        self._length: int | None = None  # of a frame whose header was read, its body not yet
        self._last_lines: deque[str] = deque(maxlen=STDERR_LINES)
        self._listening = tasks.create_task(
            self._keep_last_lines(process.stderr), name=f"engine-stderr-{process.pid}"
        )

    @classmethod
    async def start(
        cls, tasks: asyncio.TaskGroup, setup: frames.Setup, *, within_s: float
    ) -> "EngineProcess":
        """Starts a child and waits until it is ready.

        Args:
            tasks: Owns the task that reads the child's stderr.
            setup: What the child will serve.
            within_s: How long the start may take, in seconds.

        Raises:
            EngineCrashed: It died, was not ready in time, or this machine starts no process now.
        """
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # nobody's working directory may shadow a module
                "-m",
                "dreamgrid.worker.child",
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                env=_environment() | setup.environment,
                start_new_session=True,  # a Ctrl-C is for the worker, which ends its child itself
            )
        except OSError as error:
            raise EngineCrashed(f"the engine process could not be started\n{error}") from error
        child = cls(process, tasks)
        try:
            async with asyncio.timeout(within_s):
                await child.send(setup)
                await child.receive()
        except TimeoutError:
            await child.close()
            raise EngineCrashed(f"the engine process was not ready in {within_s:g} s") from None
        except BaseException:
            await child.close()
            raise
        return child

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.returncode is None

    @property
    def pid(self) -> int:
        """Its process id, which is also its process group."""
        return self._process.pid

    async def send(self, message: frames.ToChild) -> None:
        """Writes a frame. A child that died is noticed by the next `receive`."""
        self._stdin.write(frames.encode(message))
        with contextlib.suppress(ConnectionError):
            await self._stdin.drain()

    async def receive(self) -> frames.AnyFromChild:
        """The next frame. A canceled call loses nothing: the next one goes on where it stopped.

        Raises:
            EngineCrashed: The process died, or wrote something that is no frame (and was ended).
        """
        try:
            if self._length is None:
                header = await self._stdout.readexactly(frames.HEADER.size)
                self._length = frames.HEADER.unpack(header)[0]
            if self._length > frames.MAX_FRAME_BYTES:
                raise ValueError(f"a frame of {self._length} bytes")
            body = await self._stdout.readexactly(self._length)
            self._length = None
            return frames.decode_from_child(body)
        except (asyncio.IncompleteReadError, ConnectionError):
            raise await self._death() from None
        except (ValueError, msgspec.MsgspecError) as error:
            self.kill()
            raise EngineCrashed(f"the engine process broke its pipe\n{error}") from None

    def kill(self) -> None:
        """Ends the process and everything that it started, at once."""
        if sys.platform == "win32":
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        else:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    async def close(self, *, grace_s: float = CLOSE_GRACE_S) -> None:
        """Ends the process: by closing its pipe, and by force when that takes too long.

        Nobody may be receiving from it any more.
        """
        self._stdin.close()
        try:
            await self._reap(grace_s)
        finally:
            self.kill()  # also what outlived it: an engine's own processes
            self._listening.cancel()

    async def report(self) -> EngineCrashed:
        """What a child that was found dead died of."""
        return await self._death()

    async def _death(self) -> EngineCrashed:
        await self._reap(_REAP_S)
        self.kill()
        await asyncio.wait({self._listening}, timeout=_REAP_S / 4)  # its last words
        lines = [_sentence(self._process.returncode), *self._last_lines]
        return EngineCrashed("\n".join(lines))

    async def _reap(self, grace_s: float) -> None:
        """Waits for the end of the process, by force after `grace_s`."""
        try:
            async with asyncio.timeout(grace_s):
                await self._ended()
        except TimeoutError:
            self.kill()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_REAP_S):
                    await self._ended()

    async def _ended(self) -> None:
        # An unread rest in the pipe would keep asyncio from noticing that it was closed.
        while await self._stdout.read(64 * 1024):
            pass
        self.kill()  # what the engine started holds stderr open, and asyncio waits for its end too
        await self._process.wait()

    async def _keep_last_lines(self, stderr: asyncio.StreamReader) -> None:
        unfinished = ""
        while piece := await stderr.read(4096):
            *lines, unfinished = (unfinished + piece.decode(errors="replace")).split("\n")
            unfinished = unfinished[-_MAX_LINE_CHARS:]
            for line in lines:
                self._last_lines.append(line[:_MAX_LINE_CHARS])
                _log.debug("engine: %s", line, extra={"engine_pid": self.pid})
        if unfinished:
            self._last_lines.append(unfinished)


def _environment() -> dict[str, str]:
    """The worker's own, with its module path and without its key."""
    environment = dict(os.environ)
    environment.pop("DREAMGRID_API_KEY", None)
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    return environment


def _sentence(returncode: int | None) -> str:
    if returncode is None:
        return "the engine process closed its pipe"
    if returncode == -signal.SIGKILL:
        return "the engine process was killed by signal 9, perhaps out of memory"
    if returncode < 0:
        return f"the engine process was killed by signal {-returncode}"
    return f"the engine process ended with exit code {returncode}"
