"""How often Python looks for garbage, and that it is as before afterwards."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from dreamgrid.server import garbage
from dreamgrid.server.garbage import NEW_OBJECTS, LongQueue, rarely_collected, uncollected
from tests.server.conftest import MakeGrid


@pytest.fixture(autouse=True)
def nothing_is_out_of_sight() -> Iterator[None]:
    """Whatever else this process has run before, or runs beside."""
    gc.unfreeze()
    yield
    gc.unfreeze()


class _Cycle:
    """Refers to itself, as projects and jobs do to each other."""

    def __init__(self) -> None:
        self.itself = self


def test_garbage_is_collected_less_often_only_while_a_grid_is_served() -> None:
    before = gc.get_threshold()
    with rarely_collected():
        assert gc.get_threshold() == (max(NEW_OBJECTS, before[0]), *before[1:])
    assert gc.get_threshold() == before


def test_who_collects_even_less_keeps_that() -> None:
    before = gc.get_threshold()
    gc.set_threshold(NEW_OBJECTS + 1, *before[1:])
    try:
        with rarely_collected():
            assert gc.get_threshold()[0] == NEW_OBJECTS + 1
    finally:
        gc.set_threshold(*before)


def test_collections_go_on_after_projects_were_taken_up() -> None:
    assert gc.isenabled()
    with uncollected():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_long_queue_is_not_looked_through_until_as_many_projects_have_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(garbage, "MANY_PROJECTS", 10)
    queue, project = LongQueue(), _Cycle()
    ended = weakref.ref(project)
    queue.look(9, ended=100)
    assert gc.get_freeze_count() == 0
    queue.look(10, ended=100)
    assert gc.get_freeze_count() > 0
    del project
    gc.collect()
    assert ended() is not None
    queue.look(5, ended=109)
    assert ended() is not None
    queue.look(5, ended=110)
    assert ended() is None
    assert gc.get_freeze_count() == 0


def test_what_joins_a_long_queue_is_out_of_sight_when_it_is_a_lot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(garbage, "MANY_PROJECTS", 10)
    queue = LongQueue()
    queue.look(10, ended=0)
    first = gc.get_freeze_count()
    more = [_Cycle() for _ in range(100)]
    queue.look(19, ended=0)
    assert gc.get_freeze_count() <= first
    queue.look(20, ended=0)
    assert gc.get_freeze_count() >= first + len(more)
    queue.look(20, ended=19)
    assert gc.get_freeze_count() > 0
    queue.look(20, ended=20)
    assert gc.get_freeze_count() > 0  # they are a long queue still
    queue.look(9, ended=40)
    assert gc.get_freeze_count() == 0


async def test_a_grid_that_stops_leaves_nothing_out_of_sight(
    make_grid: MakeGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(garbage, "MANY_PROJECTS", 1)
    async with make_grid() as grid:
        app = await grid.app()
        await app.request()
        await grid.ticked_until(lambda: gc.get_freeze_count() > 0)
    assert gc.get_freeze_count() == 0


def test_what_others_keep_out_of_sight_stays_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage, "MANY_PROJECTS", 10)
    monkeypatch.setattr(garbage, "MANY_OBJECTS", 0)
    gc.freeze()
    others = gc.get_freeze_count()
    queue = LongQueue()
    queue.look(10, ended=0)
    queue.look(0, ended=10)
    queue.release()
    with uncollected():
        pass
    assert 0 < gc.get_freeze_count() <= others
