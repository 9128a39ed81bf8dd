"""`python -m benchmarks`: runs them all, or one of them."""

import argparse
import sys
from pathlib import Path

import msgspec

from benchmarks import (
    dispatch,
    flood,
    imports,
    lifecycle,
    machine,
    media,
    recovery,
    sdks,
    start_times,
)
from benchmarks.dispatch import Dispatch
from benchmarks.flood import Flood
from benchmarks.imports import Imports
from benchmarks.lifecycle import Lifecycle
from benchmarks.machine import Machine
from benchmarks.media import Media
from benchmarks.recovery import Recovery
from benchmarks.sdks import Sdks
from benchmarks.start_times import StartTimes

NAMES = ("imports", "lifecycle", "dispatch", "flood", "start-times", "recovery", "sdks", "media")
PROCESSES_A_ROUND = 10


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
    if given.only in (None, "imports"):
        print("== imports", flush=True)
        report.imports = imports.run(given.rounds * PROCESSES_A_ROUND, _progress)
        imports.tell(report.imports, print)
    if given.only in (None, "lifecycle"):
        print("== lifecycle", flush=True)
        report.lifecycle = lifecycle.run(given.rounds, given.data, _progress)
        lifecycle.tell(report.lifecycle, print)
    if given.only in (None, "dispatch"):
        print("== dispatch", flush=True)
        report.dispatch = dispatch.run(given.rounds, _progress)
        dispatch.tell(report.dispatch, print)
    if given.only in (None, "flood"):
        print("== flood", flush=True)
        report.flood = flood.run(given.rounds, _progress)
        flood.tell(report.flood, print)
    if given.only in (None, "start-times"):
        print("== start-times", flush=True)
        report.start_times = start_times.run(given.rounds, _progress)
        start_times.tell(report.start_times, print)
    if given.only in (None, "recovery", "sdks"):
        print("== recovery", flush=True)
        report.recovery = recovery.run(given.rounds, given.data, _progress)
        recovery.tell(report.recovery, print)
    if given.only in (None, "sdks"):
        print("== sdks", flush=True)
        report.sdks = sdks.run(given.rounds, given.data, _progress)
        sdks.tell(report.sdks, print)
    if given.only in (None, "media"):
        print("== media", flush=True)
        report.media = media.run(given.rounds, given.renders, _progress)
        media.tell(report.media, print)
    if given.json is not None:
        given.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)))


if __name__ == "__main__":
    main()
