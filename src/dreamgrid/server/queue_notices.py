"""Tells waiting projects where they stand: their place, when they will start, and why they wait."""

import asyncio
from dataclasses import dataclass, field

from dreamgrid.server.clock import Clock, milliseconds
from dreamgrid.server.config import ServerConfig
from dreamgrid.server.live import LiveJob, LiveProject
from dreamgrid.server.measures import QueueSeen
from dreamgrid.server.open_projects import OpenProjects
from dreamgrid.server.rendering import Rendering
from dreamgrid.server.standings import Offer, Words
from dreamgrid.server.start_times import foretell
from dreamgrid.server.waiting import Room
from dreamgrid.server.workers import Workers

SLICE = 200
"""How many jobs are looked at before others have the event loop; half a millisecond."""

WALK_SLICE = 1_000
"""How many are put in order before that."""

REST_S = 0.002
"""How long others have it then. Whoever is served meanwhile meets a slice or two, and no more."""

PLACES_MOVED_ONE_IN = 50
"""By what part of itself a place must move to be worth a frame of its own: far back, each job that
is taken moves everybody by a place that nobody minds."""

START_MOVED_S = 5.0
"""By how much an expected start must move to be worth a frame of its own."""


@dataclass(slots=True)
class _Looked:
    """A room of the queue, as it was looked through last.

    Attributes:
        changes: Its number of changes when its order was found.
        offer: Who there was for its jobs.
        jobs: Its jobs in the order of their turns, until all were looked at.
        at_s: Clock time of that.
        seen: What is counted of it.
    """

    room: Room
    changes: int
    offer: Offer
    jobs: list[LiveJob] = field(default_factory=list)
    at_s: float = 0.0
    seen: QueueSeen = field(default_factory=QueueSeen)

    def still(self, room: Room, offer: Offer, since_s: float) -> bool:
        """Whether all is as it was, so that nobody has to be told anything since a time."""
        same = self.room is room and self.changes == room.changes
        return same and self.offer == offer and self.at_s > since_s


class QueueNotices:
    """Looks through the queue now and then, and tells apps what has changed."""

    def __init__(
        self,
        config: ServerConfig,
        rendering: Rendering,
        workers: Workers,
        open_projects: OpenProjects,
        clock: Clock,
    ) -> None:
        self._notice_s = config.queue_notice_s
        # Rooms that nobody serves, by their `id`: nothing changes there by itself, so they are not
        # looked through again before everybody is to be told anyhow, or something happens.
        self._quiet: dict[int, _Looked] = {}
        self._waiting = rendering.scheduler.waiting
        self._speeds = rendering.speeds
        self._forecasts = rendering.forecasts
        self._measures = rendering.measures
        self._workers = workers
        self._open = open_projects
        self._clock = clock

    def position(self, project: LiveProject) -> int:
        """Where a project waits: as it was told last, else where it stands now."""
        return project.told_position or self._waiting.place(project)

    async def notify(self) -> None:
        """Tells what has changed, and after a while also what has not; a turn of upkeep.

        Rests often: with a long queue this takes seconds, of which it works a small part.
        """
        rooms = await self._walked()
        now_s, now_ms = self._clock(), milliseconds(self._clock)
        starts_at_s: dict[str, float] = {}
        looked_at = [room.jobs for room in rooms if room.jobs]
        for told in foretell(looked_at, self._workers.all(), self._speeds, now_ms):
            if told is None:
                await asyncio.sleep(REST_S)
            else:
                project_id, starts_in_s = told
                starts_at_s[project_id] = now_s + starts_in_s
        everything = QueueSeen()
        for room in rooms:
            if room.jobs:
                await self._look_through(room, starts_at_s)
            everything.add(room.seen)
        self._measures.queue = everything
        self._quiet = {id(room.room): room for room in rooms if not room.offer.able}

    async def _walked(self) -> list["_Looked"]:
        """Every room, with its jobs in the order of their turns if it has to be looked through."""
        rooms = []
        for room, job in self._waiting.occupied():
            offer = self._open.offer(job.project)  # the same for all of a room
            before = self._quiet.get(id(room))
            if before is not None and before.still(room, offer, self._clock() - self._notice_s):
                rooms.append(before)
                continue
            looked = _Looked(room, room.changes, offer)
            for job_or_pause in room.walk():
                if job_or_pause is not None:
                    looked.jobs.append(job_or_pause)
                if job_or_pause is None or len(looked.jobs) % WALK_SLICE == 0:
                    await asyncio.sleep(REST_S)
            if looked.jobs:  # else they were all taken while the order was found
                rooms.append(looked)
        return rooms

    async def _look_through(self, room: "_Looked", starts_at_s: dict[str, float]) -> None:
        """Looks at each project of a room, and forgets its jobs."""
        placed: set[str] = set()
        first, seen = room.jobs[0], room.seen
        room.offer = self._open.offer(first.project)
        words = Words(room.offer, self._open.seen)
        seen.jobs[first.project.network, first.render.model] = len(room.jobs)
        looked_at = 0
        for job in room.jobs:
            project = job.project
            looked_at += 1
            if seen.oldest_ms is None or job.waits_since_ms < seen.oldest_ms:
                seen.oldest_ms = job.waits_since_ms
            if project.id not in placed:
                placed.add(project.id)
                known = self._open.project(project.id) is project and project.stored
                if known and not project.canceling:
                    starts_s = starts_at_s.get(project.id)
                    self._look(project, len(placed), starts_s, words)
                    seen.projects[project.noticed_reason] += 1
                    looked_at += len(project.jobs) - 1  # all of them tell whether it waits
            if looked_at >= SLICE:
                looked_at = 0
                await asyncio.sleep(REST_S)
                words = Words(room.offer, self._open.seen)  # workers may have become free, or busy
        room.jobs = []
        room.at_s = self._clock()

    def _look(
        self, project: LiveProject, place: int, starts_at_s: float | None, words: Words
    ) -> None:
        now_s = self._clock()
        project.starts_at_s = None
        if starts_at_s is not None:
            told = self._forecasts.forecast(max(0.0, starts_at_s - now_s), now_s)
            project.starts_at_s = now_s + told.wait_s
            project.starts_between_s = (now_s + told.earliest_s, now_s + told.latest_s)
            if project.forecast is None and not any(job.attempt for job in project.jobs):
                project.forecast = told
        if project.load.max_running == 0:
            project.forecast = None  # nobody foretold that an administrator would let it wait
        word = words.of(project, place)
        news = (
            abs(place - project.told_position) > project.told_position // PLACES_MOVED_ONE_IN
            or word != project.told_reason
            or _moved(project.told_starts_at_s, project.starts_at_s)
            or now_s - project.told_at_s >= self._notice_s
        )
        if news and project.waiting:
            self._open.tell_place(project, place, word, words.offer)
        if word != project.noticed_reason:
            self._open.tell_reason(project, word, words.offer)


def _moved(told_s: float | None, now_s: float | None) -> bool:
    if told_s is None or now_s is None:
        return told_s is not now_s
    return abs(told_s - now_s) >= START_MOVED_S
