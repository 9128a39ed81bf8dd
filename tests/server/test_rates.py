"""Token buckets: what fits in, what has to wait, and for how long."""

from hypothesis import given
from hypothesis import strategies as st

from dreamgrid.server import rates
from dreamgrid.server.config import NO_LIMIT, Rate
from dreamgrid.server.rates import Buckets
from tests.support.grid import ManualClock


def test_a_burst_goes_through_and_the_next_one_waits_for_its_turn() -> None:
    clock = ManualClock()
    buckets = Buckets(Rate(2, burst=3), clock)
    assert [buckets.take("ann") for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("bob") == 0
    clock.advance(0.5)
    assert [buckets.take("ann") for _ in range(2)] == [0, 0.5]
    clock.advance(60)
    assert [buckets.take("ann") for _ in range(4)] == [0, 0, 0, 0.5]


def test_what_is_refused_costs_nothing() -> None:
    clock = ManualClock()
    buckets = Buckets(Rate(1, burst=1), clock)
    assert [buckets.take("ann") for _ in range(50)] == [0] + [1] * 49
    clock.advance(1)
    assert buckets.take("ann") == 0


def test_what_is_borrowed_must_be_waited_for() -> None:
    clock = ManualClock()
    buckets = Buckets(Rate(10, burst=5), clock)
    assert buckets.borrow("ann", 5) == 0
    assert buckets.borrow("ann", 1) == 0.1
    assert buckets.borrow("ann", 2) == 0.3
    clock.advance(0.3)
    assert buckets.borrow("ann", 1) > 0


def test_who_would_have_to_wait_is_not_counted() -> None:
    clock = ManualClock()
    buckets = Buckets(Rate(1, burst=3), clock)
    assert buckets.takes("ann", 2)
    assert not buckets.takes("ann", 2)
    assert buckets.takes("ann", 1)
    assert not buckets.takes("ann", 1)
    clock.advance(1)
    assert buckets.takes("ann", 1)
    assert all(Buckets(NO_LIMIT, clock).takes("ann", 1_000) for _ in range(3))


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(0, 20)), max_size=30))
def test_nobody_gets_more_than_the_burst_and_the_rate(steps: list[tuple[float, int]]) -> None:
    clock = ManualClock()
    began_s = clock()
    buckets = Buckets(Rate(3, burst=7), clock)
    passed = 0
    for pause_s, tries in steps:
        clock.advance(pause_s)
        passed += sum(buckets.take("ann") == 0 for _ in range(tries))
        assert passed <= 7 + 3 * (clock() - began_s) + 1e-3


def test_a_clock_that_is_set_back_locks_nobody_out() -> None:
    clock = ManualClock()
    buckets = Buckets(Rate(1, burst=1), clock)
    buckets.take("ann")
    clock.advance(-3600)
    assert buckets.take("ann") == 1
    clock.advance(1)
    assert buckets.take("ann") == 0


def test_no_limit_is_no_limit_and_remembers_nobody() -> None:
    buckets = Buckets(NO_LIMIT, ManualClock())
    assert {buckets.take("ann") for _ in range(1000)} == {0}
    assert buckets.borrow("ann", 10**9) == 0
    assert not buckets._callers


def test_only_so_many_callers_are_remembered() -> None:
    buckets = Buckets(Rate(1, burst=1), ManualClock())
    for number in range(rates._MAX_CALLERS + 50):
        buckets.take(str(number))
    assert len(buckets._callers) == rates._MAX_CALLERS
    assert buckets.take("0") == 0, "forgotten, so it begins anew"
    assert buckets.take(str(rates._MAX_CALLERS + 49)) == 1
