"""The oracle is proved: with any of these bugs in the code, some history fails."""

import pytest

from tests.simulation.planted import PLANTED, Plant
from tests.simulation.world import HistoryFailed, run_history

HISTORIES = 400
"""Most histories until a bug must have shown. Most show within five, the rarest in one of a
hundred; which one that is moves with every change of what the server draws or waits for."""


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_bug_is_found(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    with pytest.raises(HistoryFailed, match=r"python -m tests\.simulation"):
        run_histories(HISTORIES)


def run_histories(count: int) -> None:
    for seed in range(count):
        run_history(seed)
