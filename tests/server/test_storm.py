"""Everything at once, by chance.

Apps and workers come, go, cancel, fail and disappear; the store is slow or broken; the server
restarts; time jumps. Whatever happens, the frames keep to the rules, every project
ends, and the books balance.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from dreamgrid.protocol.worker import Assign, Cancel, Failed, Heartbeat, Released, RunningJob
from dreamgrid.server import open_projects
from tests.support.frame_rules import Referee
from tests.support.grid import LEASE_S, Grid
from tests.support.wire import CANCELED, PNG, App, Worker, finished, hello_of, new_id

STORMS = 6
"""How many seeds are tried; raise it for an hour to look for rare faults."""

STEPS = 150
MAX_PROJECTS = 14


@dataclass
class Hand:
    """A worker that is driven by chance."""

    name: str
    worker_id: str = field(default_factory=new_id)
    peer: Worker | None = None
    read: int = 0
    held: dict[str, Assign] = field(default_factory=dict)

    def take_messages(self) -> None:
        """Does what the server said since the last look."""
        if self.peer is None:
            return
        for message in self.peer.received[self.read :]:
            if isinstance(message, Assign):
                self.held[message.job_id] = message
            elif isinstance(message, Cancel):
                held = self.held.get(message.job_id)
                if held is not None and held.attempt == message.attempt:
                    del self.held[message.job_id]
        self.read = len(self.peer.received)


class Storm:
    """A grid in bad weather.

    Args:
        grid: The running server.
        seed: What happens, and in which order.
    """

    def __init__(self, grid: Grid, seed: int) -> None:
        self.grid = grid
        self.chance = random.Random(seed)
        self.hands = [Hand(f"w{number}") for number in range(3)]
        self.apps: dict[str, App | None] = {"app-1": None, "app-2": None}
        self.seen: list[App] = []
        self.counts: dict[str, int] = {}
        self.owner: dict[str, str] = {}
        self.canceled: set[str] = set()
        self.held_up = 0

    # ── what can happen ──────────────────────────────────────────────────────────────────────────

    async def run(self, steps: int) -> None:
        actions: list[Callable[[], Awaitable[None]]] = [
            *[self.ask] * 3,
            self.ask_again,
            self.cancel,
            self.app_comes_or_goes,
            *[self.report] * 8,
            self.worker_comes_or_goes,
            self.time_passes,
            self.trouble,
            self.restart,
        ]
        for _ in range(steps):
            await self.chance.choice(actions)()
            await asyncio.sleep(0)
            if self.held_up:
                self.held_up -= 1
                if not self.held_up:
                    self.grid.store.release()
                    self.grid.store.recover()

    def connected(self) -> list[str]:
        for app_id, app in self.apps.items():
            if app is not None and app.ws.closed:
                self.apps[app_id] = None  # the server could not store anything just then
        return [app_id for app_id, app in self.apps.items() if app is not None]

    async def ask(self) -> None:
        if len(self.counts) < MAX_PROJECTS and self.connected():
            app_id = self.chance.choice(self.connected())
            project = new_id()
            self.counts[project] = self.chance.randint(1, 3)
            self.owner[project] = app_id
            await self.send(app_id, "jobRequest", project)

    async def ask_again(self) -> None:
        wanted = [project for project in self.mine() if project not in self.canceled]
        if wanted:
            project = self.chance.choice(wanted)
            await self.send(self.owner[project], "jobRequest", project)

    async def cancel(self) -> None:
        if self.mine() and self.chance.random() < 0.4:
            project = self.chance.choice(self.mine())
            self.canceled.add(project)
            await self.send(self.owner[project], "jobError", project)

    def mine(self) -> list[str]:
        connected = self.connected()
        return [project for project in self.counts if self.owner[project] in connected]

    async def send(self, app_id: str, kind: str, project: str) -> None:
        app = self.apps[app_id]
        assert app is not None
        with contextlib.suppress(ConnectionError):  # it is being closed at this very moment
            if kind == "jobRequest":
                await app.request(project, numberOfImages=self.counts[project])
            else:
                await app.send("jobError", {"jobID": project, **CANCELED})

    async def app_comes_or_goes(self) -> None:
        app_id = self.chance.choice(list(self.apps))
        app = self.apps[app_id]
        if app is None:
            app = self.apps[app_id] = await self.grid.socket(appId=app_id)
            self.seen.append(app)
        elif self.chance.random() < 0.5:
            self.apps[app_id] = None
            await self.part_with(app)

    async def part_with(self, peer: App | Worker) -> None:
        # While the store is held the server may be unable to answer a closing handshake.
        orderly = not self.held_up and self.chance.random() < 0.5
        await (peer.leave() if orderly else peer.drop())

    async def worker_comes_or_goes(self) -> None:
        hand = self.chance.choice(self.hands)
        hand.take_messages()
        if hand.peer is not None:
            if self.chance.random() < 0.6:
                await self.part_with(hand.peer)
                hand.peer = None
            return
        if self.chance.random() < 0.3:
            hand.held.clear()  # it was restarted
        running = tuple(
            RunningJob(job_id=job.job_id, attempt=job.attempt) for job in hand.held.values()
        )
        hello = hello_of(hand.name, worker_id=hand.worker_id, slots=2, running=running)
        hand.peer, hand.read = await self.grid.worker_socket(hello), 0

    async def report(self) -> None:
        hand = self.chance.choice(self.hands)
        hand.take_messages()
        if hand.peer is None or not hand.held or hand.peer.ws.closed:
            return
        with contextlib.suppress(ConnectionError):  # it is being closed at this very moment
            await self.say_something(hand, hand.peer, self.chance.choice(list(hand.held.values())))

    async def say_something(self, hand: Hand, peer: Worker, job: Assign) -> None:
        what = self.chance.random()
        if what < 0.25:
            await peer.start(job)
        elif what < 0.55:
            await peer.progress(job, self.chance.randint(1, 4))
        elif what < 0.85:
            assert await peer.try_upload(job) in (200, 403)  # its project may be canceled
            await peer.send(finished(job.job_id, job.attempt, PNG))
            if self.chance.random() < 0.8:
                del hand.held[job.job_id]  # else it reports the same once more, later
        else:
            failed = Failed(
                job_id=job.job_id,
                attempt=job.attempt,
                error="odd",
                message="odd",
                retryable=self.chance.random() < 0.8,
            )
            released = Released(job_id=job.job_id, attempt=job.attempt)
            await peer.send(self.chance.choice([failed, released]))
            del hand.held[job.job_id]

    async def time_passes(self) -> None:
        if self.chance.random() < 0.5:
            for hand in self.hands:
                if hand.peer is not None and not hand.peer.ws.closed:
                    with contextlib.suppress(ConnectionError):
                        await hand.peer.send(Heartbeat())
        self.grid.clock.advance(self.chance.choice([1, 10, LEASE_S * 0.7, LEASE_S + 1]))

    async def trouble(self) -> None:
        if self.held_up or self.chance.random() < 0.5:
            return
        self.held_up = self.chance.randint(2, 12)
        if self.chance.random() < 0.5:
            await self.grid.store.hold()
        else:
            self.grid.store.break_down()

    async def restart(self) -> None:
        if self.chance.random() < 0.25:
            self.held_up = 0
            self.grid.store.release()
            self.grid.store.recover()
            await self.grid.restart()
            for hand in self.hands:
                hand.take_messages()
                hand.peer = None
            self.apps = dict.fromkeys(self.apps)

    # ── afterwards ───────────────────────────────────────────────────────────────────────────────

    async def calm_down(self) -> None:
        """Ends all trouble; one good worker finishes whatever is left."""
        self.held_up = 0
        self.grid.store.release()
        self.grid.store.recover()
        for hand in self.hands:
            if hand.peer is not None:
                await hand.peer.leave()
        await self.grid.without_workers()
        for app_id in self.apps:
            app = await self.grid.app(app_id)
            self.seen.append(app)
            await app.fence()
        self.grid.clock.advance(LEASE_S + 1)
        good = await self.grid.worker("good", slots=4)
        done = 0
        async with asyncio.timeout(60):
            while (await self.grid.get("/api/v1/artist/projects/active"))[1]["projects"]:
                for message in good.received[done:]:
                    if isinstance(message, Assign):
                        await good.upload(message)
                        await good.send(finished(message.job_id, message.attempt, PNG))
                    done += 1
                await self.grid.ticked()
        for app in self.seen[-len(self.apps) :]:
            await app.fence()


@pytest.fixture
async def storm_grid(grid: Grid, monkeypatch: pytest.MonkeyPatch) -> Grid:
    monkeypatch.setattr(open_projects, "_WRITE_AGAIN_S", 0.005)
    return grid


@pytest.mark.parametrize("seed", range(STORMS))
async def test_a_storm_leaves_no_project_behind_and_the_books_in_order(
    storm_grid: Grid, seed: int
) -> None:
    storm = Storm(storm_grid, seed)
    await storm.run(STEPS)
    await storm.calm_down()
    for app in storm.seen:
        referee = Referee(storm.counts)
        for frame in app.frames:
            referee.watch(frame)
    await assert_the_books_are_in_order(storm)


async def assert_the_books_are_in_order(storm: Storm) -> None:
    """Every project that was ever announced has ended, and costs what it delivered."""
    grid = storm.grid
    announced = {
        frame["jobID"]
        for app in storm.seen
        for frame in app.frames
        if frame.type in ("jobState", "jobResult")
    }
    paid_micros = 0
    for project in storm.counts:
        status, body = await grid.get(f"/v1/projects/{project}")
        if status == 404:  # refused while the store was broken, or never received
            assert project not in announced
            continue
        record = body["data"]["project"]
        jobs = record["completedWorkerJobs"]
        assert len(jobs) == record["imageCount"] == storm.counts[project]
        delivered = [job for job in jobs if job["status"] == "jobCompleted"]
        cost = round(float(record["costActual"]["costInToken"]) * 1_000_000)
        assert cost == 32 * len(delivered)
        assert record["status"] == "cancelled" or (record["status"] == "completed") is bool(
            delivered
        )
        paid_micros += cost
    spark = await grid.spark()
    assert float(spark["debit"]) == 0
    assert round(float(spark["net"]) * 1_000_000) == 1_000_000_000 - paid_micros
