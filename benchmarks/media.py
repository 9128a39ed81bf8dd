"""The embedded engines: time and memory per medium, what a grid adds to them, the first picture.

Every medium renders in the worker's own child process, a fresh one for each number of threads, so
that peaks of memory are its own. Wall time says what a person waits; processor time is what to
compare on a machine that others use too.
"""

import asyncio
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import psutil
from PIL import Image, ImageDraw

import dreamgrid
from dreamgrid.cli.grid import GridOptions, embedded
from dreamgrid.engines.dreamlet import ENHANCER, UPSCALER
from dreamgrid.engines.dreamlet import MODEL as PICTURE
from dreamgrid.engines.dreamlet.video.ids import FROM_TEXT as VIDEO
from dreamgrid.engines.music import MODEL as MUSIC
from dreamgrid.engines.registry import find_engines
from dreamgrid.engines.voice import MODEL as VOICE
from dreamgrid.protocol.params import STARTING_IMAGE
from dreamgrid.protocol.renders import AnyRender, AudioRender, ImageRender, VideoRender
from dreamgrid.server.config import ServerConfig
from dreamgrid.worker.frames import Setup
from dreamgrid.worker.host import EngineHost
from dreamgrid.worker.tasks import task_group

THREADS = (1, 2)
GRID_JOBS = 100
AT_ONCE = 25
SOAK_POINTS = 10

_TEXT = "The lighthouse keeper put a log on the fire, sat down, and read the letter once more. " * 3
_COMMON: dict[str, Any] = {"guidance": 2.0, "seed": 7}


def _of_a_picture(model: str, *, steps: int, side: int) -> ImageRender:
    """What is made of the picture of `_inputs`."""
    return ImageRender(
        model=model,
        prompt="",
        steps=steps,
        width=side,
        height=side,
        strength=0.5,
        assets=(STARTING_IMAGE,),
        **_COMMON,
    )


RENDERS: dict[str, AnyRender] = {
    "a picture, 512 x 512, 20 steps": ImageRender(
        model=PICTURE, prompt="a red apple", steps=20, width=512, height=512, **_COMMON
    ),
    "an enhanced picture, 512 x 512, 8 steps": _of_a_picture(ENHANCER, steps=8, side=512),
    "an enlarged picture, 256 to 1024": _of_a_picture(UPSCALER, steps=1, side=1024),
    "a video, 480 x 480, 33 frames (2 s)": VideoRender(
        model=VIDEO,
        prompt="a sunflower turns into a castle, zoom in",
        steps=12,
        width=480,
        height=480,
        frames=33,
        fps=16,
        motion_fps=16,
        **_COMMON,
    ),
    "music, 30 s": AudioRender(
        model=MUSIC, prompt="a calm waltz for piano and strings", steps=8, duration_s=30, **_COMMON
    ),
    "speech, 14 s": AudioRender(model=VOICE, prompt=_TEXT, steps=8, duration_s=60, **_COMMON),
}

SMALL: tuple[AnyRender, ...] = (
    ImageRender(model=PICTURE, prompt="a cat", steps=4, width=256, height=256, **_COMMON),
    VideoRender(
        model=VIDEO,
        prompt="a castle, zoom in",
        steps=4,
        width=96,
        height=64,
        frames=9,
        fps=16,
        motion_fps=16,
        **_COMMON,
    ),
    AudioRender(model=MUSIC, prompt="a march", steps=8, duration_s=10, **_COMMON),
    AudioRender(model=VOICE, prompt="Hello there.", steps=8, duration_s=10, **_COMMON),
)
"""What the long run makes, in turns."""


class Medium(msgspec.Struct, frozen=True, kw_only=True):
    """One medium on some threads; medians.

    Attributes:
        threads: CPU threads of the engine.
        first_s: From no process at all to the first result.
        wall_s: One render by the clock, with everything loaded.
        cpu_s: The same in processor time.
        peak_bytes: Most memory that the engine's process had.
    """

    threads: int
    first_s: float
    wall_s: float
    cpu_s: float
    peak_bytes: int


class Added(msgspec.Struct, frozen=True, kw_only=True):
    """What server, worker and app add to the engine.

    Attributes:
        jobs: Pictures through the grid, and as many without.
        ratio: Wall time through a grid over that of the bare engine process; median of rounds.
        cpu_s: Processor time of server, worker and app together for one picture, beside the
            engine's own; most of it passes while the engine renders.
        bare_cpu_s: What whoever drives the bare engine process needs for one.
    """

    jobs: int
    ratio: float
    cpu_s: float
    bare_cpu_s: float


class Media(msgspec.Struct, frozen=True, kw_only=True):
    """What the benchmark found.

    Attributes:
        media: By name of the render.
        added: What a grid adds.
        demo_wall_s: `dreamgrid demo` as a process: from its start to the saved picture.
        demo_cpu_s: The same in processor time, of all its processes.
        soak_jobs: Renders of all media in turns, in one process.
        soak_bytes: Its memory after each tenth of them.
    """

    media: dict[str, tuple[Medium, ...]]
    added: Added
    demo_wall_s: float
    demo_cpu_s: float
    soak_jobs: int
    soak_bytes: tuple[int, ...]


def run(rounds: int, soak_jobs: int, say: Callable[[str], None]) -> Media:
    """Measures everything `rounds` times, and lets one engine process make `soak_jobs` results."""
    media = {}
    for name, render in RENDERS.items():
        media[name] = tuple(asyncio.run(_medium(render, t, rounds)) for t in THREADS)
        say(name)
    demos = [_demo() for _ in range(rounds)]
    say("first pictures")
    with tempfile.TemporaryDirectory() as data:
        added = asyncio.run(_added(Path(data)))
    say(f"{added.jobs} jobs through a grid")
    return Media(
        media=media,
        added=added,
        demo_wall_s=round(statistics.median(wall for wall, _ in demos), 2),
        demo_cpu_s=round(statistics.median(cpu for _, cpu in demos), 2),
        soak_jobs=soak_jobs,
        soak_bytes=asyncio.run(_soak(soak_jobs, say)),
    )


@asynccontextmanager
async def _engine(threads: int) -> AsyncIterator[EngineHost]:
    serving = {model: (found.reference,) for model, found in find_engines().by_model().items()}
    async with task_group() as tasks:
        host = EngineHost(tasks, Setup(engines=serving, threads=threads))
        try:
            yield host
        finally:
            await host.close()


def _child() -> psutil.Process:
    (child,) = psutil.Process().children()
    return child


async def _medium(render: AnyRender, threads: int, rounds: int) -> Medium:
    began = time.perf_counter()
    inputs = _inputs(render)
    async with _engine(threads) as host:
        await host.render(render, inputs)
        first_s = time.perf_counter() - began
        walls, cpus = [], []
        for _ in range(rounds):
            before = _cpu_s(_child())
            walls.append((await host.render(render, inputs)).render_s)
            cpus.append(_cpu_s(_child()) - before)
        return Medium(
            threads=threads,
            first_s=round(first_s, 2),
            wall_s=round(statistics.median(walls), 3),
            cpu_s=round(statistics.median(cpus), 3),
            peak_bytes=_peak_bytes(_child()),
        )


def _inputs(render: AnyRender) -> dict[str, bytes]:
    """A drawn disk for what begins with a picture."""
    if STARTING_IMAGE not in render.assets:
        return {}
    picture, out = Image.new("RGB", (256, 256), "white"), io.BytesIO()
    ImageDraw.Draw(picture).ellipse((48, 48, 208, 208), fill="tomato", outline="black", width=6)
    picture.save(out, format="png")
    return {STARTING_IMAGE: out.getvalue()}


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _peak_bytes(process: psutil.Process) -> int:
    """The high-water mark where the system keeps one, else the memory now."""
    try:
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return int(process.memory_info().rss)


def _demo() -> tuple[float, float]:
    """Wall and processor seconds of a first picture, with nothing running and nothing on disk."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "dreamgrid", "demo", "a red apple"]
        before, began = os.times(), time.perf_counter()
        subprocess.run(
            [*command, "--out", f"{folder}/out", "--data", f"{folder}/data"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        wall_s, after = time.perf_counter() - began, os.times()
    used = after.children_user + after.children_system
    return wall_s, used - before.children_user - before.children_system


async def _added(data: Path) -> Added:
    """Turns of the bare engine and of a whole grid, all in one process but for the engines."""
    render = RENDERS["a picture, 512 x 512, 20 steps"]
    assert isinstance(render, ImageRender)
    server = ServerConfig(data_dir=data, port=0, max_count=AT_ONCE)
    options = GridOptions(server=server, threads=1)
    ratios, cpus, bare_cpus = [], [], []
    async with (
        _engine(1) as host,
        embedded(options) as grid,
        dreamgrid.AsyncClient(grid.url, api_key=grid.api_key) as client,
    ):
        await host.render(render, {})
        await _pictures(client, render, 1)
        for _ in range(GRID_JOBS // AT_ONCE):
            began, cpu_began = time.perf_counter(), time.process_time()
            for _ in range(AT_ONCE):
                await host.render(render, {})
            bare_s, cpu_between = time.perf_counter() - began, time.process_time()
            ratios.append(await _pictures(client, render, AT_ONCE) / bare_s)
            cpus.append((time.process_time() - cpu_between) / AT_ONCE)
            bare_cpus.append((cpu_between - cpu_began) / AT_ONCE)
    return Added(
        jobs=GRID_JOBS,
        ratio=round(statistics.median(ratios), 3),
        cpu_s=round(statistics.median(cpus), 4),
        bare_cpu_s=round(statistics.median(bare_cpus), 4),
    )


async def _pictures(client: dreamgrid.AsyncClient, render: ImageRender, count: int) -> float:
    """Seconds until an app has all of them."""
    began = time.perf_counter()
    project = await client.projects.create(
        model=render.model,
        prompt=render.prompt,
        width=render.width,
        height=render.height,
        steps=render.steps,
        guidance=render.guidance,
        seed=render.seed,
        count=count,
        previews=0,
    )
    await project.wait(timeout_s=600)
    return time.perf_counter() - began


async def _soak(jobs: int, say: Callable[[str], None]) -> tuple[int, ...]:
    """Memory of one engine process after each tenth of many renders."""
    readings = []
    async with _engine(1) as host:
        for number in range(jobs):
            render = SMALL[number % len(SMALL)]
            await host.render(msgspec.structs.replace(render, seed=number), {})
            if (number + 1) % max(1, jobs // SOAK_POINTS) == 0:
                readings.append(int(_child().memory_info().rss))
                say(f"{number + 1}/{jobs} renders, {readings[-1] / 1e6:.0f} MB")
    return tuple(readings)


def tell(found: Media, say: Callable[[str], None]) -> None:
    """Prints the result for people."""
    for name, measured in found.media.items():
        say(name)
        for one in measured:
            say(
                f"  {one.threads} thread(s): {one.wall_s:.2f} s, {one.cpu_s:.2f} s of processor "
                f"time; from nothing {one.first_s:.1f} s; peak {one.peak_bytes / 1e6:.0f} MB"
            )
    say(f"first picture, `dreamgrid demo`: {found.demo_wall_s:.2f} s, {found.demo_cpu_s:.2f} s CPU")
    added = found.added
    say(
        f"{added.jobs} pictures through a grid: {added.ratio:.3f} of the bare engine's time; "
        f"{added.cpu_s * 1000:.0f} ms of processor time beside the engine for each "
        f"(whoever drives the bare one: {added.bare_cpu_s * 1000:.0f})"
    )
    say(f"{found.soak_jobs} renders in one process, MB after each tenth:")
    say("  " + " ".join(f"{size / 1e6:.0f}" for size in found.soak_bytes))
