"""A history: a server, its disk, its apps and workers, and everything that goes wrong.

One number, the seed, decides all of it. The same seed is the same history, message for message.
"""

import asyncio
import gc
import logging
import random
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

from msgspec import Struct

from dreamgrid.errors import DreamgridError
from dreamgrid.protocol import codec, socket
from dreamgrid.protocol.params import NETWORKS
from dreamgrid.server import loop_lag, webhook_sender
from dreamgrid.server.accounts import LOCAL_ACCOUNT
from dreamgrid.server.admin import Admin
from dreamgrid.server.auth import Account, account_of
from dreamgrid.server.catalog import Catalog
from dreamgrid.server.new_projects import App
from dreamgrid.server.store.base import AccountRow, WorkerRow
from dreamgrid.states import JobState
from tests.simulation import virtual_time
from tests.simulation.apps import ABSENT_WORKER, ScriptedApp, opened
from tests.simulation.choices import judged
from tests.simulation.disk import QUICK_S, Disk, DiskStore
from tests.simulation.idleness import LOOK_EVERY_S
from tests.simulation.lines import FAIR, LOST, Line, ServerOutbox, Weather
from tests.simulation.oracle import Oracle
from tests.simulation.server import LEASE_S, Server, settings
from tests.simulation.virtual_time import VirtualLoop
from tests.simulation.workers import GOOD, KINDS, Behaviour, ScriptedWorker

OWNER = "OWNER"
MODELS = ("pattern-v1", "dreamlet-v1")
ENDS_WITHIN_S = 1_500.0
"""How long everything may take to end once nothing goes wrong any more."""

TRACE_LINES = 120

TROUBLES = (
    "disk is slow",
    "disk is full",
    "crash",
    "crash in the middle",
    "restart",
    "worker dies",
    "worker retires",
    "lines are cut",
    "administrator takes a job back",
    "administrator ends a project",
)

ACTIONS = (*["ask"] * 4, "ask again", "watch", "cancel", "leave")


class HistoryFailed(AssertionError):
    """Something was not true. The message names the seed, says what, and tells what led to it."""


@dataclass(frozen=True)
class Plan:
    """What kind of history a seed stands for.

    Attributes:
        lasts_s: How long things go wrong.
        flood: One account asks for very much, and otherwise nothing goes wrong: shares are judged.
        accounts: How many there are, each with one or two apps.
        rich: What each account may spend.
        behaviours: One for each worker.
        weather: The network at its worst.
        trouble_every_s: About how often something breaks.
        hiccups: Share of accesses of the disk that take long.
        early_cut: Share of apps' connections that break while they are being greeted.
        max_queue_s: How long a job may wait. 0: for ever. With a limit some apps ask for workers
            that never come.
        troubles: What breaks; one of these each time.
        actions: What apps do; one of these each time.
    """

    lasts_s: float
    flood: bool
    accounts: int
    rich: int
    behaviours: tuple[Behaviour, ...]
    weather: Weather
    trouble_every_s: float
    max_queue_s: float = 0.0
    hiccups: float = 0.0
    early_cut: float = 0.0
    troubles: tuple[str, ...] = TROUBLES
    actions: tuple[str, ...] = ACTIONS


def plan_of(chance: random.Random, *, flood: bool) -> Plan:
    if flood:
        workers = (GOOD,) * chance.randint(1, 2)
        return Plan(60.0, True, 3, 1_000_000, workers, FAIR, 0.0)
    bad = chance.random()
    return Plan(
        lasts_s=chance.uniform(15.0, 75.0),
        flood=False,
        accounts=chance.randint(1, 3),
        rich=chance.choice([300, 1_000_000]),
        behaviours=tuple(chance.choice(KINDS) for _ in range(chance.randint(1, 4))),
        weather=Weather(
            latency_s=chance.choice([0.02, 0.5]),
            stall=0.05 * bad * chance.random(),
            cut=0.04 * bad * chance.random(),
            repeat=0.2 * bad * chance.random(),
            overtake=0.2 * bad * chance.random(),
            lose=0.2 * bad * chance.random(),
        ),
        trouble_every_s=chance.choice([4.0, 10.0, 40.0]),
        max_queue_s=chance.choice([0.0, 0.0, 90.0]),
        hiccups=0.2 * bad * chance.random(),
        early_cut=0.4 * bad * chance.random(),
    )


@cache
def _catalog() -> Catalog:
    return Catalog.load(())


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="dreamgrid-simulation-")


class World:
    """One history while it happens."""

    def __init__(self, seed: int, loop: VirtualLoop, plan: Plan | None = None) -> None:
        self.chance = random.Random(seed)
        self.plan = plan or plan_of(self.chance, flood=seed % 5 == 4)
        self.loop = loop
        self.trace: list[tuple[float, str, str, Any]] = []
        self.disk = Disk(self.chance, loop.clock)
        self.disk.hiccups = self.plan.hiccups
        max_queue_s = self.plan.max_queue_s
        self.config = settings(Path(_folder().name), max_queue_s=max_queue_s)
        slots = len(self.plan.behaviours) * 2
        self.oracle = Oracle(
            self.disk,
            grant_micros=self.plan.rich,
            share_permille=self.config.worker_share_permille,
            fair_share=slots + 2 if self.plan.flood else None,
            max_queue_s=max_queue_s,
            max_attempts=self.config.max_attempts,
            clock=loop.clock,
        )
        self.server = self._new_server()
        self.apps: list[ScriptedApp] = []
        self.workers: list[ScriptedWorker] = []
        self.calm = False
        self.wrong: asyncio.Future[None] = loop.create_future()
        self._local = Account(id="LOCAL", username=LOCAL_ACCOUNT)
        self.watching: set[str] = set()
        self._frames_to_crash = 0
        self._tasks: set[asyncio.Task[None]] = set()
        loop.set_exception_handler(self._unhandled)

    @property
    def now_s(self) -> float:
        return self.loop.time()

    def note(self, who: str, does: str, what: Any) -> None:
        """Adds a line to the trace."""
        self.trace.append((self.now_s, who, does, what))

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs something beside everything else; it may fail the history."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error)

    def _unhandled(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        del loop
        self.fail(context.get("exception") or AssertionError(context["message"]))

    def fail(self, error: BaseException) -> None:
        """Ends the history: something was not true."""
        if not self.wrong.done():
            self.wrong.set_exception(error)

    def weather(self) -> Weather:
        return FAIR if self.calm else self.plan.weather

    # ── connections ──────────────────────────────────────────────────────────────────────────────

    def connect_app(
        self,
        scripted: ScriptedApp,
        app: App,
        take: Callable[[bytes], None],
        ended: Callable[[], None],
    ) -> Line:
        name = f"{app.account.id}/{scripted.app_id}"
        line = Line(self.chance, self.weather, take, ended)
        outbox = ServerOutbox(line, self._judged(name, self.oracle.of_app(name)))
        self.note(name, "connects", "")
        if not self.calm and self.chance.random() < self.plan.early_cut:
            self.loop.call_later(self.chance.uniform(0.0, 0.5), line.cut)
        self.server.accept_app(line, outbox, app)
        return line

    def connect_worker(
        self, worker: ScriptedWorker, take: Callable[[bytes], None], ended: Callable[[], None]
    ) -> Line:
        hello = worker.hello()
        worker_id = f"{worker.account.id}/{hello.worker_id}"

        def left(code: int) -> None:
            if self.server.running:  # else it is the server that leaves
                abruptly = code in (LOST, socket.CLOSE_REPLACED)
                self.oracle.interruptions.left(worker_id, abruptly=abruptly)

        line = Line(self.chance, self.weather, take, ended, left)
        said = self.oracle.of_worker(worker_id, line)
        outbox = ServerOutbox(line, self._judged(worker.name, said))
        self.note(worker.name, "connects, holding", hello.running)
        self.server.accept_worker(line, outbox, worker.account, hello)
        return line

    def _judged(self, name: str, said: Callable[[bytes], None]) -> Callable[[bytes], None]:
        def told(data: bytes) -> None:
            self.note(f"to {name}", "", data)
            try:
                said(data)
            except AssertionError as error:
                self.fail(error)
            if self._frames_to_crash:
                self._frames_to_crash -= 1
                if not self._frames_to_crash:
                    self._crash()

        return told

    def note_death(self, worker: ScriptedWorker) -> None:
        """A worker's process ends; what it was rendering then, as everybody knew, was its death."""
        worker_id = f"{worker.account.id}/{worker.name}"
        session = self.server.services.workers.get(worker_id) if self.server.running else None
        line = worker.line
        if session is None or line is None or line.broken or line.close_code is not None:
            return
        for held in worker.held.values():
            job = session.jobs.get(held.job.job_id)
            if job is None or held.outcome is not None or job.attempt != held.job.attempt:
                continue
            if job.state is JobState.RUNNING and not (job.settling or job.project.canceling):
                self.oracle.interruptions.killed(worker_id, job.id, job.attempt)

    # ── what happens ─────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """All of it."""
        await self._prepare()
        for worker in self.workers:
            self.start(worker.live())
        for app in self.apps:
            self.start(app.live())
            self.start(self._use(app))
        if self.plan.troubles and not self.plan.flood:
            self.start(self._trouble())
        self.start(self._watch_idleness())
        history = self.loop.create_task(self._until_the_end())
        await asyncio.wait([history, self.wrong], return_when=asyncio.FIRST_COMPLETED)
        if self.wrong.done():
            history.cancel()
            self.wrong.result()
        history.result()

    async def _prepare(self) -> None:
        store = DiskStore(self.disk)
        plan, now_ms = self.plan, int(self.loop.clock() * 1000)
        accounts = {}
        for name in (OWNER, *("ADA", "BOB", "CYD")[: plan.accounts]):
            row = AccountRow(id=name, username=name.lower(), created_ms=now_ms)
            await store.create_account(row, {"spark": plan.rich, "sogni": plan.rich})
            accounts[name] = account_of(row)
        await store.note_workers([_remembered(network, now_ms) for network in NETWORKS])
        await store.close()
        await self.server.start()
        owner = accounts.pop(OWNER)
        self._hire(owner)
        for account in accounts.values():
            for number in range(1 if plan.flood else self.chance.randint(1, 2)):
                models = MODELS[:1] if plan.flood else MODELS
                app = ScriptedApp(self, account, f"{account.username}-{number}", models)
                self.apps.append(app)

    def _hire(self, owner: Account) -> None:
        for number, behaviour in enumerate(self.plan.behaviours):
            # The first one serves everything, so that in the end nothing has to wait for ever.
            models = MODELS if not number else MODELS[: self.chance.randint(1, 2)]
            slots = 2 if self.plan.flood else self.chance.randint(1, 3)
            name = f"worker-{number} {behaviour.name}"
            worker = ScriptedWorker(self, name, owner, behaviour, models, slots)
            self.workers.append(worker)

    async def _use(self, app: ScriptedApp) -> None:
        chance = self.chance
        if self.plan.flood:
            await asyncio.sleep(5.0 if app is self.apps[0] else chance.uniform(10.0, 40.0))
            for _ in range(20 if app is self.apps[0] else 2):
                app.ask(count=2)
            return
        actions: dict[str, Callable[[], None]] = {
            "ask": lambda: app.ask(chance.randint(1, 3)),
            "ask again": app.ask_again,
            "watch": app.watch,
            "cancel": app.cancel,
            "leave": app.leave,
        }
        while not self.calm:
            await asyncio.sleep(chance.uniform(0.5, 10.0))
            if app.greeted and not self.calm:
                actions[chance.choice(self.plan.actions)]()

    async def _trouble(self) -> None:
        chance = self.chance
        troubles: dict[str, Callable[[], None]] = {
            "disk is slow": self._disk_is_slow,
            "disk is full": self._disk_is_full,
            "crash": self._crash,
            "crash in the middle": self._crash_in_the_middle,
            "restart": self._restart,
            "worker dies": self._worker_dies,
            "worker retires": self._worker_retires,
            "lines are cut": self._lines_are_cut,
            "administrator takes a job back": self._administrator_takes_a_job_back,
            "administrator ends a project": self._administrator_ends_a_project,
        }
        while not self.calm:
            await asyncio.sleep(chance.uniform(0.0, 2 * self.plan.trouble_every_s))
            if self.server.running and not self.calm:
                trouble = chance.choice(self.plan.troubles)
                self.note("trouble", trouble, "")
                troubles[trouble]()
                self._look()

    def _look(self) -> None:
        try:
            self.oracle.look()
        except AssertionError as error:
            self.fail(error)

    async def _watch_idleness(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            well = self.server.running and not (self.disk.broken or self.disk.longest_s > QUICK_S)
            self.oracle.idleness.look(self.server.services if well else None)

    def _disk_is_slow(self) -> None:
        self.disk.longest_s = self.chance.choice([0.2, 2.0, 10.0])
        self.loop.call_later(self.chance.uniform(1.0, 20.0), self._disk_recovers)

    def _disk_is_full(self) -> None:
        self.disk.broken = True
        self.loop.call_later(self.chance.uniform(0.5, 20.0), self._disk_recovers)

    def _disk_recovers(self) -> None:
        self.disk.broken, self.disk.longest_s = False, QUICK_S

    def _new_server(self) -> Server:
        return Server(self.config, _catalog(), self.disk, self.loop)

    def _crash(self) -> None:
        if self.server.running:
            self.note("server", "crashes", "")
            self._frames_to_crash = 0
            self.oracle.interruptions.server_goes()
            self.server.crash()
            self.start(self._start_again())

    def _crash_in_the_middle(self) -> None:
        self._frames_to_crash = self.chance.randint(1, 12)

    def _restart(self) -> None:
        async def restart() -> None:
            self.note("server", "stops", "")
            self.oracle.interruptions.server_goes()
            await self.server.stop()
            await self._start_again()

        self.start(restart())

    async def _start_again(self) -> None:
        await asyncio.sleep(self.chance.choice([0.1, 3.0, 1.5 * LEASE_S]))
        self._look()
        server = self._new_server()
        self.oracle.reputations.forget()
        await server.start()
        self.note("server", "starts", "")
        self.server = server

    def _worker_dies(self) -> None:
        self.chance.choice(self.workers).die()

    def _worker_retires(self) -> None:
        """It never comes back; the first one stays, so that somebody can finish the rest."""
        if len(self.workers) > 1:
            self.chance.choice(self.workers[1:]).retire()

    def _lines_are_cut(self) -> None:
        lines = [one.line for one in self.workers] + [one.line for one in self.apps]
        for line in lines:
            if line is not None and self.chance.random() < 0.5:
                line.cut()

    def _administrator_takes_a_job_back(self) -> None:
        jobs = self.disk.rows(
            "SELECT job.id, project.id FROM job JOIN project ON project = number"
            " WHERE job.state IN ('assigned', 'running')"
        )
        if jobs:
            job_id, project_id = self.chance.choice(jobs)
            self.oracle.interruptions.meddled(project_id)
            admin = Admin(self.server.services)
            self.start(self._order(admin.requeue(self._local, job_id, "")))

    def _administrator_ends_a_project(self) -> None:
        projects = self.disk.rows("SELECT id FROM project WHERE ended_ms IS NULL")
        if projects and self.chance.random() < 0.5:
            project_id = self.chance.choice(projects)[0]
            self.oracle.interruptions.meddled(project_id)
            admin = Admin(self.server.services)
            self.start(self._order(admin.cancel(self._local, project_id, "")))

    async def _order(self, order: Coroutine[Any, Any, None]) -> None:
        with suppress(DreamgridError):  # such as: it has ended in the meantime
            await order

    # ── the end ──────────────────────────────────────────────────────────────────────────────────

    async def _until_the_end(self) -> None:
        await asyncio.sleep(self.plan.lasts_s)
        self.note("world", "calms down", "")
        self.calm = True
        self._frames_to_crash = 0
        self._disk_recovers()
        self.disk.hiccups = 0.0
        for worker in self.workers:
            worker.turn_good()
        end_s = self.now_s + ENDS_WITHIN_S
        while not self._over():
            assert self.now_s < end_s, (
                f"nothing goes wrong for {ENDS_WITHIN_S} s, and still open are: "
                f"{self.oracle.still_open()}; not heard of: {self._unheard()}, "
                f"watched in vain: {self.watching}"
            )
            await asyncio.sleep(5.0)
            for app in self.apps:
                app.settle()
        await asyncio.sleep(5.0)
        apps = {f"{app.account.id}/{app.app_id}": app.account.id for app in self.apps}
        self.oracle.look_at_the_end(apps)

    def _over(self) -> bool:
        if self.watching:
            return False
        ended = self.server.running and self.oracle.everything_has_ended()
        return ended and not self._unheard() and all(app.connected for app in self.apps)

    def _unheard(self) -> list[str]:
        return [one.id for app in self.apps for one in app.projects.values() if not one.ended]


def _remembered(network: Any, now_ms: int) -> WorkerRow:
    return WorkerRow(
        id=f"{OWNER}/remembered-{network}",
        account_id=OWNER,
        owner=OWNER.lower(),
        name=ABSENT_WORKER,
        network=network,
        models=MODELS,
        seen_ms=now_ms,
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """The server has much to say about what is done to it here."""
    logger = logging.getLogger("dreamgrid")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextmanager
def _nothing_beside_the_point() -> Iterator[None]:
    """Saves what costs time and is not looked at: webhooks, of which there are none, how late the
    loop is, which on a virtual clock it never is, and garbage.

    What a history leaves behind goes when the next one has begun.
    """
    thresholds = gc.get_threshold()
    gc.set_threshold(100_000, 20, 100)
    try:
        with (
            mock.patch.object(webhook_sender, "LOOK_EVERY_S", 3_600.0),
            mock.patch.object(loop_lag, "LOOK_S", 3_600.0),
        ):
            yield
    finally:
        gc.set_threshold(*thresholds)


def run_history(seed: int, plan: Plan | None = None) -> "World":
    """Lets one history happen; `lines` tells it to people.

    Args:
        seed: Decides everything.
        plan: What kind of history it is, rather than what the seed makes of that too.

    Raises:
        HistoryFailed: Something was not true.
    """
    random.seed(seed)  # ids of jobs
    worlds: list[World] = []

    async def history(loop: VirtualLoop) -> None:
        world = World(seed, loop, plan)
        worlds.append(world)
        await world.run()

    with _quiet(), _nothing_beside_the_point(), judged():
        try:
            virtual_time.run(history)
        except Exception as error:  # whatever it is, the seed and the trace go with it
            told = "\n".join(lines(worlds[0])[-TRACE_LINES:])
            raise HistoryFailed(
                f"history {seed}: {type(error).__name__}: {error}\n\n{told}\n\n"
                f"history {seed}: {type(error).__name__}: {error}\n"
                f"See it again with: python -m tests.simulation {seed}"
            ) from error
    return worlds[0]


def lines(world: World) -> list[str]:
    """The trace for people to read."""
    return [
        f"{at_s:9.3f} {who:<22} {does} {_readable(what)}" for at_s, who, does, what in world.trace
    ]


def _readable(what: Any) -> str:
    if isinstance(what, bytes) and what.startswith(b'{"type":"') and b'"data":' in what:
        frame = opened(what)
        if not isinstance(frame.payload, dict):
            return frame.short
        about = [str(frame.payload[name]) for name in ("jobID", "imgID") if name in frame.payload]
        return " ".join([frame.short, *about])
    if isinstance(what, bytes):
        what = codec.decode_from_server(what)
    if isinstance(what, Struct):
        told = [str(getattr(what, name)) for name in ("job_id", "attempt") if hasattr(what, name)]
        return " ".join([type(what).__name__.lower(), *told])
    return str(what)
