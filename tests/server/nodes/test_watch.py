"""When a node may take over, by what it has seen."""

from dataclasses import replace

from dreamgrid.server.nodes.watch import SILENT_S, Watch
from dreamgrid.server.store.postgres_nodes import Seen

ALIVE = Seen(reign=3, node="10.0.0.5:8771", beats=7, held=True, newest=3)
GONE = replace(ALIVE, held=False)


def beat(number: int) -> Seen:
    return replace(ALIVE, beats=number)


def test_a_database_that_nobody_holds_is_free_at_once() -> None:
    assert Watch().free(GONE, 0.0)
    assert Watch().free(Seen(reign=0, node="", beats=0, held=False, newest=0), 0.0)
    assert not Watch().free(ALIVE, 1_000.0)


def test_who_says_something_new_is_never_silent() -> None:
    watch = Watch()
    for number in range(50):
        assert not watch.silent(beat(number), number * SILENT_S * 0.9)


def test_who_says_nothing_for_long_enough_is_silent() -> None:
    watch = Watch()
    assert not watch.silent(ALIVE, 100.0)
    assert not watch.silent(ALIVE, 100.0 + SILENT_S * 0.99)
    assert watch.silent(ALIVE, 100.0 + SILENT_S)
    assert not watch.silent(beat(8), 100.0 + SILENT_S)


def test_who_has_just_begun_to_watch_knows_nothing_yet() -> None:
    assert not Watch().silent(ALIVE, 1_000_000.0)


def test_a_server_that_has_said_nothing_at_all_is_left_alone() -> None:
    watch = Watch()
    loading = replace(ALIVE, newest=4)
    assert not watch.silent(loading, 0.0)
    assert not watch.silent(loading, SILENT_S * 100)


def test_after_a_database_that_was_away_the_coordinator_gets_time_to_come_back() -> None:
    watch = Watch()
    watch.free(ALIVE, 0.0)
    watch.interrupted(10.0)
    assert not watch.free(GONE, 10.0)
    assert not watch.free(GONE, 10.0 + SILENT_S * 0.99)
    assert watch.free(GONE, 10.0 + SILENT_S)
    watch.interrupted(20.0)
    assert not watch.silent(ALIVE, 20.0 + SILENT_S)
    assert watch.silent(ALIVE, 20.0 + SILENT_S * 2)
