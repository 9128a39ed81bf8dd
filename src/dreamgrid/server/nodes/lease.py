"""A node's word with the database: says that it coordinates, or waits until it may."""

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import psycopg

from dreamgrid.errors import ConfigError, DatabaseInUse, ServerUnavailable
from dreamgrid.server.nodes.watch import Watch
from dreamgrid.server.store.postgres import PostgresStore
from dreamgrid.server.store.postgres_nodes import PostgresNodes, Seen

T = TypeVar("T")

BEAT_S = 0.5
"""How often the coordinator says that it lives."""

LOOK_S = 0.5
"""How often the others look, unless a message makes them look at once."""

_log = logging.getLogger("dreamgrid.nodes")


class Lease:
    """Who coordinates, as this node sees it.

    Args:
        address: Of the database.
        seen: Told of every coordinator that serves.
    """

    def __init__(self, address: str, seen: Callable[[str], Awaitable[None]]) -> None:
        self._address = address
        self._tell = seen
        self._nodes = PostgresNodes(address)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lease")
        self._watch = Watch()
        self._look_now = asyncio.Event()
        self._away = False
        self._refused = ""

    async def close(self) -> None:
        """Hangs up."""
        await self.ask(PostgresNodes.close)
        self._thread.shutdown()

    def look_now(self) -> None:
        """Something has happened: there is no need to wait for the next look."""
        self._look_now.set()

    async def ask(self, question: Callable[[PostgresNodes], T]) -> T:
        """Asks the database something.

        Raises:
            psycopg.Error: It does not answer.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, question, self._nodes)

    async def won(self) -> PostgresStore:
        """Waits until this node is to coordinate; the store that it then holds, open."""
        while True:
            store = await self._try()
            if store is not None:
                return store
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._look_now.wait()
            except TimeoutError:
                pass
            self._look_now.clear()

    async def _try(self) -> PostgresStore | None:
        try:
            seen = await self.ask(PostgresNodes.look)
            self._away = False
            if seen.held and seen.node and seen.reign == seen.newest:
                await self._tell(seen.node)
            now_s = time.monotonic()
            if self._watch.silent(seen, now_s):
                _log.warning("%s coordinates and has fallen silent: it is replaced", seen.node)
                await self.ask(lambda nodes: nodes.evict(seen))
            elif not self._watch.free(seen, now_s):
                return None
            return await self._take(seen)
        except psycopg.Error as error:
            if not self._away:
                _log.warning("the database does not answer: %s", str(error).strip())
            self._away = True
            self._watch.interrupted(time.monotonic())
            return None

    async def _take(self, seen: Seen) -> PostgresStore | None:
        store = PostgresStore(self._address, alone=True)
        try:
            await store.open()
        except DatabaseInUse:
            return None  # another node was faster
        except ConfigError as error:  # away again, or of a newer version: others may take it
            if str(error) != self._refused:
                _log.error("this node cannot coordinate: %s", error)
            self._refused = str(error)
            return None
        _log.warning("this node coordinates from now on, after %s", seen.node or "nobody")
        return store


class Beats:
    """Says that this node coordinates, from a thread of its own, however busy the loop is.

    Args:
        address: Of the database.
        store: The store that holds it.
        lost: Set when another node coordinates, or will, because nothing can be said any more.
    """

    def __init__(self, address: str, store: PostgresStore, lost: asyncio.Event) -> None:
        self.node = ""
        self._nodes = PostgresNodes(address)
        self._store = store
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._holding: set[asyncio.Task[None]] = set()
        self._wake = threading.Event()
        self._done = False
        self._thread = threading.Thread(target=self._run, name="beats", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def serve(self, node: str) -> None:
        """The coordinator can be asked from now on, there."""
        self.node = node
        self._wake.set()

    async def stop(self) -> None:
        """Says nothing any more."""
        self._done = True
        self._wake.set()
        await self._loop.run_in_executor(None, self._thread.join)

    def _run(self) -> None:
        try:
            self._beat()
        except Exception:
            _log.exception("this node cannot say any more that it lives")
        finally:
            self._in_loop(self._lost.set)
            self._nodes.close()

    def _beat(self) -> None:
        broken = False
        while not self._done:
            try:
                if not self._nodes.beat(self._store.reign, self.node):
                    return
                if broken:
                    self._in_loop(self._hold)
                broken = False
            except psycopg.Error as error:
                if not broken:
                    _log.warning("the database does not answer: %s", str(error).strip())
                broken = True
            self._wake.wait(BEAT_S)
            self._wake.clear()

    def _in_loop(self, call: Callable[[], None]) -> None:
        if not self._done:
            self._loop.call_soon_threadsafe(call)

    def _hold(self) -> None:
        """The database is back: takes it again before another node does."""
        task = self._loop.create_task(_held(self._store.hold), name="hold")
        self._holding.add(task)
        task.add_done_callback(self._holding.discard)


async def _held(hold: Callable[[], Awaitable[None]]) -> None:
    for _ in range(2):  # the first one finds that the old connection is broken
        try:
            await hold()
        except ServerUnavailable as error:
            _log.info("the database: %s", error)
        else:
            return
