"""Thousands of histories in which everything goes wrong; after each, the oracle has no objection.

`DREAMGRID_HISTORIES=50000 pytest tests/simulation` lets more of them happen, and
`DREAMGRID_FIRST_HISTORY=100000` others. A failure tells its seed and how to see it again.
"""

import os

import pytest

from tests.simulation.world import lines, run_history

HISTORIES = int(os.environ.get("DREAMGRID_HISTORIES", "2000"))
FIRST = int(os.environ.get("DREAMGRID_FIRST_HISTORY", "0"))
AT_ONCE = 50


@pytest.mark.parametrize("first", range(FIRST, FIRST + HISTORIES, AT_ONCE))
def test_whatever_goes_wrong_nothing_is_lost_and_the_books_balance(first: int) -> None:
    for seed in range(first, min(first + AT_ONCE, FIRST + HISTORIES)):
        run_history(seed)


def test_the_same_seed_is_the_same_history() -> None:
    assert lines(run_history(FIRST + 3)) == lines(run_history(FIRST + 3))
