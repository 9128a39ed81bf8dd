"""A short soak; `make soak` kills a hundred times and more."""

from pathlib import Path

import pytest

from tests.soak.soak import Soak

KILLS = 8
SEED = 20_261_122
RECOVERS_WITHIN_S = 2.0
"""Of one core, from the start of the process until it serves; a busy machine takes longer."""


@pytest.mark.timeout(240)
def test_nothing_is_lost_or_charged_twice_when_processes_are_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = Soak(tmp_path, SEED).run(KILLS)
    with capsys.disabled():
        print("", *report.lines(), sep="\n  ")  # noqa: T201 (the seed, and how long it took)
    assert report.kills.total() == KILLS
    assert report.completed > 0
    assert all(one.cpu_s < RECOVERS_WITHIN_S for one in report.recoveries)
