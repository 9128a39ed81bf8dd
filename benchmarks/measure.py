"""Puts a server under one kind of load, and says what it did."""

import asyncio
import itertools
import time
from dataclasses import dataclass

import msgspec

from benchmarks.load import App, Run, connect
from benchmarks.machine import Address, Running

WARM_UP_S = 1.0
DRAIN_S = 20.0

_now = time.perf_counter


class LoadFailed(Exception):
    """The server did not do what was asked of it, so its figures mean nothing."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A kind of load.

    Attributes:
        apps: Sockets of apps, each of an account of its own.
        outstanding: Projects that each app keeps open; only in a closed loop.
        workers: Sockets of workers with one slot.
        rate: Projects per second over all apps. None: closed loop.
        gap_s: Pause before each message of a worker.
        seconds: How long to measure, after the warm-up.
    """

    apps: int
    outstanding: int = 1
    workers: int
    rate: float | None = None
    gap_s: float = 0.0
    seconds: float = 4.0


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """One-way times in milliseconds."""

    p50_ms: float
    p99_ms: float
    samples: int

    @classmethod
    def of(cls, seconds: list[float]) -> "Latency | None":
        """Of samples in seconds; None when there are none."""
        if not seconds:
            return None
        ordered = sorted(seconds)
        at = [ordered[int((len(ordered) - 1) * part)] * 1000 for part in (0.5, 0.99)]
        return cls(p50_ms=round(at[0], 3), p99_ms=round(at[1], 3), samples=len(ordered))


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What one run of the load found.

    Attributes:
        projects_per_s: Results that reached their app.
        server_us: CPU of the server process for one project, in microseconds.
        server_cpu: Share of one core that the server used.
        load_cpu: Share of one core that the load used; near 1 the load is what was measured.
        messages: Frames to the app, for one project.
        progress: Progress events that reached the app, of 20.
        completed: Projects of the whole run, warm-up and end included. All were checked.
        accepted: Request to acknowledgement, which is sent once the project is durable.
        assigned: Request to the worker's having it.
        progressed: Progress from worker to app.
        delivered: `finished` to the app's having the result, which is durable then.
    """

    projects_per_s: float
    server_us: float
    server_cpu: float
    load_cpu: float
    messages: float
    progress: float
    completed: int
    accepted: Latency | None
    assigned: Latency | None
    progressed: Latency | None
    delivered: Latency | None


async def measure(server: Running, shape: Shape, *, workers_at: Address | None = None) -> Figures:
    """Puts a server under load and checks that every project really completed.

    Args:
        server: Where apps connect.
        shape: The load.
        workers_at: Where workers connect. None: there as well.

    Raises:
        LoadFailed: A project was refused or failed, or did not end, or a connection broke.
    """
    run = Run(gap_s=shape.gap_s, results=server.address.results)
    run.closed_loop = shape.rate is None
    await connect(run, workers_at or server.address, apps=0, workers=shape.workers)
    apps = await connect(run, server.address, apps=shape.apps, workers=0)
    feeding = asyncio.create_task(_feed(run, apps, shape))
    await asyncio.sleep(WARM_UP_S)
    run.reset()
    before = _Reading.of(run, server)
    await asyncio.sleep(shape.seconds)
    figures = _figures(run, before, _Reading.of(run, server))
    run.stopping = True
    await feeding
    await _drain(run)
    run.close()
    return msgspec.structs.replace(figures, completed=run.completed)


async def _feed(run: Run, apps: tuple[App, ...], shape: Shape) -> None:
    if shape.rate is None:
        for app in apps:
            for _ in range(shape.outstanding):
                app.submit()
        return
    due = _now()
    for app in itertools.cycle(apps):
        if run.stopping:
            return
        app.submit()
        due += 1 / shape.rate
        await asyncio.sleep(max(0.0, due - _now()))


async def _drain(run: Run) -> None:
    """Waits for what is under way; the server must have finished everything that it accepted."""
    until = _now() + DRAIN_S
    while run.projects and not run.problems and _now() < until:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    if run.projects:
        run.problems.append(f"{len(run.projects)} projects never ended")
    if run.problems:
        raise LoadFailed("; ".join(run.problems[:5]))


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """Counters at one moment."""

    at: float
    server_s: float
    load_s: float
    completed: int
    messages: int
    progress: int

    @classmethod
    def of(cls, run: Run, server: Running) -> "_Reading":
        return cls(
            at=_now(),
            server_s=server.cpu_s(),
            load_s=time.process_time(),
            completed=run.completed,
            messages=run.messages,
            progress=run.progress,
        )


def _figures(run: Run, before: _Reading, after: _Reading) -> Figures:
    seconds = after.at - before.at
    completed = max(1, after.completed - before.completed)
    server_s = after.server_s - before.server_s
    return Figures(
        projects_per_s=round(completed / seconds, 1),
        server_us=round(server_s / completed * 1e6, 1),
        server_cpu=round(server_s / seconds, 2),
        load_cpu=round((after.load_s - before.load_s) / seconds, 2),
        messages=round((after.messages - before.messages) / completed, 2),
        progress=round((after.progress - before.progress) / completed, 2),
        completed=run.completed,
        accepted=Latency.of(run.accepted_s),
        assigned=Latency.of(run.assigned_s),
        progressed=Latency.of(run.progressed_s),
        delivered=Latency.of(run.delivered_s),
    )
