"""Workers that follow a script: good ones, and all the kinds that a grid of strangers has."""

import asyncio
import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from dreamgrid.protocol import codec
from dreamgrid.protocol.worker import (
    WORKER_PROTOCOL,
    Assign,
    Cancel,
    Failed,
    Finished,
    Heartbeat,
    Hello,
    Progress,
    Released,
    RunningJob,
    Settled,
    Started,
    Welcome,
    WorkerMessage,
)
from dreamgrid.server.auth import Account
from tests.simulation.lines import Line
from tests.simulation.server import HEARTBEAT_S, LEASE_S

if TYPE_CHECKING:
    from tests.simulation.world import World

SIZE_BYTES = 100
OUTCOMES = (Finished, Failed, Released)


@dataclass(frozen=True)
class Behaviour:
    """What a worker does with a job; the numbers are chances.

    Attributes:
        render_s: How long a render takes, about.
        fails: It gives up, out of memory or for another reason.
        hopeless: What it gives up cannot succeed anywhere.
        lies: The file is not as long as it says, or is not there at all.
        crashes: Its process dies, and forgets what it held.
        falls_silent: It says nothing for longer than a lease, but renders on and reports late.
        repeats: It reports everything again and again.
        objects: Its content filter objects.
        hands_back: It hands the job back.
        never_ends: It renders for ever, and says that it lives.
    """

    name: str
    render_s: float = 4.0
    fails: float = 0.0
    hopeless: float = 0.0
    lies: float = 0.0
    crashes: float = 0.0
    falls_silent: float = 0.0
    repeats: float = 0.0
    objects: float = 0.0
    hands_back: float = 0.0
    never_ends: float = 0.0


GOOD = Behaviour("good")
KINDS = (
    GOOD,
    Behaviour("slow", render_s=2.5 * LEASE_S),
    Behaviour("failing", fails=0.6, hopeless=0.2),
    Behaviour("small", render_s=1.0, fails=0.9),
    Behaviour("lying", lies=0.6),
    Behaviour("crashing", crashes=0.4),
    Behaviour("silent", falls_silent=0.5),
    Behaviour("repeating", repeats=0.8),
    Behaviour("objecting", objects=0.7),
    Behaviour("leaving", hands_back=0.5),
    Behaviour("endless", never_ends=0.3),
    Behaviour("all at once", 8.0, 0.1, 0.1, 0.1, 0.1, 0.1, 0.2, 0.1, 0.1, 0.05),
)


@dataclass
class Held:
    """A job that the worker holds; with its outcome once there is one."""

    job: Assign
    rendering: asyncio.Task[None] | None = None
    outcome: WorkerMessage | None = None


@dataclass
class ScriptedWorker:
    """Connects, renders as its behaviour says, keeps outcomes until they are settled."""

    world: "World"
    name: str
    account: Account
    behaviour: Behaviour
    models: tuple[str, ...]
    slots: int = 1
    held: dict[str, Held] = field(default_factory=dict)
    line: Line | None = None
    silent_until_s: float = 0.0
    retired: bool = False

    # ── its connection ───────────────────────────────────────────────────────────────────────────

    async def live(self) -> None:
        """Connects again and again."""
        chance = self.world.chance
        while not self.retired:
            await asyncio.sleep(chance.uniform(0.1, 3.0))
            if self.retired or not self.world.server.running:
                continue
            over = asyncio.Event()
            line = self.line = self.world.connect_worker(self, self._take, over.set)
            beats = asyncio.create_task(self._beat(line))
            await over.wait()
            beats.cancel()
            if self.line is line:
                self.line = None

    def hello(self) -> Hello:
        return Hello(
            protocol=WORKER_PROTOCOL,
            worker_id=self.name,
            name=self.name,
            version="0",
            models=self.models,
            slots=self.slots,
            running=tuple(
                RunningJob(job_id=held.job.job_id, attempt=held.job.attempt)
                for held in self.held.values()
            ),
        )

    async def _beat(self, line: Line) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            if self.line is line:
                self._say(Heartbeat())

    def _say(self, message: WorkerMessage) -> None:
        line, chance = self.line, self.world.chance
        if line is None:
            return
        weather = line.weather()
        outcome = isinstance(message, OUTCOMES)
        if self.world.now_s < self.silent_until_s:
            if outcome:  # it says so again after it has connected again
                line.cut()
            return
        if not outcome and chance.random() < weather.lose:
            return
        if not isinstance(message, Heartbeat):
            self.world.note(self.name, "says", message)
        data = codec.encode_worker(message)
        line.up.send(data, overtakes=chance.random() < weather.overtake)
        if chance.random() < max(weather.repeat, self.behaviour.repeats):
            line.up.send(data, overtakes=True)

    def _take(self, data: bytes) -> None:
        message = codec.decode_from_server(data)
        self.world.note(self.name, "hears", message)
        match message:
            case Welcome():
                for held in list(self.held.values()):
                    if held.outcome is not None:
                        self._report(held, held.outcome)
            case Assign():
                held = self.held[message.job_id] = Held(message)
                held.rendering = asyncio.create_task(self._render(held))
            case Cancel() | Settled():
                known = self.held.get(message.job_id)
                if known is not None and known.job.attempt == message.attempt:
                    self._forget(known)

    def _forget(self, held: Held) -> None:
        del self.held[held.job.job_id]
        if held.rendering is not None and held.rendering is not asyncio.current_task():
            held.rendering.cancel()

    # ── its work ─────────────────────────────────────────────────────────────────────────────────

    async def _render(self, held: Held) -> None:
        job, behaviour, chance = held.job, self.behaviour, self.world.chance
        end_s = behaviour.render_s * chance.uniform(0.7, 1.3)
        self._say(Started(job_id=job.job_id, attempt=job.attempt))
        if chance.random() < behaviour.never_ends:
            await asyncio.Event().wait()
        for step in range(1, 4):
            await asyncio.sleep(end_s / 4)
            if await self._interrupted(held):
                return
            progress = Progress(job_id=job.job_id, attempt=job.attempt, step=step, step_count=4)
            self._say(progress)
        await asyncio.sleep(end_s / 4)
        self._report(held, self._outcome(job))

    async def _interrupted(self, held: Held) -> bool:
        """Something happens in the middle of the render; whether that was its end."""
        behaviour, chance = self.behaviour, self.world.chance
        if chance.random() < behaviour.crashes / 3:
            self.die()
            return True
        if chance.random() < behaviour.falls_silent / 3:
            self.silent_until_s = self.world.now_s + chance.uniform(0.5, 3.0) * LEASE_S
            await asyncio.sleep(self.silent_until_s - self.world.now_s)
        if chance.random() < behaviour.hands_back / 3:
            job = held.job
            self._say(Released(job_id=job.job_id, attempt=job.attempt))
            self.held.pop(job.job_id, None)
            return True
        return False

    def die(self) -> None:
        """Its process ends without a word and forgets everything."""
        self.world.note(self.name, "dies", None)
        self.world.note_death(self)
        for held in list(self.held.values()):
            self._forget(held)
        if self.line is not None:
            self.line.cut()

    def retire(self) -> None:
        """Dies for ever."""
        self.retired = True
        self.die()

    def _outcome(self, job: Assign) -> WorkerMessage:
        behaviour, chance = self.behaviour, self.world.chance
        if chance.random() < behaviour.fails:
            return Failed(
                job_id=job.job_id,
                attempt=job.attempt,
                error=chance.choice(["out_of_memory", "generation_failed"]),
                message="it did not work",
                retryable=chance.random() >= behaviour.hopeless,
            )
        objects = chance.random() < behaviour.objects
        made = Finished(
            job_id=job.job_id,
            attempt=job.attempt,
            seed=7,
            steps=4,
            sha256=hashlib.sha256(f"{job.job_id} {job.attempt} {self.name}".encode()).hexdigest(),
            size_bytes=SIZE_BYTES,
            render_s=behaviour.render_s,
            sensitive=("image",) if objects else (),
        )
        key = job.output.url.partition("results/")
        if chance.random() < behaviour.lies:
            if chance.random() < 0.5:
                return made  # there is no file
            made = replace_size(made)
        if not objects or job.deliver_sensitive:
            self.world.disk.files.put(key[1] + key[2], SIZE_BYTES)
        return made

    def _report(self, held: Held, outcome: WorkerMessage) -> None:
        held.outcome = outcome
        self.world.oracle.worker_reports(self.name, outcome)
        self._say(outcome)

    def turn_good(self) -> None:
        """From now on nothing goes wrong here."""
        self.behaviour = replace(GOOD, name=self.behaviour.name)
        self.silent_until_s = 0.0


def replace_size(made: Finished) -> Finished:
    """The same report with a length that is not that of the file."""
    return Finished(
        job_id=made.job_id,
        attempt=made.attempt,
        seed=made.seed,
        steps=made.steps,
        sha256=made.sha256,
        size_bytes=SIZE_BYTES + 1,
        render_s=made.render_s,
    )
