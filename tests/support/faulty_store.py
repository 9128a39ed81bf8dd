"""The embedded store with a brake: a test can keep its writes waiting, or make them fail."""

import asyncio
import sqlite3
import threading
from pathlib import Path

from dreamgrid.errors import ServerUnavailable
from dreamgrid.server.store.base import Ended
from dreamgrid.server.store.sqlite import SqliteStore


class FaultyStore(SqliteStore):
    """A real store. While it is held, writes queue up; while it is broken, they fail at once.

    Attributes:
        fail_cancels: Only cancels fail.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.fail_cancels = False
        self._released = threading.Event()
        self._locker: sqlite3.Connection | None = None

    def _connect(self) -> sqlite3.Connection:
        connection = super()._connect()
        connection.execute("PRAGMA busy_timeout = 1")
        return connection

    async def hold(self) -> None:
        """Keeps every write from now on waiting; returns when those before are stored."""
        self._released.clear()
        entered = threading.Event()

        def wait(connection: sqlite3.Connection) -> None:
            del connection
            entered.set()
            assert self._released.wait(timeout=60), "a test forgot to release the store"

        self._writer.write(wait)
        assert await asyncio.to_thread(entered.wait, 60)

    def release(self) -> None:
        """Lets the writes that wait go through, in their order."""
        self._released.set()

    def break_down(self) -> None:
        """Makes every write fail from now on, as a full disk does."""
        self._locker = sqlite3.connect(self._path, isolation_level=None, timeout=5)
        self._locker.execute("BEGIN IMMEDIATE")

    def recover(self) -> None:
        """Lets writes succeed again."""
        if self._locker is not None:
            self._locker.close()
            self._locker = None

    def cancel(
        self, project_id: str, reason: str, at_ms: int, *, claimed: bool, message: str = ""
    ) -> asyncio.Future[Ended]:
        def fail(connection: sqlite3.Connection) -> Ended:
            raise ServerUnavailable("no room for cancels")

        if self.fail_cancels:
            return self._writer.write(fail)
        return super().cancel(project_id, reason, at_ms, claimed=claimed, message=message)

    async def close(self) -> None:
        self.release()
        await super().close()
        self.recover()
