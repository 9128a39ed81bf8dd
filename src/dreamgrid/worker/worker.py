"""The whole worker: engines, connection, the jobs in hand, and an orderly end."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

import aiohttp

from dreamgrid.engines.choice import in_turn
from dreamgrid.engines.registry import Registry, find_engines
from dreamgrid.protocol.worker import (
    WORKER_PROTOCOL,
    AnyServerMessage,
    Assign,
    Cancel,
    Drain,
    Draining,
    Failed,
    Finished,
    Heartbeat,
    Hello,
    MeasuredSpeed,
    Released,
    RunningJob,
    Settled,
    Welcome,
)
from dreamgrid.worker import events
from dreamgrid.worker.config import WorkerConfig
from dreamgrid.worker.connection import Connection
from dreamgrid.worker.events import WorkerEvent
from dreamgrid.worker.identity import default_name, worker_id
from dreamgrid.worker.job_speeds import JobSpeeds
from dreamgrid.worker.outbox import Outbox
from dreamgrid.worker.runner import JobFailed, JobRun
from dreamgrid.worker.started_engines import StartedEngines, software_version, started_engines
from dreamgrid.worker.tasks import task_group
from dreamgrid.worker.transfers import Files
from dreamgrid.worker.trials import Trials

SETTLE_S = 0.5
"""At the end, how long to wait until everything is sent and settled."""

_log = logging.getLogger(__name__)


def _ignore(_event: object) -> None:
    pass


def _log_troubles(event: WorkerEvent) -> None:
    """What nobody listens to is told in the log; whoever does listens tells it himself."""
    match event:
        case events.Disconnected(reason=reason, retry_in_s=wait_s):
            _log.warning("%s; connecting again in %.1f s", reason, wait_s)
        case events.JobFailed(job_id=job_id, error=error, detail=detail):
            _log.warning("job %s: %s: %s", job_id, error, detail, extra={"job_id": job_id})


async def run_worker(
    config: WorkerConfig,
    *,
    stop: asyncio.Event,
    finish: asyncio.Event | None = None,
    on_ready: Callable[[events.Joined], None] = _ignore,
    on_event: Callable[[WorkerEvent], None] = _log_troubles,
    registry: Registry | None = None,
    engines: StartedEngines | None = None,
    why: Callable[[], str] = lambda: "",
    measuring: asyncio.Lock | None = None,
) -> None:
    """Works for a server until told to stop.

    Args:
        config: The worker's settings.
        stop: Set it to end the worker: it takes nothing new, lets renders finish for at most
            `drain_grace_s`, hands the others back, and returns within 2 s more.
        finish: Set it to end the worker after the renders under way, however long they take; `stop`
            still ends it soon.
        on_ready: Called once, when the server has welcomed the worker for the first time.
        on_event: Called with everything that happens, `Joined` included; must return quickly. Left
            out: the log is told of lost connections and failed jobs.
        registry: The engines to use. None: all that are installed.
        engines: Those that were started ahead of it, with the same settings. None: starts them.
        why: Says, when it is told to stop, why it will be back; the server's administrators read
            it. Empty: it will not.
        measuring: Held while it measures itself, where other workers of this machine do so, too.

    Raises:
        ConfigError: A setting is wrong, or no engine can serve a model here; the message says
            what to install.
        EngineCrashed: The engine's process does not start.
        AuthenticationFailed: The server does not accept the key.
        WorkerReplaced: Another worker connected with the same id.
        ProtocolError: The server speaks another version of the worker protocol.
    """
    config.validate()
    if engines is not None:
        await _work(config, engines, stop, finish, on_ready, on_event, why, measuring)
        return
    registry = find_engines() if registry is None else registry
    async with started_engines(config, registry) as started:
        await _work(config, started, stop, finish, on_ready, on_event, why, measuring)


async def _work(
    config: WorkerConfig,
    engines: StartedEngines,
    stop: asyncio.Event,
    finish: asyncio.Event | None,
    on_ready: Callable[[events.Joined], None],
    on_event: Callable[[WorkerEvent], None],
    why: Callable[[], str],
    measuring: asyncio.Lock | None,
) -> None:
    identity = worker_id(config.data_dir)
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(auto_decompress=False, cookie_jar=jar) as session:
        worker = Worker(config, identity, engines, session, on_ready, on_event, why, measuring)
        await worker.serve(stop, asyncio.Event() if finish is None else finish)


class Worker:
    """Takes assignments from the connection, runs them, reports what becomes of them."""

    def __init__(
        self,
        config: WorkerConfig,
        identity: str,
        engines: StartedEngines,
        session: aiohttp.ClientSession,
        on_ready: Callable[[events.Joined], None],
        on_event: Callable[[WorkerEvent], None],
        why: Callable[[], str] = lambda: "",
        measuring: asyncio.Lock | None = None,
    ) -> None:
        self._config = config
        self._why = why
        self._identity = identity
        self._name = config.name or default_name(identity)
        self._models = engines.models
        self._serving = engines.engines
        self._device = engines.device
        self._engines = engines.pool
        self._self_test = engines.self_test
        self._slots = engines.slots
        self._slots_of = dict(engines.slots_of)
        self._job_speeds = JobSpeeds(config.data_dir, engines.device, software_version())
        self._elsewhere = engines.measured_elsewhere
        self._trials = Trials(
            config.data_dir, engines.engines, engines.contestants, engines.pool, self._tried
        )
        self._measuring = measuring
        self._files = Files(session, config)
        self._on_ready = on_ready
        self._on_event = on_event
        self._outbox = Outbox()
        self._connection = Connection(
            session,
            config,
            self._outbox,
            hello=self._hello,
            kept=lambda: engines.pool.kept,
            on_welcome=self._welcomed,
            on_message=self._take,
            on_lost=self._lost,
        )
        self._jobs: dict[str, tuple[JobRun, asyncio.Task[None]]] = {}
        self._none_held = asyncio.Event()
        self._tasks: asyncio.TaskGroup
        self._stopping = False
        self._draining = False  # told by the server; lasts as long as the connection
        self._joined = False

    async def serve(self, stop: asyncio.Event, finish: asyncio.Event) -> None:
        """Works until one of them is set and the drain is over; raises what ends a connection."""
        async with task_group() as self._tasks:
            line = self._tasks.create_task(self._connection.run(), name="connection")
            testing = self._tasks.create_task(self._measure(), name="self-test")
            try:
                await _either(stop, finish)
                await self._drain(stop)
            finally:
                for job_id in tuple(self._jobs):
                    self._cancel(job_id)
                testing.cancel()
                self._engines.kill_busy()  # nobody waits for their next step any more
                line.cancel()

    async def _measure(self) -> None:
        tuning = await self._self_test.run(lambda: bool(self._jobs))
        if tuning is not None:
            took_s = {speed.render.model: speed.took_s for speed in tuning.speeds}
            self._on_event(events.Measured(threads=tuning.threads, took_s=took_s))
            self._outbox.post(Heartbeat(kept=self._engines.kept, speeds=self._speeds()))
        if self._config.measure and self._config.quiet_s > 0:
            await self._trials.run(self._is_busy, self._config.quiet_s, self._measuring)

    def _is_busy(self) -> bool:
        return bool(self._jobs) or self._stopping or self._draining

    def _tried(self, event: WorkerEvent) -> None:
        if isinstance(event, events.TrialEnded) and not self._job_speeds.knows(event.model):
            self._outbox.post(Heartbeat(kept=self._engines.kept, speeds=(event.speed,)))
        self._on_event(event)

    @property
    def _most(self) -> int:
        """How many jobs it holds, should they all be of models of which it holds many."""
        return max(self._slots, *self._slots_of.values(), 0)

    # ── the connection's callbacks ───────────────────────────────────────────────────────────────

    def _hello(self) -> Hello:
        held = [
            RunningJob(job_id=job.assign.job_id, attempt=job.assign.attempt)
            for job, _ in self._jobs.values()
        ]
        return Hello(
            protocol=WORKER_PROTOCOL,
            worker_id=self._identity,
            name=self._name,
            version=software_version(),
            models=self._models,
            slots=self._slots,
            slots_of=self._slots_of,
            network=self._config.network,
            running=(*held, *self._outbox.unsettled()),
            device=self._device,
            speeds=self._speeds(),
        )

    def _speeds(self) -> tuple[MeasuredSpeed, ...]:
        tuning = self._self_test.tuning
        served = set(self._models)
        tried = self._trials.speeds()
        found = {speed.render.model for speed in tried}
        tuned = () if tuning is None else tuning.speeds
        tried += tuple(speed for speed in tuned if speed.render.model not in found)
        known = self._job_speeds.beside(tried)
        return tuple(speed for speed in known if speed.render.model in served)

    def _welcomed(self, welcome: Welcome) -> None:
        self._draining = False
        if self._stopping:
            self._outbox.post(Draining(reason=self._why()))
        for job, _ in self._jobs.values():
            if job.inferring:
                job.report_started()  # the first report may be lost with the last connection
        joined = events.Joined(
            worker_id=self._identity,
            name=self._name,
            server_url=self._config.base_url,
            models=tuple(m for m in self._models if m not in welcome.unknown_models),
            unknown_models=welcome.unknown_models,
            slots=self._slots,
        )
        _log.info("joined %s as %s with %s", joined.server_url, self._name, joined.models)
        if not joined.models:
            _log.warning("this grid's catalogue lists none of %s", self._models)
        self._trials.want(
            welcome.trials,
            lambda model: model in self._elsewhere or self._job_speeds.knows(model),
        )
        self._on_event(joined)
        if not self._joined:
            self._joined = True
            self._on_ready(joined)

    def _lost(self, reason: str, retry_in_s: float) -> None:
        self._on_event(events.Disconnected(reason=reason, retry_in_s=retry_in_s))

    def _take(self, message: AnyServerMessage) -> None:
        match message:
            case Assign():
                self._accept(message)
            case Cancel():
                self._outbox.settle(message.job_id, message.attempt)
                if self._holds(message.job_id, message.attempt):
                    self._cancel(message.job_id)
                    self._on_event(events.JobCanceled(job_id=message.job_id))
            case Settled():
                self._outbox.settle(message.job_id, message.attempt)
                if not message.accepted:
                    _log.warning("the server had given job %s away", message.job_id)
            case Drain():
                self._draining = True
                self._outbox.post(Draining())
                self._on_event(events.DrainBegan(reason="the server asked"))
            case Welcome():
                _log.warning("a second welcome on one connection")

    # ── jobs ─────────────────────────────────────────────────────────────────────────────────────

    def _accept(self, assign: Assign) -> None:
        """Starts a job, unless the worker has it already or can take no more."""
        job_id = assign.job_id
        if self._holds(job_id, assign.attempt):
            return
        if job_id in self._jobs:
            self._cancel(job_id)  # an older attempt, which the server has given up
        if self._stopping or self._draining or len(self._jobs) >= self._most:
            self._outbox.post(Released(job_id=job_id, attempt=assign.attempt))
            return
        self._self_test.disturb()
        self._trials.disturb(assign.render.model)
        job = JobRun(
            assign,
            engines=self._engines,
            files=self._files,
            max_input_bytes=self._config.max_input_bytes,
            asked=self._in_turn(assign.render.model),
            report=self._outbox.post,
            on_started=lambda: self._on_event(
                events.JobStarted(job_id=job_id, render=assign.render)
            ),
        )
        task = self._tasks.create_task(self._run(job), name=f"job-{job_id}")
        self._jobs[job_id] = (job, task)
        self._none_held.clear()

    def _in_turn(self, model: str) -> tuple[str, ...]:
        """The engines that may make a model, in the order in which they are asked."""
        return in_turn(self._serving.get(model, ()), self._trials.took_s(model))

    async def _run(self, job: JobRun) -> None:
        """Runs a job and reports its outcome; a canceled one reports nothing."""
        event: WorkerEvent
        outcome: Finished | Failed
        try:
            outcome = await job.run()
            self._job_speeds.note(job.assign.render, outcome.render_s)
            event = events.JobFinished(
                job_id=outcome.job_id, size_bytes=outcome.size_bytes, render_s=outcome.render_s
            )
        except JobFailed as failed:
            outcome, event = self._failed(job.assign, failed)
        except Exception as bug:  # one job's bad luck must not end the worker
            _log.exception("job %s met a bug in the worker", job.assign.job_id)
            failure = JobFailed(
                "generation_failed",
                "the worker had an internal error",
                retryable=True,
                detail=repr(bug),
            )
            outcome, event = self._failed(job.assign, failure)
        self._forget(job.assign.job_id)
        self._outbox.post(outcome)
        self._on_event(event)

    def _failed(self, assign: Assign, failure: JobFailed) -> tuple[Failed, events.JobFailed]:
        return failure.to_wire(assign), events.JobFailed(
            job_id=assign.job_id,
            error=failure.error,
            message=failure.message,
            detail=failure.detail,
        )

    def _holds(self, job_id: str, attempt: int) -> bool:
        return job_id in self._jobs and self._jobs[job_id][0].assign.attempt == attempt

    def _cancel(self, job_id: str) -> None:
        """Stops a job; its slot is free at once, its engine as soon as it has stopped."""
        self._jobs[job_id][1].cancel()
        self._forget(job_id)

    def _forget(self, job_id: str) -> None:
        self._jobs.pop(job_id, None)
        self._self_test.disturb()
        self._trials.disturb()
        if not self._jobs:
            self._none_held.set()

    # ── the end ──────────────────────────────────────────────────────────────────────────────────

    async def _drain(self, stop: asyncio.Event) -> None:
        """Takes nothing new, lets renders finish (a moment after `stop`), hands back the rest."""
        self._stopping = True
        self._trials.disturb()
        self._outbox.post(Draining(reason=self._why()))
        self._on_event(events.DrainBegan(reason="this worker is stopping"))
        for job, _ in tuple(self._jobs.values()):
            if not job.engaged:  # it has nothing to lose
                self._release(job)
        if self._jobs:
            await _either(self._none_held, stop)
        if self._jobs:
            await _at_most(self._config.drain_grace_s, self._none_held.wait())
        for job, _ in tuple(self._jobs.values()):
            self._release(job)
        await _at_most(SETTLE_S, self._outbox.wait_empty())

    def _release(self, job: JobRun) -> None:
        assign = job.assign
        self._cancel(assign.job_id)
        self._outbox.post(Released(job_id=assign.job_id, attempt=assign.attempt))
        self._on_event(events.JobReleased(job_id=assign.job_id))


async def _either(*conditions: asyncio.Event) -> None:
    waiting = [asyncio.ensure_future(condition.wait()) for condition in conditions]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()


async def _at_most(seconds: float, condition: Awaitable[object]) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await condition
