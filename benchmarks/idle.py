"""How long a device waits between jobs while the queue is full: `python -m benchmarks.idle`.

A real server, a real worker and an app, and in the engine's place a stand-in whose device is busy
for a given time per picture without using the processor, as a GPU is. Then each picture of noise is
encoded, which takes the processor about as long as with a real one. Every job brings an input.

The device's idle share is what is left of the time from its first work to its last one. Measured
with one job held at a time (no job is there when the one before it ends), with two and an engine
that encodes before it takes the next, and with two and three and one that encodes beside it, as the
diffusers engine does. `measured` does the same with the diffusers engine itself and weights from
a folder: there the device is busy from the moment when the engine is given jobs until it has their
pixels.
"""

import argparse
import asyncio
import io
import os
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from unittest.mock import patch

import msgspec
import numpy as np
from PIL import Image

import dreamgrid
from dreamgrid.cli.grid import GridOptions, GridReady, embedded
from dreamgrid.engines.base import Artifact, Engine, EngineSpec, Job, OnStep, Step, Unfinished
from dreamgrid.engines.diffusers.family import families
from dreamgrid.engines.diffusers.weights import MODELS_VARIABLE, find_weights, places
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

TINY = "sd-v1-5"
TINY_SIDE_PX = 256

_CACHE_VARIABLE = "HF_HUB_CACHE"


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
        tiny_weights: With two, by the diffusers engine with tiny weights, whose device is the
            processor. None: it is not installed.
    """

    jobs: int
    device_s: float
    encode_s: float
    one_held: float
    encoded_before: float
    encoded_beside: float
    three_held: float
    tiny_weights: float | None = None


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
        _busy_since(began_s)
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
        _busy_since(began_s)
        return [partial(encoded, job.render)]


def encoded(render: AnyRender) -> Artifact:
    """Noise, in which no encoder finds anything to save."""
    noise = np.random.default_rng(render.seed).integers(0, 256, (SIDE_PX, SIDE_PX, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "PNG")
    return Artifact(data=out.getvalue(), content_type="image/png", steps=render.steps)


def _busy_since(began_s: float) -> None:
    with open(os.environ[BUSY_VARIABLE], "a") as busy:
        busy.write(f"{began_s} {time.monotonic()}\n")


def _of_weights(threads: int) -> Engine:
    """The engine of real weights, which notes when it is at work."""
    from dreamgrid.engines.diffusers.engine import DiffusersEngine  # noqa: PLC0415 -- needs torch

    class Noting(DiffusersEngine):
        def render_together(self, jobs: Sequence[Job]) -> Sequence[Unfinished]:
            began_s = time.monotonic()
            made = super().render_together(jobs)
            _busy_since(began_s)
            return made

    weights = find_weights(families(), places())
    return Noting(weights, threads=threads)


def _before(_threads: int) -> Engine:
    return StandIn()


def _beside(_threads: int) -> Engine:
    return StandInBeside()


BEFORE = EngineSpec(name="stand-in", models=lambda: (MODEL,), create=_before)
BESIDE = EngineSpec(name="stand-in", models=lambda: (MODEL,), create=_beside)
WEIGHTS = EngineSpec(name="diffusers", models=lambda: (), create=_of_weights)


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What is rendered.

    Attributes:
        jobs: How many pictures.
        model: Of which model.
        side_px: How wide and high.
        steps: In how many steps.
        given: Each brings an input.
        patience_s: After which it is given up.
    """

    jobs: int
    model: str = MODEL
    side_px: int = SIDE_PX
    steps: int = 4
    given: bool = True
    patience_s: float = 600.0


async def _idle_share(grid: GridReady, folder: Path, wish: Wish, spec: str, *, slots: int) -> float:
    busy = folder / "busy"
    busy.unlink(missing_ok=True)
    os.environ[BUSY_VARIABLE] = str(busy)
    found = FoundEngine(
        name=globals()[spec].name,
        reference=f"benchmarks.idle:{spec}",
        spec=globals()[spec],
        models=(wish.model,),
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
        joined = asyncio.create_task(ready.wait())
        await asyncio.wait({joined, working}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()  # what kept the worker from joining
        async with dreamgrid.AsyncClient(grid.url, api_key=grid.api_key) as client:
            project = await client.projects.create(
                model=wish.model,
                prompt="noise",
                count=wish.jobs,
                steps=wish.steps,
                width=wish.side_px,
                height=wish.side_px,
                starting_image=_input() if wish.given else None,
                previews=0,
                disable_safety=True,  # what it makes of noise is nobody's business here
            )
            await project.wait(timeout_s=wish.patience_s)
    finally:
        stop.set()
        await working
    spans = [tuple(map(float, line.split())) for line in busy.read_text().splitlines()]
    worked_s = sum(end - began for began, end in spans)
    return 1 - worked_s / (spans[-1][1] - spans[0][0])


async def measured(wish: Wish, weights: Path, folder: Path, slots: int = 2) -> float:
    """The share with the engine of real weights, which lie in a folder each."""
    folders = {MODELS_VARIABLE: str(weights), _CACHE_VARIABLE: str(weights / "no-cache")}
    options = GridOptions(
        server=ServerConfig(data_dir=folder / "grid", port=0, max_count=wish.jobs), worker=False
    )
    with patch.dict(os.environ, folders):  # what is measured next has the weights of this machine
        async with embedded(options) as grid:
            return await _idle_share(grid, folder, wish, "WEIGHTS", slots=slots)


def _input() -> bytes:
    return encoded(
        ImageRender(
            model=MODEL, prompt="", steps=1, guidance=1.0, seed=3, width=SIDE_PX, height=SIDE_PX
        )
    ).data


async def stand_ins(jobs: int, device_s: float, folder: Path) -> Figures:
    """Measures all four."""
    began_s = time.process_time()
    _input()
    encode_s = time.process_time() - began_s
    options = GridOptions(
        server=ServerConfig(data_dir=folder / "grid", port=0, max_count=jobs), worker=False
    )
    os.environ[SECONDS_VARIABLE] = str(device_s)
    wish = Wish(jobs=jobs, patience_s=60 + 10 * jobs * device_s)
    async with embedded(options) as grid:
        share = partial(_idle_share, grid, folder, wish)
        return Figures(
            jobs=jobs,
            device_s=device_s,
            encode_s=round(encode_s, 3),
            one_held=round(await share("BEFORE", slots=1), 4),
            encoded_before=round(await share("BEFORE", slots=2), 4),
            encoded_beside=round(await share("BESIDE", slots=2), 4),
            three_held=round(await share("BESIDE", slots=3), 4),
        )


def of_tiny_weights(jobs: int) -> float:
    """The share with the diffusers engine on a processor that does all the work itself."""
    import torch  # noqa: PLC0415 -- needs the extra
    from tests.engines.diffusers import tiny  # noqa: PLC0415 -- needs torch

    with tempfile.TemporaryDirectory() as name:
        weights, folder = Path(name) / "weights", Path(name) / "rest"
        for one in (weights, folder):
            one.mkdir()
        tiny.write(TINY, weights)
        wish = Wish(jobs=jobs, model=TINY, side_px=TINY_SIDE_PX, steps=20, given=False)
        threads = torch.get_num_threads()
        try:
            return asyncio.run(measured(wish, weights, folder))
        finally:
            torch.set_num_threads(threads)


def run(jobs: int, device_s: float, progress: Callable[[str], None]) -> Figures:
    """Measures with stand-ins and, where torch is there, with tiny weights."""
    with tempfile.TemporaryDirectory() as folder:
        progress("idle between jobs of a stand-in")
        figures = asyncio.run(stand_ins(jobs, device_s, Path(folder)))
    if find_spec("diffusers") is None or find_spec("torch") is None:
        progress("not measured with diffusers: it is not installed (make diffusers)")
        return figures
    progress("idle between jobs of tiny weights")
    return msgspec.structs.replace(figures, tiny_weights=round(of_tiny_weights(jobs), 4))


def tell(figures: Figures, say: Callable[[str], None]) -> None:
    """Prints them."""
    for name, share in (
        ("one job held", figures.one_held),
        ("two, each encoded before the next", figures.encoded_before),
        ("two, encoded beside the next", figures.encoded_beside),
        ("three, encoded beside the next", figures.three_held),
        ("two, diffusers with tiny weights", figures.tiny_weights),
    ):
        if share is not None:
            say(f"  {name}: the device waits for {100 * share:.1f} % of its time")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.idle")
    parser.add_argument("--jobs", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=1.0, help="of the device for a picture")
    given = parser.parse_args()
    found = run(given.jobs, given.seconds, lambda line: print(line, file=sys.stderr, flush=True))
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(found)) + b"\n")


if __name__ == "__main__":
    main()
