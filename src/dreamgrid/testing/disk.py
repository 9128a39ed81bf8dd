"""The disk of a test grid's server: it fills up, and the server dies in the middle of a write.

The store is the real one. What is decided here is only whether a write reaches it, and whether the
server lives to hear of that.
"""

import asyncio
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from dreamgrid.errors import ServerUnavailable
from dreamgrid.server.store.group_commit import GroupCommitWriter
from dreamgrid.server.store.sqlite import SqliteStore
from dreamgrid.testing.faults import Faults

T = TypeVar("T")
Operation = Callable[[sqlite3.Connection], T]


class Disk:
    """What outlives the runs of a server.

    Args:
        faults: Asked what goes wrong now.
        killed: Called in the moment in which the server has to die.

    Attributes:
        serving: A server serves: only then something goes wrong.
    """

    def __init__(self, faults: Callable[[], Faults], killed: Callable[[], None]) -> None:
        self.serving = False
        self._faults = faults
        self._killed = killed
        self._chances: dict[int, random.Random] = {}
        self._newest: DyingStore | None = None

    def open(self, path: Path) -> SqliteStore:
        """The store of the next run."""
        self._newest = DyingStore(path, self)
        return self._newest

    def die(self) -> None:
        """Nothing that the current run does is stored any more."""
        self.serving = False
        if self._newest is not None:
            self._newest.dead = True

    def draw(self) -> tuple[float, float, Faults]:
        """Two numbers for the next access, the same ones in every run of a seed."""
        if not self.serving:
            return 1.0, 1.0, Faults()
        faults = self._faults()
        chance = self._chances.setdefault(faults.seed, random.Random(f"{faults.seed} disk"))  # noqa: S311
        return chance.random(), chance.random(), faults

    def kill(self) -> None:
        """The server has to die now."""
        if self.serving:
            self._killed()


class DyingStore(SqliteStore):
    """The store of one run of a server.

    Attributes:
        dead: The run is over: whoever still asks is refused.
    """

    def __init__(self, path: Path, disk: Disk) -> None:
        super().__init__(path)
        self.disk = disk
        self.dead = False

    def _new_writer(self) -> GroupCommitWriter[sqlite3.Connection]:
        return _Writer(self._connect, self)

    async def _in_reader(self, function: Callable[[], T]) -> T:
        first, _, faults = self.disk.draw()
        if not self.dead and first < faults.kill:
            self.disk.kill()
        if self.dead and not self._closed:
            raise _killed()
        return await super()._in_reader(function)


class _Writer(GroupCommitWriter[sqlite3.Connection]):
    """Draws for every write what becomes of it."""

    def __init__(self, connect: Callable[[], sqlite3.Connection], store: DyingStore) -> None:
        super().__init__(connect)
        self._store = store

    def write(self, operation: Operation[T], *, hurry: bool = True) -> asyncio.Future[T]:
        first, second, faults = self._store.disk.draw()
        if not self._store.dead:
            if first < faults.kill:
                return self._last(operation, stored=second < 0.5)
            if second < faults.disk_error:
                return self._refused(
                    ServerUnavailable("the server's disk is full; nothing was stored or charged")
                )
            return super().write(operation, hurry=hurry)
        return self._refused(_killed())

    def _last(self, operation: Operation[T], *, stored: bool) -> asyncio.Future[T]:
        """The write at which the server dies: its caller hears nothing good of it either way."""
        if not stored:
            self._store.disk.kill()
            return self._refused(_killed())
        outcome: asyncio.Future[T] = self._loop.create_future()

        def die(written: asyncio.Future[Any]) -> None:
            if not written.cancelled():
                written.exception()  # it is of no interest any more
            self._store.disk.kill()
            if not outcome.done():
                outcome.set_exception(_killed())

        super().write(operation).add_done_callback(die)
        return outcome

    def _refused(self, error: Exception) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self._loop.create_future()
        future.set_exception(error)
        return future


def _killed() -> ServerUnavailable:
    return ServerUnavailable("this server was killed")
