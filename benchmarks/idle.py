"""How long a device waits between jobs while the queue is full: `python -m benchmarks.idle`.

A real server, a real worker and an app, and in the engine's place a stand-in whose device is busy
for a given time per picture without using the processor, as a GPU is. Then each picture of noise is
encoded, which takes the processor about as long as with a real one. Every job brings an input.

The device's idle share is what is left of the time from its first work to its last one. Measured
with one job held at a time (no job is there when the one before it ends), with two and an engine
that encodes before it takes the next, and with two and three and one that encodes beside it, as the
diffusers engine does.
"""

import argparse
import asyncio
import io
import os
import sys
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
from PIL import Image

import dreamgrid
from dreamgrid.cli.grid import GridOptions, GridReady, embedded
from dreamgrid.engines.base import Artifact, Engine, EngineSpec, Job, OnStep, Step, Unfinished
from dreamgrid.engines.pattern import MODEL
from dreamgrid.engines.registry import FoundEngine, Registry
from dreamgrid.protocol.renders import AnyRender, ImageRender
from dreamgrid.server.config import ServerConfig
from dreamgrid.worker.config import WorkerConfig
from dreamgrid.worker.worker import run_worker

BUSY_VARIABLE = "BENCHMARK_BUSY"
"""Names the file that gets a line for each picture: when the device began, and when it was done."""

SECONDS_VARIABLE = "BENCHMARK_SECONDS"
"""How long the device is busy with a picture."""

SIDE_PX = 1024


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Shares of the time in which the device did nothing.

    Attributes:
        jobs: Pictures of each run.
        device_s: How long the device is busy with each.
        encode_s: How long the processor then needs for its file.
        one_held: With one job held at a time.
        encoded_before: With two, each encoded before the next is begun.
        encoded_beside: With two, encoded beside the next.
        three_held: With three, too: one is rendered, one waits, one is encoded and uploaded.
    """

    jobs: int
    device_s: float
    encode_s: float
    one_held: float
    encoded_before: float
    encoded_beside: float
    three_held: float


class StandIn:
    """A device that is busy, and a picture that is encoded when it is done."""

    def load(self, model: str) -> None:
        """There is nothing to load."""

    def generate(self, render: AnyRender, inputs: Mapping[str, bytes], on_step: OnStep) -> Artifact:
        """Keeps the device busy, then encodes."""
        began_s = time.monotonic()
        for step in range(1, render.steps + 1):
            time.sleep(float(os.environ[SECONDS_VARIABLE]) / render.steps)
            on_step(Step(step=step, step_count=render.steps))
        with open(os.environ[BUSY_VARIABLE], "a") as busy:
            busy.write(f"{began_s} {time.monotonic()}\n")
        return encoded(render)


class StandInBeside(StandIn):
    """The same, which encodes beside the next."""

    def together(self, render: AnyRender, roles: Collection[str]) -> tuple[str, int]:
        """One by one."""
        return "", 1

    def render_together(self, jobs: Sequence[Job]) -> Sequence[Unfinished]:
        """Keeps the device busy; the file follows."""
        (job,) = jobs
        began_s = time.monotonic()
        for step in range(1, job.render.steps + 1):
            time.sleep(float(os.environ[SECONDS_VARIABLE]) / job.render.steps)
            job.on_step(Step(step=step, step_count=job.render.steps))
        with open(os.environ[BUSY_VARIABLE], "a") as busy:
            busy.write(f"{began_s} {time.monotonic()}\n")
        return [partial(encoded, job.render)]


def encoded(render: AnyRender) -> Artifact:
    """Noise, in which no encoder finds anything to save."""
    noise = np.random.default_rng(render.seed).integers(0, 256, (SIDE_PX, SIDE_PX, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "PNG")
    return Artifact(data=out.getvalue(), content_type="image/png", steps=render.steps)


def _before(_threads: int) -> Engine:
    return StandIn()


def _beside(_threads: int) -> Engine:
    return StandInBeside()


BEFORE = EngineSpec(name="stand-in", models=lambda: (MODEL,), create=_before)
BESIDE = EngineSpec(name="stand-in", models=lambda: (MODEL,), create=_beside)


async def _idle_share(
    grid: GridReady, folder: Path, spec: str, *, slots: int, jobs: int, device_s: float
) -> float:
    busy = folder / "busy"
    busy.unlink(missing_ok=True)
    os.environ[BUSY_VARIABLE], os.environ[SECONDS_VARIABLE] = str(busy), str(device_s)
    found = FoundEngine(
        name="stand-in", reference=f"benchmarks.idle:{spec}", spec=globals()[spec], models=(MODEL,)
    )
    config = WorkerConfig(
        server_url=grid.url,
        api_key=grid.api_key,
        data_dir=folder / "worker",
        threads=1,
        slots=slots,
        quiet_s=0,
    )
    stop, ready = asyncio.Event(), asyncio.Event()
    working = asyncio.create_task(
        run_worker(
            config, stop=stop, on_ready=lambda _: ready.set(), registry=Registry(engines=(found,))
        )
    )
    try:
        await ready.wait()
        async with dreamgrid.AsyncClient(grid.url, api_key=grid.api_key) as client:
            project = await client.projects.create(
                model=MODEL,
                prompt="noise",
                count=jobs,
                steps=4,
                width=SIDE_PX,
                height=SIDE_PX,
                starting_image=_input(),
                previews=0,
            )
            await project.wait(timeout_s=60 + 10 * jobs * device_s)
    finally:
        stop.set()
        await working
    spans = [tuple(map(float, line.split())) for line in busy.read_text().splitlines()]
    worked_s = sum(end - began for began, end in spans)
    return 1 - worked_s / (spans[-1][1] - spans[0][0])


def _input() -> bytes:
    return encoded(
        ImageRender(
            model=MODEL, prompt="", steps=1, guidance=1.0, seed=3, width=SIDE_PX, height=SIDE_PX
        )
    ).data


async def run(jobs: int, device_s: float, folder: Path) -> Figures:
    """Measures all three."""
    began_s = time.process_time()
    _input()
    encode_s = time.process_time() - began_s
    options = GridOptions(
        server=ServerConfig(data_dir=folder / "grid", port=0, max_count=jobs), worker=False
    )
    async with embedded(options) as grid:
        share = partial(_idle_share, grid, folder, jobs=jobs, device_s=device_s)
        return Figures(
            jobs=jobs,
            device_s=device_s,
            encode_s=round(encode_s, 3),
            one_held=round(await share("BEFORE", slots=1), 4),
            encoded_before=round(await share("BEFORE", slots=2), 4),
            encoded_beside=round(await share("BESIDE", slots=2), 4),
            three_held=round(await share("BESIDE", slots=3), 4),
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.idle")
    parser.add_argument("--jobs", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=1.0, help="of the device for a picture")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(run(given.jobs, given.seconds, Path(folder)))
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(found)) + b"\n")


if __name__ == "__main__":
    main()
