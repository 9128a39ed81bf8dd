"""Forecasts of starts: their interval follows from how earlier ones came out."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamgrid.server.forecasts import ENOUGH, KEPT, LIKE, Forecasts

waits = st.floats(0.0, 10_000.0)


def learn(forecasts: Forecasts, ratio: float, times: int = 1, played_s: float = 100.0) -> None:
    """Projects that by what is known wait for `played_s` start after `ratio` times that."""
    for _ in range(times):
        forecasts.came_out(forecasts.forecast(played_s, now_s=0.0), now_s=played_s * ratio)


def test_the_first_intervals_are_wide() -> None:
    told = Forecasts().forecast(100.0, now_s=5.0)
    assert told.made_s == 5.0
    assert told.wait_s == 100.0
    assert told.earliest_s == pytest.approx(50.0, abs=2.0)
    assert told.latest_s == pytest.approx(200.0, abs=4.0)


def test_where_forecasts_come_true_the_interval_is_narrow() -> None:
    forecasts = Forecasts()
    learn(forecasts, 1.0, times=ENOUGH)
    told = forecasts.forecast(100.0, now_s=0.0)
    assert (told.earliest_s, told.latest_s) == pytest.approx((100.0, 100.0))


def test_where_projects_start_later_than_played_the_forecast_says_so() -> None:
    forecasts = Forecasts()
    learn(forecasts, 3.0, times=KEPT)
    told = forecasts.forecast(100.0, now_s=0.0)
    assert [told.earliest_s, told.wait_s, told.latest_s] == pytest.approx([300.0] * 3)


def test_long_waits_are_judged_by_long_ones_and_short_ones_by_short_ones() -> None:
    forecasts = Forecasts()
    for played_s, ratio in ((10.0, 1.0), (1_000.0, 2.0)):
        learn(forecasts, ratio, times=LIKE, played_s=played_s)
    assert forecasts.forecast(11.0, now_s=0.0).wait_s == pytest.approx(11.0, abs=0.1)
    assert forecasts.forecast(900.0, now_s=0.0).wait_s == pytest.approx(1_800.0, rel=0.01)


def test_old_forecasts_are_forgotten() -> None:
    forecasts = Forecasts()
    learn(forecasts, 5.0, times=KEPT)
    learn(forecasts, 1.0, times=KEPT)
    assert forecasts.forecast(100.0, now_s=0.0).latest_s == pytest.approx(100.0)
    assert forecasts.starts == 2 * KEPT


def test_eight_of_ten_starts_lie_within_the_interval() -> None:
    chance, forecasts = random.Random(5), Forecasts()
    for _ in range(KEPT):
        learn(forecasts, chance.lognormvariate(0.0, 0.7))
    starts, within = forecasts.starts, forecasts.within
    for _ in range(2_000):
        learn(forecasts, chance.lognormvariate(0.0, 0.7))
    share = (forecasts.within - within) / (forecasts.starts - starts)
    assert 0.74 < share < 0.86


@given(st.lists(st.tuples(waits, waits), max_size=3 * ENOUGH), waits)
def test_the_interval_is_around_the_forecast_whatever_came_before(
    before: list[tuple[float, float]], wait_s: float
) -> None:
    forecasts = Forecasts()
    for told_s, waited_s in before:
        forecasts.came_out(forecasts.forecast(told_s, now_s=7.0), now_s=7.0 + waited_s)
    told = forecasts.forecast(wait_s, now_s=7.0)
    assert 0.0 <= told.earliest_s <= told.wait_s <= told.latest_s
    assert forecasts.within <= forecasts.starts == len(before)
