"""The oracle is proved: with any of these bugs in the code, some history fails."""

import pytest

from tests.simulation.planted import PLANTED, Plant
from tests.simulation.world import HistoryFailed, run_history

HISTORIES = 80
"""Most histories until a bug must have shown."""


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_bug_is_found(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    with pytest.raises(HistoryFailed, match=r"python -m tests\.simulation"):
        run_histories(HISTORIES)


def run_histories(count: int) -> None:
    for seed in range(count):
        run_history(seed)
