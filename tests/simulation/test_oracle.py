"""The oracle is proved: with any of these bugs in the code, a history that provokes it fails."""

import pytest

from tests.simulation.planted import PLANTED, Plant
from tests.simulation.world import HistoryFailed, Plan, run_history

HISTORIES = 60
"""Most histories until a bug must have shown. Each shows in half of its own at least."""


@pytest.mark.parametrize(
    ("plant", "plan"), PLANTED.items(), ids=[plant.__name__ for plant in PLANTED]
)
def test_a_planted_bug_is_found(plant: Plant, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    run_history(0, plan)  # without the bug nothing is wrong
    plant(monkeypatch)
    with pytest.raises(HistoryFailed, match="history"):
        run_histories(HISTORIES, plan)


def run_histories(count: int, plan: Plan) -> None:
    for seed in range(count):
        run_history(seed, plan)
