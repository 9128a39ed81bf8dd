"""`python -m benchmarks`: runs them all, or one of them."""

import argparse
import sys
from pathlib import Path

import msgspec

from benchmarks import imports, lifecycle, machine
from benchmarks.imports import Imports
from benchmarks.lifecycle import Lifecycle
from benchmarks.machine import Machine

NAMES = ("imports", "lifecycle")
PROCESSES_A_ROUND = 10


class Report(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Everything that one call measured."""

    machine: Machine
    imports: Imports | None = None
    lifecycle: Lifecycle | None = None


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", choices=NAMES, help="run just this one")
    parser.add_argument("--rounds", type=int, default=3, help="how often (default: 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="where the databases lie while it runs"
    )
    given = parser.parse_args()
    if given.rounds < 1:
        parser.error("--rounds must be at least 1")
    report = Report(machine=machine.describe())
    if given.only in (None, "imports"):
        print("== imports", flush=True)
        report.imports = imports.run(given.rounds * PROCESSES_A_ROUND, _progress)
        imports.tell(report.imports, print)
    if given.only in (None, "lifecycle"):
        print("== lifecycle", flush=True)
        report.lifecycle = lifecycle.run(given.rounds, given.data, _progress)
        lifecycle.tell(report.lifecycle, print)
    if given.json is not None:
        given.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)))


if __name__ == "__main__":
    main()
