"""Every strike once; `make soak-cluster` strikes many times, in any order."""

from pathlib import Path

import pytest

from tests.soak.cluster import ClusterSoak

STRIKES = (
    "kill the coordinator",
    "kill S3",
    "pause the coordinator",
    "kill NATS",
    "stop the coordinator",
    "kill PostgreSQL",
    "kill a worker",
    "kill another node",
)


@pytest.mark.timeout(400)
def test_a_grid_of_three_nodes_loses_nothing_whatever_is_struck(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soak = ClusterSoak(tmp_path, seed=20_261_122)
    soak.run_strikes(STRIKES)
    with capsys.disabled():
        print("", *soak.report.lines(), sep="\n  ")  # noqa: T201 (how long it took)
    assert soak.report.kills.total() == len(STRIKES)
    assert soak.report.completed > 0
