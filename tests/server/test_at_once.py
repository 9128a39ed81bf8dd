"""Projects that come while workers are idle: their jobs are given away as they are being stored."""

import asyncio
from collections.abc import Sequence
from typing import cast

from dreamgrid.server.live import LiveJob
from dreamgrid.server.scheduler import Match, Scheduler
from dreamgrid.server.store.base import Acquisition, Store
from dreamgrid.server.workers import Workers
from tests.support.grid import Grid
from tests.support.live import live_project, worker


class Acquiring:
    """A store that notes what it is asked to give away, and answers when told."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answer: asyncio.Future[list[bool]] = asyncio.get_running_loop().create_future()

    def acquire(
        self, acquisitions: Sequence[Acquisition], at_ms: int
    ) -> asyncio.Future[list[bool]]:
        del at_ms
        self.asked += [wish.job_id for wish in acquisitions]
        return self.answer


class Desk:
    """A scheduler with some workers for one model."""

    def __init__(self, *, workers: int = 1) -> None:
        self.store = Acquiring()
        self.given: list[Match] = []
        self.refused: list[LiveJob] = []
        connected = Workers()
        for _ in range(workers):
            connected.add(worker("m1"))
        self.scheduler = Scheduler(
            connected,
            cast(Store, self.store),
            lambda: 1_000.0,
            1_000,
            self.given.append,
            self.refused.append,
        )


async def turn() -> None:
    """What was called for in this turn of the event loop has happened."""
    await asyncio.sleep(0)


async def test_an_idle_worker_is_asked_for_in_the_same_turn_and_told_later() -> None:
    desk, project = Desk(), live_project()
    desk.scheduler.at_once(project.jobs)
    await turn()
    assert desk.store.asked == [project.jobs[0].id]
    assert desk.given == []
    desk.store.answer.set_result([True])
    await turn()
    assert [match.job for match in desk.given] == project.jobs


async def test_what_nobody_takes_is_out_of_line_until_it_is_stored() -> None:
    desk, project = Desk(), live_project(jobs=3)
    desk.scheduler.at_once(project.jobs)
    await turn()
    first, *others = project.jobs
    assert desk.store.asked == [first.id]
    assert not any(job.in_line for job in others)
    assert desk.scheduler.waiting.place(project) == 0
    for job in others:
        desk.scheduler.waiting.add(job)
    assert desk.scheduler.waiting.place(project) == 1


async def test_nobody_comes_before_those_who_wait() -> None:
    desk, early, late = Desk(), live_project(), live_project(account_id="late")
    for job in early.jobs:
        desk.scheduler.waiting.add(job)
    desk.scheduler.at_once(late.jobs)
    await turn()
    assert desk.store.asked == []
    desk.scheduler.hint()
    await turn()
    assert desk.store.asked == [early.jobs[0].id]


async def test_who_waits_for_another_model_is_in_nobodys_way() -> None:
    desk, unserved, project = Desk(), live_project(model="m2"), live_project()
    for job in unserved.jobs:
        desk.scheduler.waiting.add(job)
    desk.scheduler.at_once(project.jobs)
    await turn()
    assert desk.store.asked == [project.jobs[0].id]
    assert desk.scheduler.waiting.place(unserved) == 1


async def test_projects_of_one_turn_are_given_away_together() -> None:
    desk, one, other = Desk(workers=2), live_project(), live_project(account_id="other")
    desk.scheduler.at_once(one.jobs)
    desk.scheduler.at_once(other.jobs)
    await turn()
    assert sorted(desk.store.asked) == sorted([one.jobs[0].id, other.jobs[0].id])


async def test_a_worker_of_a_refused_project_is_free_for_the_next(grid: Grid) -> None:
    poor = await grid.account("poor", grant_micros=0)
    worker, app = await grid.worker(), await grid.app(key=poor)
    await app.request()
    await app.wait_for("jobError")
    rich = await grid.app()
    project = await rich.request()
    assert (await worker.assigned()).project_id == project
    assert rich.told(project)[:1] == ["queued"]
