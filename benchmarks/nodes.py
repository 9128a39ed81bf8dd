"""Several nodes over PostgreSQL, NATS and S3, beside one server with a data folder, in one run.

The same load (`lifecycle`'s) goes to each in turn: the embedded server; a coordinator directly; all
of it through another node; apps through one node and workers through a second one. Every process of
the grids runs all the time, pinned to one core, with the load on another; CPU is told per process.
What stands in for the media store answers at once. Then workers and apps that do nothing stay
connected: what does one cost? Before all that the coordinator is killed, or paused, again and
again: how long until a request at another node is answered.
"""

import asyncio
import signal
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import psutil
import uvloop
from tests.support import nats_server, postgres, real_servers

from benchmarks import bucket, machine
from benchmarks.load import Run, connect
from benchmarks.machine import Address, Running
from benchmarks.measure import Figures, Shape, measure
from dreamgrid.server import open_files

APPS = 32
BUSY, IDLE = "busy", "idle"
SHAPES = {
    IDLE: Shape(apps=1, workers=1, rate=10, seconds=4),
    BUSY: Shape(apps=APPS, outstanding=2, workers=64, seconds=5),
}
TAKEOVERS = 5
HELD = 1_000
"""Sockets of workers that do nothing, and of apps."""
_PREFIX = "grid"
_S3_KEYS = ("--access-key", "benchmark", "--secret-key", "it asks nobody")


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """One way to serve.

    Attributes:
        idle: One project now and then.
        busy: As much as goes through; median of the rounds.
        cpu_us: CPU of each process for one project of the busy load, in microseconds.
        throughput_ratio: Of the embedded server's, in the same round: median.
    """

    idle: Figures
    busy: Figures
    cpu_us: dict[str, float]
    throughput_ratio: float


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What one socket costs a process that has very many of them, with nothing to do.

    Attributes:
        kb: Memory.
        files: Open files.
        connect_us: CPU to greet it, in microseconds.
    """

    kb: float
    files: float
    connect_us: float


class Nodes(msgspec.Struct, frozen=True, kw_only=True):
    """What the benchmark found.

    Attributes:
        rounds: How often everything was measured.
        setups: By name.
        held: What sockets cost, by what is connected and where: only what they cost much.
        killed_s: Seconds from SIGKILL of the coordinator to the answer of another node.
        paused_s: The same from SIGSTOP.
        load_average: Of the machine, before and after.
    """

    rounds: int
    setups: dict[str, Setup]
    held: dict[str, dict[str, Held]]
    killed_s: tuple[float, ...]
    paused_s: tuple[float, ...]
    load_average: tuple[float, float]


class _Taken(msgspec.Struct, frozen=True):
    """One measurement: figures, and CPU seconds of each process for one project."""

    figures: Figures
    cpu_us: dict[str, float]


def run(rounds: int, data: Path | None, say: Callable[[str], None]) -> Nodes:
    """Measures everything `rounds` times.

    Args:
        rounds: At least 1.
        data: Folder for the data folders, and of the embedded database. None: the system's
            temporary folder.
        say: Takes a line of progress.
    """
    machine.pin(machine.LOAD_CORE)
    open_files.allow_many()
    load_before = machine.describe().load_average[0]
    taken: dict[tuple[str, str], list[_Taken]] = {}
    with _servers(data) as (setups, processes, grid):
        killed = tuple(grid.takeover(signal.SIGKILL, say) for _ in range(TAKEOVERS))
        paused = tuple(grid.takeover(signal.SIGSTOP, say) for _ in range(TAKEOVERS))
    with _servers(data) as (setups, processes, _):
        for number in range(1, rounds + 1):
            for shape_name, shape in SHAPES.items():
                for name, (apps, workers) in setups.items():
                    one = _measured(apps, workers, shape, processes)
                    taken.setdefault((shape_name, name), []).append(one)
                    say(f"{number}/{rounds} {shape_name:5} {name:20} {_told(one)}")
    with _servers(data) as (setups, processes, _):
        held = {
            name: found
            for name in ("1 node", "2 nodes, one relays")
            for name, found in uvloop.run(_held(name, setups[name][0].address, processes))
        }
    base = [one.figures.projects_per_s for one in taken[BUSY, "embedded"]]
    return Nodes(
        rounds=rounds,
        setups={name: _setup(taken[IDLE, name], taken[BUSY, name], base) for name in setups},
        held=held,
        killed_s=killed,
        paused_s=paused,
        load_average=(load_before, machine.describe().load_average[0]),
    )


def tell(found: Nodes, say: Callable[[str], None]) -> None:
    """Says it to people."""
    for name, one in found.setups.items():
        cpu = ", ".join(f"{process} {us:.0f}" for process, us in one.cpu_us.items())
        asked, idle = one.busy.projects_per_s, one.idle.assigned
        added = f"{idle.p50_ms} / {idle.p99_ms} ms" if idle else "none"
        say(f"{name}: {asked:.0f} projects/s, {one.throughput_ratio:.2f} of embedded")
        say(f"  idle, request to worker p50 / p99: {added}")
        say(f"  busy, us of CPU for a project: {cpu}")
    for what, costs in found.held.items():
        told = "; ".join(
            f"{process} {one.kb} KB, {one.files} files, {one.connect_us:.0f} us of CPU to connect"
            for process, one in costs.items()
        )
        say(f"{what}: {told}")
    for what, times in (("killed", found.killed_s), ("paused", found.paused_s)):
        middle = statistics.median(times)
        say(f"coordinator {what}: answered after {middle:.2f} s (at most {max(times):.2f} s)")
    say(f"load average before and after: {found.load_average}")


def _measured(apps: Running, workers: Running, shape: Shape, pids: dict[str, list[int]]) -> _Taken:
    before = {name: _cpu_s(found) for name, found in pids.items()}
    figures = uvloop.run(measure(apps, shape, workers_at=workers.address))
    spent = {name: _cpu_s(found) - before[name] for name, found in pids.items()}
    cpu_us = {name: round(s / figures.completed * 1e6) for name, s in spent.items()}
    return _Taken(figures, {name: us for name, us in cpu_us.items() if us > 5})


async def _held(
    name: str, at: Address, pids: dict[str, list[int]]
) -> list[tuple[str, dict[str, Held]]]:
    """What workers that wait for a job cost, and then apps."""
    run, found = Run(), []
    at_once = len(at.keys)
    for what, rounds in (("worker", 1), ("app", HELD // at_once)):
        before = {process: _Occupied.by(pid) for process, (pid,) in pids.items()}
        for _ in range(rounds):
            workers = HELD if what == "worker" else 0
            await connect(run, at, apps=0 if workers else at_once, workers=workers)
        await asyncio.sleep(1)  # what greeting them left behind is gone
        costs = {
            process: _Occupied.by(pid).since(before[process], HELD if workers else rounds * at_once)
            for process, (pid,) in pids.items()
        }
        found.append(
            (f"idle {what}, {name}", {key: one for key, one in costs.items() if one.files})
        )
    run.close()
    await asyncio.sleep(1)
    return found


class _Occupied(msgspec.Struct, frozen=True, kw_only=True):
    """What a process has in this moment."""

    kb: float
    files: int
    cpu_s: float

    @classmethod
    def by(cls, pid: int) -> "_Occupied":
        process = psutil.Process(pid)
        kb = process.memory_info().rss / 1024
        return cls(kb=kb, files=process.num_fds(), cpu_s=_cpu_s([pid]))

    def since(self, before: "_Occupied", sockets: int) -> Held:
        return Held(
            kb=round((self.kb - before.kb) / sockets, 1),
            files=round((self.files - before.files) / sockets, 1),
            connect_us=round((self.cpu_s - before.cpu_s) / sockets * 1e6),
        )


def _setup(idle: list[_Taken], busy: list[_Taken], base: list[float]) -> Setup:
    middle = sorted(busy, key=lambda one: one.figures.projects_per_s)[len(busy) // 2]
    ratios = [one.figures.projects_per_s / per_s for one, per_s in zip(busy, base, strict=True)]
    return Setup(
        idle=idle[len(idle) // 2].figures,
        busy=middle.figures,
        cpu_us=middle.cpu_us,
        throughput_ratio=round(statistics.median(ratios), 3),
    )


def _told(one: _Taken) -> str:
    return f"{one.figures.projects_per_s:7.1f}/s  us a project: {one.cpu_us}"


def _cpu_s(pids: list[int]) -> float:
    """CPU seconds of processes and their children so far."""
    spent = 0.0
    for pid in pids:
        try:
            every = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
            spent += sum(sum(one.cpu_times()[:2]) for one in every)
        except psutil.NoSuchProcess:
            continue
    return spent


class _Grid:
    """Nodes that take over from each other."""

    def __init__(self, start: Callable[[int], Running], nodes: list[Running]) -> None:
        self._start = start
        self._nodes = nodes
        self._coordinator = 0

    def takeover(self, how: signal.Signals, say: Callable[[str], None]) -> float:
        """Seconds until another node answers, from the coordinator's end or pause on."""
        other = (self._coordinator + 1) % len(self._nodes)
        gone = psutil.Process(self._nodes[self._coordinator].pid)
        began = time.perf_counter()
        gone.send_signal(how)
        _ask(self._nodes[other].address)
        took = time.perf_counter() - began
        say(f"{how.name}: answered after {took:.2f} s")
        if how is signal.SIGSTOP:
            gone.send_signal(signal.SIGCONT)
        else:
            gone.wait(10)
            self._nodes[self._coordinator] = self._start(self._coordinator)
        self._coordinator = self._find()
        return round(took, 3)

    def _find(self) -> int:
        """Which node coordinates now; all of them are given time to know."""
        time.sleep(2)
        for number, node in enumerate(self._nodes):
            named = psutil.Process(node.pid).net_connections(kind="tcp")
            if len([one for one in named if one.status == psutil.CONN_LISTEN]) > 1:
                return number  # only the coordinator listens for the others
        raise RuntimeError("no node coordinates")


def _ask(address: Address) -> None:
    request = urllib.request.Request(  # noqa: S310 (our own server)
        f"{address.url}/v4/account/balance", headers={"api-key": address.keys[0]}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        answer.read()


@contextmanager
def _servers(
    data: Path | None,
) -> Iterator[tuple[dict[str, tuple[Running, Running]], dict[str, list[int]], _Grid]]:
    """Everything that is measured: who serves apps and workers, and all processes by name."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=data)))
        (folder / "embedded").mkdir()
        arguments = ("--data", str(folder / "embedded"), "--accounts", str(APPS))
        embedded = stack.enter_context(machine.server("benchmarks.grid", *arguments))
        stack.callback(postgres.stop)
        stack.callback(nats_server.stop)
        (folder / "s3").mkdir()
        s3 = stack.enter_context(machine.server("benchmarks.bucket", "--data", str(folder / "s3")))
        shared = (
            *("--store", postgres.new_database(), "--bus", nats_server.server()),
            *("--blobs", f"s3://{bucket.BUCKET}/{_PREFIX}?endpoint={s3.address.url}", *_S3_KEYS),
            *("--results", str(folder / "s3" / _PREFIX)),
        )
        ports = [real_servers.free_port() for _ in range(3)]

        def start(number: int, *more: str) -> Running:
            own = (
                *("--data", str(folder / f"node-{number}")),
                *("--node", f"127.0.0.1:{ports[number]}"),
            )
            (folder / f"node-{number}").mkdir(exist_ok=True)
            given = more or ("--accounts", "0", "--keys", ",".join(keys))
            return stack.enter_context(machine.server("benchmarks.grid", *own, *shared, *given))

        keys: tuple[str, ...] = ()
        first = start(0, "--accounts", str(APPS))
        keys = first.address.keys
        nodes = [first, start(1), start(2)]
        by_name = {f"node {number + 1}": [node.pid] for number, node in enumerate(nodes)}
        setups = {
            "embedded": (embedded, embedded),
            "1 node": (nodes[0], nodes[0]),
            "2 nodes, one relays": (nodes[1], nodes[1]),
            "3 nodes, two relay": (nodes[1], nodes[2]),
        }
        backends = {"embedded": [embedded.pid], **by_name, "S3": [s3.pid], **_backends()}
        yield setups, backends, _Grid(start, nodes)


def _backends() -> dict[str, list[int]]:
    """The processes of the servers that are not ours."""
    names = {"postgres": "PostgreSQL", "nats-server": "NATS"}
    found: dict[str, list[int]] = {}
    for child in psutil.Process().children():
        name = next((told for start, told in names.items() if child.name().startswith(start)), None)
        if name is not None:
            found[name] = [child.pid]
    return found
