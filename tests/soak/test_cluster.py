"""A few strikes, in a fixed order; `make soak-cluster` strikes many times, in any order."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli import processes
from tests.soak.soak import ROOT

SEED = 20_261_122
ENDS_WITHIN_S = 500.0


@pytest.mark.timeout(600)
def test_a_grid_of_three_nodes_loses_nothing_whatever_is_struck(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Not in this process: where it may, it takes a network of its own, to cut nodes off.
    soak = subprocess.Popen(
        [sys.executable, "-m", "tests.soak", "cluster", "short", str(SEED)],
        cwd=ROOT,
        env=processes.clean({"TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        said, _ = soak.communicate(timeout=ENDS_WITHIN_S)
    finally:
        if soak.poll() is None:
            soak.send_signal(signal.SIGINT)  # it ends what it has started
            soak.communicate()
    assert soak.returncode == 0, said[-5000:]
    with capsys.disabled():
        print("", *said.splitlines(), sep="\n  ")  # noqa: T201 (the seed, and how long it took)
    assert "the books add up" in said
