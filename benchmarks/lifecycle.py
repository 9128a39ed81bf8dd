"""The whole life of a project, through the real server and through the floor, side by side.

Both servers run all the time, pinned to one core, with the load on another; the measurements take
turns (floor, real, floor, real ...), so that whatever else the machine does hits both alike. Ratios
are medians of the ratios of neighbours.
"""

import asyncio
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import uvloop

import dreamgrid
from benchmarks import machine
from benchmarks.load import Run, connect
from benchmarks.machine import Running
from benchmarks.measure import Figures, Latency, LoadFailed, Shape, measure
from benchmarks.request import MODEL, STEPS

FLOOR, REAL = "floor", "real"
APPS = 64

SHAPES = {
    # One app, one worker, now and then a project: what an idle grid adds to a render.
    "idle": Shape(apps=1, workers=1, rate=20, seconds=3),
    # As much as goes through. Two projects an app, so that no app falls behind and gets less
    # progress than there was.
    "busy": Shape(apps=APPS, outstanding=2, workers=128),
    # Steps at the pace of real renders, so that every event is a read and a write of its own.
    "paced": Shape(apps=APPS, workers=128, rate=100, gap_s=0.02),
}
CREATES = 40
PAUSE_S = 0.03


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of load on both servers: medians, and the ratios of neighbouring measurements."""

    floor: Figures
    real: Figures
    throughput_ratio: float
    cpu_ratio: float


class Lifecycle(msgspec.Struct, frozen=True, kw_only=True):
    """What the benchmark found.

    Attributes:
        rounds: How often everything was measured.
        shapes: By kind of load.
        create: On an idle grid, from the SDK's `create()` to the worker's having the job.
        create_added_ms: How much more that is than from a bare request to the floor's worker:
            median of the differences of neighbours.
        checked: Projects of the real server's database: each completed, each charged once.
        load_average: Of the machine, before and after.
    """

    rounds: int
    shapes: dict[str, Compared]
    create: Latency
    create_added_ms: float
    checked: int
    load_average: tuple[float, float]


def run(rounds: int, data: Path | None, say: Callable[[str], None]) -> Lifecycle:
    """Measures everything `rounds` times.

    Args:
        rounds: At least 1.
        data: Folder for the databases, on the disk that is to be measured. None: the system's
            temporary folder.
        say: Takes a line of progress.
    """
    machine.pin(machine.LOAD_CORE)
    taken: dict[tuple[str, str], list[Figures]] = {}
    starts: list[tuple[float, float]] = []
    load_before = machine.describe().load_average[0]
    with _servers(data) as (servers, folder):
        for number in range(1, rounds + 1):
            for shape_name, shape in SHAPES.items():
                for server_name, server in servers.items():
                    figures = uvloop.run(measure(server, shape))
                    taken.setdefault((shape_name, server_name), []).append(figures)
                    say(f"{number}/{rounds} {shape_name:5} {server_name:5} {_told(figures)}")
            starts += uvloop.run(_time_starts(servers))
        checked = _check_books(folder / REAL / "dreamgrid.sqlite")
    expected = sum(f.completed for (_, name), all_ in taken.items() if name == REAL for f in all_)
    if checked != expected + len(starts):
        raise LoadFailed(f"{expected} projects ended, but {checked} are stored as completed")
    shapes = {name: _compare(taken[name, FLOOR], taken[name, REAL]) for name in SHAPES}
    create = Latency.of([with_sdk for _, with_sdk in starts])
    assert create is not None
    return Lifecycle(
        rounds=rounds,
        shapes=shapes,
        create=create,
        create_added_ms=_middle([(with_sdk - floor) * 1000 for floor, with_sdk in starts]),
        checked=checked,
        load_average=(load_before, machine.describe().load_average[0]),
    )


@contextmanager
def _servers(data: Path | None) -> Iterator[tuple[dict[str, Running], Path]]:
    """Both servers, each with an empty data folder."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=data)))
        servers = {}
        for name, module in ((FLOOR, "benchmarks.floor"), (REAL, "benchmarks.grid")):
            (folder / name).mkdir()
            arguments = ("--data", str(folder / name), "--accounts", str(APPS))
            servers[name] = stack.enter_context(machine.server(module, *arguments))
        yield servers, folder


async def _time_starts(servers: dict[str, Running]) -> list[tuple[float, float]]:
    """Seconds until the worker has the job: from a bare request to the floor, from `create()`.

    One project at a time, the servers taking turns.
    """
    arrivals = {name: _Arrivals(server) for name, server in servers.items()}
    (app,) = await connect(arrivals[FLOOR].run, servers[FLOOR].address, apps=1, workers=1)
    await connect(arrivals[REAL].run, servers[REAL].address, apps=0, workers=1)
    address = servers[REAL].address
    pairs = []
    async with dreamgrid.AsyncClient(address.url, address.keys[0]) as client:
        await client.projects.wait_for_models()
        for _ in range(CREATES):
            began = time.perf_counter()
            on_floor = await arrivals[FLOOR].of(app.submit()) - began
            await asyncio.sleep(PAUSE_S)
            began = time.perf_counter()
            project = await client.projects.create(model=MODEL, prompt="a red apple", steps=STEPS)
            pairs.append((on_floor, await arrivals[REAL].of(project.id) - began))
            await project.wait(timeout_s=10)
            await asyncio.sleep(PAUSE_S)
    for arrival in arrivals.values():
        arrival.run.close()
    return pairs


class _Arrivals:
    """When each project reached its worker."""

    def __init__(self, server: Running) -> None:
        self.run = Run(results=server.address.results)
        self.run.assigned = self._note
        self._at: dict[str, asyncio.Future[float]] = {}

    def _at_of(self, project_id: str) -> asyncio.Future[float]:
        return self._at.setdefault(project_id, asyncio.get_running_loop().create_future())

    def _note(self, project_id: str) -> None:
        self._at_of(project_id).set_result(time.perf_counter())

    async def of(self, project_id: str) -> float:
        async with asyncio.timeout(10):
            return await self._at_of(project_id)


def _check_books(path: Path) -> int:
    """Projects in the real server's database, all of which must be completed and charged once."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    with connection:
        total, completed = connection.execute(
            "SELECT count(*), sum(state = 'completed') FROM project"
        ).fetchone()
        charged = connection.execute("SELECT count(*) FROM transfer WHERE kind = 'post'").fetchone()
        held = connection.execute("SELECT sum(held_micros) FROM balance").fetchone()
        money = connection.execute("SELECT sum(posted_micros) FROM balance").fetchone()
    connection.close()
    if (completed, charged[0], held[0], money[0]) != (total, total, 0, 0):
        raise LoadFailed(
            f"of {total} projects {completed} are completed and {charged[0]} charged; "
            f"{held[0]} micros are still held and {money[0]} appeared from nowhere"
        )
    return int(total)


def _compare(floor: list[Figures], real: list[Figures]) -> Compared:
    pairs = list(zip(real, floor, strict=True))
    return Compared(
        floor=_median(floor),
        real=_median(real),
        throughput_ratio=_middle([r.projects_per_s / f.projects_per_s for r, f in pairs]),
        cpu_ratio=_middle([r.server_us / f.server_us for r, f in pairs]),
    )


def _median(taken: list[Figures]) -> Figures:
    """Field by field."""
    numbers: dict[str, float] = {}
    latencies: dict[str, Latency] = {}
    for name in Figures.__struct_fields__:
        values = [getattr(figures, name) for figures in taken]
        if isinstance(values[0], Latency):
            latencies[name] = Latency(
                p50_ms=_middle([value.p50_ms for value in values]),
                p99_ms=_middle([value.p99_ms for value in values]),
                samples=sum(value.samples for value in values),
            )
        else:
            numbers[name] = _middle(values)
    return msgspec.convert(
        {**numbers, **latencies, "completed": sum(f.completed for f in taken)}, Figures
    )


def _middle(values: list[float]) -> float:
    return round(statistics.median(values), 3)


def _told(figures: Figures) -> str:
    assert figures.assigned is not None
    assert figures.progressed is not None
    return (
        f"{figures.projects_per_s:7.1f} projects/s  {figures.server_us:6.0f} us CPU  "
        f"{figures.messages:5.2f} messages ({figures.progress:.2f} progress)  "
        f"assigned {figures.assigned.p50_ms:6.2f} / {figures.assigned.p99_ms:6.2f} ms  "
        f"relayed {figures.progressed.p50_ms:6.2f} / {figures.progressed.p99_ms:6.2f} ms"
    )


def tell(found: Lifecycle, say: Callable[[str], None]) -> None:
    """Prints the result for people."""
    say(f"medians of {found.rounds} rounds; latencies are p50 / p99")
    for name, compared in found.shapes.items():
        say(f"  {name:5} floor {_told(compared.floor)}")
        say(f"  {name:5} real  {_told(compared.real)}")
        say(
            f"  {name:5} real / floor: {compared.throughput_ratio:.2f} of its projects/s, "
            f"{compared.cpu_ratio:.2f} of its CPU"
        )
    say(
        f"  create() to the worker, idle grid: {found.create.p50_ms:.2f} / "
        f"{found.create.p99_ms:.2f} ms, {found.create_added_ms:.2f} ms more than a bare request "
        "to the floor"
    )
    say(f"  {found.checked} projects in the books, each completed and charged once")
    before, after = found.load_average
    say(f"  load average of the machine: {before:.1f} before, {after:.1f} after")
