"""`python -m benchmarks`: runs them all, or one of them."""

import argparse
import importlib
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import (
    dispatch,
    flood,
    idle,
    imports,
    lifecycle,
    machine,
    media,
    nodes,
    recovery,
    sdks,
    start_times,
    tiles,
)
from benchmarks.dispatch import Dispatch
from benchmarks.flood import Flood
from benchmarks.idle import Figures as Idle
from benchmarks.imports import Imports
from benchmarks.lifecycle import Lifecycle
from benchmarks.machine import Machine
from benchmarks.media import Media
from benchmarks.nodes import Nodes
from benchmarks.recovery import Recovery
from benchmarks.sdks import Sdks
from benchmarks.start_times import StartTimes
from benchmarks.tiles import Tiles

NAMES = (
    "imports",
    "lifecycle",
    "dispatch",
    "flood",
    "start-times",
    "recovery",
    "sdks",
    "media",
    "tiles",
    "nodes",
    "idle",
    "passes",
    "real-weights",
)
PROCESSES_A_ROUND = 10
_TOGETHER = {"recovery": ("sdks",)}
"""What a benchmark also runs with."""

_WEIGHTS = {"passes": "benchmarks.passes", "real-weights": "benchmarks.real_weights"}
"""Benchmarks of real weights, and their modules, which need torch."""

IDLE_JOBS = 12
IDLE_DEVICE_S = 1.0


class Report(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Everything that one call measured."""

    machine: Machine
    imports: Imports | None = None
    lifecycle: Lifecycle | None = None
    dispatch: Dispatch | None = None
    flood: Flood | None = None
    start_times: StartTimes | None = None
    recovery: Recovery | None = None
    sdks: Sdks | None = None
    media: Media | None = None
    tiles: Tiles | None = None
    nodes: Nodes | None = None
    idle: Idle | None = None
    passes: Any = None  # what these two are, their modules say: they need torch
    real_weights: Any = None


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", choices=NAMES, help="run just this one")
    parser.add_argument("--rounds", type=int, default=3, help="how often (default: 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="where the databases lie while it runs"
    )
    parser.add_argument(
        "--renders", type=int, default=100, help="length of media's long run (default: 100)"
    )
    given = parser.parse_args()
    if given.rounds < 1:
        parser.error("--rounds must be at least 1")
    return given


def main() -> None:
    given = _given()
    report = Report(machine=machine.describe())
    rounds, data = given.rounds, given.data
    runs: dict[str, tuple[Any, tuple[Any, ...]]] = {
        "imports": (imports, (rounds * PROCESSES_A_ROUND,)),
        "lifecycle": (lifecycle, (rounds, data)),
        "dispatch": (dispatch, (rounds,)),
        "flood": (flood, (rounds,)),
        "start-times": (start_times, (rounds,)),
        "recovery": (recovery, (rounds, data)),
        "sdks": (sdks, (rounds, data)),
        "media": (media, (rounds, given.renders)),
        "tiles": (tiles, (rounds,)),
        "nodes": (nodes, (rounds, data)),
        "idle": (idle, (IDLE_JOBS, IDLE_DEVICE_S)),
    }
    for name in NAMES:
        if given.only not in (None, name, *_TOGETHER.get(name, ())):
            continue
        print(f"== {name}", flush=True)
        if name in _WEIGHTS:
            if lacking := [one for one in ("torch", "diffusers") if find_spec(one) is None]:
                print(f"  skipped: without {' and '.join(lacking)} (make diffusers)")
                continue
            module = importlib.import_module(_WEIGHTS[name])
            runs[name] = (module, (module.usual(rounds),))
        benchmark, how = runs[name]
        found = benchmark.run(*how, _progress)
        setattr(report, name.replace("-", "_"), found)
        benchmark.tell(found, print)
    if given.json is not None:
        given.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)))


if __name__ == "__main__":
    main()
