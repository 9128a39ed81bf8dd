"""Trial renders: how long each model takes here, known before anybody's job is made.

The server names a render with all the defaults of each model. A worker with nothing to do makes it
once with every engine that serves the model, in a few steps, and remembers how long it takes: the
server foretells right from the first job on, and of two engines the quicker one gets the jobs. A
job that comes ends a trial at once.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from dreamgrid.engines import remembered
from dreamgrid.errors import DreamgridError
from dreamgrid.protocol.renders import AnyRender, AudioRender, VideoRender
from dreamgrid.protocol.worker import MeasuredSpeed
from dreamgrid.worker import events
from dreamgrid.worker.frames import Stepped
from dreamgrid.worker.host import EngineHost, EnginePool
from dreamgrid.worker.tasks import wait_ended

STEPS = 4
"""Steps of a trial; the others take as long as these. A model that needs no more makes them all."""

WARM_UP_STEPS = 2
"""Steps of the render before it, in which weights are brought and programs chosen."""

FIRST_QUIET_S = 2.0
"""How long a worker that has just joined waits for a job before its first trial."""

_FILE = "trials"
_SHORTEST_S = 1e-6  # what clocks can tell; times are divided by each other


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What one engine needed for one model.

    Attributes:
        engine: Its reference.
        name: Its name.
        measured_on: Machine and versions; anything else makes it worthless.
        render: With all its steps.
        took_s: For all of them, with the model loaded.
        step_s: For one of them.
    """

    engine: str
    name: str
    measured_on: str
    render: AnyRender
    took_s: float
    step_s: float

    @property
    def speed(self) -> MeasuredSpeed:
        """What servers are told of it."""
        return MeasuredSpeed(render=self.render, took_s=self.took_s)


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """An engine that is to be measured.

    Attributes:
        reference: Of its spec.
        name: For people.
        measured_on: Machine and versions, its own included.
        whole: Models that are measured with all their steps: of these it is not the number of steps
            that takes the time.
    """

    reference: str
    name: str
    measured_on: str
    whole: frozenset[str] = frozenset()


def kept_trials(folder: Path) -> tuple[Trial, ...]:
    """What a worker remembers, on whatever machine it was measured."""
    return remembered.recall(_FILE, tuple[Trial, ...], folder) or ()


def valid_trials(
    trials: Iterable[Trial],
    serving: Mapping[str, Sequence[str]],
    contestants: Iterable[Contestant],
) -> Iterator[Trial]:
    """Those of engines that serve their models still, on the same machine in the same versions.

    Args:
        trials: What is remembered.
        serving: Which engines may make each model, by their references.
        contestants: Each of these engines.
    """
    measured_on = {one.reference: one.measured_on for one in contestants}
    for trial in trials:
        serves = trial.engine in serving.get(trial.render.model, ())
        if serves and trial.measured_on == measured_on.get(trial.engine):
            yield trial


def described(render: AnyRender) -> str:
    """What a render makes, in few words: `1024x1024 in 8 steps`."""
    if isinstance(render, AudioRender):
        return f"{render.duration_s:g} s in {render.steps} steps"
    size = f"{render.width}x{render.height}"
    if isinstance(render, VideoRender):
        size += f", {render.frames} frames"
    return f"{size} in {render.steps} steps"


class Trials:
    """Measures what a worker serves, one trial after the other, while it has nothing else to do.

    Args:
        folder: Of the worker; what was found is kept there.
        serving: Which engines may make each model, by their references, in the owner's order.
        contestants: Each of these engines.
        pool: Where they render.
        tell: Told of what happens.
    """

    def __init__(
        self,
        folder: Path,
        serving: Mapping[str, Sequence[str]],
        contestants: Sequence[Contestant],
        pool: EnginePool,
        tell: Callable[[events.WorkerEvent], None] = lambda _: None,
    ) -> None:
        self._folder = folder
        self._serving = serving
        self._contestants = {one.reference: one for one in contestants}
        self._pool = pool
        self._tell = tell
        self._failed: set[tuple[str, str]] = set()
        self._known = {(one.engine, one.render.model): one for one in kept_trials(folder)}
        self._wanted: dict[str, AnyRender] = {}
        self._noise = asyncio.Event()
        self._asked = asyncio.Event()
        self._loading: tuple[str, EngineHost] | None = None  # by a trial that has not begun
        self._read = asyncio.Event()  # it has begun, or there is none
        self._read.set()

    def took_s(self, model: str) -> dict[str, float]:
        """What each engine needed for the same render of a model, where that was measured."""
        known = [one for one in self._valid() if one.render.model == model]
        return {one.engine: one.took_s for one in known if one.render == known[0].render}

    def speeds(self) -> tuple[MeasuredSpeed, ...]:
        """Of each model the quickest that is known."""
        best: dict[str, Trial] = {}
        for one in self._valid():
            model = one.render.model
            if model not in best or one.took_s < best[model].took_s:
                best[model] = one
        return tuple(one.speed for one in best.values())

    def want(self, renders: Sequence[AnyRender], known: Callable[[str], bool]) -> None:
        """Takes what a server says to measure by.

        Args:
            renders: One of each model.
            known: Whether a model's speed is known from elsewhere; that is enough where one engine
                serves it.
        """
        self._wanted = {
            render.model: render
            for render in renders
            if len(self._serving.get(render.model, ())) > (1 if known(render.model) else 0)
        }
        self._asked.set()

    def disturb(self, model: str = "") -> None:
        """There is a job, or there was one until now.

        Args:
            model: Of the job. It waits for no other model of which it is not known how long its
                weights take to be read. What is read for a job as well is read to the end.
        """
        if model and self._loading is not None and not self._noise.is_set():
            loading, host = self._loading
            if model != loading:
                host.kill_if_busy()
                self._has_read()  # nobody waits for it
        self._noise.set()

    async def run(
        self, busy: Callable[[], bool], quiet_s: float, turn: asyncio.Lock | None = None
    ) -> None:
        """Measures what is wanted and not known, for as long as the worker runs.

        Args:
            busy: Whether the worker has jobs, or is about to leave.
            quiet_s: How long there must have been no job.
            turn: Held while a trial renders, so that workers of one machine do not measure each
                other. None: there is no other.
        """
        turn = turn or asyncio.Lock()
        wait_s = min(FIRST_QUIET_S, quiet_s)
        while True:
            await self._asked.wait()
            due = next(self._due(), None)
            if due is None:
                self._asked.clear()
                continue
            self._noise.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._noise.wait()
            if not self._noise.is_set():
                async with turn:
                    if not busy():
                        await self._one(*due)
            wait_s = quiet_s if self._noise.is_set() or busy() else 0.0

    async def _one(self, contestant: Contestant, render: AnyRender) -> None:
        """Makes a trial, unless a job comes."""
        self._noise.clear()
        self._tell(events.TrialBegan(model=render.model, engine=contestant.name))
        measuring = asyncio.create_task(self.measure(contestant, render))
        noise = asyncio.create_task(self._noise.wait())
        try:
            await asyncio.wait([measuring, noise], return_when=asyncio.FIRST_COMPLETED)
            await self._read.wait()  # the job needs these weights, too, if it did not end this
        finally:
            ended = measuring.done()
            noise.cancel()
            measuring.cancel()
            await wait_ended(measuring)
        if ended:
            measuring.result()

    async def measure(self, contestant: Contestant, render: AnyRender) -> Trial | None:
        """Measures one engine with one render, and keeps what was found.

        Returns:
            What was found; None where it could not be made, of which its owner is told.
        """
        try:
            timed = await self._timed(contestant, render)
        except asyncio.CancelledError:
            self._tell(events.TrialStopped(model=render.model, engine=contestant.name))
            raise
        except DreamgridError as error:
            if self._noise.is_set():  # it was ended for a job
                self._tell(events.TrialStopped(model=render.model, engine=contestant.name))
                return None
            self._failed.add((contestant.reference, render.model))
            reason = str(error).partition("\n")[0]
            self._tell(
                events.TrialFailed(model=render.model, engine=contestant.name, reason=reason)
            )
            return None
        trial = Trial(
            engine=contestant.reference,
            name=contestant.name,
            measured_on=contestant.measured_on,
            render=render,
            took_s=max(timed.whole_s, _SHORTEST_S),
            step_s=timed.step_s,
        )
        self._known[trial.engine, render.model] = trial
        remembered.keep(_FILE, tuple(self._known.values()), self._folder)
        self._tell(
            events.TrialEnded(
                model=render.model,
                engine=trial.name,
                took_s=trial.took_s,
                step_s=trial.step_s,
                made=described(render),
                speed=trial.speed,
            )
        )
        return trial

    async def _timed(self, contestant: Contestant, render: AnyRender) -> "_Timed":
        """Renders in few steps, and in all of them where these do not tell how long all take."""
        timed = _Timed(render)
        short = () if render.model in contestant.whole else (WARM_UP_STEPS, STEPS)
        async with self._pool.turn(render.model) as host, self._reading(render.model, host):
            for steps in (*short, render.steps):
                if steps == render.steps and timed.tells_whole:
                    break
                timed.begin(steps)
                made = await host.render(
                    timed.render,
                    {},
                    engines=(contestant.reference,),
                    on_loaded=self._has_read,
                    on_step=timed.stepped,
                )
                timed.took_s = made.render_s
        return timed

    @asynccontextmanager
    async def _reading(self, model: str, host: EngineHost) -> AsyncIterator[None]:
        self._loading = (model, host)
        self._read.clear()
        try:
            yield
        finally:
            self._has_read()

    def _has_read(self, _together: int = 1) -> None:
        self._loading = None
        self._read.set()

    def _due(self) -> Iterator[tuple[Contestant, AnyRender]]:
        valid = {(one.engine, one.render.model): one for one in self._valid()}
        for model, render in self._wanted.items():
            for reference in self._serving.get(model, ()):
                kept = valid.get((reference, model))
                done = kept is not None and kept.render == render
                if not done and (reference, model) not in self._failed:
                    yield self._contestants[reference], render

    def _valid(self) -> Iterator[Trial]:
        return valid_trials(self._known.values(), self._serving, self._contestants.values())


class _Timed:
    """Looks at the clock after every step of a short render, and counts up to all of them.

    Attributes:
        render: The newest.
        took_s: How long it took.
    """

    def __init__(self, whole: AnyRender) -> None:
        self._whole = whole
        self.render = whole
        self.took_s = 0.0
        self._counts: dict[int, int] = {}  # steps asked for: steps that were made
        self._times_s: list[float] = []

    def begin(self, steps: int) -> None:
        """A render of so many steps begins, or of as many as the whole has.

        Its seed is new: ComfyUI does not render what it has rendered.
        """
        self.render = msgspec.structs.replace(
            self._whole, steps=min(steps, self._whole.steps), seed=secrets.randbelow(2**32)
        )
        self._times_s = []

    def stepped(self, step: Stepped) -> None:
        """A step is done, if it is more than a sign of life."""
        if step.step > len(self._times_s):
            self._times_s.append(time.monotonic())
            self._counts[self.render.steps] = step.step_count

    @property
    def step_s(self) -> float:
        """Of one step after the first, before which prompts are read; 0 where there is but one."""
        times_s = self._times_s
        return (times_s[-1] - times_s[0]) / (len(times_s) - 1) if len(times_s) > 1 else 0.0

    @property
    def tells_whole(self) -> bool:
        """Whether it is known how long the whole takes: two short renders told their steps."""
        if self.render.steps == self._whole.steps:
            return self.took_s > 0
        return len(self._times_s) > 1 and len(self._counts) > 1

    @property
    def whole_s(self) -> float:
        """What the whole render takes, by what the newest one took.

        Steps that were made whatever was asked for, as some workflows of ComfyUI do, are not
        counted up.
        """
        asked = self.render.steps
        if asked == self._whole.steps:
            return self.took_s
        fewer = min(self._counts)
        each = (self._counts[asked] - self._counts[fewer]) / (asked - fewer)
        return self.took_s + self.step_s * each * (self._whole.steps - asked)
