"""One watcher of one project: its log from some event on, and then whatever follows.

The log in the store is the truth; the bus only says that it is time to look again. So a watcher
that was away for a while, or that another server wrote for, misses nothing and sees nothing twice.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dreamgrid.protocol import socket
from dreamgrid.protocol.codec import decode_payload, open_envelope
from dreamgrid.protocol.project_events import ProgressEvent
from dreamgrid.server.bus.base import Bus, project_subject
from dreamgrid.server.store.base import EventKind, EventRow, Store

LOOK_AGAIN_S = 5.0
"""How often a watcher looks without being told to: a lost hint costs no more than this."""

_LAST = frozenset({EventKind.COMPLETED, EventKind.FAILED, EventKind.CANCELED})


class EventFeeds:
    """All watchers of this server, so that they can be told when it stops."""

    def __init__(self, store: Store, bus: Bus) -> None:
        self._store = store
        self._bus = bus
        self._open: set[EventFeed] = set()
        self._closed = False

    @asynccontextmanager
    async def watch(self, project_id: str, *, after: int = 0) -> AsyncIterator["EventFeed"]:
        """A watcher of a project that knows its events up to number `after`."""
        feed = EventFeed(self._store, project_id, after=after)
        unsubscribe = self._bus.subscribe(project_subject(project_id), feed.hint)
        self._open.add(feed)
        if self._closed:
            feed.close()
        try:
            yield feed
        finally:
            self._open.discard(feed)
            unsubscribe()

    async def is_over(self, project_id: str, *, after: int, ended: bool) -> bool:
        """Whether nothing can follow the event of that number; such a watcher would never end.

        Args:
            project_id: The project.
            after: Number of the last known event.
            ended: The project has ended, as far as the caller knows.
        """
        if not after and not ended:
            return False
        rows = await self._store.events(project_id, max(0, after - 1))
        if rows and rows[0].number == after:
            return rows[0].kind in _LAST
        return ended and not rows

    def close_all(self) -> None:
        """Ends every watcher, now and later; clients come back with the number they know."""
        self._closed = True
        for feed in self._open:
            feed.close()


class EventFeed:
    """Iterate over `events`."""

    def __init__(self, store: Store, project_id: str, *, after: int) -> None:
        self._store = store
        self._project_id = project_id
        self._after = after
        self._progress: dict[str, ProgressEvent] = {}  # by job; the newest wins
        self._hinted = asyncio.Event()
        self._closed = False

    async def so_far(self) -> AsyncIterator[EventRow]:
        """State changes up to now. A server that stops tells all of them before it goes."""
        while rows := await self._store.events(self._project_id, self._after):
            for row in rows:
                self._after = row.number
                yield row

    async def events(self) -> AsyncIterator[EventRow | ProgressEvent | None]:
        """State changes in order, each once, up to the project's last; between them progress.

        None now and then: nothing has happened for `LOOK_AGAIN_S`.
        """
        while not self._closed:
            self._hinted.clear()
            progress, self._progress = self._progress, {}
            rows = await self._store.events(self._project_id, self._after)
            for row in rows:
                self._after = row.number
                yield row
                if row.kind in _LAST:
                    return
            for event in progress.values():
                yield event
            if rows or progress:
                continue
            try:
                async with asyncio.timeout(LOOK_AGAIN_S):
                    await self._hinted.wait()
            except TimeoutError:
                yield None

    def close(self) -> None:
        """Ends `events` soon."""
        self._closed = True
        self._hinted.set()

    def hint(self, frame: bytes, key: str | None) -> None:
        """Takes what the bus says of the project."""
        del key
        if frame:
            self._note_progress(frame)
        self._hinted.set()

    def _note_progress(self, frame: bytes) -> None:
        envelope = open_envelope(frame)
        if envelope.type != socket.JobProgress.message_type:
            return
        told = decode_payload(envelope, socket.JobProgress)
        before = self._progress.get(told.job_id)
        self._progress[told.job_id] = ProgressEvent(
            project_id=told.project_id,
            job_id=told.job_id,
            step=told.step,
            step_count=told.step_count,
            eta_s=told.eta_s,
            has_preview=told.has_image or (before is not None and before.has_preview),
        )
