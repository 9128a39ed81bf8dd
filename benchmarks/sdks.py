"""Our SDK beside the published Python SDK: one server, one load, each app in a fresh process.

Server and workers share one core, the app has the other. The two SDKs take turns, and ratios are
medians of the ratios of neighbours. Both apps do the same: create, listen to all events, wait.
"""

import asyncio
import compileall
import statistics
import subprocess
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import msgspec
import sogni_client
import uvloop

import dreamgrid
from benchmarks import machine
from benchmarks.load import Run, connect
from benchmarks.machine import Address
from benchmarks.measure import LoadFailed
from benchmarks.request import STEPS

OURS, THEIRS = "dreamgrid", "published"
IMPORTS = {OURS: "import dreamgrid", THEIRS: "import sogni_client"}
STARTS = ("ask", "models")
EVENTS_A_PROJECT = STEPS + 2
"""What every app hears at least, unless steps come so fast that only the newest counts."""


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of load.

    Attributes:
        projects: How many in all.
        at_once: How many of them one client has under way.
        workers: Sockets of workers with one slot.
        gap_s: Pause before each message of a worker.
    """

    projects: int
    at_once: int
    workers: int
    gap_s: float


SHAPES = {
    # Steps at the pace of real renders: each event is a read of its own.
    "paced": Shape(projects=300, at_once=16, workers=16, gap_s=0.02),
    # Back to back: as much as goes through.
    "busy": Shape(projects=500, at_once=16, workers=16, gap_s=0.0),
    # All of them rendering at the same time.
    "hundred": Shape(projects=100, at_once=100, workers=100, gap_s=0.1),
}
THOUSAND = Shape(projects=1000, at_once=1000, workers=100, gap_s=0.02)
"""Only with ours: the published SDK had not come to an end of it after ten minutes."""


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What an app took in one run.

    Attributes:
        events_per_s: Events that its listener heard.
        event_us: CPU of the process for each of them, creating and waiting included.
        core: Share of one core that it used; near 1 the SDK is the limit.
        idle_mb: Memory before the first project.
        grown_mb: How much more it was at most.
    """

    events_per_s: float
    event_us: float
    core: float
    idle_mb: float
    grown_mb: float


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """Medians of both, and the median of the ratios of neighbours, ours to theirs."""

    ours: Cost
    theirs: Cost
    cpu_ratio: float
    memory_ratio: float


class Sdks(msgspec.Struct, frozen=True, kw_only=True):
    """What the benchmark found.

    Attributes:
        rounds: How often each load ran; starts are measured ten times as often.
        published: Version of the published SDK.
        starts_ms: By kind of start: ours, theirs, and the median of the ratios of neighbours.
            `import` is without the bare interpreter's time.
        shapes: By kind of load.
        thousand: What ours took for a thousand projects at once.
        load_average: Of the machine, before and after.
    """

    rounds: int
    published: str
    starts_ms: dict[str, tuple[float, float, float]]
    shapes: dict[str, Pair]
    thousand: Cost
    load_average: tuple[float, float]


def run(rounds: int, data: Path | None, say: Callable[[str], None]) -> Sdks:
    """Measures everything `rounds` times; `data` as in the benchmark `lifecycle`."""
    machine.pin(machine.SERVER_CORE)
    compile_sources()
    load_before = machine.describe().load_average[0]
    with (
        tempfile.TemporaryDirectory(dir=data) as folder,
        machine.server("benchmarks.grid", "--data", folder, "--accounts", "1") as server,
    ):
        starts = {"import": _imports(rounds * 10)}
        say(f"import {_told_start(starts['import'])}")
        for what in STARTS:
            starts[what] = uvloop.run(_starts(server.address, what, rounds * 10))
            say(f"{what} {_told_start(starts[what])}")
        taken: dict[str, list[tuple[Cost, Cost]]] = {name: [] for name in SHAPES}
        for number in range(1, rounds + 1):
            for name, shape in SHAPES.items():
                pair = [uvloop.run(_load(server.address, sdk, shape)) for sdk in IMPORTS]
                taken[name].append((pair[0], pair[1]))
                for sdk, cost in zip(IMPORTS, pair, strict=True):
                    say(f"{number}/{rounds} {name:8} {sdk:9} {_told(cost)}")
        thousand = uvloop.run(_load(server.address, OURS, THOUSAND))
        say(f"a thousand projects at once: {_told(thousand)}")
    return Sdks(
        rounds=rounds,
        published=version("sogni-client"),
        starts_ms=starts,
        shapes={name: _pair(pairs) for name, pairs in taken.items()},
        thousand=thousand,
        load_average=(load_before, machine.describe().load_average[0]),
    )


def compile_sources() -> None:
    """As pip does when it installs: what Python would compile first is not what is measured."""
    for source in (dreamgrid, sogni_client):
        compileall.compile_dir(source.__path__[0], quiet=1)


# ── start ────────────────────────────────────────────────────────────────────────────────────────


def _imports(rounds: int) -> tuple[float, float, float]:
    pairs = []
    for _ in range(rounds):
        bare = _process_s("pass")
        pairs.append([_process_s(code) - bare for code in IMPORTS.values()])
    return _start(pairs)


def _process_s(code: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - began


async def _starts(server: Address, what: str, rounds: int) -> tuple[float, float, float]:
    """From the start of the process to its first answer."""
    run = Run()
    await connect(run, server, apps=0, workers=1)
    pairs = []
    for _ in range(rounds):
        pair = []
        for sdk in IMPORTS:
            began = time.perf_counter()
            app = await _app(server, sdk, what)
            await _line(app)
            pair.append(time.perf_counter() - began)
            await app.wait()
        pairs.append(pair)
    run.close()
    return _start(pairs)


def _start(pairs: list[list[float]]) -> tuple[float, float, float]:
    ours, theirs = ([pair[place] * 1000 for pair in pairs] for place in (0, 1))
    return _middle(ours), _middle(theirs), _middle([one / other for one, other in pairs])


# ── load ─────────────────────────────────────────────────────────────────────────────────────────


async def _load(server: Address, sdk: str, shape: Shape) -> Cost:
    """One run of one app.

    Raises:
        LoadFailed: A result is missing, or events are.
    """
    run = Run(gap_s=shape.gap_s, results=server.results)
    await connect(run, server, apps=0, workers=shape.workers)
    numbers = {"projects": shape.projects, "at-once": shape.at_once, "steps": STEPS}
    app = await _app(
        server, sdk, "many", *(f"--{name}={number}" for name, number in numbers.items())
    )
    found = msgspec.json.decode(await _line(app), type=_Told)
    await app.wait()
    run.close()
    if run.problems or found.results != shape.projects:
        raise LoadFailed(f"{sdk}: {found.results} of {shape.projects} results; {run.problems[:5]}")
    if shape.gap_s and found.events < EVENTS_A_PROJECT * shape.projects:
        raise LoadFailed(f"{sdk} heard of {found.events} events of {shape.projects} projects")
    return Cost(
        events_per_s=found.events / found.seconds,
        event_us=found.cpu_s / found.events * 1e6,
        core=found.cpu_s / found.seconds,
        idle_mb=found.idle_kb / 1024,
        grown_mb=(found.most_kb - found.idle_kb) / 1024,
    )


class _Told(msgspec.Struct):
    """What the app says at its end."""

    seconds: float
    cpu_s: float
    events: int
    results: int
    idle_kb: int
    most_kb: int


async def _app(server: Address, sdk: str, *words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.app", sdk, *words),
        *("--url", server.url, "--key", server.keys[0], "--core", str(machine.LOAD_CORE)),
        stdout=PIPE,
        cwd=Path(__file__).parent.parent,
    )


async def _line(app: asyncio.subprocess.Process) -> bytes:
    assert app.stdout is not None
    line = await app.stdout.readline()
    if not line:
        raise LoadFailed("the app ended before it was done")
    return line


# ── telling ──────────────────────────────────────────────────────────────────────────────────────


def _pair(pairs: list[tuple[Cost, Cost]]) -> Pair:
    ours, theirs = (_median([pair[place] for pair in pairs]) for place in (0, 1))
    return Pair(
        ours=ours,
        theirs=theirs,
        cpu_ratio=_middle([one.event_us / other.event_us for one, other in pairs]),
        memory_ratio=_middle([_most(one) / _most(other) for one, other in pairs]),
    )


def _most(cost: Cost) -> float:
    return cost.idle_mb + cost.grown_mb


def _median(costs: list[Cost]) -> Cost:
    """Field by field."""
    fields = Cost.__struct_fields__
    return Cost(**{name: _middle([getattr(one, name) for one in costs]) for name in fields})


def _middle(values: list[float]) -> float:
    return round(statistics.median(values), 3)


def _told(cost: Cost) -> str:
    return (
        f"{cost.event_us:6.1f} us CPU for an event, {cost.events_per_s:7.0f} events/s "
        f"({cost.core:.2f} of a core), {cost.idle_mb:5.1f} MB and {cost.grown_mb:5.1f} more"
    )


def _told_start(times: tuple[float, float, float]) -> str:
    return f"{times[0]:.0f} ms, theirs {times[1]:.0f} ms: {times[2]:.2f}"


def tell(found: Sdks, say: Callable[[str], None]) -> None:
    """Prints the result for people."""
    say(f"medians of {found.rounds} rounds; sogni-client {found.published}")
    for name, times in found.starts_ms.items():
        say(f"  {name:8} {_told_start(times)}")
    for name, pair in found.shapes.items():
        say(f"  {name:8} {OURS:9} {_told(pair.ours)}")
        say(f"  {name:8} {THEIRS:9} {_told(pair.theirs)}")
        say(f"  {name:8} ours / theirs: CPU {pair.cpu_ratio:.2f}, memory {pair.memory_ratio:.2f}")
    say(f"  a thousand projects at once, ours: {_told(found.thousand)}")
    before, after = found.load_average
    say(f"  load average of the machine: {before:.1f} before, {after:.1f} after")
