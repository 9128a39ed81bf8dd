"""How often Python looks for garbage, and that it is as before afterwards."""

import gc

from dreamgrid.server.garbage import NEW_OBJECTS, rarely_collected, uncollected


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
