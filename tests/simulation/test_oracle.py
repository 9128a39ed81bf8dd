"""The oracle is proved: with any of these bugs in the code, some history fails."""

import pytest

from tests.simulation.planted import (
    PLANTED,
    Plant,
    a_failure_is_settled_before_it_is_stored,
    a_worker_that_fails_at_everything_is_never_paused,
    an_older_connection_of_an_app_replaces_a_newer_one,
)
from tests.simulation.world import HistoryFailed, run_history

HISTORIES = 400
"""Most histories until a bug must have shown. Most show within five, the rarest in one of a
hundred; which one that is moves with every change of what the server draws or waits for."""

BEGINS_AT: dict[Plant, int] = {
    a_failure_is_settled_before_it_is_stored: 190,
    a_worker_that_fails_at_everything_is_never_paused: 1_150,
    an_older_connection_of_an_app_replaces_a_newer_one: 100,
}
"""Where the search begins for bugs that one history in a hundred shows: near one of them, as long
as that holds."""


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_bug_is_found(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    with pytest.raises(HistoryFailed, match=r"python -m tests\.simulation"):
        run_histories(BEGINS_AT.get(plant, 0), HISTORIES)


def run_histories(first: int, count: int) -> None:
    for seed in range(first, first + count):
        run_history(seed)
