"""Tells waiting projects where they stand: their place, when they will start, and why they wait."""

import asyncio

from dreamgrid.server.clock import Clock, milliseconds
from dreamgrid.server.config import ServerConfig
from dreamgrid.server.live import LiveJob, LiveProject
from dreamgrid.server.measures import QueueSeen
from dreamgrid.server.open_projects import OpenProjects, word_of
from dreamgrid.server.rendering import Rendering
from dreamgrid.server.standings import Offer
from dreamgrid.server.start_times import foretell
from dreamgrid.server.workers import Workers

SLICE = 500
"""How many jobs are looked at before somebody else has a turn of the event loop."""

START_MOVED_S = 5.0
"""By how much an expected start must move to be worth a frame of its own."""


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
        self._config = config
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
        """Tells what has changed, and after a while also what has not; a turn of upkeep."""
        rooms = await self._walked()
        now_ms = milliseconds(self._clock)
        starts_s: dict[str, float] = {}
        for told in foretell(rooms, self._workers.all(), self._speeds, now_ms):
            if told is None:
                await asyncio.sleep(0)
            else:
                project_id, starts_in_s = told
                starts_s[project_id] = starts_in_s
        looked_at = 0
        seen = QueueSeen()
        for jobs in rooms:
            placed: set[str] = set()
            offer = self._open.offer(jobs[0].project)  # the same for all of a room
            seen.jobs[jobs[0].project.network, jobs[0].render.model] += len(jobs)
            for job in jobs:
                project = job.project
                looked_at += 1
                if seen.oldest_ms is None or job.waits_since_ms < seen.oldest_ms:
                    seen.oldest_ms = job.waits_since_ms
                if project.id not in placed:
                    placed.add(project.id)
                    known = self._open.project(project.id) is project and project.stored
                    if known and not project.canceling:
                        self._look(project, len(placed), starts_s.get(project.id), offer)
                        seen.projects[project.noticed_reason] += 1
                        looked_at += len(project.jobs) - 1  # all of them tell whether it waits
                if looked_at >= SLICE:
                    looked_at = 0
                    await asyncio.sleep(0)
        self._measures.queue = seen

    async def _walked(self) -> list[list[LiveJob]]:
        """The jobs of each room in the order of their turns."""
        rooms = []
        for walk in list(self._waiting.walks()):
            jobs: list[LiveJob] = []
            for job in walk:
                if job is not None:
                    jobs.append(job)
                if job is None or len(jobs) % SLICE == 0:
                    await asyncio.sleep(0)
            if jobs:  # else they were all taken while the order was found
                rooms.append(jobs)
        return rooms

    def _look(
        self, project: LiveProject, place: int, starts_in_s: float | None, offer: Offer
    ) -> None:
        now_s = self._clock()
        project.starts_at_s = None if starts_in_s is None else now_s + starts_in_s
        if starts_in_s is not None:
            told = self._forecasts.forecast(starts_in_s, now_s)
            project.starts_between_s = (now_s + told.earliest_s, now_s + told.latest_s)
        untouched = not any(job.attempt for job in project.jobs)
        if starts_in_s is not None and project.forecast is None and untouched:
            project.forecast = self._forecasts.forecast(starts_in_s, now_s)
        if project.load.max_running == 0:
            project.forecast = None  # nobody foretold that an administrator would let it wait
        word = word_of(self._open.reason(project, place, offer))
        if project.waiting and (
            place != project.told_position
            or word != project.told_reason
            or _moved(project.told_starts_at_s, project.starts_at_s)
            or now_s - project.told_at_s >= self._config.queue_notice_s
        ):
            self._open.tell_queued(project, place, offer)
        if word != project.noticed_reason:
            self._open.tell_reason(project, offer)


def _moved(told_s: float | None, now_s: float | None) -> bool:
    if told_s is None or now_s is None:
        return told_s is not now_s
    return abs(told_s - now_s) >= START_MOVED_S
