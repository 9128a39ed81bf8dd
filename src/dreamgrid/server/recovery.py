"""Apps that come back: where their open projects stand, and which ends they have not heard of."""

import asyncio

import msgspec

from dreamgrid.protocol.rest import ProjectRecord
from dreamgrid.server.auth import Account
from dreamgrid.server.bus.base import app_subject
from dreamgrid.server.clock import Clock, milliseconds
from dreamgrid.server.live import LiveProject
from dreamgrid.server.new_projects import App
from dreamgrid.server.open_projects import OpenProjects
from dreamgrid.server.projects import Projects
from dreamgrid.server.queue_notices import QueueNotices
from dreamgrid.server.store.base import Store

UNCLAIMED_KEPT_MS = 60 * 60 * 1000
"""How long the end of a project waits for its app to come back and hear of it."""

MAX_RECOVERY_BYTES = 1024 * 1024
"""Most bytes of original requests that an app is told when it connects."""


class Recovery:
    """Tells apps what they missed, and keeps account of what they have heard."""

    def __init__(
        self,
        store: Store,
        open_projects: OpenProjects,
        projects: Projects,
        queue: QueueNotices,
        clock: Clock,
    ) -> None:
        self._store = store
        self._open = open_projects
        self._projects = projects
        self._queue = queue
        self._clock = clock
        self._being_claimed: set[str] = set()
        self._lookers: list[set[str]] = []  # of each look under way: what was claimed meanwhile

    async def unclaimed(self, account: Account, app_id: str | None) -> list[LiveProject]:
        """Projects that ended while their app was away."""
        since_ms = milliseconds(self._clock) - UNCLAIMED_KEPT_MS
        # A claim that is stored while the rows are read is not in them, nor under way any more.
        claimed = set(self._being_claimed)
        self._lookers.append(claimed)
        try:
            rows = await self._store.unclaimed_projects(account.id, app_id, since_ms)
            projects = await asyncio.gather(*(self._open.recall(row) for row in rows))
        finally:
            self._lookers = [one for one in self._lookers if one is not claimed]
        return [project for project in projects if project.id not in claimed]

    def replay_active(self, app: App) -> list[bytes]:
        """Frames that tell an app that has just connected where its open projects stand."""
        found: list[bytes] = []
        for project in self._open.active(app.account.id, app.app_id):
            project.origin = app.origin
            found.extend(self._open.replay(project, self._queue.position(project)))
        return found

    def replay_ended(self, app: App, projects: list[LiveProject]) -> list[bytes]:
        """Frames of projects that ended and whose app may not have heard of it."""
        found: list[bytes] = []
        for project in projects:
            project.origin = app.origin
            found.extend(self._open.replay(project, 0))
        self._open.note_told(app_subject(app.account.id, app.app_id), [one.id for one in projects])
        return found

    def records(self, artist: Account, projects: list[LiveProject]) -> tuple[ProjectRecord, ...]:
        """Projects of an account as an app needs them to recover, in the order given.

        All original requests together could be more than a client reads in one message, so only
        those of the newest projects are told, up to `MAX_RECOVERY_BYTES`.
        """
        room = MAX_RECOVERY_BYTES
        found = []
        for project in reversed(projects):
            room -= len(project.request)
            record = self._projects.record(project, artist, raw=True)
            if room < 0:
                record = msgspec.structs.replace(record, client_request_data=None)
            found.append(record)
        return tuple(reversed(found))

    # ── what has been heard ───────────────────────────────────────────────────────────────────────

    def claim_heard(self) -> None:
        """Stores which ends have been heard, so that they are not told again; a turn of upkeep."""
        self._claim(self._open.heard())

    def app_left(self, app: App, *, orderly: bool) -> None:
        """An app's connection is over; `orderly`: it said goodbye itself."""
        subject = app_subject(app.account.id, app.app_id)
        self._claim(self._open.app_left(subject, orderly=orderly))

    def _claim(self, project_ids: list[str]) -> None:
        if project_ids:
            for claimed in (self._being_claimed, *self._lookers):
                claimed.update(project_ids)
            self._open.persist(
                lambda: self._store.claim(project_ids),
                lambda _: self._being_claimed.difference_update(project_ids),
            )
