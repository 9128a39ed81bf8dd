"""A restart with 100 000 open jobs: how long it takes, and what they cost those who are served.

The database is filled through the store, then the real server is started on it as a process of its
own, in turns with a start on an empty database; the difference is the recovery. The floor is the
least that it could be: reading the same rows with one statement for each table, and decoding them.
All of that is told in seconds of CPU, which on a busy machine say more than those of the clock.

The open jobs are of a model that no worker serves, so that they stay. Beside them one app and one
worker do what they do on an idle grid: what a request then takes, against the same without them.
"""

import asyncio
import sqlite3
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
import uvloop

from benchmarks import machine
from benchmarks.machine import Running
from benchmarks.measure import Figures, Shape, measure
from benchmarks.request import new_request
from dreamgrid.protocol import codec
from dreamgrid.protocol.job_request import JobRequest
from dreamgrid.protocol.renders import AnyRender, ImageRender
from dreamgrid.server.clock import milliseconds, system_clock
from dreamgrid.server.job_ids import new_job_id
from dreamgrid.server.live import LiveJob, LiveProject, to_row
from dreamgrid.server.store.sqlite import SqliteStore

PROJECTS = 25_000
JOBS_A_PROJECT = 4
FEWER = 10
"""What part of these are open in another database, to see what grows with their number."""

UNSERVED = "dreamlet-v1"
IDLE = Shape(apps=1, workers=1, rate=20, seconds=12)
LIMIT_S = 2.0
"""The server should be back this soon after its start, whatever was open."""


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """What the benchmark found.

    Attributes:
        jobs: Open jobs in the database.
        floor_cpu_s: To read and decode their rows.
        added_cpu_s: What they add to the CPU of the server until it listens.
        added_s: The same by the clock.
        ratio: The CPU that they add, over the floor.
        limit_s: What they should not exceed.
        project_bytes: Memory for each open project with its jobs, beside what an empty grid takes.
        beside: By how many jobs are open, what requests take beside them; 0: an idle grid.
    """

    jobs: int
    floor_cpu_s: float
    added_cpu_s: float
    added_s: float
    ratio: float
    project_bytes: int
    beside: dict[int, Figures]
    limit_s: float = LIMIT_S


class _Start(NamedTuple):
    """What a start took, by the clock and of the CPU."""

    clock_s: float
    cpu_s: float


def run(rounds: int, data: Path | None, say: Callable[[str], None]) -> Recovery:
    """Starts the server `rounds` times on either database."""
    machine.pin(machine.LOAD_CORE)
    with tempfile.TemporaryDirectory(dir=data) as name:
        empty, some, full = (Path(name) / word for word in ("empty", "some", "full"))
        open_projects = {empty: 0, some: PROJECTS // FEWER, full: PROJECTS}
        keys = {}
        for folder, count in open_projects.items():
            folder.mkdir()
            with _started(folder, accounts=2) as (server, _):
                keys[folder] = server.address.keys
            uvloop.run(_fill(folder, count))
            say(f"{count * JOBS_A_PROJECT:,} jobs are stored")
        floors_s: list[float] = []
        starts: dict[Path, list[_Start]] = {folder: [] for folder in open_projects}
        memory: dict[Path, int] = {}
        beside: dict[int, Figures] = {}
        for number in range(1, rounds + 1):
            floors_s.append(_read(full / "dreamgrid.sqlite"))
            for folder, count in open_projects.items():
                with _started(folder, accounts=0) as (server, start):
                    starts[folder].append(start)
                    say(
                        f"{number}/{rounds} {folder.name:5} listens after {start.clock_s:.2f} s, "
                        f"{start.cpu_s:.2f} s of CPU"
                    )
                    address = msgspec.structs.replace(server.address, keys=keys[folder])
                    loaded = Running(address=address, pid=server.pid)
                    beside[count * JOBS_A_PROJECT] = uvloop.run(measure(loaded, IDLE))
                    memory[folder] = server.memory_bytes()
        pairs = list(zip(starts[full], starts[empty], strict=True))
        added_cpu_s = [with_them.cpu_s - without.cpu_s for with_them, without in pairs]
        added_s = [with_them.clock_s - without.clock_s for with_them, without in pairs]
        ratios = [added / floor for added, floor in zip(added_cpu_s, floors_s, strict=True)]
    return Recovery(
        jobs=PROJECTS * JOBS_A_PROJECT,
        floor_cpu_s=round(statistics.median(floors_s), 2),
        added_cpu_s=round(statistics.median(added_cpu_s), 2),
        added_s=round(statistics.median(added_s), 2),
        ratio=round(statistics.median(ratios), 2),
        project_bytes=(memory[full] - memory[empty]) // PROJECTS,
        beside=beside,
    )


@contextmanager
def _started(folder: Path, *, accounts: int) -> Iterator[tuple[Running, _Start]]:
    """A server on this folder, and what it took until it listened."""
    began = time.perf_counter()
    arguments = ("--data", str(folder), "--accounts", str(accounts))
    with machine.server("benchmarks.grid", *arguments) as server:
        yield server, _Start(time.perf_counter() - began, server.cpu_s())


async def _fill(folder: Path, projects: int) -> None:
    """Stores the open jobs, for the second of the accounts: the first is the load's."""
    store = SqliteStore(folder / "dreamgrid.sqlite")
    await store.open()
    account = await store.account_by_username("app-1")
    assert account is not None
    for _ in range(0, projects, 500):
        await asyncio.gather(*(store.submit(to_row(_project(account.id))) for _ in range(500)))
    await store.close()


def _project(account_id: str) -> LiveProject:
    project_id, frame = new_request()
    now_ms = milliseconds(system_clock)
    project = LiveProject(
        id=project_id,
        account_id=account_id,
        app_id="benchmark",
        model=UNSERVED,
        network="fast",
        token_type="spark",
        origin="http://127.0.0.1",
        request=codec.open_envelope(frame).data,
        width=512,
        height=512,
        steps=20,
        previews=0,
        output_format="png",
        disable_safety=False,
        hold_micros=JOBS_A_PROJECT * 100,
        created_ms=now_ms,
    )
    render = ImageRender(
        model=UNSERVED,
        prompt="an astronaut rides a horse on mars, cinematic light, sharp focus",
        width=512,
        height=512,
        steps=20,
        guidance=1.0,
        seed=uuid.uuid4().int % 2**32,
    )
    project.jobs = [
        LiveJob(
            id=new_job_id(now_ms),
            project=project,
            index=index,
            render=render,
            price_micros=100,
            created_ms=now_ms,
        )
        for index in range(JOBS_A_PROJECT)
    ]
    return project


def _read(path: Path) -> float:
    """CPU seconds to read the rows of all projects and jobs, and to decode what is in them."""
    requests = msgspec.json.Decoder(JobRequest)
    renders = msgspec.json.Decoder(tuple[AnyRender, ...])
    began = time.process_time()
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        projects = connection.execute("SELECT * FROM project WHERE ended_ms IS NULL").fetchall()
        jobs = connection.execute("SELECT * FROM job WHERE ended_ms IS NULL").fetchall()
        wishes = [
            (number, requests.decode(request), renders.decode(made))
            for number, request, made in connection.execute(
                "SELECT wish.* FROM wish JOIN project ON project = number WHERE ended_ms IS NULL"
            )
        ]
    took_s = time.process_time() - began
    assert (len(projects), len(jobs), len(wishes)) == (
        PROJECTS,
        PROJECTS * JOBS_A_PROJECT,
        PROJECTS,
    )
    return took_s


def tell(found: Recovery, say: Callable[[str], None]) -> None:
    """Prints the result for people."""
    say(
        f"  {found.jobs:,} open jobs add {found.added_cpu_s:.2f} s of CPU to a start, "
        f"{found.added_s:.2f} s by the clock (aim: at most {found.limit_s:.0f} s); "
        f"{found.ratio:.1f} times the {found.floor_cpu_s:.2f} s that reading their rows takes"
    )
    say(
        f"  {found.project_bytes / 1024:.1f} KB of memory for each open project of "
        f"{JOBS_A_PROJECT} jobs, SQLite's cache included"
    )
    for jobs, figures in found.beside.items():
        assert figures.assigned is not None
        assert figures.progressed is not None
        say(
            f"  a request beside {jobs:,} open jobs: {figures.assigned.p50_ms:.1f} / "
            f"{figures.assigned.p99_ms:.1f} ms to its worker, progress "
            f"{figures.progressed.p50_ms:.1f} / {figures.progressed.p99_ms:.1f} ms (p50 / p99), "
            f"{figures.server_us:.0f} us of CPU"
        )
