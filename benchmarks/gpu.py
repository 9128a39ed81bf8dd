"""Every figure of a GPU with real weights, in one command: `python -m benchmarks.gpu`.

For networks as large as those of Stable Diffusion XL and of Flux.1, with random weights that are
made here, so that nothing is downloaded:

- the engine beside the bare pipeline (`real_weights`), and the most memory that it takes,
- how long a change of models takes, from the disk and from main memory,
- whether small pictures may share a pass, and what is gained (`passes`),
- how long the GPU waits between jobs of a full queue, with a real server and worker (`idle`).

What there is no room or time for is left out, and the report says why; so it does about what
failed. The report is written anew after every part. On a machine without a GPU it does all of it
with tiny networks, to show that it works.
"""

import argparse
import asyncio
import platform
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import msgspec
import psutil
import torch

from benchmarks import idle, passes, real_weights
from benchmarks.passes import Found
from dreamgrid.engines.diffusers.memory import device

MINUTES = 8.0

SPARE_BYTES = 6 * 1024**3
"""Main memory and disk that is left to everything else."""

BYTES_EACH = 2
"""A number of a network of 16 bits."""

IDLE_JOBS = 12
FEWEST_IDLE_JOBS = 4

STARTS_S = 45.0
"""How long a worker may take to start and to read a large model, in seconds."""


class OfSize(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What was found for one size of network; times in seconds, memory in bytes.

    Attributes:
        size: Its name.
        side_px: Of the pictures.
        steps: Of each.
        parameters: Of the network.
        made_s: Until its weights were made, written and read.
        plan: How the engine keeps them.
        pipeline_s: One picture by the pipeline alone.
        engine_s: The same by the engine.
        share: Pictures of the engine for one of the pipeline; the aim is 0.98.
        peak_bytes: The most that the GPU held for one picture of the engine.
        finite: The numbers of a picture are numbers; else its pixels say nothing about equality.
        batch: Pictures in one forward pass of the bare pipeline.
        batch_gain: Pictures per second in it, beside one after the other; 0: it did not fit.
        largest_difference: Of a pixel's levels, 0..255, between both.
        passes: What the engine finds out about passes of smaller pictures.
        idle_share: Of the GPU's time, with two jobs held; the aim is 0.02.
        switch_s: Until another model is ready, read from its files.
        warm_switch_s: Until one is ready that is in memory still.
        left_out: Part to why it is missing.
    """

    size: str
    side_px: int
    steps: int
    parameters: int = 0
    made_s: float = 0.0
    plan: str = ""
    pipeline_s: float = 0.0
    engine_s: float = 0.0
    share: float = 0.0
    peak_bytes: int = 0
    finite: bool | None = None
    batch: int = 0
    batch_gain: float = 0.0
    largest_difference: int | None = None
    passes: tuple[Found, ...] = ()
    idle_share: float | None = None
    switch_s: float = 0.0
    warm_switch_s: float = 0.0
    left_out: dict[str, str] = {}


class Report(msgspec.Struct, kw_only=True):
    """What one call found.

    Attributes:
        gpu: Its name; `cpu` without one.
        memory_bytes: Of the GPU; 0 without one.
        python: Its version; so of `torch`, `cuda` and `diffusers`.
        took_s: All of it.
        sizes: One for each network.
    """

    gpu: str
    memory_bytes: int
    python: str
    torch: str
    cuda: str
    diffusers: str
    took_s: float = 0.0
    sizes: list[OfSize] = []


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """How to measure one size.

    Attributes:
        size: Of `real_weights`.
        side_px: Of the pictures.
        passes_px: Sides of those that try passes; empty: none do.
        steps: Of each picture.
        rounds: How often each is made.
        batch: Pictures in one forward pass.
    """

    size: str
    side_px: int
    passes_px: tuple[int, ...]
    steps: int
    rounds: int
    batch: int


WISHES = (
    Wish(size="sdxl", side_px=1024, passes_px=(512, 1024), steps=20, rounds=3, batch=4),
    Wish(size="flux", side_px=1024, passes_px=(512,), steps=8, rounds=2, batch=2),
)
WITHOUT_GPU = (Wish(size="tiny", side_px=256, passes_px=(64,), steps=4, rounds=2, batch=2),)

NETWORKS = {"sdxl": real_weights.stable_diffusion_xl, "flux": real_weights.flux}


def described() -> Report:
    """The machine, with nothing found yet."""
    on_gpu = device() == "cuda"
    return Report(
        gpu=torch.cuda.get_device_name() if on_gpu else device(),
        memory_bytes=int(torch.cuda.mem_get_info()[1]) if on_gpu else 0,
        python=platform.python_version(),
        torch=str(torch.__version__),
        cuda=torch.version.cuda or "",
        diffusers=diffusers.__version__,
        sizes=[],
    )


def no_room(parameters: int, folder: Path, main_bytes: float, disk_bytes: float) -> str:
    """Why weights of a network cannot be made here; empty: they can.

    Args:
        parameters: Of the network.
        folder: Where they are written.
        main_bytes: Of main memory that is free.
        disk_bytes: Of the disk that is free.
    """
    # Once while they are made; then read, with the copy that the disk cache keeps.
    needed = parameters * BYTES_EACH + SPARE_BYTES
    if main_bytes < needed:
        return f"needs {_gb(needed)} of free main memory; here are {_gb(main_bytes)}"
    if disk_bytes < needed:
        return f"needs {_gb(needed)} of free disk in {folder.parent}; here are {_gb(disk_bytes)}"
    return ""


class Measurement:
    """All parts of one size, one after the other."""

    def __init__(self, wish: Wish, folder: Path, ends_s: float, say: Callable[[str], None]) -> None:
        """Measures in a folder until the clock says that it is time to end."""
        self.found = OfSize(size=wish.size, side_px=wish.side_px, steps=wish.steps, left_out={})
        self._wish = wish
        self._weights = folder / "weights"
        self._folder = folder
        self._ends_s = ends_s
        self._say = say
        self._engine: Any = None
        self._render: Any = None

    def run(self, after: Callable[[], None]) -> None:
        """Measures; `after` is called after each part."""
        needs: dict[str, tuple[float, Callable[[], None]]] = {
            "weights": (90.0, self._make),
            "engine": (30.0, self._beside),
            "passes": (30.0, self._passes),
            "idle": (60.0, self._idle),
            "switch": (30.0, self._switch),
        }
        for part, (needed_s, measure) in needs.items():
            self._part(part, needed_s, measure)
            after()
            if part == "weights" and part in self.found.left_out:
                return

    def close(self) -> None:
        """Gives all memory back."""
        engine, self._engine = self._engine, None
        if engine is not None:
            real_weights.closed(engine)

    def _part(self, part: str, needed_s: float, measure: Callable[[], None]) -> None:
        left_s = self._ends_s - time.monotonic()
        if left_s < needed_s:
            self.found.left_out[part] = f"{max(0.0, left_s):.0f} s were left"
            return
        self._say(f"{self._wish.size}: {part}")
        try:
            measure()
        except Exception as error:  # what was found before it is worth a report
            traceback.print_exc()
            reason = str(error).partition("\n")[0]
            self.found.left_out[part] = f"{type(error).__name__}: {reason}"

    def _make(self) -> None:
        wish = self._wish
        if wish.size in NETWORKS:
            parameters = int(NETWORKS[wish.size]().num_parameters())
            free = psutil.virtual_memory().available, shutil.disk_usage(self._folder).free
            if lacking := no_room(parameters, self._folder, *free):
                self.found.left_out["weights"] = lacking
                return
        began_s = time.monotonic()
        self._weights.mkdir()
        asked = real_weights.Wish(
            size=wish.size,
            side=wish.side_px,
            steps=wish.steps,
            rounds=wish.rounds,
            batch=wish.batch,
            threads=_threads(),
        )
        self._engine, self._render, self.found.parameters = real_weights.loaded(
            asked, self._weights
        )
        self.found.plan = self._engine._model.plan
        self.found.made_s = round(time.monotonic() - began_s, 1)

    def _beside(self) -> None:
        one = real_weights.beside(self._engine, self._render, self._wish.rounds, self._wish.batch)
        self.found.pipeline_s = round(one.pipeline_s, 4)
        self.found.engine_s = round(one.engine_s, 4)
        self.found.share = round(one.pipeline_s / one.engine_s, 4)
        self.found.peak_bytes = one.peak_bytes
        self.found.finite = one.finite
        self.found.batch = self._wish.batch
        self.found.batch_gain = one.batch_gain
        self.found.largest_difference = one.largest_difference

    def _passes(self) -> None:
        for side_px in self._wish.passes_px:
            share = (side_px / self._wish.side_px) ** 2
            # Alone, four at four places, and two at two: some 25 pictures at the most.
            if 25 * share * self.found.engine_s > self._ends_s - time.monotonic() - 90:
                self.found.left_out[f"passes of {side_px} px"] = "would take too long"
                continue
            small = msgspec.structs.replace(self._render, width=side_px, height=side_px)
            self.found.passes += (passes.found(self._engine, small),)

    def _idle(self) -> None:
        model, left_s = self._render.model, self._ends_s - time.monotonic()
        jobs = min(IDLE_JOBS, int((left_s - STARTS_S) / max(self.found.engine_s, 0.01)))
        if jobs < FEWEST_IDLE_JOBS:
            self.found.left_out["idle"] = f"{left_s:.0f} s were left"
            return
        self.close()  # the worker has a process of its own, with the weights once more
        folder = self._folder / "idle"
        folder.mkdir()
        wish = idle.Wish(
            jobs=jobs,
            model=model,
            side_px=self._wish.side_px,
            steps=self._wish.steps,
            given=False,
            patience_s=max(60.0, self._ends_s - time.monotonic()),
        )
        share = asyncio.run(idle.measured(wish, self._weights, folder))
        self.found.idle_share = round(share, 4)

    def _switch(self) -> None:
        model = self._render.model
        self.close()
        self.found.switch_s, self.found.warm_switch_s = (
            round(seconds, 3)
            for seconds in real_weights.switched(self._weights, model, 1, _threads())
        )


def _threads() -> int:
    """As a worker has them beside a GPU."""
    return max(1, min(4, (psutil.cpu_count(logical=False) or 2) // 2))


def _gb(size_bytes: float) -> str:
    return f"{size_bytes / 1e9:.0f} GB"


def run(
    wishes: tuple[Wish, ...],
    minutes: float,
    say: Callable[[str], None],
    keep: Callable[[Report], None],
    folder: Path | None = None,
) -> Report:
    """Measures all of them.

    Args:
        wishes: What.
        minutes: How long it may take.
        say: Told what is measured now.
        keep: Called with the report after every part.
        folder: Where the weights are written. None: where temporary files go.
    """
    diffusers.utils.logging.disable_progress_bar()
    began_s = time.monotonic()
    report = described()

    def after() -> None:
        report.took_s = round(time.monotonic() - began_s, 1)
        keep(report)

    for wish in wishes:
        with tempfile.TemporaryDirectory(dir=folder) as name:
            one = Measurement(wish, Path(name), began_s + 60 * minutes, say)
            report.sizes.append(one.found)
            try:
                one.run(after)
            finally:
                one.close()
    return report


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="(default: 8)")
    parser.add_argument("--sizes", nargs="+", choices=tuple(NETWORKS), default=tuple(NETWORKS))
    parser.add_argument("--data", type=Path, metavar="DIR", help="where the weights are written")
    given = parser.parse_args()

    def keep(report: Report) -> None:
        if given.json is not None:
            given.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)))

    on_gpu = device() == "cuda"
    wishes = tuple(one for one in WISHES if one.size in given.sizes) if on_gpu else WITHOUT_GPU
    report = run(
        wishes,
        given.minutes,
        lambda line: print(line, file=sys.stderr, flush=True),
        keep,
        given.data,
    )
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(report)) + b"\n")


if __name__ == "__main__":
    main()
